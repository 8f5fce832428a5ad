"""Fixtures for tests of the engine: a temporary project and the steps that a test writes."""

import itertools
import json
import os
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import msgspec
import pytest

from benchmarks.faults import PATIENCE
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.files import is_readable
from pytest_orchestrator.core.result import Ended, StepResult
from pytest_orchestrator.execution.attempt_context import AttemptContext, RunCallbacks
from pytest_orchestrator.execution.expression_scope import Scope
from pytest_orchestrator.execution.lanes.lane import Lanes, Program, Slot
from pytest_orchestrator.execution.lanes.messages import CommandRequest
from pytest_orchestrator.execution.lanes.ssh_connections import SshConnections
from pytest_orchestrator.execution.locks import locks
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.execution.scheduling.retry import RetryLoop
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.execution.steps import python_inline, shell
from pytest_orchestrator.execution.steps.services import Services
from pytest_orchestrator.recipe import Recipe, load
from pytest_orchestrator.recipe.model.step import PythonStep, ShellStep, Step

_numbers = itertools.count()


def is_free(name: str) -> bool:
    """Return True if a lock can be acquired at once; release it again."""
    stop = threading.Event()
    stop.set()
    held = locks.acquire([name], run="", step="", stop=stop)
    if held is not None:
        held.release()
    return held is not None


def outcomes(run: RecipeRun, *names: str) -> list[str]:
    """Request the results of steps as pytest items do; return their outcomes."""
    found: list[str] = []
    for name in names:
        step = run.recipe.step(name)
        blocker = run.blocker(step)
        result = run.block(step, blocker) if blocker else run.result(step)
        found.append(result.outcome)
    return found


class Bench:
    """A project whose recipe has the step ``s`` alone, unless a test writes another."""

    def __init__(self, root: Path, slot: Slot) -> None:
        self.root = root
        self.context = Context()
        config = RunConfig(root=root, runs_inline=True)
        self.attempt = AttemptContext(
            config=config, callbacks=RunCallbacks(), slot=slot, logs=root / "logs"
        )
        (root / "logs").mkdir()

    def configure(self, **changes: object) -> None:
        """Change settings, callbacks and other data of the attempts, each by its name."""
        config: dict[str, object] = {}
        attempt: dict[str, object] = {}
        for name, value in changes.items():
            if hasattr(RunCallbacks, name):
                setattr(self.attempt.callbacks, name, value)
            else:
                (config if name in RunConfig.__struct_fields__ else attempt)[name] = value
        attempt["config"] = msgspec.structs.replace(self.attempt.config, **config)
        self.attempt = msgspec.structs.replace(self.attempt, **attempt)

    def write(self, name: str, text: str | bytes, mode: int = 0o644) -> Path:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
        path.chmod(mode)
        return path

    def recipe(self, text: str) -> Recipe:
        """Load a recipe."""
        return load(self.write("recipes/x.yaml", text), root=self.root)

    def step(self, **keys: object) -> Step:
        """Load a step of some keys (``class_`` is ``class``), a line each from line 3 on."""
        lines = [
            f"    {key.rstrip('_')}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in keys.items()
        ]
        return self.recipe("\n".join(["steps:", "  - name: s", *lines, ""])).step("s")

    def shell_step(self, cmd: str | list[str], **keys: object) -> ShellStep:
        """Load a shell step; its command stands on line 4."""
        step = self.step(type="shell", cmd=cmd, **keys)
        assert isinstance(step, ShellStep)
        return step

    def python_step(self, source: str, **keys: object) -> PythonStep:
        """Load a Python step; it calls ``step`` of a module with this source."""
        # Modules stay in sys.modules from test to test.
        module = f"steps_{os.getpid()}_{next(_numbers)}"
        self.write(f"{module}.py", source)
        keys = {"module": module} | (keys if "class_" in keys else {"function": "step"} | keys)
        step = self.step(type="python", **keys)
        assert isinstance(step, PythonStep)
        return step

    def shell(self, cmd: str | list[str], **keys: object) -> Ended:
        """Run the step code of a shell step."""
        return shell.run(self.shell_step(cmd, **keys), self.attempt)

    def python(
        self, source: str, fixtures: Mapping[str, object] | None = None, **keys: object
    ) -> Ended:
        """Run the step code of a Python step."""
        step = self.python_step(source, **keys)
        return python_inline.run(step, self.context, self.attempt, fixtures or {})

    def result(self, step: Step) -> StepResult:
        """Run a whole step."""
        loop = self.retry_loop(step)
        result = loop.prepare() or loop.run()
        assert result is not None
        return result

    def retry_loop(self, step: Step) -> RetryLoop:
        """Return the retry loop of a step of the recipe that was written last."""
        recipe = load(self.root / "recipes" / "x.yaml", root=self.root)
        scope = Scope(recipe, self.attempt.config, lambda _: None)
        return RetryLoop(step, self.context, self.attempt, {}, scope, Services(recipe))


@pytest.fixture(scope="session")
def slot() -> Iterator[Slot]:
    """Lanes for shell steps; Python steps run in this process."""
    with Lanes() as lanes:
        yield Slot(lanes, Program([], {}, {}), SshConnections())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slot: Slot) -> Bench:
    """An empty project."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Bench(tmp_path, slot)


@pytest.fixture
def long_grace_period(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give services a long grace period."""
    patient = partial(CommandRequest, grace=PATIENCE)
    monkeypatch.setattr("pytest_orchestrator.execution.steps.shell.CommandRequest", patient)
    monkeypatch.setattr("pytest_orchestrator.execution.steps.services._LANE_TIMEOUT", 2 * PATIENCE)


@pytest.fixture
def is_gone() -> Iterator[Callable[[int], bool]]:
    """Return a check that a process has ended; a process that has not is killed after the test."""
    alive: list[int] = []

    def is_gone(pid: int) -> bool:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            # The end of a killed process takes a moment; on a loaded machine, seconds.
            if is_readable(fd, 10.0):
                return True
        finally:
            os.close(fd)
        alive.append(pid)
        return False

    yield is_gone
    for pid in alive:
        os.kill(pid, 9)
