"""Summary of a whole session for the JSON report.

pytest-json-report leaves the environment empty, and counts a test that passed when it was run
again as ``rerun``; it is a pass, and marked as flaky.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pytest_orchestrator.core.events import RunStarted
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.reports import terminal
from pytest_orchestrator.reports.block import SCHEMA_VERSION

Blocks = Mapping[str, Sequence[Mapping[str, Any]]]

_PLACES: Final = ("station", "operator")


def summary(recipes: Blocks, started: RunStarted | None = None) -> dict[str, Json]:
    """Tell of a run in a few numbers.

    Args:
        recipes: The blocks of the steps, by the key of their recipe.
        started: The first event of its journal.

    Returns:
        Plain data; what is not known is absent.
    """
    steps = [block for blocks in recipes.values() for block in blocks]
    told: dict[str, Json] = {"schema_version": SCHEMA_VERSION}
    if steps:
        told["run"] = {"id": steps[0]["run"]["id"]} | _resumed(started)
    told["recipes"] = [
        {"recipe": key, "verdict": terminal.verdict([*blocks]), "steps": _counts(blocks)}
        for key, blocks in recipes.items()
    ]
    told["steps"] = _counts(steps)
    again = [block["step"] for block in steps if _is_flaky(block["step"])]
    return told | ({"flaky": [step["node"] for step in again]} if again else {})


def environment(
    recipes: Blocks, started: RunStarted | None, known: Mapping[str, Any]
) -> dict[str, Any]:
    """Tell where a run took place.

    Args:
        recipes: The blocks of the steps, by the key of their recipe.
        started: The first event of its journal.
        known: What others tell of it.

    Returns:
        Plain data: host, versions, state of git, station and operator of ``test_meta``.
    """
    told = {**known}
    if started is not None:
        told |= {"host": started.host, **started.environment}
    for name in _PLACES:
        words = (block["recipe"]["test_meta"].get(name) for _, block in _each(recipes))
        found = list(dict.fromkeys(str(word) for word in words if word is not None))
        if found:
            told[name] = ", ".join(found)
    return told


def count_flaky(report: dict[str, Any]) -> None:
    """Count tests as passed that passed when they were run again, and mark them.

    Args:
        report: What pytest-json-report is about to write.
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


def _each(recipes: Blocks) -> list[tuple[str, Mapping[str, Any]]]:
    return [(key, block) for key, blocks in recipes.items() for block in blocks]


def _counts(blocks: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    return {**Counter(block["step"]["state"] for block in blocks)}


def _is_flaky(step: Mapping[str, Any]) -> bool:
    again = step.get("attempt", 1) > 1 or "reruns" in step
    return bool(again and step["state"] == "passed")


def _resumed(started: RunStarted | None) -> dict[str, Json]:
    return {"resumed_from": started.resumed_from} if started and started.resumed_from else {}
