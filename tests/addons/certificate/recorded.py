"""Recorded recipes for tests of certificates, and the ways in which a step can end."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pytest_orchestrator.addons.certificate.issues import Issue
from pytest_orchestrator.addons.certificate.view import Certificate
from pytest_orchestrator.core.events import (
    RecipeStarted,
    ReportInfo,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    TestReported,
)
from pytest_orchestrator.core.files import path_text
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.journal.writer import Journal
from pytest_orchestrator.runs.verify import verify_reading
from tests.blocks import whole

RECIPE: Final = "recipes/psu.yaml"
ISSUE: Final = Issue(1, 0, "2026-11-25T10:20:00Z")
BEGIN: Final = 1_795_601_702_000_000
TIME: Final = {
    "start": "2026-11-25T10:15:02.000Z",
    "stop": "2026-11-25T10:15:05.250Z",
    "seconds": 3.2,
    "waited_seconds": 0.0,
}


class Recorded:
    """A run of one recipe, which is written event by event.

    Args:
        folder: The folder of the run; it is created.
        about: Further keys of the recipe.
    """

    def __init__(self, folder: Path, **about: Any) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.journal = Journal(folder / "journal.jsonl")
        self.about = {"name": "psu", "path": RECIPE, "sha256": "9b" * 32, "test_meta": {}} | about
        self.lines = 0
        environment = {"user": "me", "git": {"revision": "c0ffee" * 7, "branch": "main"}}
        self.add(
            RunStarted(
                schema_version="1.0",
                run=folder.name,
                host="bench_3",
                argv=("recipes", "-q"),
                environment=environment,
            )
        )

    def add(self, event: Any) -> None:
        """Write an event."""
        self.journal.append(event, BEGIN + self.lines * 1_000_000)
        self.lines += 1

    def begin(self, *names: str, unselected: tuple[str, ...] = (), **more: Any) -> None:
        """Write the start of the recipe, with fields of its steps by their names."""
        steps = tuple(
            {"name": name, "node": f"{RECIPE}::{name}", "index": index, "line": index + 2}
            | more.get(name, {})
            for index, name in enumerate(names, 1)
        )
        started = RecipeStarted(recipe=RECIPE, about=self.about, steps=steps, unselected=unselected)
        self.add(started)

    def start(self, name: str) -> None:
        """Write the start of a step."""
        self.add(StepStarted(recipe=RECIPE, step=name))

    def finish(
        self,
        name: str,
        outcome: Any = "passed",
        *,
        meets: bool | None = None,
        restored: str | None = None,
        step: dict[str, Any] | None = None,
        **block: Any,
    ) -> None:
        """Write the end of a step, with parts of its block; `time` is there if its code ran."""
        if outcome in ("passed", "failed"):
            block = {"time": TIME} | block
        about = {"name": name, "node": f"{RECIPE}::{name}", "state": outcome} | (step or {})
        done = whole({"recipe": self.about, "context": {"writes": []}, "step": about} | block)
        self.add(
            StepFinished(
                recipe=RECIPE,
                step=name,
                outcome=outcome,
                meets=outcome in ("passed", "skipped") if meets is None else meets,
                block=done,
                restored=restored,
            )
        )

    def report(self, name: str, outcome: Any = "passed", **more: Any) -> None:
        """Write pytest's report of a step."""
        node = f"{RECIPE}::{name}"
        self.add(TestReported(node=node, outcome=outcome, recipe=RECIPE, step=name, **more))

    def step(self, name: str, outcome: Any = "passed", **block: Any) -> None:
        """Write the start, the end and the report of a step."""
        self.start(name)
        self.finish(name, outcome, **block)
        self.report(name, "skipped" if outcome == "blocked" else outcome)

    def info(self, rows: dict[str, str], links: dict[str, str]) -> None:
        """Write the rows and links of plugins."""
        self.add(ReportInfo(recipe=RECIPE, rows=rows, links=links))

    def seal(self, status: int = 0, reason: str = "") -> Path:
        """Seal the journal and return the folder."""
        files = {
            path_text(path.relative_to(self.folder)): (
                path.stat().st_size,
                sha256(path.read_bytes()).hexdigest(),
            )
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not path.name.startswith("journal.")
        }
        self.add(RunFinished(exit_status=status, lines=self.lines, files=files, reason=reason))
        return self.cut()

    def cut(self) -> Path:
        """Close the journal without a seal, as after a kill; return the folder."""
        self.journal.close()
        return self.folder


