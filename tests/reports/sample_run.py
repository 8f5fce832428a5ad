"""Sample run with an example of everything that a page shows."""

import json
from pathlib import Path
from typing import Any

from pytest_orchestrator.context.history import stamp
from pytest_orchestrator.core.events import (
    AttemptFailed,
    ContextChanged,
    RecipeStarted,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    TestReported,
)
from pytest_orchestrator.runs.journal.writer import Journal
from tests.blocks import whole

RECIPE = "recipes/psu_burn_in.yaml"
BEGIN = 1_795_601_702_000_000

_STEPS: dict[str, list[str]] = {
    "flash": [],
    "measure_ripple": ["flash"],
    "burn_in": ["flash"],
    "thermal": ["flash"],
    "release": ["measure_ripple", "burn_in", "thermal"],
}
_TEXT = """\
recipes/psu_burn_in.yaml:23:35: ripple is out of its limits after step 'measure_ripple'

  22 |     measurements:
  23 |       ripple: {value: result.ripple_mv, high: 50, unit: mV}
     |                                               ^^
E   ripple = 61.4 mV, max 50.0 mV (11.4 mV above, 22.8 %)  (line 23)
"""


class SampleRun:
    """A run whose journal is written event by event.

    Args:
        folder: The folder of the run; it is created.
        about: Further keys of the recipe in the journal.
    """

    def __init__(self, folder: Path, about: dict[str, Any] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.journal = Journal(folder / "journal.jsonl")
        self.last, self.lines = 0.0, 0
        self.steps: dict[str, dict[str, Any]] = {}
        self.about = {
            "name": "psu_burn_in",
            "path": RECIPE,
            "sha256": "9b" * 32,
            "test_meta": {"test_id": "PSU-7", "dut": {"serial_number": "A17"}, "operator": "me"},
            "vars": {"gain": {"value": 2, "origin": "recipe"}},
        } | (about or {})
        self.add(
            0,
            RunStarted(
                schema_version="1.0",
                run=folder.name,
                root="/bench",
                argv=("recipes", "-q"),
                host="bench_3",
                environment={
                    "python": "3.13.0",
                    "git": {"revision": "c0ffee" * 7, "branch": "main"},
                },
            ),
        )

    def add(self, seconds: float, event: Any) -> None:
        """Append an event with a time in seconds since the start of the run."""
        self.journal.append(event, BEGIN + round(seconds * 1e6))
        self.last, self.lines = max(self.last, seconds), self.lines + 1

    def begin(self, steps: dict[str, list[str]], **more: dict[str, Any]) -> None:
        """Start the recipe with steps and the steps that each of them needs."""
        recorded = tuple(
            {"name": name, "node": f"{RECIPE}::{name}", "index": index, "line": 10 + index}
            | {"type": "shell", "needs": needs, "tags": ["smoke"] * (index % 2)}
            | more.get(name, {})
            for index, (name, needs) in enumerate(steps.items(), 1)
        )
        self.steps = {str(step["name"]): step for step in recorded}
        digests = {"scriptlets/shell/flash.sh": "ab" * 32}
        self.add(
            0.01, RecipeStarted(recipe=RECIPE, about=self.about, steps=recorded, digests=digests)
        )

    def step(
        self,
        name: str,
        outcome: Any,
        times: tuple[float, float] | None = None,
        *,
        text: str = "",
        waited: float = 0.0,
        **block: Any,
    ) -> None:
        """Record a step with its start and stop; without times its step code did not run."""
        node, ended = f"{RECIPE}::{name}", times[1] if times else 0.02
        if times:
            self.start(name, times[0], attempt=block.pop("nth", 1))
        ended_block: dict[str, Any] = {
            "recipe": self.about,
            "step": self.steps[name] | {"state": outcome} | block.pop("step", {}),
            "context": {"writes": []},
        } | block
        for write in ended_block["context"]["writes"]:
            change = {key: write[key] for key in ("key", "op", "who", "new") if key in write}
            self.add(ended, ContextChanged(**change, by=node))
            write["ts"] = stamp(BEGIN + round(ended * 1e6))
        if times:
            seconds = round(times[1] - times[0], 6)
            ended_block["time"] = {
                "start": stamp(BEGIN + round(times[0] * 1e6)),
                "stop": stamp(BEGIN + round(times[1] * 1e6)),
                "seconds": seconds,
                "waited_seconds": waited,
            }
            ended_block["resources"] = {
                "seconds": seconds,
                "cpu_user_seconds": round(seconds / 3, 3),
                "cpu_system_seconds": round(seconds / 9, 3),
                "max_rss": 41_300_000,
                "processes": 3,
                "source": {"cpu": "wait4", "memory": "sampled high-water marks"},
            } | ended_block.get("resources", {})
        meets, ended_block = outcome in ("passed", "skipped"), whole(ended_block)
        self.add(
            ended,
            StepFinished(recipe=RECIPE, step=name, outcome=outcome, meets=meets, block=ended_block),
        )
        pytest_outcome: Any = "skipped" if outcome == "blocked" else outcome
        self.add(
            ended,
            TestReported(node=node, outcome=pytest_outcome, recipe=RECIPE, step=name, text=text),
        )

    def start(self, name: str, seconds: float, attempt: int = 1) -> None:
        """Record the start of an attempt."""
        self.add(seconds, StepStarted(recipe=RECIPE, step=name, attempt=attempt))

    def log(self, name: str, text: str) -> dict[str, Any]:
        """Write a log file and return its entry in a block."""
        path = self.write(f"logs/psu_burn_in/{name}", text.encode())
        return {"path": path, "bytes": len(text.encode()), "cut": False}

    def write(self, name: str, data: bytes) -> str:
        """Write a file in the folder of the run and return its relative path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name

    def samples(self, name: str, seconds: float) -> str:
        """Write a file of resource samples and return its relative path."""
        rows = [
            {
                "seconds": round(seconds * at / 80, 4),
                "rss": 20_000_000 + 400_000 * at,
                "cpu_seconds": round(seconds * at / 240, 4),
            }
            for at in range(1, 81)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        return self.write(f"resources/psu_burn_in/{name}.1.jsonl", text.encode())

    def seal(self, status: int = 1, reason: str = "") -> Path:
        """Finish the run and return its folder."""
        end = RunFinished(exit_status=status, lines=self.lines, reason=reason)
        self.add(self.last + 0.1, end)
        self.journal.close()
        return self.folder

    def cut(self) -> Path:
        """Close the journal without an end, as if the process was killed; return the folder."""
        self.journal.close()
        return self.folder


def psu_run(folder: Path, *, png: bytes = b"") -> SampleRun:
    """Write an unfinished run with passed, retried, failed and blocked steps."""
    run = SampleRun(folder)
    run.begin(_STEPS | {"power_off": []}, power_off={"final": True})
    run.step(
        "flash",
        "passed",
        (0.4, 3.6),
        waited=0.3,
        criteria=[{"name": "exit_code", "line": 12, "held": True, "wanted": 0, "measured": 0}],
        context={"writes": [_set("flash", "dut.firmware_v1", "2.4.1"), _set("flash", "dut.on", 1)]},
        resources={"samples": run.samples("flash", 3.2)},
        process={"argv": ["scriptlets/shell/flash.sh", "--fast"], "cwd": ".", "exit_code": 0},
        given={"FIRMWARE": "2.4.1", "TOKEN": "***"},
    )
    run.add(5.0, AttemptFailed(recipe=RECIPE, step="measure_ripple", attempt=1, kind="status",
                               reason="the probe is busy", again_in=1.0))  # fmt: skip
    run.step(
        "measure_ripple",
        "failed",
        (6.0, 8.1),
        nth=2,
        text=_TEXT,
        step={"kind": "criterion", "reason": "ripple = 61.4 mV, max 50.0 mV", "attempt": 2},
        attempts=[
            {
                "attempt": 1,
                "kind": "status",
                "reason": "the probe is busy",
                "start": stamp(BEGIN + 3_700_000),
                "seconds": 1.3,
            }
        ],
        measurements=[
            _measured("ripple", 61.4, "fail", high=50, margin=-11.4),
            _measured("noise", 3.2, "pass", low=1, high=10, margin=2.2),
            _measured("offset", 5, "pass", equals=5),
        ],
        context={"writes": [_set("measure_ripple", "measurements.ripple_v1", {"value": 61.4})]},
        logs={
            "stdout": run.log("measure_ripple.2.stdout", '{"status": "ok", "ripple_mv": 61.4}\n'),
            "stderr": run.log("measure_ripple.2.stderr", "range 200 mV\nWARN probe\ndone\n"),
        },
        resources={"samples": run.samples("measure_ripple", 2.1)},
    )
    files = [{"path": run.write("artifacts/psu_burn_in/scope.png", png), "type": "image/png",
              "bytes": len(png)}] if png else []  # fmt: skip
    run.step("burn_in", "passed", (3.7, 9.2), artifacts=files, warnings=["2 files are too large"])
    writes = [_set("thermal", "dut.on", 2), _set("thermal", "measurements.thermal_v1", [40, 41])]
    run.step("thermal", "passed", (3.8, 7.0), context={"writes": writes})
    blocked = {"blocked_by": "measure_ripple", "reason": "blocked by measure_ripple"}
    run.step("release", "blocked", step=blocked)
    run.step("power_off", "passed", (9.3, 9.5))
    run.add(9.6, TestReported(node="tests/test_it.py::test_it", outcome="passed", seconds=0.2))
    return run


def _set(who: str, key: str, new: Any) -> dict[str, Any]:
    return {"key": key, "op": "set", "who": who, "old": None, "new": new}


def _measured(name: str, value: float, verdict: str, **limits: float) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": "mV", "verdict": verdict, "line": 23} | limits
