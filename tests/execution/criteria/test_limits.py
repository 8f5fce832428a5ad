"""Resource limits of a step, and reports of exceeded ones with their distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Process, Resources, Verdict, lasted
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.criteria.simple import CheckInputs
from tests.tiers import kept_first

if TYPE_CHECKING:
    from tests.execution.conftest import Bench

ALONE = Process(argv=("x",), cwd="/", alone="")


def checked(
    bench: Bench, success: dict[str, Any], usage: Resources, process: Process | None = ALONE
) -> tuple[Verdict, ...]:
    step = bench.step(type="shell", cmd="true", success=success)
    ended = Ended(usage=usage, process=process)
    return check.checked(CheckInputs(step, bench.context, ended, 0.0, bench.root, {}))


@pytest.mark.parametrize(
    ("success", "measured", "unit", "distance", "reason"),
    [
        ({"max_seconds": 3}, 4.5, "s", 1.5, "took 4.5 s, limit 3.0 s (1.5 s above, 50 %)"),
        (
            {"max_cpu_seconds": 1.5},
            2.0,
            "s",
            0.5,
            "used 2.0 s of CPU, limit 1.5 s (0.5 s above, 33.3 %)",
        ),
        (
            {"max_rss_mb": 100},
            120.25,
            "MB",
            20.25,
            "had 120.25 MB at its peak, limit 100.00 MB (20.25 MB above, 20.2 %)",
        ),
        (
            {"leftover_processes": 1},
            2,
            "",
            1,
            "left 2 running, limit 1 (1 above, 100 %): sleep (pid 7), a (pid 8)",
        ),
    ],
)
def test_an_exceeded_limit_is_reported_with_the_distance(
    bench: Bench,
    success: dict[str, float],
    measured: float,
    unit: str,
    distance: float,
    reason: str,
) -> None:
    usage = Resources(
        seconds=4.5, cpu_user_seconds=1.75, cpu_system_seconds=0.25, max_rss=120_250_000, source={}
    )
    process = Process(argv=("x",), cwd="/", alone="", leftovers=("sleep (pid 7)", "a (pid 8)"))
    ((name, limit),) = success.items()
    place = Place(5, len(name) + 19, len(str(limit)))
    assert checked(bench, success, usage, process) == (
        Verdict(
            name=name,
            expected=limit,
            place=place,
            measured=measured,
            unit=unit,
            distance=distance,
            unmet=reason,
        ),
    )


def test_a_figure_at_its_limit_holds_and_is_recorded(bench: Bench) -> None:
    usage = Resources(
        seconds=3.0, cpu_user_seconds=1.0, cpu_system_seconds=0.5, max_rss=1_000_000, source={}
    )
    success = {"max_seconds": 3, "max_cpu_seconds": 1.5, "max_rss_mb": 1, "leftover_processes": 0}
    verdicts = checked(bench, success, usage)
    assert [(one.measured, one.unit, one.unmet) for one in verdicts] == [
        (3.0, "s", None),
        (1.5, "s", None),
        (1.0, "MB", None),
        (0, "", None),
    ]


BOUND = {"memory": "wait4, an upper bound"}


@pytest.mark.parametrize(
    ("limit", "unmet"),
    [
        (10, "at most 10.3 MB: cannot show that 10 MB held"),
        (10.3, None),
        (11, None),
    ],
)
@pytest.mark.parametrize(
    ("usage", "bound"),
    [
        (Resources(seconds=0.0, max_rss=10_300_000, source=BOUND), None),
        (Resources(seconds=0.0, max_rss=10_300_000, source=BOUND), 10_300_000),
        (Resources(seconds=0.0, max_rss=2_000_000, source={}), 10_300_000),
    ],
)
def test_an_upper_bound_of_the_memory_peak_must_meet_the_limit(
    bench: Bench, usage: Resources, bound: int | None, limit: float, unmet: str | None
) -> None:
    process = msgspec.structs.replace(ALONE, rss_bound=bound)
    (verdict,) = checked(bench, {"max_rss_mb": limit}, usage, process)
    assert (verdict.unmet, verdict.measured, verdict.unit) == (unmet, "≤ 10.3", "MB")
    assert verdict.distance is None


def test_a_sampled_peak_above_the_limit_fails_with_the_peak(bench: Bench) -> None:
    usage = Resources(seconds=0.0, max_rss=7_000_000, source={})
    process = msgspec.structs.replace(ALONE, rss_bound=10_300_000)
    (verdict,) = checked(bench, {"max_rss_mb": 5}, usage, process)
    assert verdict.unmet == "had 7 MB at its peak, limit 5 MB (2 MB above, 40 %)"


@pytest.mark.parametrize("runs", kept_first([20, 1_000], 20))
@pytest.mark.parametrize(("limit", "outcome"), [(5, "failed"), (30, "passed")])
def test_the_verdict_on_memory_does_not_depend_on_how_fast_a_program_ends(
    bench: Bench, runs: int, limit: int, outcome: str
) -> None:
    steps = [
        bench.shell_step(cmd, parse="text", success={"max_rss_mb": limit})
        for cmd in ("true", "sleep 0.004", "sleep 0.02")
    ]
    seen = {bench.result(step).outcome for step in steps * (runs // len(steps) + 1)}
    assert seen == {outcome}


def test_a_limit_that_is_no_number_fails_for_an_upper_bound_too(bench: Bench) -> None:
    usage = Resources(seconds=0.0, max_rss=9_031_680, source=BOUND)
    step = bench.step(type="shell", cmd="true", success={"max_rss_mb": 5})
    (criterion,) = step.success
    step = msgspec.structs.replace(
        step, success=(msgspec.structs.replace(criterion, expected="5"),)
    )
    ended = Ended(usage=usage, process=ALONE)
    (verdict,) = check.checked(CheckInputs(step, bench.context, ended, 0.0, bench.root, {}))
    assert verdict.unmet == "the limit is no number"


def test_a_limit_of_an_unmeasured_figure_does_not_hold(bench: Bench) -> None:
    success = {"max_cpu_seconds": 1, "max_rss_mb": 1}
    assert [one.unmet for one in checked(bench, success, lasted(0.0))] == [
        "no CPU time was measured",
        "no memory was measured",
    ]


def test_only_the_time_limit_applies_to_a_step_inside_pytest(bench: Bench) -> None:
    success = {
        "max_seconds": 1,
        "max_cpu_seconds": 1,
        "max_rss_mb": 1,
        "leftover_processes": 0,
        "stdout_contains": "a",
    }
    verdicts = checked(bench, success, lasted(0.0), process=None)
    assert [one.name for one in verdicts] == ["max_seconds"]


def test_many_leftovers_are_counted(bench: Bench) -> None:
    process = Process(argv=("x",), cwd="/", alone="", leftovers=tuple("abcdefg"))
    (verdict,) = checked(bench, {"leftover_processes": 0}, lasted(0.0), process)
    assert verdict.unmet == "left 7 running, limit 0 (7 above): a, b, c, d, e and 2 more"


def test_the_whole_tree_of_a_step_is_measured(bench: Bench) -> None:
    hungry = "python3 -c 'x = b\"x\" * 60_000_000; sum(range(3_000_000))'"
    step = bench.shell_step(
        f"{hungry} & wait; sleep 60 & true",
        parse="text",
        success={"max_cpu_seconds": 0.01, "max_rss_mb": 50, "leftover_processes": 0},
    )
    result = bench.result(step)
    assert [one.name for one in result.unmet] == [
        "max_cpu_seconds",
        "max_rss_mb",
        "leftover_processes",
    ]
    assert result.failure is not None
    assert result.failure.reason.endswith("(and 2 more)")
