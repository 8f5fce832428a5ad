"""Summary of a whole session for the JSON report.

pytest-json-report leaves the environment empty, and counts a test that passed in a rerun as
``rerun``. This package counts the test as passed and marks it as flaky.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.core.events import RunStarted
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.reports.text import cut, safe
from pytest_orchestrator.runs.block import SCHEMA_VERSION, marginal_count
from pytest_orchestrator.runs.record import RunRecord
from pytest_orchestrator.runs.summary import outcome_of
from pytest_orchestrator.runs.summary import summary as run_summary
from pytest_orchestrator.runs.verdicts import (
    NOT_GOOD,
    Word,
    count_fields,
    of_steps,
    unsafe,
    unsafe_fields,
)

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import InstrumentSafe
    from pytest_orchestrator.runs.block import Block, Step

Blocks = Mapping[str, "Sequence[Block]"]

Unsafe = Mapping[str, "Sequence[InstrumentSafe]"]
"""The safe states of instruments that were not reached, by the key of their recipe."""

RUN_SCHEMA_VERSION: Final = "1.0"
"""Version of the summary of a run; a field may be added without a new first number."""
MOST_FAILURES: Final = 20

_META: Final = ("station", "operator")
_LONGEST: Final = 1_000


def summary(
    recipes: Blocks, started: RunStarted | None = None, ends: Unsafe = MappingProxyType({})
) -> dict[str, Json]:
    """Return the number of steps by state, for the run and for each recipe.

    Args:
        recipes: The blocks of the steps, by the key of their recipe.
        started: The first event of the journal of the run.
        ends: The safe states that were not reached.

    Returns:
        Plain data; an unknown value is absent.
    """
    steps = [block for blocks in recipes.values() for block in blocks]
    fields: dict[str, Json] = {"schema_version": SCHEMA_VERSION}
    if steps:
        fields["run"] = {"id": steps[0].run.id, **_resumed(started)}
    fields["recipes"] = [
        {
            "recipe": key,
            "verdict": verdict(blocks, ends.get(key, ())),
            **count_fields(block.step for block in blocks),
            **_marginal(blocks),
            **unsafe_fields(ends.get(key, ())),
        }
        for key, blocks in recipes.items()
    ]
    fields |= count_fields(block.step for block in steps)
    fields |= _marginal(steps)
    if flaky := [block.step.node for block in steps if _is_flaky(block.step)]:
        fields["flaky"] = [*flaky]
    if empty := [block.step.node for block in steps if block.elements == []]:
        fields["empty_loops"] = [*empty]
    return fields


def summary_of_run(run: RunRecord, name: str) -> dict[str, Json]:
    """Return the summary of a run that plugins and notifications get.

    Args:
        run: The run.
        name: Its id, if its journal does not have it.

    Returns:
        Plain data; unknown values are absent.
    """
    host = {"host": run.started.host} if run.started and run.started.host else {}
    failures: list[Json] = [
        {name: cut(text, _LONGEST) for name, text in one.items() if text} for one in _failures(run)
    ]
    document = {"schema_version": RUN_SCHEMA_VERSION, **run_summary(run, name), **host}
    document |= {"failures": failures[:MOST_FAILURES], "failure_count": len(failures)}
    return {key: safe(value) for key, value in document.items()}


def _failures(run: RunRecord) -> Iterator[dict[str, str]]:
    """Yield the steps, then the other tests and the files, that did not pass."""
    failed = NOT_GOOD | {"not run"}
    for step in run.steps:
        if step.state in failed:
            node = str(step.about.get("node") or f"{step.recipe}::{step.name}")
            kind = str(step.outcome_fields.get("kind") or "")
            yield {"node": node, "state": step.state, "kind": kind, "reason": step.reason}
    for test in run.tests.values():
        if test.step is None and test.outcome in failed:
            yield {"node": test.node, "state": test.outcome, "reason": test.reason}
    for file in run.uncollected:
        about = {"node": file.path, "state": "error", "kind": "collection"}
        yield about | {"reason": file.reason}


def environment(
    recipes: Blocks, started: RunStarted | None, known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the environment of a run.

    Args:
        recipes: The blocks of the steps, by the key of their recipe.
        started: The first event of the journal of the run.
        known: The environment that other plugins have added.

    Returns:
        Plain data: host, versions, state of git, station and operator of ``test_meta``.
    """
    fields = {**known}
    if started is not None:
        fields |= {"host": started.host, **started.environment}
    for name in _META:
        values = (
            block.recipe.test_meta.get(name) for blocks in recipes.values() for block in blocks
        )
        distinct = list(dict.fromkeys(str(value) for value in values if value is not None))
        if distinct:
            fields[name] = ", ".join(distinct)
    return fields


def count_flaky(report: dict[str, Any]) -> None:
    """Count tests that passed in a rerun as passed, and mark them as flaky.

    Args:
        report: The report that pytest-json-report is about to write.
    """
    for test in report.get("tests", ()):
        stages = [test.get(when, {}).get("outcome") for when in ("setup", "call", "teardown")]
        if test.get("outcome") == "rerun" and stages == ["passed"] * 3:
            test |= {"outcome": "passed", "flaky": True}
            counts = report["summary"]
            counts["rerun"] -= 1
            counts["passed"] = counts.get("passed", 0) + 1
            if not counts["rerun"]:
                del counts["rerun"]


def verdict(blocks: "Sequence[Block]", ends: "Sequence[InstrumentSafe]" = ()) -> Word:
    """Return the verdict of a recipe, as the list of runs shows it.

    Args:
        blocks: The blocks of its steps.
        ends: Its safe states that were not reached.
    """
    return of_steps([*unsafe(ends), *(outcome_of(one, one.step.state) for one in blocks)])


def _marginal(blocks: "Sequence[Block]") -> dict[str, Json]:
    number = sum(map(marginal_count, blocks))
    return {"marginal": number} if number else {}


def _is_flaky(step: "Step") -> bool:
    again = (step.attempt or 1) > 1 or step.reruns
    return bool(again and step.state == "passed")


def _resumed(started: RunStarted | None) -> dict[str, Json]:
    return {"resumed_from": started.resumed_from} if started and started.resumed_from else {}
