"""Cost of the Context in its own process, against `json.dumps`: `python -m benchmarks.context`.

The history is always on. With the journal, each change is written to its file before `set` returns.
"""

import json
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.runs.journal.writer import Journal

ROUNDS = 15
CALLS = 2_000
SMALL = {"channel": 1, "volts": [11.9, 12.0, 12.1], "verdict": "pass"}
MOST = {"set": 1.5, "set with the journal": 4.0}
"""Highest accepted duration of a change of a small mapping, as a multiple of `json.dumps`."""
MEMORY = 1.3
"""Highest accepted memory of the history, in bytes for each byte of its changes as JSON."""


class Measured(NamedTuple):
    """Result of one round: microseconds of each call, by the name of the call."""

    calls: dict[str, float]


def microseconds(call: Callable[[], object]) -> float:
    """Return the CPU time of a call, in microseconds."""
    begun = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - begun) / CALLS * 1e6


def measured(folder: Path) -> Measured:
    """Measure all calls once."""
    bare, journaled = Context(), Context()
    journal = Journal(folder / f"{os.urandom(4).hex()}.jsonl")
    journaled.set_callbacks(journal.append)
    step = journaled.bound("measure", by="recipes/bench.yaml::measure")
    bare.set("number", 1.5)
    calls: dict[str, Callable[[], object]] = {
        "json.dumps": lambda: json.dumps(SMALL),
        "get a number": lambda: bare.get("number"),
        "set": lambda: bare.set("small", SMALL),
        "set with the journal": lambda: step.set("small", SMALL),
    }
    result = Measured({name: microseconds(call) for name, call in calls.items()})
    journal.close()
    return result


def memory() -> float:
    """Return the bytes that the history takes for each byte of its changes as JSON."""
    context = Context()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(10_000):
        context.set("small", SMALL | {"channel": number})
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    history = context.get_history("small")
    for change in history:
        del change["old"]  # equal to `new` of the previous change
    return grown / sum(len(json.dumps(change)) for change in history)


def main() -> int:
    """Print the figures; return 1 if one is above its goal."""
    with tempfile.TemporaryDirectory() as folder:
        rounds = [measured(Path(folder)) for _ in range(ROUNDS)]
    failed = 0
    for name in rounds[0].calls:
        times = median(one.calls[name] / one.calls["json.dumps"] for one in rounds)
        goal = MOST.get(name)
        failed += goal is not None and times > goal
        row = f"{median(one.calls[name] for one in rounds):8.2f} us {times:6.2f} x"
        print(f"{name:24}{row}" + (f"   goal {goal} x" if goal else ""))
    took = memory()
    failed += took > MEMORY
    print(f"{'history, bytes for a byte':24}{took:18.2f} x   goal {MEMORY} x")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
