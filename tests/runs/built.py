"""Runs of which only the folder is there: what a session would have left."""

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
from pytest_orchestrator.runs.journal.writer import Journal

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = "recipes/psu.yaml"
BEGIN = 1_795_000_000_000_000


class Built:
    """A run that is written event by event, a second between two of them.

    Args:
        base: The folder of the runs.
        run: Its id.
        recipe: Key of the recipe that the steps belong to.
        about: More of what is told of that recipe.
    """

    def __init__(
        self, base: Path, run: str, recipe: str = RECIPE, start: int = BEGIN, **about: Any
    ) -> None:
        self.folder = base / run
        self.folder.mkdir(parents=True)
        self.journal = Journal(self.folder / "journal.jsonl")
        self.recipe, self.about = recipe, {"name": "psu", "path": recipe, **about}
        self.moment, self.lines = start, 0
        self.add(RunStarted(schema_version="1.0", run=run, root="/bench", host="bench_3"))

    def add(self, event: Any) -> None:
        """Write an event."""
        self.journal.append(event, self.moment)
        self.moment += 1_000_000
        self.lines += 1

    def begin(self, *steps: str, digests: dict[str, str] | None = None) -> Built:
        """Begin the recipe, which has these steps."""
        known = tuple(
            {"name": name, "node": f"{self.recipe}::{name}", "index": index, "line": index + 2}
            for index, name in enumerate(steps, 1)
        )
        digests = digests or {}
        event = RecipeStarted(recipe=self.recipe, about=self.about, steps=known, digests=digests)
        self.add(event)
        return self

    def start(self, step: str) -> None:
        """Begin a step."""
        self.add(StepStarted(recipe=self.recipe, step=step))

    def change(self, step: str, key: str, new: Any, **more: Any) -> None:
        """Let a step set a key."""
        by = f"{self.recipe}::{step}" if step else ""
        told = {"key": key, "op": "set", "who": step or "client", "new": new, "by": by}
        self.add(ContextChanged(**{**told, **more}))

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
        """End a step; `where` is the worker that it ran on."""
        where = more.pop("where", None)
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
                "source": {"cpu": "wait4"},
            }
            if samples:
                block["resources"]["samples"] = samples
            if where:
                block["where"] = where
        if measured:
            block["measurements"] = [
                {"name": name, "value": value, "unit": "mV", "verdict": "pass", "line": 4}
                for name, value in measured.items()
            ]
        meets = outcome in ("passed", "skipped")
        self.add(
            StepFinished(recipe=self.recipe, step=step, outcome=outcome, meets=meets, block=block)
        )
        word: Any = "skipped" if outcome == "blocked" else outcome
        reported = TestReported(
            node=node, outcome=word, seconds=seconds, recipe=self.recipe, step=step
        )
        self.add(reported)

    def step(self, name: str, outcome: Any = "passed", **figures: Any) -> Built:
        """Begin a step and end it."""
        self.start(name)
        self.finish(name, outcome, **figures)
        return self

    def write(self, name: str, text: str) -> Path:
        """Leave a file in the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def cut(self) -> Path:
        """Stop as a killed process does."""
        self.journal.close()
        return self.folder

    def seal(self, exit_status: int = 0) -> Path:
        """End the run as a session does."""
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
    """The runs of a project."""

    def __init__(self, root: Path) -> None:
        self.base = root / ".orchestrator" / "runs"
        self._count = 0

    def new(self, recipe: str = RECIPE, **about: Any) -> Built:
        """Begin a run, a minute after the one before it."""
        self._count += 1
        start = BEGIN + self._count * 60_000_000
        told = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(start // 1_000_000))
        return Built(self.base, f"{told}-{self._count:04x}", recipe, start, **about)

    def history(self, *seconds: float, step: str = "burn_in") -> list[Path]:
        """Leave a passed run with one step for each of these durations."""
        return [
            self.new().begin(step).step(step, seconds=each, cpu=each / 2).seal() for each in seconds
        ]
