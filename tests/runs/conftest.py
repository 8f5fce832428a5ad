"""Fixtures with journals of runs that were written without a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.events import (
    AnyEvent,
    ContextChanged,
    RecipeStarted,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
)
from pytest_orchestrator.runs.journal.writer import NAME, Journal
from tests.blocks import whole
from tests.runs.built import Runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

collect_ignore = ["recorded"]  # a run folder has the sources of its recipes

RECIPE = "recipes/x.yaml"


class WrittenRun:
    """A run that is written line by line.

    Attributes:
        folder: The folder of the run.
    """

    def __init__(self, base: Path, run: str) -> None:
        self.folder = base / run
        self.folder.mkdir(parents=True)
        self.journal = Journal(self.folder / NAME)
        self.add(RunStarted(schema_version="1.0", run=run))

    def add(self, *events: AnyEvent) -> None:
        for event in events:
            self.journal.append(event)

    def recipe(self, *names: str, key: str = RECIPE, **about: Any) -> None:
        steps = tuple({"name": name, "index": place} for place, name in enumerate(names))
        self.add(RecipeStarted(recipe=key, about={"path": key, **about}, steps=steps))

    def step(self, name: str, outcome: Any = "passed", key: str = RECIPE, **more: Any) -> None:
        self.add(StepStarted(recipe=key, step=name))
        block = whole({"step": {"name": name, "state": outcome}})
        self.add(
            StepFinished(
                recipe=key,
                step=name,
                outcome=outcome,
                meets=outcome == "passed",
                block=block,
                **more,
            )
        )

    def change(self, key: str, new: Any, op: Any = "set", scope: str = "", by: str = "a") -> None:
        node = f"{RECIPE}::{by}" if by else ""
        self.add(ContextChanged(key=key, op=op, who="x", new=new, by=node, scope=scope))

    def seal(self, status: int = 0, pending: int = 0) -> Path:
        self.journal.seal(lambda lines: RunFinished(exit_status=status, lines=lines, owed=pending))
        return self.folder

    def killed(self) -> Path:
        self.journal.close()
        return self.folder


@pytest.fixture
def past(tmp_path: Path) -> Iterator[WrittenRun]:
    """A run whose journal has only the start of the run."""
    run = WrittenRun(tmp_path / "runs", "20261125T101502Z-7f3a")
    yield run
    run.journal.close()


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """A project without runs."""
    return Runs(tmp_path)
