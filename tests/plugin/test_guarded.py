"""A step inside pytest that cannot be ended is ended with pytest, and the journal says so."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.events import StepFinished
from pytest_orchestrator.run.reader import read

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_BODIES = """
import signal
import time

def holds(ctx, params):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(60)
"""
_RECIPE = """
steps:
  - name: hold
    type: python
    module: bodies
    function: holds
    isolation: inline
    timeout: 0.2
finally:
  - {name: clean, type: shell, cmd: "true", parse: text}
"""


@pytest.mark.parametrize("capture", ["fd", "no"])
def test_the_end_is_told_to_people_and_in_the_journal(project: Project, capture: str) -> None:
    project.write("bodies.py", _BODIES)
    project.write("recipes/x.yaml", _RECIPE)
    project.write("impatient.py", "from pytest_orchestrator.execution import guard\n")
    with (project.path / "impatient.py").open("a") as file:
        file.write("guard.PATIENCE = 0.2\n")
    reason = "timeout: still running after 0.2 s; pytest had to be ended for it"

    ended = project.spawn("-p", "impatient", f"--capture={capture}")

    assert ended.ret == -signal.SIGKILL
    assert ended.errlines[-1] == f"orchestrator: recipes/x.yaml:7:14: step 'hold': {reason}"
    journal = project.path / ".orchestrator/runs/latest/journal.jsonl"
    until = time.monotonic() + 60
    while not isinstance(event := read(journal).entries[-1].event, StepFinished):
        assert time.monotonic() < until
        time.sleep(0.05)
    step = event.block["step"]
    assert (step["name"], step["state"], step["kind"]) == ("hold", "failed", "timeout")
    assert step["reason"] == reason
    told = project.spawn("--collect-only").stdout
    told.fnmatch_lines(["*was ended before `finally` of recipes/x.yaml (clean) had run*"])
