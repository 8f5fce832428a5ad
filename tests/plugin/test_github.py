"""A job of GitHub: annotations in the output, a summary in a file, both without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Project


@pytest.fixture
def summary(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the job's summary, in a job whose repository is above the project."""
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
    return [line for line in result.outlines if line.startswith("::")]


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_twelve_failures_are_ten_errors_and_a_notice(
    project: Project, summary: Path, workers: tuple[str, ...]
) -> None:
    result = project.run("--continue-on-collection-errors", *workers)

    lines = _annotations(result)
    where = f"file={project.path.name}/recipes/a.yaml"
    title = "title=recipes/a.yaml%3A%3As3"
    assert lines[3] == f"::error {where},line=5,col=34,{title}::exit code 4, wanted 0"
    assert [line.partition(" ")[0] for line in lines] == ["::error"] * 10 + ["::notice"]
    assert lines[-1].endswith("::3 more failures are in the log of this step")
    text = summary.read_text()
    assert text.startswith("# Before\n## Recipes: failed\n")
    assert "| <code>recipes/a.yaml</code> | ❌ failed | 0 | 12 | 0 | 0 |" in text
    assert "- <code>recipes/bad.yaml:2:87</code> unknown key" in text
    assert "stderr, 1 line" in text
    assert "hunter2" not in text + result.stdout.str()


def test_a_recipe_that_cannot_be_read_is_annotated(project: Project, summary: Path) -> None:
    lines = _annotations(project.run("recipes/bad.yaml"))

    assert [line.split("::")[1].split(",")[1:] for line in lines] == [
        ["line=2", "col=87", "title=recipes/bad.yaml"]
    ]
    assert "### Recipes that cannot be read" in summary.read_text()


def test_it_can_be_switched_off(project: Project, summary: Path) -> None:
    project.ini("recipe_github = false")

    assert _annotations(project.run("recipes/a.yaml")) == []
    assert summary.read_text() == "# Before\n"


def test_without_a_terminal_it_is_told_too(
    project: Project, summary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "no" / "such"))
    result = project.spawn("-p", "no:terminal", "recipes/a.yaml::s1")

    assert [line[:7] for line in result.outlines] == ["::error", "orchest"]
    assert "the job summary cannot be written" in result.outlines[1]
