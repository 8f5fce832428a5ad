"""Show the instruments of the station, and which safe states are owed; send commands to one.

All instruments are asked for their identity at the same time. One that a session uses, so that its
lock is held, is not touched.
"""

import argparse
import importlib.util
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.cli import debts
from pytest_orchestrator.cli.arguments import (
    PROGRAM,
    UsageError,
    declare_wide,
    nearest_of,
    say_tables,
    say_wrapped,
    width_of,
    with_example,
)
from pytest_orchestrator.cli.project import Project, declare_run, project, runs_folder
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.reports.terminal.lines import Column, Table
from pytest_orchestrator.reports.text import say, say_json, terminal_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_orchestrator.core.events import InstrumentExchange
    from pytest_orchestrator.execution.instruments.process import InstrumentProcess
    from pytest_orchestrator.execution.interruptible import InterruptibleFuture
    from pytest_orchestrator.execution.locks.lock_file import Owner
    from pytest_orchestrator.execution.locks.locks import LockSet, Waiting
    from pytest_orchestrator.instrument import Operation
    from pytest_orchestrator.recipe.station.model import InstrumentSettings, Station
    from pytest_orchestrator.runs.owed_safe import OwedSafe

    Start = Callable[[], InstrumentProcess]
    Send = Callable[[str, Operation, str], Any]
    Contact = tuple[str, str, str]
    """State of an instrument, answer to ``*IDN?``, and reason of any state but ``reachable``."""


EXAMPLE = "instruments"

_WHO: Final = f"{PROGRAM} instruments"
_NO_RUN: Final = "none"
_MARGIN: Final = 6.0
"""Seconds beyond the timeouts: PyVISA-py waits up to 5 s for a connection by HiSLIP."""

_COLUMNS: Final = (
    Column("instrument", "name"),
    Column("state", rank=0),
    Column("resource", "name", rank=1),
    Column("due", rank=2),
    Column("identity, or reason", "prose"),
)
_VERBS: Final = {
    "query": (
        "send commands to an instrument, and print its answers",
        "Send commands to an instrument, and print the answers to those with a '?'.",
        'query psu "*IDN?"',
    ),
    "safe": (
        "bring an instrument to its safe state",
        "Send the safe commands that are owed for an instrument, and those of the station file.",
        "safe psu",
    ),
    "forgive": (
        "drop the safe states that are owed for an instrument",
        "Drop the safe states that are owed for an instrument, without a command.",
        'forgive psu --reason "switched off by hand"',
    ),
}
"""Help, description and example of each verb below the command."""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    _declare_timeout(parser, None)
    _declare_station(parser, None)
    parser.add_argument(
        "--force",
        action="store_true",
        help="also ask instruments whose lock is held, which can disturb what uses them",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    declare_wide(parser)
    verbs = parser.add_subparsers(metavar="[query | safe | forgive | record]", dest="sub")
    for name, (does, description, example) in _VERBS.items():
        one = verbs.add_parser(
            name, help=does, description=description, **with_example(f"instruments {example}")
        )
        one.add_argument("instrument", metavar="NAME", help="its name in the station file")
        _declare_station(one, argparse.SUPPRESS)
        one.set_defaults(parser=one)
        if name == "forgive":
            debts.declare_reason(one)
            continue
        if name == "query":
            one.add_argument("commands", metavar="COMMAND", nargs="+", help='such as "VOLT 5"')
        _declare_timeout(one, argparse.SUPPRESS)
        one.add_argument(
            "--wait", action="store_true", help="if the lock is held, wait until it is free"
        )
    does = "write the instruments of a recorded run as a file of PyVISA-sim"
    record = verbs.add_parser(
        "record",
        help=does,
        description=f"W{does[1:]}; a station file names it as 'backend: bench.yaml@sim'.",
        **with_example("instruments record latest -o bench.yaml"),
    )
    declare_run(record, "run", metavar="RUN", help="the run, its folder, or a bundle")
    record.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write to this file instead of stdout"
    )


def _declare_timeout(parser: argparse.ArgumentParser, default: Any) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="TIME",
        default=default,
        help="longest time for the connection and for each answer, such as 30s (default: the "
        "timeout of the instrument)",
    )


def _declare_station(parser: argparse.ArgumentParser, default: Any) -> None:
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
    if args.sub == "record":
        return _record(args)
    about = project()
    if args.sub == "forgive":
        file = about.station_file(args.recipe_station)
        known = None if file is None else _station(about, args.recipe_station)
        return debts.forgive_instrument(args.instrument, known, args.reason)
    try:
        station = _station(about, args.recipe_station)
    except UsageError:
        if args.sub is None:
            owed = [one.obstacle(None) for one in debts.owed_safe()]
            say(*owed, err=args.json)
        raise
    if station is None:
        return 1
    verb = {"query": _query, "safe": _safe}.get(args.sub, _list)
    return verb(args, station)


