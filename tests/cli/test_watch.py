"""`pytest-orchestrator watch`: which recipes run after which change."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_orchestrator.cli import project as projects
from pytest_orchestrator.cli.affected import Arguments
from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.cli.file_changes import FileChanges
from pytest_orchestrator.cli.verbs.sessions.watch import WatchSession
from tests.cli.conftest import Project

SHELL = "version: 1\nsteps:\n  - {name: go, type: shell, cmd: CMD, parse: text}\n"


class Watching:
    """A watch session whose runs are recorded instead of started."""

    def __init__(self, project: Project, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        self._path, self._capsys = project.path, capsys
        self._runs: list[Sequence[str]] = []
        self._session = WatchSession(projects.project, Arguments.parse(words), self._runs.append)
        self._session.start()
        self.first = self._runs.pop()
        self.started = self._capsys.readouterr().out

    def change(self, *names: str) -> list[Sequence[str]]:
        """Report a change of files; return the arguments of the runs that it caused."""
        self._runs.clear()
        self._session.run_affected({self._path / name for name in names})
        return list(self._runs)

    def said(self) -> str:
        """Return the first line that was printed since the last call."""
        return self._capsys.readouterr().out.partition("\n")[0]


@pytest.fixture
def written(project: Project) -> Project:
    """A project with two recipes, a shared module, a script, used files and a vars file."""
    project.write("scriptlets/steps.py", "from scriptlets import lib\n\ndef go(ctx): pass\n")
    project.write("scriptlets/lib.py")
    project.write("scriptlets/go.sh", "#!/bin/sh\n").chmod(0o755)
    project.write("recipes/_inner.yaml", SHELL.replace("CMD", "scriptlets/go.sh"))
    uses = "version: 1\nsteps:\n  - {name: p, use: recipes/USED.yaml}\n"
    project.write("recipes/_part.yaml", uses.replace("USED", "_inner"))
    project.write("recipes/a.yaml", uses.replace("USED", "_part"))
    project.write(
        "recipes/b.yaml",
        """
        version: 1
        needs: [recipes/a.yaml]
        steps:
          - {name: go, type: python, module: scriptlets.steps, function: go}
        """,
    )
    project.write("recipes/c.yaml", SHELL.replace("CMD", "echo hi"))
    project.write("vars.env", "A=1\n")
    project.write("station.yaml", "version: 1\n")
    return project


@pytest.mark.parametrize(
    ("changed", "affected"),
    [
        ("recipes/a.yaml", "ab"),
        ("recipes/b.yaml", "b"),
        ("recipes/_part.yaml", "ab"),
        ("recipes/_inner.yaml", "ab"),
        ("scriptlets/go.sh", "ab"),
        ("scriptlets/steps.py", "b"),
        ("scriptlets/lib.py", "b"),
        ("station.yaml", "abc"),
        ("pytest.ini", "abc"),
        ("vars.env", "abc"),
        ("conftest.py", "abc"),
        ("scriptlets/conftest.py", ""),
        ("recipes/.a.yaml.swp", ""),
        ("README.md", ""),
    ],
)
def test_change_runs_the_recipes_that_it_affects(
    changed: str, affected: str, written: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    watching = Watching(written, capsys, "--recipe-vars-file", "vars.env")
    options = ["--recipe-vars-file", "vars.env"]
    names = [f"recipes/{one}.yaml" for one in "abc"]
    assert watching.first == [*names, *options]
    assert watching.started == (
        "run recipes/a.yaml, recipes/b.yaml, recipes/c.yaml\nwaiting for changes; Ctrl-C ends\n"
    )

    runs = watching.change(changed)

    expected = [name for name in names if name[8] in affected]
    assert runs == ([[*expected, *options]] if expected else [])
    assert watching.said() == (f"{changed} changed: run {', '.join(expected)}" if expected else "")


def test_recipe_with_errors_runs_when_a_yaml_file_changes(
    written: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    watching = Watching(written, capsys)
    written.write("recipes/c.yaml", "steps: 1\n")
    assert watching.change("recipes/c.yaml") == [["recipes/c.yaml"]]
    assert watching.change("recipes/b.yaml") == [["recipes/b.yaml", "recipes/c.yaml"]]
    written.write("recipes/c.yaml", SHELL.replace("CMD", "echo hi"))
    assert watching.change("recipes/c.yaml") == [["recipes/c.yaml"]]
    assert watching.change("recipes/b.yaml") == [["recipes/b.yaml"]]


def test_new_recipe_runs_and_a_deleted_one_does_not(
    written: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    watching = Watching(written, capsys)
    written.write("recipes/d.yaml", SHELL.replace("CMD", "echo hi"))
    (written.path / "recipes/c.yaml").unlink()
    assert watching.change("recipes/c.yaml", "recipes/d.yaml") == [["recipes/d.yaml"]]


def test_broken_settings_end_no_watch(written: Project, capsys: pytest.CaptureFixture[str]) -> None:
    watching = Watching(written, capsys)
    written.write("pytest.ini", "[pytest\n")
    (run,) = watching.change("pytest.ini")
    assert len(run) == 3


def test_only_named_steps_and_folders_run(
    written: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    watching = Watching(written, capsys, "recipes/b.yaml::go", "-k=x", "-v")
    assert watching.first == ["recipes/b.yaml::go", "-k=x", "-v"]
    assert watching.change("recipes/c.yaml") == []
    assert watching.change("scriptlets/lib.py") == [["recipes/b.yaml::go", "-k=x", "-v"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("recipes/x.yaml", "there is no recipes/x.yaml"),
        ("pytest.ini", "pytest.ini is no recipe"),
        (
            "-v recipes",
            (
                "'recipes' comes after an option: write recipes and folders before all options, "
                "and the value of an option with ="
            ),
        ),
        (
            "scriptlets",
            "there is no recipe in scriptlets; pytest-orchestrator new recipe NAME creates one",
        ),
    ],
)
def test_wrong_argument_of_watch_is_an_error(
    words: str, message: str, written: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError) as raised:
        Watching(written, capsys, *words.split())
    assert str(raised.value) == message


def test_missing_library_is_an_error_with_its_installation(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_orchestrator.core.extras.is_installed", lambda extra: False)
    done = project.call("watch")
    assert done.code == 2
    assert done.err.endswith(
        "error: watch needs watchfiles: python -m pip install 'pytest-orchestrator[watch]'\n"
    )


def test_changed_file_is_noticed_and_ignored_folders_are_not(tmp_path: Path) -> None:
    for name in (".orchestrator", ".git", "recipes"):
        (tmp_path / name).mkdir()
    with FileChanges(tmp_path, [tmp_path / ".orchestrator"]) as changes:
        noticed = threading.Event()

        def write() -> None:
            while not noticed.wait(0.02):
                for name in (".orchestrator/a", ".git/a", "recipes/a.yaml~", "recipes/a.yaml"):
                    (tmp_path / name).write_text("")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert changes.wait() == {tmp_path / "recipes/a.yaml"}
        finally:
            noticed.set()
            writer.join()


def test_interrupt_ends_a_run_and_then_watch(project: Project) -> None:
    script = project.write("go.sh", "#!/bin/sh\necho started > started\nexec sleep 60\n")
    script.chmod(0o755)
    fifo = project.path / "started"
    os.mkfifo(fifo)
    final = "finally:\n  - {name: bye, type: shell, cmd: touch bye, parse: text}\n"
    project.write("recipes/a.yaml", SHELL.replace("CMD", "./go.sh") + final)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_orchestrator", "watch", "-q"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        assert fifo.read_text() == "started\n"
        os.killpg(process.pid, signal.SIGINT)
        assert any(line == "waiting for changes; Ctrl-C ends\n" for line in process.stdout)
        assert (project.path / "bye").exists()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
