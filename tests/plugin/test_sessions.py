"""Sessions with other folders, rootdirs, import modes, and with plugins switched off."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_RECIPE = """
steps:
  - {name: one, type: python, module: scriptlets.python.good, function: good}
  - {name: two, type: shell, cmd: scriptlets/good.sh}
  - name: three
    type: shell
    cmd: ./good.sh
    cwd: scriptlets
    success: {files_exist: [out/made.txt], ctx_has_keys: [made]}
finally:
  - {name: off, type: shell, cmd: rm out/made.txt, parse: text}
"""
_GOOD = """
from pathlib import Path


def good(ctx, params, request=None):
    assert params == {}, "explained"
    ctx.set("made", True)
    return {"status": "ok"}
"""


@pytest.fixture
def bench(project: Project) -> Project:
    """A project whose recipe depends on the rootdir in every way."""
    project.write("recipes/bench.yaml", _RECIPE)
    project.write("scriptlets/python/good.py", _GOOD)
    script = '#!/bin/sh\nmkdir -p "${0%/*}/../out"\ntouch "${0%/*}/../out/made.txt"\n'
    project.script("scriptlets/good.sh", script + 'echo \'{"status": "ok"}\'\n')
    project.script("good.sh", '#!/bin/sh\necho \'{"status": "ok"}\'\n')
    project.write("tests/deep/test_x.py", "def test_x(ctx):\n    assert ctx is not None\n")
    return project


def _passes(result: pytest.RunResult, path: str = "recipes/bench.yaml") -> None:
    assert result.parseoutcomes() == {"passed": 4}
    assert result.ret == 0
    assert [line.split("  ")[0] for line in result.outlines if "PASSED" in line] == [
        f"{path}::{name} PASSED" for name in ("one", "two", "three", "off")
    ]


def test_a_recipe_runs_from_the_rootdir(bench: Project) -> None:
    _passes(bench.spawn("-v", "recipes"))


@pytest.mark.parametrize(
    ("folder", "argument"),
    [("tests/deep", "../../recipes"), ("recipes", "bench.yaml"), ("scriptlets", "../recipes")],
)
def test_a_recipe_runs_from_a_subfolder(
    bench: Project, monkeypatch: pytest.MonkeyPatch, folder: str, argument: str
) -> None:
    monkeypatch.chdir(bench.path / folder)

    result = bench.spawn("-v", argument)

    assert result.parseoutcomes() == {"passed": 4}


def test_a_recipe_runs_from_outside_with_a_rootdir(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.path / "pytest.ini").unlink()
    monkeypatch.chdir("/")
    path = f"{bench.path}/recipes"

    _passes(bench.spawn("-v", f"--rootdir={bench.path}", path), f"{path[1:]}/bench.yaml")


def test_a_recipe_runs_with_another_settings_file(bench: Project) -> None:
    bench.write("ci/ci.ini", "[pytest]\nrecipe_timeout = 5m\n")

    _passes(bench.spawn("-v", "-c", "ci/ci.ini", "--rootdir=.", "recipes"))


@pytest.mark.parametrize("mode", ["importlib", "append", "prepend"])
def test_a_recipe_runs_with_every_import_mode(bench: Project, mode: str) -> None:
    _passes(bench.spawn("-v", f"--import-mode={mode}", "recipes"))


def test_a_recipe_runs_by_the_command_pytest_which_extends_no_path(bench: Project) -> None:
    bench.write("start.py", "import sys, pytest\nsys.exit(pytest.main(sys.argv[1:]))\n")

    result = bench.pytester.run(
        sys.executable, "-P", "start.py", "-p", "no:randomly", "-v", "recipes"
    )

    _passes(result)


@pytest.mark.parametrize(
    "options",
    [
        ("-p", "no:cacheprovider"),
        ("-W", "error"),
        ("-p", "no:xdist", "-p", "no:pytest_jsonreport", "-p", "no:rerunfailures"),
        ("-p", "no:logging", "-p", "no:capture"),
        ("--strict-config", "--strict-markers"),
        ("-o", "strict=true"),
        ("-s",),
        ("--capture=sys",),
        ("-p", "no:terminal"),
        ("-p", "no:faulthandler", "-p", "no:unraisableexception", "-p", "no:threadexception"),
    ],
)
def test_a_recipe_runs_with_parts_of_pytest_switched_off(
    bench: Project, options: tuple[str, ...]
) -> None:
    result = bench.run(*options, "recipes")

    assert result.ret == 0
    if "no:terminal" not in options:
        assert result.parseoutcomes() == {"passed": 4}


def test_recipe_files_are_ignored_without_the_plugin(bench: Project) -> None:
    assert bench.spawn("-p", "no:orchestrator").parseoutcomes() == {"errors": 1}


def test_an_assertion_of_a_scriptlet_is_explained_in_every_mode(bench: Project) -> None:
    for mode in ("importlib", "append", "prepend"):
        bench.write(
            "recipes/bench.yaml",
            _RECIPE.replace("function: good}", "function: good, params: {a: 1}}"),
        )
        result = bench.run(f"--import-mode={mode}", "recipes")
        assert "E         Left contains 1 more item:" in result.outlines


def test_two_projects_in_one_process_share_no_state(project: Project) -> None:
    project.recipe("x", {"one": ""})

    first, second = project.run(), project.run()

    assert (first.ret, second.ret) == (0, 0)
    assert project.ran == ["one", "one"]