def certificate(folder: Path, key: str = RECIPE) -> Certificate:
    """Return the certificate of a recipe in a run folder."""
    reading = read_journal(folder / "journal.jsonl")
    run = lookup.record_of(reading)
    return Certificate(run, run.recipes[key], verify_reading(folder, reading), ISSUE)


def _measured(verdict: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "u", "value": 1.0, "high": 2.0, "verdict": verdict} | more]


_ATTEMPT: Final = {"attempt": 1, "kind": "exit_code", "reason": "exit code 1, expected 0"}
_IF: Final = {"reason": "if: vars.on"}


def _element(state: str) -> list[dict[str, Any]]:
    return [
        {"index": 0, "item": 1, "state": "passed"},
        {"index": 1, "item": 2, "state": state},
    ]


def _finishes(outcome: str = "passed", **more: Any) -> Callable[[Recorded, str], None]:
    return lambda run, name: run.step(name, outcome, **more)


def _twice(first: str, **more: Any) -> Callable[[Recorded, str], None]:
    def writes(run: Recorded, name: str) -> None:
        run.start(name)
        run.finish(name, first)
        run.step(name, "passed", **more)

    return writes


def _reported(outcome: str) -> Callable[[Recorded, str], None]:
    def writes(run: Recorded, name: str) -> None:
        run.start(name)
        run.finish(name, "passed" if outcome in ("error", "xpassed") else "failed")
        run.report(name, outcome)

    return writes


def _starts_again(run: Recorded, name: str) -> None:
    run.step(name)
    run.start(name)


def _restored_and_reported(run: Recorded, name: str) -> None:
    run.finish(name, "passed", restored="20261124T101502Z-7f3a")
    run.report(name, "passed")


GOOD: Final[dict[str, Callable[[Recorded, str], None]]] = {
    "passed": _finishes(),
    "passed on attempt 2": _finishes(step={"attempt": 2}, attempts=[_ATTEMPT]),
    "passed without a report": lambda run, name: run.finish(name),
    "xpassed": _reported("xpassed"),
    "a service, which ends twice": _twice("passed"),
    "rerun by a plugin": _twice("failed", step={"reruns": 1}),
    "marginal": _finishes(measurements=_measured("pass", marginal=True)),
    "out of limits that may fail": _finishes(measurements=_measured("fail", allow_fail=True)),
    "all elements passed": _finishes(elements=_element("passed")),
    "skipped by its if": _finishes("skipped", step=_IF),
}
"""Ways in which a step passes, or is skipped by its own condition."""

BAD: Final[dict[str, Callable[[Recorded, str], None]]] = {
    "failed": _finishes("failed"),
    "failed, and the recipe went on": _finishes("failed", meets=True),
    "error in its teardown": _reported("error"),
    "xfailed": _reported("xfailed"),
    "reported as passed, recorded as failed": _reported("passed"),
    "failed in one of two workers": _twice("failed"),
    "interrupted in one of two workers": _twice("interrupted"),
    "skipped by a requirement": _finishes("skipped", meets=False, step={"reason": "requires: x"}),
    "skipped by a fixture": _finishes("skipped", meets=False, step=_IF),
    "skipped by its own code": _finishes("skipped", time=TIME, step=_IF),
    "skipped by the if of the recipe": _finishes("skipped", step={"reason": "if of the recipe: x"}),
    "blocked": _finishes("blocked"),
    "interrupted": _finishes("interrupted"),
    "not run": _finishes("not run"),
    "without any event": lambda _run, _name: None,
    "without an end": lambda run, name: run.start(name),
    "started again without an end": _starts_again,
    "restored": lambda run, name: run.finish(name, restored="20261124T101502Z-7f3a"),
    "restored and reported": _restored_and_reported,
    "restored as skipped": lambda run, name: run.finish(
        name, "skipped", restored="20261124T101502Z-7f3a", step=_IF
    ),
    "out of limits": _finishes(measurements=_measured("fail")),
    "without a value": _finishes(measurements=_measured("unset")),
    "with a restored element": _finishes(elements=_element("restored")),
    "with a skipped element": _finishes(elements=_element("skipped")),
    "with a failed element": _finishes(elements=_element("failed")),
    "with an element that did not run": _finishes(elements=_element("not run")),
    "with a block of a later version": lambda run, name: run.finish(name, schema_version="2.0"),
}
"""Ways in which a step does not prove that it passed in this run."""
