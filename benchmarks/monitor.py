"""Cost of the page of a run: the file of 3,000 steps in a browser, the live page of 100,000 steps.

    python -m benchmarks.monitor [STEPS]

Needs the extra `monitor` and a Chromium; `scripts/browser` finds one. Prints the size of the file
and the time until a browser has loaded it; then, of a running session, the time until the server
has answered with the first page, that of a refresh after ten more steps, and the memory.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pytest_orchestrator.monitor.app import application
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs.lookup import load_record
from tests.house.browser import browser
from tests.runs.built import Built

RUN = "20261125T101502Z-7f3a91c0d2e4"
OF_THE_FILE = 3_000
LIVE = 100_000
_ONE = {"ripple": 12.0}


def written(base: Path, steps: int, ended: int, measured: dict[str, float]) -> Built:
    """Write a run of which some steps have ended, one of 500 failed, each with measurements."""
    built = Built(base, RUN)
    names = [f"step_{number:06}" for number in range(steps)]
    built.begin(*names)
    for number, name in enumerate(names[:ended]):
        outcome = "failed" if number % 500 == 250 else "passed"
        built.step(name, outcome, measured=measured)
    return built


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result of a call, and its seconds."""
    start = time.perf_counter()
    found = call()
    return found, time.perf_counter() - start


def of_the_file(base: Path, measured: dict[str, float]) -> None:
    """Print what the file of a run costs."""
    run = written(base, OF_THE_FILE, OF_THE_FILE, measured)
    run.seal(1)
    page, seconds = timed(lambda: html(load_record(run.folder), run.folder))
    file = base / "report.html"
    file.write_text(page, encoding="utf-8")
    size = f"{file.stat().st_size / 1e6:.1f} MB, made in {seconds:.2f} s"
    print(f"file of {OF_THE_FILE:,} steps with {len(measured)} measurements each: {size}")
    with browser() as chromium:
        shown = chromium.new_page()
        _, loaded = timed(lambda: shown.goto(file.as_uri(), wait_until="load"))
        _, ready = timed(lambda: shown.locator("#steps .shown", has_text="3000").wait_for())
    print(
        f"loaded in a browser after {loaded:.2f} s, its search works after {loaded + ready:.2f} s"
    )


def live(base: Path, steps: int) -> None:
    """Print what the live page of a run costs."""
    run = written(base, steps, steps // 2, _ONE)
    client = application(base, "token", {"localhost"}).test_client()
    client.get("/?token=token")
    cpu = time.process_time()
    reply, first = timed(lambda: client.get(f"/run/{RUN}"))
    of_first = time.process_time() - cpu
    whole = first
    while b"Reading the journal" in reply.data:
        reply, again = timed(lambda: client.get(f"/run/{RUN}"))
        whole += again
    _, second = timed(lambda: client.get(f"/run/{RUN}"))
    for number in range(10):
        run.step(f"step_{steps // 2 + number:06}")
    cpu = time.process_time()
    client.get(f"/run/{RUN}")
    cpu = time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"live page of {steps:,} steps: first {first:.2f} s ({of_first:.2f} s of CPU)")
    print(f"whole journal read after {whole:.2f} s, page again in {second:.2f} s")
    print(f"refresh after ten steps: {cpu:.2f} s of CPU; page {len(reply.data) / 1e6:.1f} MB")
    print(f"peak memory of the process, with the writer of the run: {peak:.0f} MB")


def main(steps: int = LIVE) -> None:
    """Print the figures."""
    measures: list[Callable[[Path], None]] = [
        partial(of_the_file, measured={}),
        partial(of_the_file, measured=_ONE),
        partial(live, steps=steps),
    ]
    for measure in measures:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
