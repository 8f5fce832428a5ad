"""Show the instruments of the station and which of them answer; send commands to one.

All instruments are asked for their identity at the same time. One that a session uses, so that its
lock is held, is not touched.
"""

import argparse
import importlib.util
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.cli.arguments import PROGRAM, UsageError, nearest_of, with_example
from pytest_orchestrator.cli.project import Project, project, runs_folder
from pytest_orchestrator.cli.table import (
    Column,
    Table,
    declare_wide,
    say_tables,
    say_wrapped,
    width_of,
)
from pytest_orchestrator.reports.text import say, say_json, terminal_width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_orchestrator.execution.instruments.survey import Contact, Start
    from pytest_orchestrator.execution.locks.lock_file import Owner
    from pytest_orchestrator.execution.locks.locks import Waiting
    from pytest_orchestrator.recipe.station.model import Station
    from pytest_orchestrator.runs.owed_safe import OwedSafe

EXAMPLE = "instruments"

_WHO: Final = f"{PROGRAM} instruments"
_COLUMNS: Final = (
    Column("instrument", "name"),
    Column("state", rank=0),
    Column("resource", "name", rank=1),
    Column("due", rank=2),
    Column("identity, or reason", "prose"),
)


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    _declare_both(parser, None)
    parser.add_argument(
        "--force",
        action="store_true",
        help="also ask instruments whose lock is held, which can disturb what uses them",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    declare_wide(parser)
    verbs = parser.add_subparsers(metavar="[query]", dest="sub")
    query = verbs.add_parser(
        "query",
        help="send commands to an instrument, and print its answers",
        description="Send commands to an instrument, and print the answers to those with a '?'.",
        **with_example('instruments query psu "*IDN?"'),
    )
    query.add_argument("instrument", metavar="NAME", help="its name in the station file")
    query.add_argument("commands", metavar="COMMAND", nargs="+", help='such as "VOLT 5"')
    query.add_argument(
        "--wait", action="store_true", help="if the lock is held, wait until it is free"
    )
    _declare_both(query, argparse.SUPPRESS)
    query.set_defaults(parser=query)


def _declare_both(parser: argparse.ArgumentParser, default: Any) -> None:
    """Declare the options of the command and of its subcommand."""
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="TIME",
        default=default,
        help="longest time for the connection and for each answer, such as 30s (default: the "
        "timeout of the instrument)",
    )
    parser.add_argument(
        "--recipe-station",
        metavar="FILE",
        default=default,
        help="the station file, as pytest takes it (default: station.yaml at the rootdir)",
    )


