"""What pytest is given to show of a step that failed."""

from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.plugin import runners
from pytest_orchestrator.plugin.state import state_of
from pytest_orchestrator.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step
from pytest_orchestrator.reports import failure

_REPORT: dict[str, Any] = {
    "nodeid": "",
    "location": ("", 0, ""),
    "keywords": {},
    "outcome": "failed",
    "longrepr": None,
    "when": "call",
}


def failure_text(config: pytest.Config, recipe: Recipe, step: Step, result: StepResult) -> str:
    """Return what a person is told of a failed step."""
    root, here = config.rootpath, config.invocation_params.dir
    return failure.text(recipe, step, result, root, here, options(config, recipe))


def aftermath(config: pytest.Config, recipe: Recipe, step: Step, result: StepResult) -> str:
    """Return what a person is told below the traceback of a step."""
    root, here = config.rootpath, config.invocation_params.dir
    return failure.aftermath(recipe, step, result, root, here, options(config, recipe))


def options(config: pytest.Config, recipe: Recipe) -> list[str]:
    """Return the options without which a step of a recipe may end otherwise."""
    given = state_of(config).given
    names = [name for name in given if name in recipe.vars or name in recipe.required]
    told = {name: {"value": given[name].value, "origin": given[name].origin} for name in names}
    last = config.getoption("recipe_compare")
    compared = [f"--recipe-compare={last}"] if last else []
    return [*runners.options(config), *compared, *failure.options(told)]


def explained_there(config: pytest.Config, raised: Raised) -> Any:
    """Return what pytest explained in the process that a step ran in."""
    report: Any = config.hook.pytest_report_from_serializable(
        config=config, data={**_REPORT, **raised.report}
    )
    for note in getattr(raised, "__notes__", ()):
        report.longrepr.reprtraceback.reprentries[-1].lines.append(f"E       {note}")
    return report.longrepr


def raised(text: str) -> pytest.ExceptionInfo[BaseException]:
    """Return a text as a failure that pytest shows without any frame."""
    try:
        # Where Ctrl-C is handled it is none of what is shown.
        raise pytest.fail.Exception(text, pytrace=False) from None  # noqa: TRY301
    except pytest.fail.Exception:
        return pytest.ExceptionInfo.from_current()


def blame(shown: Any, path: Path, line: int, message: str) -> None:
    """Let the short summary and machine-readable reports name the line of the recipe."""
    crash = getattr(shown, "reprcrash", None)
    if crash is not None:
        crash.path, crash.lineno, crash.message = str(path), line, message


def as_shown(config: pytest.Config, shown: Any, path: Path) -> None:
    """Leave the recipe out of a traceback for pytest-rich, which takes each file for Python."""
    if config.pluginmanager.has_plugin("rich-terminal-reporter"):
        entries = shown.reprtraceback.reprentries
        places = (getattr(entry, "reprfileloc", None) for entry in entries)
        entries[:] = [
            entry
            for entry, place in zip(entries, places, strict=True)
            if place is None or not Path(place.path).match(path.name)
        ]
