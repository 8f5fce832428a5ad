"""Rows and links of plugins for reports: calls of the hook, and their events in the journal."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import ReportInfo
from pytest_orchestrator.core.text import cut_to_length, escape_surrogates
from pytest_orchestrator.plugin.extensions import each_result, record_warning
from pytest_orchestrator.runs import lookup

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.runs.journal.writer import Journal

HOOK: Final = "pytest_recipe_report_info"

_PARTS: Final = ("rows", "links")
_SCHEMES: Final = ("https:", "http:", "mailto:")
"""Beginnings of links; `javascript:` would run code in the page of the report."""
_LONGEST: Final = 2_000
_MOST: Final = 100
"""Characters of a text, and texts of a part: all of them are one line of the journal."""


class ReportInfos:
    """Plugin that calls the hook for each recipe of the session, at its end.

    Args:
        config: The configuration of the session.
        state: The session state.
        journal: The open journal.
    """

    def __init__(self, config: pytest.Config, state: "SessionState", journal: "Journal") -> None:
        self._config = config
        self._state = state
        self._journal = journal
        self._warnings: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Record the rows and links of all recipes that have begun."""
        try:
            self._journal.sync()
            recipes = lookup.load_record(self._state.folder.path).recipes
            for recipe in recipes.values():
                event = self._info(recipe.key, recipe.about)
                if event.rows or event.links:
                    self._journal.append(event)
        except (JournalError, lookup.NoRun):
            return  # the end of the session reports a lost journal

    def _info(self, key: str, about: Mapping[str, Any]) -> ReportInfo:
        found: dict[str, dict[str, str]] = {part: {} for part in _PARTS}
        results = each_result(
            self._config,
            HOOK,
            self._warn,
            recipe=str(about.get("path", key)),
            cell=about.get("cell"),
            test_meta=dict(about.get("test_meta") or {}),
        )
        for implementation, result in results:
            for part in _PARTS:
                for label, value in self._checked(implementation, result, part):
                    found[part][label] = value
        # Cut after the mask, which does not find the rest of a secret.
        return ReportInfo(
            recipe=key,
            **{
                part: {
                    self._shown(label): self._shown(text)
                    for label, text in [*texts.items()][:_MOST]
                }
                for part, texts in found.items()
            },
        )

    def _shown(self, text: str) -> str:
        return cut_to_length(self._state.masked(text), _LONGEST)

    def _checked(self, implementation: Any, result: Any, part: str) -> Iterator[tuple[str, str]]:
        """Yield the valid labels and texts of a part of a result; warn of all others."""
        if not isinstance(result, Mapping) or not result.keys() <= {*_PARTS}:
            text = f"returned {result!r:.200}; return a mapping of 'rows' and 'links'"
            self._warn(implementation, text)
            return
        texts = result.get(part) or {}
        if not isinstance(texts, Mapping):
            text = f"returned {part} {texts!r:.200}; return a mapping of texts by labels"
            self._warn(implementation, text)
            return
        for label, value in texts.items():
            text = _text(value)
            if part == "links" and not text.lower().startswith(_SCHEMES):
                known = ", ".join(_SCHEMES)
                self._warn(
                    implementation, f"returned the link {text!r:.200}; begin it with one of {known}"
                )
            else:
                yield _text(label), text

    def _warn(self, implementation: Any, problem: str) -> None:
        """Report a problem once, at the definition of the implementation."""
        text = f"plugin '{implementation.plugin_name}': {HOOK} {problem}"
        if text not in self._warnings:
            self._warnings.add(text)
            code = getattr(implementation.function, "__code__", None)
            file, line = (code.co_filename, code.co_firstlineno) if code else (__file__, 1)
            record_warning(self._config, text, file, line, "runtest")


def _text(value: object) -> str:
    return escape_surrogates(str(value))