def _seconds(text: str) -> float:
    from pytest_orchestrator.recipe.model import key_types

    try:
        return key_types.seconds(f"{text}s" if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None


def run(args: argparse.Namespace) -> int:
    """List the instruments, or send commands to one."""
    if importlib.util.find_spec("fcntl") is None:  # Windows has no such locks
        raise UsageError("instruments are used on Linux and macOS, on Windows in WSL")
    about = project()
    station = _station(about, args.recipe_station)
    if station is None:
        return 1
    return _query(args, station) if args.sub == "query" else _list(args, station)


def _station(about: Project, named: str | None) -> "Station | None":
    """Return the station; None if its file has errors, which are printed.

    Raises:
        UsageError: The project has no station file, or the named one does not exist.
    """
    from pytest_orchestrator.plugin.options.station import station_of
    from pytest_orchestrator.recipe.problems import RecipeError
    from pytest_orchestrator.reports import failure_view

    file = about.station_file(named)
    if file is None:
        raise UsageError(
            f"there is no station file: write {about.root / 'station.yaml'}, or name one with "
            "--recipe-station FILE"
        )
    if file.problem:
        raise UsageError(file.problem)
    try:
        return station_of(file, about.root, about.max_bytes)
    except RecipeError as error:
        lines = failure_view.plain(error.render(), terminal_width(), wrap=False)
        say(*lines, err=True)
        return None


@contextmanager
def _starter() -> "Iterator[Start]":
    """Yield a function that starts an instrument process; its supervisor ends with the block."""
    from pytest_orchestrator.execution.instruments.process import InstrumentProcess, server_program
    from pytest_orchestrator.execution.lanes.lane import Lanes

    with Lanes() as lanes:
        yield lambda: InstrumentProcess(lambda: lanes.connect(**server_program()), lanes.drop)


def _list(args: argparse.Namespace, station: "Station") -> int:
    from pytest_orchestrator.execution.instruments.survey import survey
    from pytest_orchestrator.runs.owed_safe import owed_safe_states

    with _starter() as start:
        contacts = survey(station, start, _WHO, args.timeout, is_forced=args.force)
    owed = {
        (each.instrument, each.resource): each
        for each in reversed(owed_safe_states(runs_folder()))
        if not each.settled_by
    }
    rows = [
        _described(each, owed.get((each.settings.name, each.settings.resource)))
        for each in contacts
    ]
    if args.json:
        about = {"name": station.name, "path": station.id, "sha256": station.sha256}
        say_json({"station": about, "instruments": rows})
    elif rows:
        say_tables([Table(_COLUMNS, map(_row, rows), width_of(args))])
        debts = [
            f"run {row['owed']} was ended while it used {row['name']}: its safe state is owed, the "
            "next session that uses instruments sends it"
            for row in rows
            if row["owed"]
        ]
        say_wrapped(debts, width_of(args))
    else:
        say(f"{station.id} has no instruments")
    is_wrong = any(
        row["state"] in ("unreachable", "other") or (row["overdue"] and station.require_calibrated)
        for row in rows
    )
    return 1 if is_wrong else 0


def _described(contact: "Contact", owed: "OwedSafe | None") -> dict[str, Any]:
    """Return an instrument as `--json` prints it."""
    from datetime import date

    from pytest_orchestrator.recipe.station.model import calibration_of

    settings = contact.settings
    is_touched = contact.state != "in use"
    return {
        "name": settings.name,
        "resource": settings.resource,
        "backend": settings.backend,
        "simulated": bool(settings.simulation),
        "state": contact.state,
        "reachable": contact.state != "unreachable" if is_touched else None,
        "idn": contact.idn,
        "reason": contact.reason,
        "lock": settings.lock_name,
        "held_by": _plain(contact.owner),
        "calibrated": settings.calibrated.isoformat() if settings.calibrated else "",
        "due": settings.due.isoformat() if settings.due else "",
        "overdue": calibration_of(settings, date.today()),  # noqa: DTZ011 - the day of this place
        "owed": owed.run if owed else "",
    }


def _plain(owner: "Owner | None") -> dict[str, Any] | None:
    names = ("pid", "host", "user", "run", "step", "since")
    return {name: getattr(owner, name) for name in names} if owner else None


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    reason = row["reason"].replace(f"cannot open {row['resource']}: ", "cannot be opened: ")
    simulated = "simulated" * row["simulated"]
    text = "; ".join(filter(None, (reason or row["idn"], row["overdue"], simulated)))
    return row["name"], row["state"], row["resource"], row["due"] or "-", text or "-"


def _query(args: argparse.Namespace, station: "Station") -> int:
    from pytest_orchestrator.core.errors import LockError
    from pytest_orchestrator.execution.instruments.survey import Busy, converse, lock
    from pytest_orchestrator.instrument import InstrumentError

    settings = station.instruments.get(args.instrument)
    if settings is None:
        hint = nearest_of(args.instrument, station.instruments) if station.instruments else ""
        raise UsageError(f"{station.id} has no instrument '{args.instrument}'{hint}")
    who = f"{_WHO} query {settings.name}"
    try:
        with (
            lock(settings, who, waiting=_waiting(who) if args.wait else None),
            _starter() as start,
        ):
            for answer in converse(settings, station.id, start, args.commands, args.timeout):
                if answer is not None:
                    say(answer)
    except Busy as error:
        say(f"{settings.name}: {error}; --wait waits for it", err=True)
        return 1
    except (InstrumentError, LockError) as error:
        say(str(error), err=True)
        return 1
    return 0


def _waiting(who: str) -> "Waiting":
    from pytest_orchestrator.execution.locks.locks import LockWait

    def waiting(name: str, owner: "Owner | None", seconds: float) -> None:
        say(str(LockWait(who=who, lock=name, owner=owner, seconds=seconds)), err=True)

    return waiting
