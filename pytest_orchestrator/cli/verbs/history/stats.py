"""Show statistics over runs: yields, failures by step and reason, capability of measurements.

Runs count that name the serial number of the unit under test, were not interrupted, and ran all
steps of the recipe.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.cli.arguments import UsageError, declare_wide, say_tables, width_of
from pytest_orchestrator.cli.past_runs import (
    Selection,
    all_runs,
    check_found,
    declare_selection,
    read_runs,
    selection,
)
from pytest_orchestrator.reports.terminal.lines import Column, Table
from pytest_orchestrator.reports.text import say, say_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_orchestrator.runs.history.model import PastRun
    from pytest_orchestrator.runs.statistics.figures import (
        Failures,
        MeasurementStatistics,
        Statistics,
        Yield,
    )

EXAMPLE = "stats --since 30d --html stats.html"

_MOST: Final = 20
_YIELDS: Final = (
    Column("units", right=True),
    Column("runs", right=True, rank=2),
    Column("first pass", right=True),
    Column("", rank=3),
    Column("final", right=True),
    Column("", rank=4),
)
_FAILURES: Final = (
    Column("failures", right=True),
    Column("share", right=True, rank=2),
    Column("together", right=True, rank=3),
    Column("recipe", "place", rank=4),
    Column("step", "name"),
    Column("reason", "prose"),
)
_MEASUREMENTS: Final = (
    Column("recipe", "place", rank=9),
    Column("step", "name", rank=3),
    Column("measurement", "name"),
    Column("n", right=True, rank=2),
    Column("mean", right=True),
    Column("sigma", right=True, rank=1),
    Column("min", right=True, rank=5),
    Column("max", right=True, rank=6),
    Column("low", right=True, rank=7),
    Column("high", right=True, rank=8),
    Column("unit", rank=4),
    Column("Pp", right=True, rank=7),
    Column("Ppk", right=True),
    Column("Cp", right=True, rank=8),
    Column("Cpk", right=True, rank=4),
    Column("", "text", rank=1),
)


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    declare_selection(parser)
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page instead, such as stats.html"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help=f"print all measurements, not only the {_MOST} with the smallest Ppk",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    declare_wide(parser)


def run(args: argparse.Namespace) -> int:
    """Print the statistics, or write their page."""
    from pytest_orchestrator.core.files import gc_paused
    from pytest_orchestrator.runs.statistics import units
    from pytest_orchestrator.runs.statistics.figures import statistics_of

    if args.html is not None and args.json:
        raise UsageError("--html and --json are two forms of the output; give one of them")
    wanted = selection(args)
    with gc_paused():
        runs = _runs(wanted)
        check_found(wanted, [*wanted.only(runs)])
        found = statistics_of(units.counted(runs, wanted.has))
    if args.json:
        say_json(_plain(found))
    elif args.html is not None:
        _write_page(args, found)
    else:
        _print(args, found)
    return 0


def _runs(wanted: Selection) -> "list[PastRun]":
    """Return the runs that decide the first and the last run of the selected units.

    All runs decide that, and which recipes ran with real instruments. If a unit is selected by its
    serial number, and its runs had real instruments, those of the unit decide it.
    """
    from pytest_orchestrator.runs.statistics.units import is_unit, unit_of

    runs = read_runs(Selection(dut=wanted.dut))
    recipes = (one for run in runs for one in run.recipes if is_unit(one.test_meta, wanted.dut))
    if any(one.simulated or unit_of(one.test_meta).serial != wanted.dut for one in recipes):
        return all_runs()
    return runs


def _write_page(args: argparse.Namespace, found: "Statistics") -> None:
    from pytest_orchestrator.cli.project import brand
    from pytest_orchestrator.reports.statistics.render import statistics_html, write_html
    from pytest_orchestrator.reports.statistics.view import StatisticsPage

    page = StatisticsPage(found, _selected(args))
    try:
        write_html(args.html, statistics_html(page, brand()))
    except OSError as error:
        raise UsageError(f"{args.html}: {error.strerror}") from None
    say(os.path.relpath(args.html))


def _selected(args: argparse.Namespace) -> str:
    """Return the options that select runs as text; empty for all runs."""
    times = {name: getattr(args, name) for name in ("since", "before")}
    texts = [
        *((f"{when:%Y-%m-%d %H:%M} UTC", name) for name, when in times.items() if when),
        *((value, name) for name in ("recipe", "dut", "station") if (value := getattr(args, name))),
        *((name, "run") for name in args.run),
    ]
    return ", ".join(f"{name} {text}" for text, name in texts)


def _print(args: argparse.Namespace, found: "Statistics") -> None:
    from pytest_orchestrator.core.text import counted
    from pytest_orchestrator.reports.statistics.view import percent, worst_first

    width, total = width_of(args), found.total
    say(
        f"units {total.units:,}, runs {total.runs:,}, "
        f"first-pass yield {percent(total.first_pass_yield)} "
        f"({total.first_passed:,} of {total.first:,}), "
        f"final yield {percent(total.final_yield)} ({total.last_passed:,} of {total.last:,})"
    )
    if found.simulated:
        say(f"{counted(found.simulated, 'run')} with simulated instruments")
    if found.left_out:
        reasons = (f"{number:,} {reason}" for reason, number in found.left_out.items())
        say(f"not counted: {', '.join(reasons)}")
    shown = worst_first(found.measurements)
    more = 0 if args.all else max(0, len(shown) - _MOST)
    rows = shown[: len(shown) - more]
    for table in (
        _yields(Column("recipe", "place"), found.recipes, width),
        _yields(Column("DUT type", "name"), found.types, width),
        _yields(Column("station", "name"), found.stations, width),
        found.failures and Table(_FAILURES, map(_failure_row, found.failures), width),
        rows and Table(_MEASUREMENTS, map(_measurement_row, rows), width),
    ):
        if table:
            say("")
            say_tables([table])
    if more:
        say(f"and {more:,} more measurements with a larger Ppk or none: --all, --json or --html")


def _yields(name: Column, groups: "Sequence[Yield]", width: int | None) -> Table | None:
    """Return the table of the yields of groups; None if no group has a name."""
    if not any(one.name for one in groups):
        return None
    return Table((name, *_YIELDS), map(_yield_row, groups), width)


def _yield_row(one: "Yield") -> tuple[str, ...]:
    from pytest_orchestrator.reports.statistics.view import percent

    return (
        one.name or "unknown",
        f"{one.units:,}",
        f"{one.runs:,}",
        percent(one.first_pass_yield),
        f"{one.first_passed:,} of {one.first:,}",
        percent(one.final_yield),
        f"{one.last_passed:,} of {one.last:,}",
    )


def _failure_row(one: "Failures") -> tuple[str, ...]:
    from pytest_orchestrator.reports.statistics.view import percent

    return (
        f"{one.number:,}",
        percent(one.share),
        percent(one.cumulative),
        one.recipe,
        one.step,
        one.reason,
    )


def _measurement_row(one: "MeasurementStatistics") -> tuple[str, ...]:
    from pytest_orchestrator.reports.statistics.view import figure_cells, notes

    figures = [text or "-" for _, text, _ in figure_cells(one)]
    figures.insert(7, one.unit or "-")
    return (one.recipe, one.step, one.name, *figures, notes(one))


def _plain(found: "Statistics") -> dict[str, Any]:
    """Return statistics as plain data; shares are from 0 to 1, unknown values null."""
    from msgspec.structs import asdict

    return {
        "first_start": found.first_start,
        "last_start": found.last_start,
        "left_out": found.left_out,
        "simulated": found.simulated,
        "total": _plain_yield(found.total),
        "recipes": [{"recipe": one.name, **_plain_yield(one)} for one in found.recipes],
        "dut_types": [{"dut_type": one.name, **_plain_yield(one)} for one in found.types],
        "stations": [{"station": one.name, **_plain_yield(one)} for one in found.stations],
        "failures": [asdict(one) for one in found.failures],
        "measurements": [_plain_measurement(one) for one in found.measurements],
    }


def _plain_yield(one: "Yield") -> dict[str, Any]:
    return {
        "units": one.units,
        "runs": one.runs,
        "first": one.first,
        "first_passed": one.first_passed,
        "first_pass_yield": one.first_pass_yield,
        "last": one.last,
        "last_passed": one.last_passed,
        "final_yield": one.final_yield,
    }


def _plain_measurement(one: "MeasurementStatistics") -> dict[str, Any]:
    from msgspec import to_builtins

    from pytest_orchestrator.runs.compare.comparison import size_of

    found, drift = one.capability, one.drift
    return {
        "recipe": one.recipe,
        "step": one.step,
        "name": one.name,
        "unit": one.unit or None,
        "low": one.low,
        "high": one.high,
        "n": found.n,
        "mean": found.mean,
        "sigma": found.sigma,
        "min": found.least,
        "max": found.most,
        "pp": found.pp,
        "ppk": found.ppk,
        "within": found.within,
        "cp": found.cp,
        "cpk": found.cpk,
        "failed": one.failed,
        "unset": one.unset,
        "has_other_limits": one.has_other_limits,
        "charts": to_builtins(one.charts),
        "drift": drift and {**size_of(drift), "median": drift.baseline.median},
    }
