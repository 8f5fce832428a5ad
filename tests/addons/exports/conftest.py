"""Two runs that every exporter has to read: a finished one, and a killed one with hostile names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from pytest_orchestrator.context.history import stamp
from pytest_orchestrator.core.events import (
    AttemptFailed,
    CollectionFailed,
    RecipeStarted,
    StepFinished,
    StepStarted,
    TestReported,
)
from pytest_orchestrator.runs.block import Attempt, Element, Log, Logs, Resources, plain
from pytest_orchestrator.runs.lookup import load_record
from tests.blocks import whole
from tests.runs.built import RECIPE, Runs

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.runs.record import RunRecord

HOSTILE = "\u202egpj.exe\x1b[31m\x00<b>&\"'\n"
"""Text with a bidirectional control, a colour of terminals, a NUL byte, HTML and a line feed."""
SHOWN = "\\u202egpj.exe\\x00<b>&\"'"
LOG = "logs/psu/measure.1.stdout"


class ExportRun(NamedTuple):
    """A run to export: its folder and its record."""

    folder: Path
    run: RunRecord


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> ExportRun:
    """A finished run: retries, measurements, a loop, blocked and expected failures, other tests."""
    meta = {"dut": {"serial_number": "A17"}, "station": "bench_3"}
    built = Runs(tmp_path_factory.mktemp("finished")).new(
        RECIPE, test_meta=meta, sha256="ab" * 32, vars={"volts": {"value": 12, "origin": "recipe"}}
    )
    names = ("flash", "measure", "known", "release", "loop")
    steps = tuple(
        {"name": name, "node": f"{RECIPE}::{name}", "line": at, "tags": ["smoke"] * (at == 3)}
        for at, name in enumerate(names, 3)
    )
    digests = {"psu.py": "cd" * 32}
    built.add(RecipeStarted(recipe=RECIPE, about=built.about, steps=steps, digests=digests))
    built.write(LOG, "61.4 mV\n")
    built.start("flash")
    failed = AttemptFailed(
        recipe=RECIPE, step="flash", attempt=1, kind="exit_code", reason="exit code 3, expected 0"
    )
    built.add(failed)
    built.add(StepStarted(recipe=RECIPE, step="flash", attempt=2))
    step = {"name": "flash", "node": f"{RECIPE}::flash", "tags": ["smoke"], "attempt": 2}
    attempt = Attempt(
        attempt=1,
        kind="exit_code",
        reason="exit code 3, expected 0",
        start=stamp(built.moment - 2_000_000),
        stop=stamp(built.moment - 1_500_000),
        seconds=0.5,
        resources=Resources(seconds=0.5, source={"cpu": "wait4"}),
        logs=Logs(
            stdout=Log(path=LOG, bytes=8, cut=False),
            stderr=Log(path="../../../etc/passwd", bytes=8, cut=False),
        ),
    )
    time = {
        "start": stamp(built.moment - 2_000_000),
        "stop": stamp(built.moment),
        "last_start": stamp(built.moment - 1_000_000),
        "seconds": 1.0,
        "waited_seconds": 0.0,
    }
    recipe = {"path": RECIPE, **built.about}
    block = whole({"recipe": recipe, "step": step, "time": time, "attempts": [plain(attempt)]})
    built.add(StepFinished(recipe=RECIPE, step="flash", outcome="passed", meets=True, block=block))
    built.add(TestReported(node=f"{RECIPE}::flash", outcome="passed", recipe=RECIPE, step="flash"))
    limits = {"verdict": "fail", "high": 50, "margin": -11.4}
    limits |= {"uncertainty": 0.025, "rule": "guarded"}
    built.step(
        "measure",
        "failed",
        kind="criterion",
        reason="ripple = 61.4 mV, max 50 mV",
        measured={"ripple": 61.4},
        limits=limits,
    )
    built.step("known", "failed", reason="status is failed", kind="status")
    known = TestReported(
        node=f"{RECIPE}::known", outcome="xfailed", recipe=RECIPE, step="known", reason="BUG-4"
    )
    built.add(known)
    built.finish("release", "blocked", blocked_by="measure", reason="blocked by measure")
    elements = [
        Element(index=0, item=7, state="passed"),
        Element(index=1, item={"a": 2}, state="failed", kind="criterion", reason="too much"),
    ]
    built.step(
        "loop", "failed", reason="1 of 2 elements failed", kind="criterion", elements=elements
    )
    built.add(TestReported(node="tests/test_a.py::test_b", outcome="skipped", reason="no bench"))
    built.add(CollectionFailed(path="recipes/bad.yaml", text="bad", line=3, reason="no step"))
    folder = built.seal(exit_status=1)
    run = load_record(folder)
    assert run.state == "finished"
    return ExportRun(folder, run)


@pytest.fixture(scope="session")
def killed(tmp_path_factory: pytest.TempPathFactory) -> ExportRun:
    """A run that was killed in its third step, with hostile texts and a log of 30 MB."""
    recipe = f"recipes/{HOSTILE}.yaml".replace("\0", "")
    built = Runs(tmp_path_factory.mktemp("killed")).new(recipe, test_meta={HOSTILE: HOSTILE})
    built.begin("flash", "noisy", "burn_in", "never")
    built.step("flash", measured={HOSTILE: 3.0})
    noisy = built.folder / LOG
    noisy.parent.mkdir(parents=True)
    with noisy.open("wb") as file:
        for _ in range(30):
            file.write(b"x" * 999_999 + b"\n")
    logs = Logs(stdout=Log(path=LOG, bytes=30_000_000, cut=False))
    built.start("noisy")
    step = {"name": "noisy", "node": f"{recipe}::noisy", "state": "failed", "kind": "crash"}
    block = whole({"recipe": built.about, "step": step | {"reason": HOSTILE}, "logs": plain(logs)})
    built.add(StepFinished(recipe=recipe, step="noisy", outcome="failed", meets=False, block=block))
    built.add(
        TestReported(
            node=f"{recipe}::noisy",
            outcome="failed",
            recipe=recipe,
            step="noisy",
            text=f"{HOSTILE} {'y' * 2_000_000}",
        )
    )
    built.start("burn_in")
    steps = load_record(built.folder).recipes[recipe].steps
    log = steps["burn_in"].log_file("stdout", 1).inside(built.folder)
    assert log is not None
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("half a li")
    folder = built.cut()
    run = load_record(folder)
    assert run.state == "interrupted"
    return ExportRun(folder, run)
