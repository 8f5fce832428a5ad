"""Environment variables and working directories of steps in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

MODULE = """
import os
from pathlib import Path

AT_IMPORT = os.environ.get("MODE", "none")


def look(ctx, params):
    return {
        "status": "ok",
        "imported": AT_IMPORT,
        "mode": os.environ.get("MODE", "none"),
        "level": os.environ.get("LEVEL"),
        "has": "GONE" in os.environ,
        "folder": Path.cwd().name,
    }


def serve():
    Path("served").write_text(os.environ["MODE"])
    import time
    time.sleep(100)


def leak():
    print("the key is", os.environ["API_KEY"])
    assert os.environ["API_KEY"] == "no"
"""
PLUGIN = """
import os
from typing import Annotated

import msgspec
from msgspec import Meta

from pytest_orchestrator.extending import StepType


class Look(StepType):
    \"\"\"Looks.\"\"\"

    name = "look"

    class Keys(msgspec.Struct):
        key: Annotated[str, Meta(description="A name.", examples=["A"])]

    def run(self, keys, ctx, env):
        return {"status": "ok", "value": os.environ[keys.key]}


def pytest_recipe_step_types():
    return [Look]
"""
LOOK = "type: python, module: seen, function: look, needs: []"
RECIPE = f"""
vars: {{level: 3, key: "0815"}}
env: {{GONE: x, LEVEL: "${{{{ vars.level }}}}"}}
steps:
  - {{name: plain, type: python, module: steps, function: note, params: {{name: plain}}, needs: []}}
  - {{name: default, {LOOK}, success: {{assert: ["result.imported == 'none'", result.level == '3',
      result.has]}}}}
  - {{name: own, {LOOK}, env: {{MODE: fast, GONE: null}}, cwd: sub, success: {{assert: [
      "result.imported == 'fast'", "result.mode == 'fast'", not result.has,
      "result.folder == 'sub'"]}}}}
  - {{name: list, {LOOK}, env: {{MODE: [1, true]}}, success: {{assert: [
      "result.imported == '[1,true]'"]}}}}
  - {{name: again, {LOOK}, success: {{assert: [
      "result.mode == 'none'", "result.folder != 'sub'"]}}}}
  - {{name: served, type: python, module: seen, function: serve, needs: [], background: true,
      env: {{MODE: service}}, ready: {{file: served}}}}
  - {{name: check, type: shell, cmd: 'grep service served && echo $MODE $LEVEL', parse: text,
      needs: [served], env: {{MODE: shell}}, success: {{stdout_contains: shell 3}}}}
  - {{name: custom, type: look, key: MODE, needs: [], env: {{MODE: "${{{{ vars.level + 1 }}}}"}},
      success: {{assert: ["result.value == '4'"]}}}}
  - {{name: part, use: recipes/_part.yaml, needs: []}}
  - {{name: leak, type: python, module: seen, function: leak, needs: [],
      env: {{API_KEY: "${{{{ vars.key ~ '-4711' }}}}"}}}}
  - {{name: hint, type: shell, cmd: echo, parse: text, needs: [], env: {{MODE: x}},
      success: {{assert: ["env.MODE == 'x'"]}}}}
  - {{name: lost, {LOOK}, cwd: sbu}}
"""
MIXED = f"""
steps:
  - {{name: early, {LOOK}, env: {{MODE: early}}}}
  - {{name: first, {LOOK}, after: [early], success: {{assert: ["result.imported == 'none'"]}}}}
  - {{name: second, {LOOK}, env: {{MODE: fast}}, cwd: sub, success: {{assert: [
      "result.imported == 'fast'", "result.folder == 'sub'"]}}}}
  - {{name: third, {LOOK}, success: {{assert: [
      "result.mode == 'none'", "result.folder != 'sub'"]}}}}
"""
PART = f"""
env: {{MODE: part}}
steps:
  - {{name: inner, {LOOK}, success: {{assert: [
      "result.imported == 'part'", result.level is none]}}}}
"""
HINT = (
    "assert: `env.MODE == 'x'`: there is no 'MODE' (the recipe sets it for its programs, and an "
    "expression reads the environment of pytest: write the value in vars, and read vars.mode)"
)


@pytest.mark.parametrize("jobs", [(), ("--recipe-jobs=3",)], ids=["serial", "parallel"])
def test_variables_and_directories_reach_steps_of_all_types(
    project: Project, jobs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODE", raising=False)
    project.write("seen.py", MODULE)
    project.write("conftest.py", PLUGIN)
    project.write("recipes/_part.yaml", PART)
    project.write("recipes/x.yaml", RECIPE)
    project.write("recipes/mixed.yaml", MIXED)
    (project.path / "sub").mkdir()
    result = project.run("-rA", *jobs)
    outcomes = result.parseoutcomes()
    text = result.stdout.str()

    assert outcomes == {"passed": 13, "failed": 3}
    assert "FAILED recipes/x.yaml::leak - AssertionError: assert '***' == 'no'" in text
    assert f"FAILED recipes/x.yaml::hint - {HINT}"[:150] in text
    assert "FAILED recipes/x.yaml::lost - the working directory sbu is not there" in text
    assert "the key is ***" in text
    run = project.path / ".orchestrator/runs/latest"
    logs = [path.read_text() for path in run.rglob("*") if path.is_file()]
    assert not any("0815-4711" in one for one in logs)


_KINDS = {
    "shell": "type: shell, parse: text, needs: [], cmd: 'echo shell $A $B $C >> kept.txt'",
    "code": "type: python, module: kept, function: keep, needs: []",
}
_KEPT = """
import os


def keep(ctx, params):
    with open("kept.txt", "a") as file:
        print("code", *(os.environ[name] for name in "ABC"), file=file)
    return {"status": "ok"}
"""


def test_xdist_workers_and_resume_use_the_current_variables(project: Project) -> None:
    """The variables of root, defaults and step; the last layer is the strongest."""
    project.write("kept.py", _KEPT)

    def kept(root: str, default: str, step: str, *options: str) -> list[str]:
        (project.path / "kept.txt").unlink(missing_ok=True)
        project.recipe(
            "x",
            {name: f"{keys}, env: {{C: {step}}}" for name, keys in _KINDS.items()}
            | {"fails": "type: shell, parse: text, needs: [], cmd: exit 1"},
            head=f"env: {{A: {root}, B: root, C: root}}\ndefaults: {{env: {{B: {default}, C: x}}}}",
        )
        project.run(*options)
        path = project.path / "kept.txt"
        return sorted(path.read_text().splitlines()) if path.exists() else []

    assert kept("1", "2", "3", "-n2") == ["code 1 2 3", "shell 1 2 3"]
    assert kept("1", "2", "3", "--recipe-resume") == []
    for values in (("4", "2", "3"), ("4", "5", "3"), ("4", "5", "6")):
        again = " ".join(values)
        assert kept(*values, "--recipe-resume") == [f"code {again}", f"shell {again}"]


@pytest.mark.counted
def test_a_debugger_sees_the_variables_and_pytest_does_not_keep_them(project: Project) -> None:
    project.write("seen.py", MODULE)
    keys = f"{LOOK}, env: {{MODE: fast}}, cwd: sub"
    (project.path / "sub").mkdir()
    both = "result.mode == 'fast', result.folder == 'sub'"
    after = "result.mode == 'none', result.folder != 'sub'"
    steps = {
        "own": f"{keys}, success: {{assert: [{both}]}}",
        "after": f"{LOOK}, success: {{assert: [{after}]}}",
    }
    project.recipe("x", steps)

    assert [*project.outcomes("--pdb").values()] == ["passed", "passed"]
