"""Runs of the history store: options that select them, progress, the list of a unit under test."""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pytest_orchestrator.cli.arguments import UsageError, say_tables, width_of
from pytest_orchestrator.cli.project import declare_run, runs_folder
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.reports.terminal.lines import Column, Table
from pytest_orchestrator.reports.text import cut, say, say_json

if TYPE_CHECKING:
    from pytest_orchestrator.runs.history.model import PastRecipe, PastRun


_AGO: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MANY: Final = 20
"""Number of runs from which the first reading of them is reported."""
_PAUSE: Final = 0.1


def declare_selection(parser: argparse.ArgumentParser) -> None:
    """Declare the options that select runs."""
    declare_run(
        parser,
        "--run",
        metavar="RUN",
        action="append",
        default=[],
        help="only this run: its id, the beginning of it, or latest; may be repeated",
    )
    parser.add_argument(
        "--since",
        type=moment,
        metavar="WHEN",
        help="only runs that started at this time or later: 2026-11-01, 2026-11-01T06:00, or 7d "
        "for the last seven days (also m, h, w)",
    )
    parser.add_argument(
        "--before", type=moment, metavar="WHEN", help="only runs that started before this time"
    )
    parser.add_argument(
        "--recipe",
        metavar="RECIPE",
        help="only this recipe: its path, its path with a cell of its matrix, or its name",
    )
    parser.add_argument(
        "--dut", metavar="SERIAL", help="only this unit under test, by its serial number"
    )
    parser.add_argument("--station", metavar="STATION", help="only this test station")


def moment(text: str) -> datetime:
    """Return the time that an argument names: a date, a time, or a time ago such as ``7d``.

    A time without an offset is in UTC, as all times that commands print.

    Raises:
        argparse.ArgumentTypeError: The text names no time.
    """
    ago = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{_AGO[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no time; write a date such as 2026-11-01, or 7d for the last seven days"
        ) from None


class Selection(NamedTuple):
    """Runs of recipes that the options of a command select.

    Attributes:
        runs: Ids of the runs; empty for all.
        since: Start of the first run, in ISO 8601 UTC; may be empty.
        before: Time before which a run started, in ISO 8601 UTC; may be empty.
        recipe: Path, key or name of a recipe; may be empty.
        dut: Serial number of a unit under test; may be empty.
        station: Name of a station; may be empty.
    """

    runs: frozenset[str] = frozenset()
    since: str = ""
    before: str = ""
    recipe: str = ""
    dut: str = ""
    station: str = ""

    def has(self, run: "PastRun", recipe: "PastRecipe | None") -> bool:
        """Return True if a run of a recipe is selected; without a recipe, if any of it may be."""
        from pytest_orchestrator.runs.statistics.units import is_unit, station_of

        if recipe is None:
            return self.has_run(run) and not (self.recipe or self.dut or self.station)
        return (
            self.has_run(run)
            and (not self.recipe or self.recipe in (recipe.key, recipe.path, recipe.name))
            and (not self.dut or is_unit(recipe.test_meta, self.dut))
            and (not self.station or self.station == station_of(run, recipe))
        )

    def has_run(self, run: "PastRun") -> bool:
        """Return True if a run is selected, whatever its recipes are."""
        return (
            (not self.runs or run.id in self.runs)
            and (not self.since or run.started >= self.since)
            and (not self.before or run.started < self.before)
        )

    def only(self, runs: "Iterable[PastRun]") -> "Iterator[PastRun]":
        """Yield the runs with their selected recipes; leave out runs without one."""
        from msgspec.structs import replace

        for run in runs:
            recipes = tuple(one for one in run.recipes if self.has(run, one))
            if recipes:
                yield run if len(recipes) == len(run.recipes) else replace(run, recipes=recipes)


_ALL: Final = Selection()


def selection(args: argparse.Namespace) -> Selection:
    """Return the selection of a command line.

    Raises:
        UsageError: A run does not exist.
    """
    base = runs_folder()
    return Selection(
        frozenset(_run_id(base, name) for name in args.run),
        _iso(args.since),
        _iso(args.before),
        args.recipe or "",
        args.dut or "",
        args.station or "",
    )


def _iso(when: datetime | None) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%S}" if when else ""


def _run_id(base: Path, name: str) -> str:
    """Return the id of a run in the history store or among the folders of runs."""
    from pytest_orchestrator.runs import lookup
    from pytest_orchestrator.runs.history import store

    known = [*dict.fromkeys([*(one.name for one in lookup.run_folders(base)), *store.ids(base)])]
    starts = [one for one in known if one.startswith(name)] if name else []
    if len(starts) == 1 or name in starts:
        return starts[0] if len(starts) == 1 else name
    try:
        return lookup.find_run(base, name).name
    except lookup.NoRun as error:
        raise UsageError(str(error) if len(starts) < 2 else _several(name, starts)) from None


def _several(name: str, runs: Collection[str]) -> str:
    first = ", ".join([*runs][:3])
    return f"several runs begin with '{name}': {first}{' …' * (len(runs) > 3)}"


