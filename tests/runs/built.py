"""Builder of recorded runs: writes the folder and journal that a session would leave."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.context.history import stamp
from pytest_orchestrator.core.events import (
    ContextChanged,
    RecipeStarted,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    TestReported,
)
from pytest_orchestrator.core.files import path_text
from pytest_orchestrator.runs.block import plain
from pytest_orchestrator.runs.journal.writer import Journal
from tests.blocks import whole

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = "recipes/psu.yaml"
BEGIN = 1_795_000_000_000_000


class Built:
    """A run that is written event by event, with one second between two events.

    Args:
        base: The folder of the runs.
        run: Id of the run.
        recipe: Key of the recipe of the steps.
        start: Time of the first event, in microseconds since the epoch.
        root: The rootdir.
        about: Further fields of the recipe in its events.
    """

    def __init__(
        self,
        base: Path,
        run: str,
        recipe: str = RECIPE,
        start: int = BEGIN,
        root: str = "/bench",
        **about: Any,
    ) -> None:
        self.folder = base / run
        self.folder.mkdir(parents=True)
        self.journal = Journal(self.folder / "journal.jsonl")
        self.recipe, self.about = recipe, {"name": "psu", "path": recipe, **about}
        self.moment, self.lines = start, 0
        self.add(RunStarted(schema_version="1.0", run=run, root=root, host="bench_3"))

    def add(self, event: Any) -> None:
        """Write an event."""
        self.journal.append(event, self.moment)
        self.moment += 1_000_000
        self.lines += 1

    def begin(self, *steps: str, digests: dict[str, str] | None = None, **more: str) -> Built:
        """Write the start of the recipe, which has these steps; all have the further fields."""
        infos = tuple(
            {"name": name, "node": f"{self.recipe}::{name}", "index": index, "line": index + 2}
            | more
            for index, name in enumerate(steps, 1)
        )
        digests = digests or {}
        event = RecipeStarted(recipe=self.recipe, about=self.about, steps=infos, digests=digests)
        self.add(event)
        return self

    def start(self, step: str, elements: int | None = None) -> None:
        """Write the start of a step; with ``foreach`` it has a number of elements."""
        self.add(StepStarted(recipe=self.recipe, step=step, elements=elements))

    def change(self, step: str, key: str, new: Any, **more: Any) -> None:
        """Write a change of a key by a step, or by a client if `step` is empty."""
        by = f"{self.recipe}::{step}" if step else ""
        fields = {"key": key, "op": "set", "who": step or "client", "new": new, "by": by}
        self.add(ContextChanged(**{**fields, **more}))

    def finish(
        self,
        step: str,
        outcome: Any = "passed",
        *,
        seconds: float = 1.0,
        cpu: float = 0.5,
        rss: int = 50_000_000,
        measured: dict[str, float] | None = None,
        samples: str | None = None,
        **more: Any,
    ) -> None:
        """Write the end of a step.

        `where` is the worker, `memory` the source of the peak, `limits` the fields of all
        measurements besides their values, `elements` those of ``foreach``,
        `answers` those of people.
        """
        where, memory = more.pop("where", None), more.pop("memory", None)
        limits, elements = more.pop("limits", {}), more.pop("elements", None)
        answers = more.pop("answers", None)
        node = f"{self.recipe}::{step}"
        block: dict[str, Any] = {
            "schema_version": "1.0",
            "run": {"id": self.folder.name, "worker": "main"},
            "recipe": {"sha256": "0" * 64, "test_meta": {}, **self.about},
            "step": {
                "name": step,
                "node": node,
                "index": 1,
                "type": "shell",
                "line": 3,
                "needs": [],
                "tags": [],
                "state": outcome,
                **({"attempt": 1} if outcome in ("passed", "failed") else {}),
                **more,
            },
            "criteria": [],
            "context": {"writes": []},
        }
        if outcome in ("passed", "failed"):
            block["time"] = {
                "start": stamp(self.moment - round(seconds * 1e6)),
                "stop": stamp(self.moment),
                "seconds": seconds,
                "waited_seconds": 0.0,
            }
            block["resources"] = {
                "seconds": seconds,
                "cpu_user_seconds": cpu,
                "cpu_system_seconds": 0.0,
                "max_rss": rss,
                "source": {"cpu": "wait4", **({"memory": memory} if memory else {})},
            }
            if samples:
                block["resources"]["samples"] = samples
            if where:
                block["where"] = where
        if elements is not None:
            block["elements"] = [plain(one) for one in elements]
        if answers is not None:
            block["answers"] = [plain(one) for one in answers]
        if measured:
            block["measurements"] = [
                {"name": name, "value": value, "unit": "mV", "verdict": "pass", "line": 4, **limits}
                for name, value in measured.items()
            ]
        meets = outcome in ("passed", "skipped")
        self.add(
            StepFinished(recipe=self.recipe, step=step, outcome=outcome, meets=meets, block=block)
        )
        pytest_outcome: Any = "skipped" if outcome == "blocked" else outcome
        reported = TestReported(
            node=node, outcome=pytest_outcome, seconds=seconds, recipe=self.recipe, step=step
        )
        self.add(reported)

    def step(self, name: str, outcome: Any = "passed", **figures: Any) -> Built:
        """Write the start and the end of a step."""
        self.start(name)
        self.finish(name, outcome, **figures)
        return self

    def restore(self, step: str, run: str) -> Built:
        """Write a step that this run restored from another one, in which it passed."""
        block = whole({"step": {"name": step, "state": "restored"}})
        fields: Any = {"recipe": self.recipe, "step": step, "outcome": "passed", "meets": True}
        self.add(StepFinished(**fields, block=block, restored=run))
        return self

    def write(self, name: str, text: str) -> Path:
        """Write a file to the run folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def cut(self) -> Path:
        """Close the journal without sealing it, as after a kill."""
        self.journal.close()
        return self.folder

    def seal(self, exit_status: int = 0) -> Path:
        """Seal the journal, as at the end of a session."""
        files = {
            path_text(path.relative_to(self.folder)): (
                path.stat().st_size,
                sha256(path.read_bytes()).hexdigest(),
            )
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not path.name.startswith("journal.")
        }
        self.add(RunFinished(exit_status=exit_status, lines=self.lines, files=files))
        return self.cut()


class Runs:
    """Builder of the runs of a project."""

    def __init__(self, root: Path) -> None:
        self.base = root / ".orchestrator" / "runs"
        self._count = 0

    def new(self, recipe: str = RECIPE, **about: Any) -> Built:
        """Start a run, one minute after the previous one."""
        self._count += 1
        start = BEGIN + self._count * 60_000_000
        second = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(start // 1_000_000))
        return Built(self.base, f"{second}-{self._count:04x}", recipe, start, **about)

    def history(self, *seconds: float, step: str = "burn_in") -> list[Path]:
        """Write a passed run with one step for each of the durations."""
        return [
            self.new().begin(step).step(step, seconds=each, cpu=each / 2).seal() for each in seconds
        ]
