"""Report blocks as attributes of pytest's reports: masked data of plain JSON types.

Data of any other type would crash an xdist worker, and the results of its tests would be lost.
"""

import warnings
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin import masking
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.core.result import Element, StepResult
    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step

ATTRIBUTE = "orchestrator"
"""Attribute of a report: the block of its step."""

PROBLEMS = "orchestrator_problems"
"""Attribute of the report of an invalid recipe: path, line, column, title, text of each problem."""

PROBLEMS_KEY = pytest.StashKey[list[list[Any]]]()

_PLAIN = frozenset((str, int, float, bool, type(None)))


class PlainReports(Plugin):
    """Plugin that converts the reports of all items to plain data and masks them."""

    def __init__(self, config: pytest.Config) -> None:
        self._state = state_of(config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Replace values that are not plain data by text, and secrets by ``***``."""
        report = yield
        pairs = report.user_properties
        # A step has twenty pairs on two reports: a comprehension avoids function calls.
        if pairs and not {type(one) for pair in pairs for one in pair} <= _PLAIN:
            report.user_properties = [(str(name), _plain(value)) for name, value in pairs]
        # pytest-json-report uses this attribute; its log records hold any values of `extra=`.
        extra = getattr(report, "_json_report_extra", None)
        if extra:
            setattr(report, "_json_report_extra", _plain(extra))  # noqa: B010
        if self._state.has_secrets:
            masking.mask(report, self._state.secrets)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Mask the report of a collection error, because the report contains lines of the file."""
        report = yield
        problems = collector.stash.get(PROBLEMS_KEY, None)
        if problems:
            setattr(report, PROBLEMS, self._state.masked(problems))
        if self._state.has_secrets:
            masking.mask(report, self._state.secrets)
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Store, until the journal exists, the report of a file that cannot be collected."""
        if report.failed:
            self._state.uncollected.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Mask a warning before other plugins receive it."""
        if self._state.has_secrets:
            message = str(warning_message.message)
            masked = self._state.secrets.text(message)
            if masked != message:
                warning_message.message = masked


def _plain(value: Any) -> Any:
    if _is_plain(value):
        return value
    from pytest_orchestrator.plugin.results.jsonable import plain

    return plain(value)


def _is_plain(value: object) -> bool:
    if type(value) in _PLAIN:
        return True
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return isinstance(value, list) and all(map(_is_plain, value))


_OF_THE_FILE = {
    "at",
    "final",
    "fixtures",
    "id",
    "inputs",
    "locks",
    "needs",
    "path",
    "required",
    "samplers",
    "secrets",
}
_OF_THE_FILE |= {"sha256", "steps", "tags", "templates", "text", "version"}
"""Fields of a recipe that are not masked: names, paths, and fields that blocks of steps contain."""

NEEDED = "orchestrator_needed"
"""Attribute of a report: the blocks of the steps that ran in its setup."""


def key_of(block: dict[str, Any]) -> str:
    """Return the key of a block's recipe: its path, with the cell of its matrix."""
    recipe = block["recipe"]
    return f"{recipe['path']}[{recipe['cell']}]" if "cell" in recipe else str(recipe["path"])


def carried(report: pytest.TestReport) -> list[dict[str, Any]]:
    """Return the blocks of a report: those of its needed steps and that of its step."""
    blocks = (*getattr(report, NEEDED, ()), getattr(report, ATTRIBUTE, None))
    return [block for block in blocks if block is not None]


def block_of(
    config: pytest.Config,
    run: "RecipeRun",
    step: "Step",
    result: "StepResult",
    *,
    state: str | None = None,
) -> "dict[str, Json]":
    """Return the block of a step, with secrets masked.

    Args:
        config: The configuration of the session.
        run: The run of the step's recipe.
        step: The step.
        result: The result of the step.
        state: The state that pytest reports, if it is not the outcome.
    """
    if result.restored is not None:
        return state_of(config).restored[run.recipe.key, step.name]
    return block_without_run(config, run.reported, step, result, state=state)


def block_without_run(
    config: pytest.Config,
    recipe: "Recipe",
    step: "Step",
    result: "StepResult",
    *,
    state: str | None = None,
    worker: str | None = None,
) -> "dict[str, Json]":
    """Return the block of a step of a recipe that may have no run in this process.

    Args:
        config: The configuration of the session.
        recipe: The recipe, with the values that reports show.
        step: The step.
        result: The result of the step.
        state: The state that pytest reports, if it is not the outcome.
        worker: Name of the pytest process that ran the step; None for this process.
    """
    from msgspec import UNSET

    from pytest_orchestrator.reports import block as report_block
    from pytest_orchestrator.runs.block import Run

    session, name = state_of(config), getattr(config, "workerinput", {}).get("workerid", "main")
    replay = session.replay.run if session.replay else UNSET
    return report_block.block(
        _masked_recipe(session, recipe),
        _masked_step(session, step),
        session.masked(result),
        root=config.rootpath,
        folder=session.folder.path,
        run=Run(id=session.folder.path.name, worker=worker or name, replay=replay),
        state=state,
    )


def block_of_element(
    config: pytest.Config, recipe: "Recipe", step: "Step", element: "Element"
) -> "dict[str, Json]":
    """Return the part of a block that describes an element of ``foreach``, with secrets masked."""
    from pytest_orchestrator.reports import block as report_block

    session = state_of(config)
    masked = session.masked(element)
    return report_block.of_element(recipe, step, masked, config.rootpath, session.folder.path)


def static_blocks(
    config: pytest.Config, recipe: "Recipe"
) -> "tuple[dict[str, Json], tuple[dict[str, Json], ...]]":
    """Return the recipe part and the step parts of blocks, which do not depend on results."""
    from pytest_orchestrator.reports import block as report_block

    session = state_of(config)
    sampled = (one.step for one in recipe.samplers)
    steps = (_masked_step(session, one) for one in (*recipe.steps, *recipe.final, *sampled))
    about = report_block.of_recipe(_masked_recipe(session, recipe))
    return about, tuple(report_block.of_step(recipe, step) for step in steps)


def _masked_recipe(session: "SessionState", recipe: "Recipe") -> "Recipe":
    if not session.has_secrets:
        return recipe
    return masking.fields(recipe, session.secrets, but=_OF_THE_FILE)


def _masked_step(session: "SessionState", step: "Step") -> "Step":
    if not session.has_secrets:
        return step
    return masking.fields(step, session.secrets, names={"description"})


LATE = "orchestrator_late"
"""Key of `workeroutput`: the blocks that no report contains."""
