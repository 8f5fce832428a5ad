"""Reports of selected steps that did not run because the session ended first.

pytest reports nothing for them. When the session ends, each of them gets a skipped report here,
which all other reports and the journal then contain.
"""

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.plugin import masking
from pytest_orchestrator.plugin.interrupts import end_cause, interrupt_text, interrupts_deferred
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.results.blocks import ATTRIBUTE, block_without_run
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step

NAME = "orchestrator-not-run"
_UNINFORMED = ("lfplugin", "stepwiseplugin")
"""Plugins that would forget the failure of an item if it were reported as skipped."""


class NotRun(Plugin):
    """Plugin that reports selected steps that did not run, when a session ends."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._open: dict[str, None] = {}
        self._is_noted = False
        self._steps: dict[str, tuple[Recipe, Step]] = {}
        self._cause = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Store the steps of a session without workers, unless collection errors end it."""
        from pytest_orchestrator.plugin.collection.nodes import StepItem

        continues = self._config.getoption("continue_on_collection_errors", False)
        if session.testsfailed and not continues:
            return
        for item in session.items:
            if isinstance(item, StepItem):
                self._open[item.nodeid] = None
                self._steps[item.nodeid] = item.recipe, item.step

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Store the steps that the first worker collected; all workers collect the same items."""
        from pytest_orchestrator.plugin.collection.needs import recipe_of

        if not self._is_noted:  # the replacement of a dead worker collects after reports
            self._is_noted = True
            self._open = dict.fromkeys(filter(recipe_of, ids))
            state_of(self._config).collected = set(self._open)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remove a reported step from the open steps; ignore the report of a passed setup."""
        if report.when != "setup" or not report.passed:
            self._open.pop(report.nodeid, None)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Store the reason why the session was interrupted."""
        self._cause = interrupt_text(excinfo.value)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Report the steps that did not run, before other plugins write their reports."""
        if self._open:
            cause = end_cause(session, self._cause)
            with interrupts_deferred():
                self._report(f"the session ended before it{f': {cause}' if cause else ''}")
        return (yield)

    def _report(self, why: str) -> None:
        manager = self._config.pluginmanager
        uninformed = [one for name in _UNINFORMED if (one := manager.get_plugin(name))]
        send = manager.subset_hook_caller("pytest_runtest_logreport", uninformed)
        for node in [*self._open]:
            step = self.step(node)
            for report in self._reports(node, *step, why) if step else ():
                send(report=report)

    def step(self, node: str) -> "tuple[Recipe, Step] | None":
        """Return the recipe and step of a node id, or None; load the recipe if necessary."""
        if node not in self._steps:
            from pytest_orchestrator.recipe import RecipeError

            path = self._config.rootpath / node.partition("::")[0]
            try:
                cells = state_of(self._config).cells(path)
            except (RecipeError, OSError):
                return None
            for recipe in cells:
                steps = (*recipe.steps, *recipe.final)
                self._steps |= {recipe.node(step.name): (recipe, step) for step in steps}
        return self._steps.get(node)

    def _reports(
        self, node: str, recipe: "Recipe", step: "Step", why: str
    ) -> Iterator[pytest.TestReport]:
        restored = state_of(self._config).restored.get((recipe.key, step.name))
        if restored is None:
            block = record_not_run(self._config, recipe, step, why)
        else:
            block, why = restored, f"restored from run {_run_of(restored)}"
        path, line = recipe.source(step).id, step.line
        stages: tuple[Literal["setup", "teardown"], ...] = ("setup", "teardown")
        for when in stages:
            is_skip = when == "setup"
            report = pytest.TestReport(
                nodeid=node,
                location=location(recipe, step),
                keywords={},
                outcome="skipped" if is_skip else "passed",
                longrepr=(path, line, f"Skipped: {why}") if is_skip else None,
                when=when,
            )
            describe(self._config, report, block)
            yield report


def location(recipe: "Recipe", step: "Step") -> tuple[str, int, str]:
    """Return the location of a step for pytest's reports, which count lines from 0."""
    return recipe.source(step).id, step.line - 1, f"{step.name} in {recipe.id}"


def describe(config: pytest.Config, report: pytest.TestReport, block: "dict[str, Json]") -> None:
    """Attach a block to a report that was made without an item, and mask the report."""
    if report.when != "teardown":
        setattr(report, ATTRIBUTE, block)
    extra = {"metadata": {ATTRIBUTE: block}}
    setattr(report, "_json_report_extra", extra)  # noqa: B010 # pytest-json-report's
    if settings.junit_place(config) == "testcase":
        from pytest_orchestrator.reports import junit

        report.user_properties = [*junit.properties(block)]
    if state_of(config).has_secrets:
        masking.mask(report, state_of(config).secrets)


def record_not_run(
    config: pytest.Config, recipe: "Recipe", step: "Step", why: str
) -> "dict[str, Json]":
    """Record in the journal that a step did not run, and return its block."""
    from pytest_orchestrator.core.events import StepFinished
    from pytest_orchestrator.core.result import StepResult

    result = StepResult(step=step.name, outcome="skipped", reason=why)
    block = block_without_run(config, recipe, step, result, state="not run")
    recorder = state_of(config).recorder
    if recorder is not None:
        event = StepFinished(
            recipe=recipe.key, step=step.name, outcome="not run", meets=False, block=block
        )
        with contextlib.suppress(JournalError):
            recorder.record_start(recipe)
            recorder.append(event)
    return block


def _run_of(block: "dict[str, Any]") -> str:
    return str(block["run"].get("resumed_from", ""))