def _record(args: argparse.Namespace) -> int:
    from pytest_orchestrator.execution.instruments.simulation import simulation
    from pytest_orchestrator.execution.instruments.transcript import load_transcript
    from pytest_orchestrator.runs.lookup import NoRun

    try:
        found = load_transcript(runs_folder(), args.run, Path.cwd())
    except NoRun as error:
        raise UsageError(str(error)) from None
    if not found.opened:
        raise UsageError(f"run {found.run} has used no instrument of a station file")
    text = simulation(found)
    if args.output is None:
        say(text.rstrip())
        return 0
    try:
        args.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{args.output} cannot be written: {error.strerror}") from None
    say(f"{args.output}: {counted(len(found.opened), 'instrument')} of run {found.run}")
    return 0


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
    from pytest_orchestrator.execution.instruments.process import InstrumentProcess
    from pytest_orchestrator.execution.lanes.lane import Lanes

    with Lanes() as lanes:
        yield lambda: InstrumentProcess(lanes)


def _list(args: argparse.Namespace, station: "Station") -> int:
    from pytest_orchestrator.core.errors import LockError

    busy: dict[str, Exception] = {}
    everything = station.instruments.values()
    with ExitStack() as stack:
        for name in sorted({each.lock_name for each in everything}):
            try:
                stack.enter_context(_lock(name, _WHO))
            except (_Busy, LockError) as error:
                busy[name] = error
        asked = [each for each in everything if args.force or each.lock_name not in busy]
        start = stack.enter_context(_starter())
        found = _identified(asked, station, start, args.timeout) if asked else {}
    owed = debts.owed_safe()
    rows = [
        _described(each, found.get(each.name), busy.get(each.lock_name), owed, station)
        for each in everything
    ]
    if args.json:
        about = {"name": station.name, "path": station.id, "sha256": station.sha256}
        plain = [_debt(one, station) for one in owed]
        say_json({"station": about, "instruments": rows, "debts": plain})
    else:
        if rows:
            say_tables([Table(_COLUMNS, map(_row, rows), width_of(args))])
        else:
            say(f"{station.id} has no instruments")
        say_wrapped([_sentence(one, station) for one in owed], width_of(args))
    is_wrong = any(
        row["state"] in ("unreachable", "other") or (row["overdue"] and station.require_calibrated)
        for row in rows
    )
    return 1 if is_wrong else 0


def _identified(
    instruments: "Sequence[InstrumentSettings]",
    station: "Station",
    start: "Start",
    timeout: float | None,
) -> "dict[str, Contact]":
    """Open instruments, all at the same time, and compare their identities."""
    from concurrent.futures import ThreadPoolExecutor

    from msgspec.structs import replace

    from pytest_orchestrator.instrument import InstrumentError, shown

    answers: dict[str, str] = {}

    def exchanged(exchange: "InstrumentExchange", _: bytes | None) -> None:
        answers[exchange.instrument] = exchange.answer or ""

    def contact(settings: "InstrumentSettings") -> "Contact":
        name = settings.name
        try:
            send(name, "open", "")
        except InstrumentError as error:
            idn = answers.get(name, "")
            reason = str(error).removeprefix(f"{name}: ")
            if error.kind == "timeout" and settings.idn is None:
                reason += '; write idn: "" in the station file if it has no identity'
            is_other = error.kind == "refused" and idn
            return "other" if is_other else "unreachable", shown(idn), reason
        return "reachable", shown(answers[name]), ""

    # With a pattern that matches any text, an instrument without an answer is not reached.
    asked = [replace(one, idn=".*" if one.idn is None else one.idn) for one in instruments]
    as_it_is = _as_it_is(asked, station, start, timeout, exchanged=exchanged)
    with ThreadPoolExecutor(len(asked)) as pool, as_it_is as send:
        contacts = [*pool.map(contact, instruments)]
    return {one.name: found for one, found in zip(instruments, contacts, strict=True)}


