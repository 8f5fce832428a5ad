"""Mermaid itself parses the graphs of recipes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.reports.graph.picture import mermaid

pytestmark = pytest.mark.nightly

ROOT = Path(__file__).parents[2]


def _step(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "needs": [*needs], **more}


def _errors(drawings: list[str]) -> list[str]:
    done = subprocess.run(
        ["bash", "scripts/mermaid"],
        cwd=ROOT,
        input=json.dumps(drawings),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"Mermaid cannot be installed: {done.stderr.strip()[-200:]}")
    return done.stdout.splitlines()


def test_mermaid_reads_every_graph() -> None:
    states = ["passed", "failed", "error", "skipped", "blocked", "xfailed", "xpassed", "odd"]
    each = [_step(state, state=state) for state in states]
    words = ["end", "subgraph", "graph", "default", "class", "o", "x", "click", "part.end"]
    tree = [_step(word, *words[:place], state="failed") for place, word in enumerate(words)]
    tree += [_step("off", after=["end"], final=True, state="passed"), _step("b" * 300)]
    names = [f"s{number}" for number in range(5000)]
    large = [
        _step(one, *names[max(0, at - 30) : at], state="failed") for at, one in enumerate(names)
    ]
    drawings = [mermaid(steps) for steps in (each, tree, large, each[:1], [])]

    errors = _errors([*drawings, "flowchart TD\n  s0[[[ no"])

    assert errors[:-1] == [""] * len(drawings)
    assert errors[-1].startswith("Parse error")
