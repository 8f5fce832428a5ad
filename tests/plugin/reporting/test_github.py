"""GitHub Actions: annotations in the output, a summary in a file, both masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Project


@pytest.fixture
def summary(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The job summary file, in a job whose repository is the parent of the project."""
    path = project.path / "summary.md"
    path.write_text("# Before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path.parent))
    monkeypatch.setenv("API_TOKEN", "hunter2hunter2")
    steps = {f"s{number}": "type: shell, cmd: exit 3, needs: []" for number in range(12)}
    steps["s3"] = "type: shell, cmd: 'echo $API_TOKEN >&2; exit 4', needs: []"
    project.recipe("a", steps)
    project.recipe("bad", {"wrong": "functoin: note"})
    return path


def _annotations(result: pytest.RunResult) -> list[str]:
    """Return the workflow commands that the runner of GitHub would execute."""
    obeyed, token = [], ""
    for line in map(str.strip, result.outlines):
        if token:
            token = "" if line == f"::{token}::" else token
        elif line.startswith("::stop-commands::"):
            token = line.rpartition("::")[2]
        elif line.startswith("::") or "##[" in line:
            obeyed.append(line)
    assert not token
    return obeyed


FORGED = """
::stop-commands::x
::error file=forged.py,line=1::forged
  ::add-mask::passed
##[error]forged
::x::
"""
SAYS = f"""
import sys, warnings

def says(ctx, params):
    print({FORGED!r})
    print({FORGED!r}, file=sys.stderr)
    warnings.warn({FORGED!r})
    assert params.get("good"), {FORGED!r}
    return {{"status": "ok"}}

def stops(ctx, params):
    return {{"status": "bad", "reason": {FORGED!r}}}
"""


@pytest.mark.parametrize("options", [(), ("-rA",), ("-n", "1"), ("--tb=line",), ("-vv", "-rfE")])
def test_output_of_a_step_is_no_workflow_command(
    project: Project, summary: Path, options: tuple[str, ...]
) -> None:
    project.write("says.py", SAYS)
    project.write("said.txt", FORGED)
    project.write(
        "test_hand.py",
        f"def test_it():\n    print({FORGED!r})\n    assert 0, {FORGED!r}\n",
    )
    python = "type: python, module: says, needs: [], function"
    steps = {
        "good": f"{python}: says, params: {{good: true}}",
        "bad": f"{python}: says",
        "off": f"{python}: stops",
        "text": "type: shell, cmd: 'cat said.txt; cat said.txt >&2; exit 3', needs: []",
    }
    project.recipe("forged", steps)

    result = project.run("recipes/forged.yaml", "test_hand.py", *options)

    result.assert_outcomes(passed=1, failed=4)
    assert "forged.py" in result.stdout.str()
    lines = _annotations(result)
    where = f"::error file={project.path.name}/recipes/forged.yaml,line="
    assert [line[: len(where)] for line in lines] == [where] * 3
    assert not [line for line in lines if "\n" in line or "file=forged" in line.split("::")[1]]


@pytest.mark.counted
def test_workflow_commands_of_other_plugins_still_work(project: Project, summary: Path) -> None:
    text = "def pytest_terminal_summary(terminalreporter):\n"
    project.write("conftest.py", f"{text}    terminalreporter.write_line('::notice::mine')\n")

    assert _annotations(project.run("recipes/a.yaml::s1"))[0] == "::notice::mine"


@pytest.mark.counted
def test_workflow_commands_are_not_stopped_without_a_recipe(
    project: Project, summary: Path
) -> None:
    project.write("test_hand.py", "def test_it(): pass\n")

    assert "stop-commands" not in project.run("test_hand.py").stdout.str()


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_twelve_failures_are_ten_errors_and_a_notice(
    project: Project, summary: Path, workers: tuple[str, ...]
) -> None:
    hand = "def test_good(): pass\ndef test_bad(): raise AssertionError('<b>')\n"
    project.write("test_hand.py", hand)
    result = project.run("--continue-on-collection-errors", *workers)

    lines = _annotations(result)
    where = f"file={project.path.name}/recipes/a.yaml"
    title = "title=recipes/a.yaml%3A%3As3"
    assert lines[3] == f"::error {where},line=5,col=34,{title}::exit code 4, expected 0"
    assert [line.partition(" ")[0] for line in lines] == ["::error"] * 10 + ["::notice"]
    assert lines[-1].endswith("::3 more failures are in the log of this step")
    text = summary.read_text()
    head, _, rest = text.replace("&nbsp;", " ").partition("\n\nReport: ")
    assert head.startswith("# Before\n## ✘ failed\n\n**12 steps**: ✘ 12 failed<br>\n")
    assert "\n**2 other tests**: ✔ 1 passed · ✘ 1 failed<br>\n" in head
    assert f"<code>{project.path.name}/.orchestrator/runs/".replace("_", "&#95;") in rest
    assert rest.partition("\n")[0].endswith("</code> in the workspace of the job")
    assert "| <code>recipes/a.yaml</code> | ✘ failed | 12 |" in rest
    assert (
        "<summary>✘ <code>test&#95;hand.py::test&#95;bad</code>: AssertionError: <b></summary>"
        in (rest.replace("&lt;", "<").replace("&gt;", ">"))
    )
    assert "- <code>recipes/bad.yaml:2:87</code> unknown key" in text
    assert "stderr, 1 line" in text
    assert "hunter2" not in text + result.stdout.str()


@pytest.mark.counted
def test_a_recipe_that_cannot_be_read_is_annotated(project: Project, summary: Path) -> None:
    lines = _annotations(project.run("recipes/bad.yaml"))

    assert [line.split("::")[1].split(",")[1:] for line in lines] == [
        ["line=2", "col=87", "title=recipes/bad.yaml"]
    ]
    assert "### Recipes that cannot be read" in summary.read_text()


def test_annotations_can_be_switched_off(project: Project, summary: Path) -> None:
    project.ini("recipe_github = false")

    assert _annotations(project.run("recipes/a.yaml")) == []
    assert summary.read_text() == "# Before\n"


def test_annotations_are_written_without_a_terminal_reporter(
    project: Project, summary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "no" / "such"))
    result = project.spawn("-p", "no:terminal", "recipes/a.yaml::s1")

    assert [line[:7] for line in result.outlines] == ["::error", "orchest"]
    assert "the job summary cannot be written" in result.outlines[1]


def test_the_summary_names_no_report_if_the_folder_of_the_run_cannot_be_made(
    project: Project, summary: Path
) -> None:
    project.recipe("x", {"one": ""})

    result = project.run("-o", "recipe_html=true", "-o", "recipe_run_dir=pytest.ini/runs")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Report" not in (summary.read_text() if summary.exists() else "")
    assert "report.html" not in result.stdout.str()