@contextmanager
def _as_it_is(
    instruments: "Sequence[InstrumentSettings]",
    station: "Station",
    start: "Start",
    timeout: float | None,
    **hears: "Callable[..., None]",
) -> "Iterator[Send]":
    """Yield a function that sends to instruments, without the `init` and `safe` commands.

    Args:
        instruments: The instruments.
        station: Their station.
        start: Starts an instrument process.
        timeout: Seconds to wait for the connection and for each answer; None for the timeout of
            each instrument.
        hears: Methods of the listener of the bench, which has no journal of a session.
    """
    from msgspec.structs import replace

    from pytest_orchestrator.execution.instruments.bench import Bench, Ending
    from pytest_orchestrator.instrument import InstrumentError, InstrumentRequest

    known = {one.name: replace(one, init=(), timeout=timeout or one.timeout) for one in instruments}
    changed = replace(station, instruments=known, require_calibrated=False)

    class Limit(Ending):
        """End of the wait for one instrument; those whose process does not hang are answered."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def wait_for(self, answer: "InterruptibleFuture", _: float) -> bool:
            limit = known[self.name].timeout + _MARGIN
            if not answer.wait(limit):
                message = f"{self.name}: it was not reached within {limit:g} s"
                raise InstrumentError(message, instrument=self.name, kind="closed")
            return True

    def send(name: str, do: "Operation", command: str) -> Any:
        request = InstrumentRequest(name=name, do=do, command=command)
        return bench.execute(request, _WHO, lambda *_: True, Limit(name))

    with closing(Bench(changed, start, _listener(**hears))) as bench:
        yield send


def _listener(**hears: "Callable[..., None]") -> Any:
    """Return a listener of a bench that has no journal of a session."""
    return SimpleNamespace(**dict.fromkeys(("opened", "exchanged"), lambda *_: None) | hears)


def _described(
    settings: "InstrumentSettings",
    contact: "Contact | None",
    busy: Exception | None,
    owed: "Sequence[OwedSafe]",
    station: "Station",
) -> dict[str, Any]:
    """Return an instrument as `--json` prints it."""
    from datetime import date

    from pytest_orchestrator.recipe.station.model import calibration_of

    state, idn, reason = contact or ("in use", "", str(busy))
    return {
        "name": settings.name,
        "resource": settings.resource,
        "backend": settings.backend,
        "simulated": bool(settings.simulation),
        "state": state,
        "reachable": state != "unreachable" if contact else None,
        "idn": idn,
        "reason": reason,
        "lock": settings.lock_name,
        "held_by": _plain(getattr(busy, "owner", None)),
        "calibrated": settings.calibrated.isoformat() if settings.calibrated else "",
        "due": settings.due.isoformat() if settings.due else "",
        "overdue": calibration_of(settings, date.today()),  # noqa: DTZ011 - the day of this place
        "owed": next((one.run for one in owed if one.name_in(station) == settings.name), ""),
    }


def _debt(debt: "OwedSafe", station: "Station") -> dict[str, Any]:
    """Return a debt as `--json` prints it."""
    names = ("recipe", "instrument", "resource", "backend", "simulation", "safe")
    about = {name: getattr(debt.use, name) for name in names}
    return {"run": debt.run, "name": debt.name_in(station), **about}


def _sentence(debt: "OwedSafe", station: "Station") -> str:
    """Return what becomes of a debt, as the list of instruments says it."""
    name = debt.name_in(station)
    renamed = "" if name == debt.instrument else f" ({name} in {station.id})"
    return debt.obstacle(station) or (
        f"run {debt.run} has not made {debt.instrument}{renamed} safe: its safe state is owed, the "
        "next session that uses instruments sends it"
    )


def _plain(owner: "Owner | None") -> dict[str, Any] | None:
    names = ("pid", "host", "user", "run", "step", "since")
    return {name: getattr(owner, name) for name in names} if owner else None


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    reason = row["reason"].replace(f"cannot open {row['resource']}: ", "cannot be opened: ")
    simulated = "simulated" * row["simulated"]
    text = "; ".join(filter(None, (reason or row["idn"], row["overdue"], simulated)))
    return row["name"], row["state"], row["resource"], row["due"] or "-", text or "-"


def _query(args: argparse.Namespace, station: "Station") -> int:
    settings = station.instruments.get(args.instrument)
    if settings is None:
        raise _unknown(args.instrument, station)
    name, who = settings.name, f"{_WHO} query"

    def opened(*_: object) -> None:
        debts.make_debt(settings, who)

    def query(start: "Start") -> int:
        from msgspec.structs import replace

        from pytest_orchestrator.instrument import is_query

        asked = [replace(settings, idn=settings.idn or "")]
        with _as_it_is(asked, station, start, args.timeout, opened=opened) as send:
            for command in args.commands:
                answer = send(name, "query" if is_query(command) else "write", command)
                if answer is not None:
                    say(answer)
        return 0

    return _locked([settings], f"{who} {name}", query, wait=args.wait)


def _safe(args: argparse.Namespace, station: "Station") -> int:
    from msgspec import structs

    from pytest_orchestrator.core.events import SENT_NOT_CONFIRMED
    from pytest_orchestrator.execution.instruments.bench import Bench
    from pytest_orchestrator.runs.owed_safe import masked_result, payments

    name, named = args.instrument, debts.owed_by_name(args.instrument, station)
    found = [one.found_in(station) for one in named]
    now = station.instruments.get(name) or next(filter(None, found), None)
    if now is None:
        raise UsageError(named[0].obstacle(station)) if named else _unknown(name, station)
    # The name may have been that of another instrument, which this one must not pay for.
    places = [*zip(named, found, strict=True)]
    owed = [one for one, present in places if present is now]
    lost = [one.obstacle(station) for one, present in places if present is None]
    if not now.safe and not owed:
        raise UsageError(f"{station.id} has no commands in 'safe' of {name}, and none are owed")
    ways = payments(owed, now)
    if args.timeout is not None:
        ways = [structs.replace(one, timeout=args.timeout) for one in ways]

    def pay(start: "Start") -> int:
        result = Bench(station, start, _listener()).make_safe(ways)
        if owed:
            known = masked_result(result, debts.masker().mask)
            debts.record(one.paid_by(known) for one in owed)
        if result.reason:
            say(*result.transcript, f"{name} is not in its safe state: {result.reason}", err=True)
            return 1
        sent = result.confirmation == SENT_NOT_CONFIRMED
        how = f"the safe state of {name}: {SENT_NOT_CONFIRMED}"
        say(
            how if sent else f"{name} is in its safe state",
            *(f"paid: {one.phrase} owed" for one in owed),
        )
        say(*lost, err=True)
        return 1 if lost else 0

    return _locked(ways, f"{_WHO} safe {name}", pay, wait=args.wait)


def _unknown(name: str, station: "Station") -> UsageError:
    hint = nearest_of(name, station.instruments) if station.instruments else ""
    return UsageError(f"{station.id} has no instrument '{name}'{hint}")


def _locked(
    ways: "Sequence[InstrumentSettings]", who: str, work: "Callable[[Start], int]", *, wait: bool
) -> int:
    """Call a function while the locks of an instrument are held; return the exit code."""
    from pytest_orchestrator.core.errors import LockError
    from pytest_orchestrator.instrument import InstrumentError

    try:
        with ExitStack() as stack:
            for name in {each.lock_name: None for each in ways}:
                stack.enter_context(_lock(name, who, _waiting(who) if wait else None))
            return work(stack.enter_context(_starter()))
    except _Busy as error:
        say(f"{ways[0].name}: {error}; --wait waits for it", err=True)
    except (InstrumentError, LockError) as error:
        say(str(error), err=True)
    return 1


def _waiting(who: str) -> "Waiting":
    from pytest_orchestrator.execution.locks.locks import LockWait

    def waiting(name: str, owner: "Owner | None", seconds: float) -> None:
        say(str(LockWait(who=who, lock=name, owner=owner, seconds=seconds)), err=True)

    return waiting


class _Busy(Exception):
    """Another process holds the lock of an instrument; the text is a sentence about its owner."""

    def __init__(self, owner: "Owner | None") -> None:
        super().__init__(_held_by(owner))
        self.owner = owner


def _lock(name: str, who: str, waiting: "Waiting | None" = None) -> "LockSet":
    """Acquire the lock of an instrument.

    Args:
        name: The name of the lock.
        who: Name of the caller, for the record of the owner.
        waiting: Called while another process holds the lock; None does not wait.

    Raises:
        _Busy: Another process holds the lock.
        LockError: The lock file cannot be used.
    """
    from pytest_orchestrator.execution.interruptible import InterruptibleEvent
    from pytest_orchestrator.execution.locks import lock_file, locks

    stop = InterruptibleEvent()
    if waiting is None:
        stop.set()
    acquired = locks.acquire([name], run=_NO_RUN, step=who, waiting=waiting, stop=stop)
    if acquired is None:
        path = lock_file.path_of(lock_file.default_folder(), name)
        raise _Busy(lock_file.owner_of(f"{path}.lock"))
    return acquired


def _held_by(owner: "Owner | None") -> str:
    if owner is None:
        return "another process holds its lock"
    who = f"{owner.user}@{owner.host}"
    run = "" if owner.run == _NO_RUN else f", run {owner.run}"
    if owner.free_at:
        left = max(0.0, owner.free_at - time.time())
        return f"an attempt of {owner.step} may run for {left:.0f} s more on a worker ({who}{run})"
    return f"{owner.step} has held its lock for {owner.age():.0f} s (pid {owner.pid}, {who}{run})"
