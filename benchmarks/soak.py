"""Repeat every fault of a step and print the results: `scripts/soak 100`."""

import argparse
import itertools
import math
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from benchmarks import counts, kills, outages, resumes, scopes
from benchmarks.faults import (
    EXPECTED_OUTPUT,
    FAULTS,
    GIGABYTES,
    VICTIMS,
    Fault,
    alive,
    end,
    killed,
    new_token,
)
from pytest_orchestrator.execution.lanes.lane import Lane, Lanes
from pytest_orchestrator.execution.lanes.messages import LaneLost

GRACE = 2.0
AT_ONCE = 4
FLAT = 64 << 20
"""Highest accepted growth of pytest's memory, in bytes, for any volume of output."""


class Round(NamedTuple):
    """One round of a fault.

    Attributes:
        seconds: Duration until all processes of the fault have ended, minus the fault's timeout.
        wrong: The error; None if the result is correct.
    """

    seconds: float
    wrong: str | None


def main() -> int:
    """Run the selected faults; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/soak")
    parser.add_argument("rounds", type=int, nargs="?", default=100)
    parser.add_argument("--only", nargs="+", metavar="FAULT", default=[*FAULTS, *VICTIMS])
    parser.add_argument("--kills", action="store_true", help="kill whole sessions instead")
    parser.add_argument("--resumes", action="store_true", help="resume killed sessions instead")
    parser.add_argument("--dask", action="store_true", help="cause faults of Dask clusters instead")
    parser.add_argument(
        "--counts", action="store_true", help="check counts of many writers instead"
    )
    parser.add_argument(
        "--scopes", action="store_true", help="run steps that share two scopes instead"
    )
    args = parser.parse_args()
    if args.counts:
        wrong = counts.wrong()
        print("\n".join([*wrong, f"{len(wrong) or 'nothing'} failed"]))
        return 1 if wrong else 0
    if args.scopes:
        return _scopes()
    if args.kills or args.resumes:
        return _kills(args.rounds, resumes.rounds if args.resumes else kills.rounds)
    if args.dask:
        return _outages(args.rounds, set(args.only) & {*outages.FAULTS, *outages.CABLES})
    print(f"{'fault':18} {'rounds':>6} {'failed':>6} {'p50 s':>7} {'p99 s':>7}  what it does")
    failed = 0
    with Lanes() as lanes, tempfile.TemporaryDirectory() as folder:
        many = [lanes.shell() for _ in range(AT_ONCE)]
        for name in args.only:
            rounds = list(_rounds(name, args.rounds, many, Path(folder)))
            about = FAULTS[name].about if name in FAULTS else VICTIMS[name]
            failed += _print_row(name, about, rounds)
        if args.only == [*FAULTS, *VICTIMS]:
            failed += _volumes(many[0], Path(folder))
    print(f"\n{failed or 'nothing'} failed")
    return 1 if failed else 0


def _kills(number: int, rounds: "Callable[[int, Path], list[str]]") -> int:
    with tempfile.TemporaryDirectory() as folder:
        wrong = rounds(number, Path(folder))
    print("\n".join([*wrong, f"{number} sessions killed, {len(wrong)} failed"]))
    return 1 if wrong else 0


def _scopes() -> int:
    failed = 0
    for way in scopes.WAYS:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.monotonic()
            wrong = scopes.wrong(way, Path(folder))
        failed += bool(wrong)
        what = f"{scopes.STEPS} steps, {time.monotonic() - begun:.1f} s"
        print(f"{way}: {what}, {scopes.SCOPES} at once at most" if not wrong else "\n".join(wrong))
    return 1 if failed else 0


def _outages(number: int, only: set[str]) -> int:
    by_name: dict[str, list[Round]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for one in outages.rounds(number, Path(folder), sorted(only)):
            print(f"{one.fault}: {one.seconds:.1f} s", *one.wrong, sep="\n  ", flush=True)
            result = Round(one.seconds, "; ".join(one.wrong[:-1]) or None)
            by_name.setdefault(one.fault, []).append(result)
    print(f"\n{'fault':18} {'rounds':>6} {'failed':>6} {'p50 s':>7} {'p99 s':>7}")
    failed = sum(_print_row(name, "", results) for name, results in by_name.items())
    print(f"\n{failed or 'nothing'} failed of {number}")
    return 1 if failed else 0


def _rounds(name: str, number: int, lanes: list[Lane], folder: Path) -> Iterator[Round]:
    one: Callable[[Lane], Round]
    at_once = AT_ONCE
    if name in FAULTS:
        fault = FAULTS[name]
        one = lambda lane: _round(fault, lane, folder)  # noqa: E731
        at_once = 1 if fault.heavy else AT_ONCE
    else:
        one = lambda _: _kill(name)  # noqa: E731
    turns = itertools.islice(itertools.cycle(lanes[:at_once]), number)
    locks = {id(lane): ThreadPoolExecutor(1) for lane in lanes}
    try:
        waiting = [locks[id(lane)].submit(one, lane) for lane in turns]
        yield from (future.result() for future in waiting)
    finally:
        for pool in locks.values():
            pool.shutdown()


def _round(fault: Fault, lane: Lane, folder: Path) -> Round:
    token = new_token()
    begun = time.monotonic()
    try:
        exited = lane.run(fault.request(token, folder, GRACE))
        wrong = fault.wanted(exited)
    except LaneLost as lost:
        wrong = str(lost)
    seconds = time.monotonic() - begun
    left = alive(token)
    end(token)
    for log in folder.glob(f"{token}.*"):
        log.unlink()
    if seconds > fault.bound:
        wrong = wrong or f"{seconds:.2f} s"
    return Round(seconds - (fault.timeout or 0.0), wrong or "; ".join(left) or None)


def _kill(victim: str) -> Round:
    seconds, output = killed(victim, new_token())
    if seconds is None:
        return Round(math.inf, "alive after 2 s")
    wrong = victim in EXPECTED_OUTPUT and not re.fullmatch(EXPECTED_OUTPUT[victim], output)
    return Round(seconds, output if wrong else None)


def _print_row(name: str, about: str, rounds: list[Round]) -> int:
    failures = [one.wrong for one in rounds if one.wrong]
    seconds = sorted(one.seconds for one in rounds)
    p50, p99 = (seconds[max(0, math.ceil(len(seconds) * part) - 1)] for part in (0.5, 0.99))
    print(f"{name:18} {len(rounds):6} {len(failures):6} {p50:7.3f} {p99:7.3f}  {about}")
    for wrong in failures[:3]:
        print(f"    {wrong}")
    sys.stdout.flush()
    return len(failures)


def _volumes(lane: Lane, folder: Path) -> int:
    """Send gigabytes through a lane; return the number of failures."""
    failed = 0
    for name, fault in GIGABYTES.items():
        lane.close()  # the next request starts a new process, whose peak is that of this fault
        _reset_peak()
        before = _peak("self")
        exited = lane.run(fault.request(new_token(), folder, GRACE))
        grown, theirs = _peak("self") - before, _peak(lane.pid)
        wrong = fault.wanted(exited) or (f"grown {grown}" if grown > FLAT else None)
        failed += _print_row(name, fault.about, [Round(exited.usage.seconds, wrong)])
        print(f"    pytest grew by {grown >> 10} KiB, the lane's peak is {theirs >> 10} KiB")
    return failed


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak(pid: int | str | None) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


if __name__ == "__main__":
    sys.exit(main())
