"""Collecting has no effect: nothing is imported, started or written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_WATCH = """
import os
import sys

import pytest

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.symlink"}
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
seen = set()


def watch(event, args):
    if event in STARTS or event in CHANGES or (event == "open" and args[2] & WRITES):
        seen.add(event)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart():
    sys.addaudithook(watch)


def pytest_terminal_summary(terminalreporter):
    if "scriptlets" in sys.modules:
        seen.add("import")
    terminalreporter.write_line(f"seen: {sorted(seen)}")
    state = sys.modules["pytest_orchestrator.plugin.session_state"].state_of(
        terminalreporter.config
    )
    terminalreporter.write_line(f"recipe runs: {len(state.runs)}")
"""


@pytest.fixture
def watched(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose sessions print the processes, files and imports of a run."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    project.write("watch.py", _WATCH)
    project.write("scriptlets.py", "def good(params):\n    return {'status': 'ok'}\n")
    project.write(
        "recipes/x.yaml",
        """
        tags: [bench]
        fixtures: [tmp_path]
        steps:
          - {name: a, type: python, module: scriptlets, function: good}
          - {name: b, type: shell, cmd: "touch made.txt", parse: text}
        finally:
          - {name: c, type: python, module: scriptlets, function: good}
        """,
    )
    return project


def test_collecting_imports_starts_and_writes_nothing(watched: Project) -> None:
    result = watched.spawn("-p", "watch", "-p", "no:cacheprovider", "--collect-only", "recipes")

    assert "========== 3 tests collected" in result.stdout.str()
    assert "seen: []" in result.outlines
    assert "recipe runs: 0" in result.outlines


@pytest.mark.own_interpreters
def test_the_watch_reports_imports_and_files_of_a_run(
    watched: Project,
) -> None:
    result = watched.spawn("-p", "watch", "-p", "no:cacheprovider", "recipes")

    (seen,) = [line for line in result.outlines if line.startswith("seen: ")]
    assert all(
        event in seen for event in ("'import'", "'open'", "'os.mkdir'", "'subprocess.Popen'")
    )


def test_hostile_expressions_end_with_the_limits_of_the_collection(project: Project) -> None:
    matrix = """
        matrix: {{g: "${{{{ [{value}] }}}}"}}
        steps:
          - {{name: a, type: shell, cmd: "true", parse: text}}
        """
    values = {"a": "'%3000000000s' % 1", "b": "1 + 1", "c": "1 | round(10**9, 'ceil')", "d": "2"}
    values["e"] = "1 + 2"
    for name, value in values.items():
        project.write(f"recipes/{name}.yaml", matrix.format(value=value))

    result = project.run("--collect-only")

    errors = [line for line in result.outlines if line.startswith("recipes/") and "`: " in line]
    late = "the expressions of all files together take more than 2 s at collection"
    assert [line.partition(": `")[2] for line in errors] == [
        "['%3000000000s' % 1]`: it needs too much memory",
        "[1 | round(10**9, 'ceil')]`: still evaluating after 2 s",
        f"[1 + 2]`: {late}",
    ]
    assert result.parseoutcomes() == {"tests": 2, "errors": 3}
