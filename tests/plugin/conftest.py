"""A project of a user, with a few scriptlets, for pytest to be run in."""

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

_STEPS = '''
"""Scriptlets of the tests."""

from pathlib import Path

from pytest_orchestrator import BaseScriptlet


def _noted(name):
    with Path("ran.txt").open("a") as file:
        file.write(f"{name}\\n")


class Good(BaseScriptlet):
    def run(self, ctx, params):
        _noted(params["name"])
        ctx.set(f"{params['name']}.done_v1", True)
        return {"status": "ok"}


def note(ctx, params):
    _noted(params["name"])
    return {"status": params.get("status", "ok"), "reason": params.get("reason", "")}


def boom(ctx, params):
    _noted("boom")
    values = [1, 2, 3]
    assert values == [1, 2, 4], "the bench is off"
'''


class Project:
    """A folder with recipes that pytest is started in."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        # A name of its own for each: modules stay in sys.modules from test to test.
        self.module = f"steps_{pytester.path.name}"
        self.write(f"{self.module}.py", _STEPS)
        self.write("pyproject.toml", "[tool.pytest.ini_options]\n")

    def write(self, name: str, text: str) -> Path:
        """Write a file; STEPS in its text is the module of the scriptlets."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).replace("STEPS", self.module), encoding="utf-8")
        return path

    def recipe(self, name: str, steps: dict[str, str], final: dict[str, str] | None = None) -> None:
        """Write a recipe of python steps: name to further keys in flow style."""
        lines = ["version: 1", "steps:"]
        for title, part in (("", steps), ("finally:", final or {})):
            lines += [title] if title and part else []
            for step, keys in part.items():
                function = "" if "function:" in keys or "type:" in keys else "function: note, "
                kind = "" if "type:" in keys else f"type: python, module: STEPS, {function}params: {{name: {step}}}"
                lines.append(f"  - {{name: {step}, {kind}{', ' if kind and keys else ''}{keys}}}")
        self.write(f"recipes/{name}.yaml", "\n".join(lines) + "\n")

    def run(self, *args: str) -> pytest.RunResult:
        """Run pytest in this process."""
        return self.pytester.runpytest_inprocess("-p", "no:randomly", *args)

    def spawn(self, *args: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        return self.pytester.runpytest_subprocess("-p", "no:randomly", *args)

    @property
    def ran(self) -> list[str]:
        """Names of the steps whose bodies ran, in order."""
        path = self.path / "ran.txt"
        return path.read_text().split() if path.exists() else []

    def blocks(self, *args: str) -> dict[str, Any]:
        """Run with a JSON report; return the block of each step by its node id."""
        self.run("--json-report", "--json-report-file=report.json", *args)
        tests = json.loads((self.path / "report.json").read_text())["tests"]
        return {
            test["nodeid"]: test["metadata"]["orchestrator"]
            for test in tests
            if "metadata" in test
        }


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """An empty project with scriptlets."""
    return Project(pytester)
