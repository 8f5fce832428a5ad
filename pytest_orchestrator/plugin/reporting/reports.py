"""Reports of steps: from a StepResult to pytest's TestReports, JUnit and JSON files."""

import contextlib
import logging
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin import masking
from pytest_orchestrator.plugin.collection.needs import RESULTS, shorten_refusal
from pytest_orchestrator.plugin.collection.nodes import StepItem
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.results.blocks import ATTRIBUTE, NEEDED, block_of
from pytest_orchestrator.plugin.results.bounds import bounded
from pytest_orchestrator.plugin.results.failures import printed, shorten_transcript
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.core.result import StepResult
    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.model.step import Step
    from pytest_orchestrator.reports.summary import Unsafe
    from pytest_orchestrator.runs.block import Block


class Blocks(Plugin):
    """Plugin that attaches blocks to pytest's reports; registered if a session runs recipes.

    pytest applies `xfail` only after a report was made, and pytest-json-report requests the
    block before all wrappers of the hook have ended.
    """

    def __init__(self) -> None:
        self._made: pytest.TestReport | None = None

    @pytest.hookimpl(wrapper=True, trylast=True, specname="pytest_runtest_makereport")
    def pytest_runtest_makereport_within(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Correct the report of a step, and store the report for pytest-json-report."""
        report = yield
        if call.when == "setup" and call.excinfo is not None:
            if isinstance(item, StepItem):
                report.longrepr = item.fixture_error_repr(call.excinfo.value) or report.longrepr
            shorten_refusal(item, call.excinfo.value, report.longrepr)
        if call.when == "call":
            _fail_unproven(item, report, raised=call.excinfo is not None)
            _set_times(item, report)
        shorten_transcript(report)
        if report.longrepr is not None:
            _bound(item, report)
        self._made = report
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the block of a step to the report of its call, or of its failed setup."""
        report = yield
        if call.when == "call":
            _fail_unproven(item, report, raised=call.excinfo is not None)
            _fail_cut_off(item, report)
        if report.longrepr is not None or hasattr(report, "wasxfail"):
            _bound(item, report)
        if call.when == "setup":
            needed = item.stash.get(RESULTS, None)
            if needed:
                blocks = [block_of(item.config, *one) for one in needed]
                setattr(report, NEEDED, blocks)
                selected = state_of(item.config).selected
                for run, step, _ in needed:
                    if step.name not in selected.get(
                        run.recipe.key, ()
                    ):  # a selected one is an item
                        forget_step(item.config, run, step)
                needed.clear()
        if call.when != "teardown" and isinstance(item, StepItem):
            _describe(item, report)
        return report

    @pytest.hookimpl(optionalhook=True)
    def pytest_json_runtest_metadata(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> "dict[str, Json]":
        """Return the block of a step to pytest-json-report, or an empty mapping without block."""
        if not isinstance(item, StepItem) or call.when == "teardown" or self._made is None:
            return {}
        block = _describe(item, self._made)
        return {} if block is None else {ATTRIBUTE: block}


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """Yield a list to which each record logged inside the with block is added as a line."""
    lines: list[str] = []
    catching = logging.Handler()
    catching.setFormatter(
        logging.Formatter("%(levelname)-8s %(name)s:%(filename)s:%(lineno)d %(message)s")
    )
    catching.emit = lambda record: lines.append(catching.format(record))  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(catching)
    try:
        yield lines
    finally:
        root.removeHandler(catching)


def manual_reports(item: StepItem) -> list[pytest.TestReport]:
    """Return setup, call and teardown reports of a step that ran outside pytest's protocol."""

    def report(when: str, longrepr: Any = None) -> pytest.TestReport:
        made = pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={},
            outcome="failed" if longrepr else "passed",
            longrepr=longrepr,
            when=when,  # type: ignore[arg-type]
            sections=printed(item.result) if when == "call" and item.result else (),
        )
        _set_times(item, made)
        if when == "call":
            _set_outcome(item, made)
            _fail_unproven(item, made, raised=longrepr is not None)
            _bound(item, made)
            extra = {"metadata": {ATTRIBUTE: _describe(item, made)}}
            setattr(made, "_json_report_extra", extra)  # noqa: B010 # pytest-json-report's
        made.user_properties = list(item.user_properties)
        if state_of(item.config).has_secrets:
            masking.mask(made, state_of(item.config).secrets)
        return made

    return [report("setup"), report("call", item.failure_repr()), report("teardown")]


def _set_times(item: pytest.Item, report: pytest.TestReport) -> None:
    """Set start, stop and duration of a step's call report to those of the step code.

    pytest measures the call of the item instead, which contains the start of a lane. If the step
    ran ahead of its item, the call is only the rest of the wait.
    """
    result = item.result if isinstance(item, StepItem) and report.when == "call" else None
    if result is not None and result.ended is not None:
        report.start, report.stop = result.window
        report.duration = result.ended.usage.seconds


def _set_outcome(item: StepItem, report: pytest.TestReport) -> None:
    """Set the outcome of a skipped step, or of one with ``xfail``, as pytest sets it for tests."""
    result = item.result
    if result is not None and result.outcome == "skipped":
        report.outcome = "skipped"
        _skip_here(item, report, result.reason)
        return
    is_cut_off = result is not None and result.is_cut_off
    if item.step.xfail is None or is_cut_off or item.config.getoption("runxfail", False):
        return
    report.wasxfail = item.step.xfail
    if report.failed:
        report.outcome = "skipped"


def _skip_here(item: StepItem, report: pytest.TestReport, reason: str) -> None:
    """Set the place and the reason of a skipped step in its report: the line of the step."""
    path, line, _ = item.location
    report.longrepr = (path, (line or 0) + 1, f"Skipped: {reason}")


def _skip_at_blocker(item: "StepItem", report: pytest.TestReport, result: "StepResult") -> None:
    """Set the place of a blocked step in its report: that of the step or recipe that blocks it.

    pytest shows skipped tests with the same place and reason as one line, with their number.
    """
    recipe = item.recipe
    try:
        blocker = recipe.step(result.blocked_by or "")
        path, line = recipe.source(blocker).id, blocker.line
    except KeyError:  # another recipe blocks it
        path, line = recipe.id, 1
    report.longrepr = (path, line, f"Skipped: {result.reason}")


def forget(item: pytest.Item) -> None:
    """Release the data of an item after its last report."""
    # With --keep-duplicates another item may be the same step, and is reported again.
    if isinstance(item, StepItem) and not item.config.getoption("keepduplicates", False):
        item.forget()
        forget_step(item.config, item.run, item.step)


def forget_step(config: pytest.Config, run: "RecipeRun", step: "Step") -> None:
    """Release the data of a step that was kept for reports; the journal contains it."""
    recorder = state_of(config).recorder
    if recorder is not None:
        recorder.forget(run.recipe, step)
    run.trim_result(step)


def _bound(item: pytest.Item, report: pytest.TestReport) -> None:
    """Limit the size of the failure text in the report of a step."""
    if report.longrepr is None and not hasattr(report, "wasxfail"):
        return
    if isinstance(item, StepItem):
        report.longrepr = bounded(report.longrepr)
        if hasattr(report, "wasxfail"):
            report.wasxfail = bounded(report.wasxfail)


def _fail_unproven(item: pytest.Item, report: pytest.TestReport, *, raised: bool) -> None:
    """Change a passed report of a step to failed if the step has no passed result.

    For pytest every call that raises nothing has passed, even if it did not run the step.
    """
    if report.when != "call" or not report.passed or not isinstance(item, StepItem):
        return
    result = item.result
    if result is None:
        item.result = item.run.note(item.step, "failed", _why_not_called(item))
    elif raised or result.outcome == "passed":  # a plugin may change a failure on purpose
        return
    elif result.failure is None:
        why = f"it was {result.outcome} ({result.reason}), which a plugin has kept from pytest"
        item.result = item.run.note(item.step, "failed", why)
    report.outcome, report.longrepr = "failed", item.failure_repr()
    vars(report).pop("wasxfail", None)


def _fail_cut_off(item: pytest.Item, report: pytest.TestReport) -> None:
    """Change an xfailed report of a step to failed if the step was cut off.

    pytest's marker `xfail` excuses each failure of the step; the end of the recipe's time, or an
    abort by a sampled value, is none.
    """
    if report.when != "call" or not hasattr(report, "wasxfail") or not isinstance(item, StepItem):
        return
    if item.result is not None and item.result.is_cut_off:
        report.outcome = "failed"
        vars(report).pop("wasxfail")


def _why_not_called(item: StepItem) -> str:
    """Return the reason why pytest's call did not run the step, as far as it is known."""
    if not item.config.pluginmanager.has_plugin("python"):
        cause = "pytest's own plugin 'python' calls it, which `-p no:python` switches off"
    else:
        hooks = (one for one in item.ihook.pytest_pyfunc_call.get_hookimpls() if not _wraps(one))
        names = [one.plugin_name for one in hooks if one.plugin_name != "python"]
        cause = "another plugin has handled `pytest_pyfunc_call` in the place of pytest"
        cause += f": {' or '.join(names)}" if names else ""
    return f"no step ran, though pytest calls this passed; {cause}"


def _wraps(hook: Any) -> bool:
    return bool(hook.wrapper or hook.hookwrapper)


def _describe(item: StepItem, report: pytest.TestReport) -> "dict[str, Json] | None":
    """Attach the block of a step to its report; return the block, None for a passed setup.

    A step that never ran gets a result here.
    """
    if report.when == "setup" and report.passed:
        return None
    state = None
    result = item.result
    of_run = item.run.results.get(item.step.name)
    if report.when == "setup" and report.skipped and of_run is not None and of_run.restored:
        result = of_run
    elif result is None or report.when == "setup":
        # On the item, so that a rerun does not take this result for that of the step.
        result = item.result = item.run.note(item.step, report.outcome, _reason(report))
        state = "error" if report.failed else None
        if item.run.gate.is_closed and report.skipped:
            _skip_here(item, report, result.reason)
    elif hasattr(report, "wasxfail"):
        state = "xpassed" if report.passed else "xfailed"
    elif report.failed and result.outcome != "failed":
        # Strict xfail, or a warning that is an error: the outcome of pytest has priority.
        state = "failed"
    elif result.outcome == "blocked" and report.skipped:
        _skip_at_blocker(item, report, result)
    block = _recorded_block(item, result, state)
    setattr(report, ATTRIBUTE, block)
    if settings.junit_place(item.config) != "testcase":
        return block
    from pytest_orchestrator.reports import junit

    properties = junit.properties(block)
    names = {name for name, _ in properties}
    others = [pair for pair in item.user_properties if pair[0] not in names]
    item.user_properties[:] = [*others, *properties]
    report.user_properties = list(item.user_properties)
    return block


def _recorded_block(item: StepItem, result: "StepResult", state: str | None) -> "dict[str, Json]":
    """Return the block of a result, and record the block unless the journal contains it."""
    recorder = state_of(item.config).recorder
    recorded = recorder.blocks.get((item.recipe.key, item.step.name)) if recorder else None
    if recorded and recorded[0] is result and state in (None, result.outcome):
        return recorded[1]
    block = block_of(item.config, item.run, item.step, result, state=state)
    if recorder is not None:
        recorder.update_block(item.recipe, item.step, result, block)
    return block


def _reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    if isinstance(longrepr, tuple):
        return str(longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(longrepr, "reprcrash", None)
    return str(crash.message if crash else longrepr).strip().partition("\n")[0]


def add_suite_properties(config: pytest.Config, blocks: "Iterable[Block]") -> None:
    """Add the properties of all steps to the testsuite of the JUnit files."""
    from pytest_orchestrator.reports import junit
    from pytest_orchestrator.runs.block import plain

    plugins: Any = config.pluginmanager.get_plugins()
    files = [one for one in plugins if type(one).__name__ == "LogXML"]
    for block in blocks if files else ():
        for name, value in junit.properties(plain(block)):
            for xml in files:
                xml.add_global_property(f"{block.step.node}.{name}", str(value))


def complete_json_report(
    report: dict[str, Any],
    config: pytest.Config,
    recipes: "Mapping[str, Sequence[Block]]",
    unsafe: "Unsafe",
) -> None:
    """Add the run, its environment and the number of flaky steps to a JSON report.

    Args:
        report: The report that pytest-json-report is about to write.
        config: The configuration of the session.
        recipes: The blocks of the steps, by the key of their recipe.
        unsafe: The safe states that were not reached, by recipe.
    """
    from pytest_orchestrator.reports import summary

    state = state_of(config)
    started = state.started
    summary.count_flaky(report)
    if recipes or started is not None:
        report["orchestrator"] = summary.summary(recipes, started, unsafe) | _instruments(state)
    metadata = report.get("environment") or _metadata(config)
    environment = summary.environment(recipes, started, metadata)
    report["environment"] = state.masked(environment)


def _instruments(state: "SessionState") -> dict[str, Any]:
    """Return the instruments that the run has used, below ``instruments``; empty without any."""
    if state.station is None or state.started is None:
        return {}
    from msgspec import to_builtins

    from pytest_orchestrator.reports.instruments import instruments_of
    from pytest_orchestrator.runs import lookup

    used = instruments_of(lookup.load_record(state.folder.path))
    return {"instruments": to_builtins(used)} if used else {}


def _metadata(config: pytest.Config) -> dict[str, Any]:
    """Return the data that pytest-metadata stored in the config; empty without that plugin."""
    try:
        from pytest_metadata.plugin import metadata_key
    except ImportError:
        return {}
    return dict(config.stash.get(metadata_key, {}))
