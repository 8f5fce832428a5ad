"""Runs of one unit under test for `runs --dut`: list, JSON, page."""

import argparse
import os
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.cli.past_runs import Selection, check_found, read_runs
from pytest_orchestrator.cli.project import runs_folder
from pytest_orchestrator.cli.table import Column, Table, say_tables, width_of
from pytest_orchestrator.reports.text import say, say_json

if TYPE_CHECKING:
    from pytest_orchestrator.reports.statistics.unit_view import RunRow, UnitPage

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


def show(args: argparse.Namespace) -> int:
    """Print the runs of the unit that `--dut` names, or write their page.

    Raises:
        UsageError: No run tested the unit, or the page cannot be written.
    """
    from pytest_orchestrator.core.files import gc_paused
    from pytest_orchestrator.reports.statistics.unit_view import UnitPage

    if args.html is not None and args.json:
        raise UsageError("--html and --json are two forms of the output; give one of them")
    wanted = Selection(dut=args.dut)
    with gc_paused():
        runs = read_runs()
        found = [*wanted.only(runs)]
        check_found(wanted, runs, found)
        if not found:
            raise UsageError(f"no run has the unit under test '{args.dut}'")
        page = UnitPage(args.dut, found)
    if args.json:
        say_json({"dut": args.dut, "runs": [_plain(one) for one in page.rows]})
    elif args.html is not None:
        _write_page(args, page)
    else:
        say_tables([Table(_COLUMNS, map(_row, page.rows), width_of(args))])
    return 0


def _write_page(args: argparse.Namespace, page: "UnitPage") -> None:
    from pytest_orchestrator.cli.certificate import brand
    from pytest_orchestrator.reports.statistics.render import unit_html, write_html

    try:
        write_html(args.html, unit_html(page, brand()))
    except OSError as error:
        raise UsageError(f"{args.html}: {error.strerror}") from None
    say(os.path.relpath(args.html))


def _row(one: "RunRow") -> tuple[str, ...]:
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


def _plain(one: "RunRow") -> dict[str, Any]:
    from msgspec.structs import asdict

    return {**asdict(one), "has_folder": (runs_folder() / one.run).is_dir()}
