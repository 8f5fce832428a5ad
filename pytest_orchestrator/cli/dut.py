"""Runs of one unit under test for `runs --dut`: list, JSON."""

import argparse
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.cli.output import say_tables, width_of
from pytest_orchestrator.cli.past_runs import Selection, check_found, read_runs
from pytest_orchestrator.cli.project import runs_folder
from pytest_orchestrator.reports.terminal.lines import Column, Table
from pytest_orchestrator.reports.text import cut, say_json

if TYPE_CHECKING:
    from pytest_orchestrator.runs.history.model import PastRecipe, PastRun

_COLUMNS: Final = (
    Column("run"),
    Column("started", rank=6),  # the id of a run has it too
    Column("verdict"),
    Column("recipe", "place", rank=1),
    Column("seconds", right=True, rank=2),
    Column("station", "name", rank=3),
    Column("operator", "name", rank=4),
    Column("cause", "prose"),
)


class _Run(Struct, frozen=True):
    """Run of a recipe with the unit; `part` says how many of the steps were selected."""

    run: str
    started: str
    verdict: str
    part: str
    recipe: str
    seconds: float
    station: str
    operator: str
    cause: str


def show(args: argparse.Namespace) -> int:
    """Print the runs of the unit that `--dut` names.

    Raises:
        UsageError: No run tested the unit.
    """
    from pytest_orchestrator.core.files import gc_paused

    wanted = Selection(dut=args.dut)
    with gc_paused():
        runs = read_runs()
        found = [*wanted.only(runs)]
        check_found(wanted, runs, found)
        if not found:
            raise UsageError(f"no run has the unit under test '{args.dut}'")
    rows = [_run(run, recipe) for run in found for recipe in run.recipes]
    if args.json:
        say_json({"dut": args.dut, "runs": [_plain(one) for one in rows]})
    else:
        say_tables([Table(_COLUMNS, map(_row, rows), width_of(args))])
    return 0


def _row(one: _Run) -> tuple[str, ...]:
    return (
        one.run,
        f"{one.started[:10]} {one.started[11:19]}Z" if one.started else "-",
        f"{one.verdict}, {one.part}" if one.part else one.verdict,
        one.recipe,
        f"{one.seconds:.1f}",
        one.station or "-",
        one.operator or "-",
        one.cause,
    )


def _plain(one: _Run) -> dict[str, Any]:
    from msgspec.structs import asdict

    return {**asdict(one), "has_folder": (runs_folder() / one.run).is_dir()}


def _run(run: "PastRun", recipe: "PastRecipe") -> _Run:
    from pytest_orchestrator.runs.history.model import joined
    from pytest_orchestrator.runs.statistics.units import station_of

    part = "" if recipe.is_whole else f"{recipe.selected} of {recipe.total} steps"
    name = f"{recipe.name} [{recipe.cell}]" if recipe.cell else recipe.name
    return _Run(
        run.id,
        recipe.started or run.started,
        recipe.verdict,
        part,
        cut(name, 160),
        recipe.seconds,
        cut(station_of(run, recipe), 80),
        cut(joined(recipe.test_meta.get("operator")) or run.operator, 80),
        cut(recipe.cause, 400),
    )