def read_runs(wanted: Selection = _ALL) -> "list[PastRun]":
    """Return the runs of the project that may be selected, newest first, also the running ones.

    Runs that the history store does not have yet are added to it first.

    Args:
        wanted: The selection; the index leaves out most of the other runs.
    """
    from pytest_orchestrator.runs.history.backfill import backfill

    base = runs_folder()
    for run, why in backfill(base, _Progress()).left_out.items():
        say(f"run {run} is not in the history: {why}", err=True)
    return all_runs(_among(base, wanted), _say_problem)


def all_runs(
    among: Collection[str] | None = None, on_problem: Callable[[Path, str], None] | None = None
) -> "list[PastRun]":
    """Return the runs of the project, newest first.

    Args:
        among: As for `read_all`.
        on_problem: As for `read_all`.
    """
    from pytest_orchestrator.runs.index.past_runs import read_all

    base = runs_folder()
    known = [*read_all(base, among=among, on_problem=on_problem)]
    found = {run.id for run in known}
    live = [run for run in _live(base) if run.id not in found]
    both = [*live, *known]
    return sorted(both, key=lambda run: (run.id.partition("-")[0], run.started), reverse=True)


def _among(base: Path, wanted: Selection) -> Collection[str] | None:
    """Return the ids of the runs of the history that may be selected; None for all."""
    words = [("unit", wanted.dut), ("station", wanted.station)]
    if not (wanted.recipe or wanted.dut or wanted.station):
        return wanted.runs or None
    from pytest_orchestrator.runs.index.database import Index

    with Index(base, _Progress(), lambda text: say(text, err=True)) as index:
        found = [index.runs(kind, word) for kind, word in words if word]
        if name := wanted.recipe:
            found.append(index.runs("key", name) | index.runs("recipe", name))
    return set.intersection(*found)


def _say_problem(path: Path, why: str) -> None:
    """Print a file of the history that is left out, since the figures lack its run."""
    say(f"{os.path.relpath(path)}: {why}; its run is left out", err=True)


def _live(base: Path) -> "Iterator[PastRun]":
    """Yield the runs that are still running, as if they had been interrupted now."""
    from pytest_orchestrator.runs import lookup
    from pytest_orchestrator.runs.history.build import past_run
    from pytest_orchestrator.runs.history.model import only_tested
    from pytest_orchestrator.runs.journal.writer import NAME, is_being_written

    for folder in lookup.run_folders(base):
        if not is_being_written(folder / NAME):
            continue
        try:
            record = lookup.load_record(folder, raw_blocks=True)
        except lookup.NoRun:
            continue
        if record.state == "running":
            record.end("interrupted")
            yield only_tested(past_run(record, folder.name))


class _Progress:
    """Progress of the first reading of many runs, on stderr."""

    def __init__(self) -> None:
        self._shown = 0.0

    def __call__(self, count: int, total: int) -> None:
        """Show that a number of runs were read."""
        if total < _MANY:
            return
        is_terminal = sys.stderr.isatty()
        if count == 1 and not is_terminal:
            say(f"reading {counted(total, 'run')} for the first time", err=True)
        now = time.monotonic()
        if is_terminal and (count == total or now - self._shown >= _PAUSE):
            self._shown = now
            end = "\n" if count == total else ""
            sys.stderr.write(f"\rreading runs for the first time: {count:,} of {total:,}{end}")
            sys.stderr.flush()


def check_found(wanted: Selection, found: "Collection[object]") -> None:
    """Check that runs were found; a name that no run has is a mistake.

    Args:
        wanted: The selection.
        found: The runs that were found.

    Raises:
        UsageError: No run has the recipe, the unit or the station.
    """
    from pytest_orchestrator.runs.statistics.units import names_of_unit, station_of

    if found or not (wanted.recipe or wanted.dut or wanted.station):
        return
    runs = all_runs()
    names: tuple[tuple[str, str, Callable[[PastRun, PastRecipe], Iterable[str]]], ...] = (
        ("recipe", wanted.recipe, lambda _, one: (one.key, one.path, one.name)),
        ("unit under test", wanted.dut, lambda _, one: names_of_unit(one.test_meta)),
        ("station", wanted.station, lambda run, one: (station_of(run, one),)),
    )
    for what, name, of in names:
        known = {text for run in runs for one in run.recipes for text in of(run, one) if text}
        if name and name not in known:
            raise UsageError(f"no run has the {what} '{name}'{nearest(name, known)}")


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


class _Run(NamedTuple):
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


def show_unit(args: argparse.Namespace) -> int:
    """Print the runs of the unit that `--dut` names.

    Raises:
        UsageError: No run tested the unit.
    """
    from pytest_orchestrator.core.files import gc_paused

    wanted = Selection(dut=args.dut)
    with gc_paused():
        found = [*wanted.only(read_runs(wanted))]
        check_found(wanted, found)
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
    return {**one._asdict(), "has_folder": (runs_folder() / one.run).is_dir()}


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
