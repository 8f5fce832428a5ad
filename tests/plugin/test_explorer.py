"""Steps in VS Code's Test Explorer and in debuggers."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.plugin.debugger import debugged

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

EXPLORER = Path(__file__).with_name("explorer.py")


@pytest.fixture
def explored(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a recipe, a matrix, tests and the adapter of VS Code."""
    project.write("vscode_adapter.py", EXPLORER.read_text())
    project.pytester.syspathinsert()
    project.recipe("a", {"off": "function: boom", "after": "", "alone": "needs: []"})
    project.recipe("b", {"amplify": ""}, head="matrix: {gain: [1, 10]}")
    project.write(
        "test_hand.py",
        """
        import pytest

        @pytest.mark.recipe("recipes/b.yaml", matrix={"gain": 10})
        def test_hand(ctx):
            assert ctx.get("done.amplify")

        @pytest.mark.recipe("recipes/b.yaml", matrix={"gain": 10})
        @pytest.mark.parametrize("volts", [1, 2])
        def test_each(ctx, volts):
            pass
        """,
    )
    monkeypatch.setenv("TEST_RUN_PIPE", str(project.path / "pipe"))
    return project


def heard(project: Project) -> list[dict[str, Any]]:
    """Return the messages that the editor received, and clear them."""
    pipe = project.path / "pipe"
    parts = re.split(
        r"content-length: \d+\r\n.*?\r\n\r\n", pipe.read_bytes().decode(), flags=re.DOTALL
    )
    pipe.unlink()
    return [json.loads(part)["params"] for part in parts[1:]]


def test_every_step_is_a_leaf_below_its_recipe_with_its_line(explored: Project) -> None:
    explored.run("-p", "vscode_adapter", "--collect-only", "-q")

    (message,) = heard(explored)
    found = {
        leaf["runID"].removeprefix(f"{explored.path}/"): (
            file["name"],
            leaf["name"],
            leaf["lineno"],
        )
        for file in message["tests"]
        for leaf in file["children"]
    }
    assert found == {
        "recipes/a.yaml::off": ("a.yaml", "off", "2"),
        "recipes/a.yaml::after": ("a.yaml", "after", "3"),
        "recipes/a.yaml::alone": ("a.yaml", "alone", "4"),
        "recipes/b.yaml::amplify[gain:1]": ("b.yaml", "amplify[gain:1]", "3"),
        "recipes/b.yaml::amplify[gain:10]": ("b.yaml", "amplify[gain:10]", "3"),
        "test_hand.py::test_hand": ("test_hand.py", "test_hand", "3"),
        "test_hand.py::test_each[1]": ("test_hand.py", "[1]", "7"),
        "test_hand.py::test_each[2]": ("test_hand.py", "[2]", "7"),
    }


def test_steps_run_by_the_ids_that_the_editor_received(explored: Project) -> None:
    ids = ("recipes/a.yaml::off", "recipes/a.yaml::after", "recipes/b.yaml::amplify[gain:10]")
    asked = [f"{explored.path}/{one}" for one in (*ids, "test_hand.py::test_hand")]

    explored.run("-p", "vscode_adapter", *asked)

    actual = {
        node: result["outcome"]
        for message in heard(explored)
        for node, result in message["result"].items()
    }
    assert actual == dict(zip(asked, ("failure", "skipped", "success", "success"), strict=True))


_PYTEST = ("pytest", "-p", "no:randomly", "-p", "no:hypothesispytest", "-o", "recipe_html=false")
_PDB = (sys.executable, "-m", *_PYTEST, "--pdb")


def test_a_step_stops_at_its_breakpoint_call(project: Project) -> None:
    project.write(
        "halt.py", "def halt(ctx, params):\n    breakpoint()\n    return {'status': 'ok'}\n"
    )
    project.recipe("a", {"halt": "type: python, module: halt, function: halt, params: {volts: 12}"})

    result = project.pytester.run(*_PDB, stdin=b"p params['volts'] * 2\nc\n")

    result.stdout.fnmatch_lines(["*halt.py([23])halt()*", "*24*", "*1 passed*"])


def test_pdb_stops_in_the_frame_of_the_failed_step(project: Project) -> None:
    project.recipe("a", {"off": "function: boom"})

    result = project.pytester.run(*_PDB, stdin=b"p sum(values)\nq\n")

    result.stdout.fnmatch_lines(["*steps.py(*)boom()*", "*6*", "*1 failed*"])


@pytest.mark.nightly
def test_a_step_continues_after_a_breakpoint_of_an_editor(project: Project) -> None:
    path = project.write(
        "halt.py",
        """
        def halt(ctx, params):
            twice = params["volts"] * 2
            return {"status": "ok", "twice": twice}
        """,
    )
    keys = "type: python, module: halt, function: halt, params: {volts: 12}"
    project.recipe("a", {"halt": keys, "shout": "type: shell, cmd: echo, parse: text"})

    with debugged(project.path, *_PYTEST) as (editor, program):
        editor.ask("initialize", adapterID="debugpy", pathFormat="path")
        editor.ask("attach", justMyCode=True)
        editor.ask("setBreakpoints", source={"path": str(path)}, breakpoints=[{"line": 3}])
        editor.ask("configurationDone")
        thread = editor.wait("stopped")["threadId"]
        frame = editor.ask("stackTrace", threadId=thread)["stackFrames"][0]
        value = editor.ask("evaluate", expression="twice", frameId=frame["id"])["result"]
        editor.ask("continue", threadId=thread)
        editor.wait("terminated")
        shown, _ = program.communicate(timeout=60)

    assert (frame["name"], frame["line"], frame["source"]["path"]) == ("halt", 3, str(path))
    assert value == "24"
    assert "2 passed" in shown
