"""HTML page and pictures of a session in its run folder."""

from pathlib import Path

import pytest

from pytest_orchestrator.runs.folder import history_folder
from pytest_orchestrator.runs.history import store
from pytest_orchestrator.runs.index.past_runs import read_all
from pytest_orchestrator.runs.verify import verify_folder
from tests.plugin.conftest import Project


def left(project: Project) -> Path:
    return project.path / ".orchestrator" / "runs" / "latest"


@pytest.fixture
def bench(project: Project) -> Project:
    project.recipe("bench", {"one": "", "two": "function: refuse", "three": ""})
    project.write("test_x.py", "def test_x(ctx): assert ctx.get('done.one')\n")
    return project


def test_a_session_writes_a_page_and_pictures_of_its_recipes(bench: Project) -> None:
    result = bench.run("-o", "recipe_html=true")

    run = left(bench).resolve().name
    result.stdout.fnmatch_lines([f"report .orchestrator/runs/{run}/report.html"])
    page = (left(bench) / "report.html").read_text()
    for text in (
        "✘ failed: run",
        "the bench is off",
        "test_x.py::test_x",
        "done.one",
        "Exit status",
    ):
        assert text in page
    pictures = {path.suffix: path.read_text() for path in (left(bench) / "assets").iterdir()}
    assert pictures.keys() == {".svg", ".mmd", ".dot"}
    for picture in pictures.values():
        assert "✘ failed" in picture
        assert "⊘ blocked" in picture
    proof = verify_folder(left(bench).resolve())
    assert proof.holds, proof.flaws


def test_the_page_of_the_next_run_shows_history_and_trends(bench: Project) -> None:
    for _ in range(2):
        bench.run("-o", "recipe_html=true")

    page = (left(bench) / "report.html").read_text()
    assert "Trends (last 20 runs)" in page
    assert "2 runs, 0 passed" in page


def test_a_session_says_that_the_index_of_the_history_cannot_be_used(bench: Project) -> None:
    bench.run("-o", "recipe_html=true")
    (history_folder(left(bench).parent) / "index-1.sqlite3").write_bytes(b"torn" * 5_000)
    result = bench.run("-o", "recipe_html=true")

    page = (left(bench) / "report.html").read_text()
    assert "2 runs, 0 passed" in page
    result.stdout.fnmatch_lines(
        ["*the index of the history cannot be used: file is not a database; all files are read*"]
    )


def test_an_ini_key_switches_page_and_pictures_off_but_not_the_history(bench: Project) -> None:
    result = bench.run("-o", "recipe_html=false")

    result.stdout.no_fnmatch_line("report *")
    assert (left(bench) / "journal.jsonl").exists()
    assert not (left(bench) / "report.html").exists()
    assert not (left(bench) / "assets").exists()
    (past,) = read_all(left(bench).parent)
    assert (past.id, past.verdict, past.exit_status) == (left(bench).resolve().name, "failed", 1)
    assert past.seal == verify_folder(left(bench).resolve()).seal
    (recipe,) = past.recipes
    assert [(step.name, step.state) for step in recipe.steps] == [
        ("one", "passed"),
        ("two", "failed"),
        ("three", "blocked"),
    ]
    assert recipe.steps[0].digest
    assert recipe.digest


@pytest.mark.counted
def test_an_unwritable_page_is_a_message_and_changes_no_outcome(bench: Project) -> None:
    bench.write(
        "conftest.py",
        """
        import pathlib, pytest

        @pytest.hookimpl(trylast=True)
        def pytest_sessionfinish(session):
            pathlib.Path(".orchestrator/runs/latest/assets").write_text("")
            pathlib.Path(".orchestrator/history").write_text("")
        """,
    )

    result = bench.run("-o", "recipe_html=true", "-k", "one")

    assert result.ret == 0
    history, page = [one for one in result.outlines if "could not be written" in one]
    assert page.startswith("orchestrator: report.html could not be written: [Errno ")
    reason = "the history of this run could not be written: Not a directory"
    assert history == f"orchestrator: {reason}"


def test_a_page_shows_the_inputs_of_steps_with_secrets_masked(project: Project) -> None:
    project.script("show.sh", '#!/bin/sh\necho "$API_TOKEN" >&2\necho \'{"status": "ok"}\'\n')
    project.recipe(
        "bench",
        {
            "say": "type: python, module: steps, function: note, "
            "params: {name: say, half: '${{ vars.gain / 2 }}'}",
            "show": "type: shell, cmd: ./show.sh, args: {GAIN: '${{ vars.gain }}', "
            "API_TOKEN: 's3cr3t-t0ken'}",
        },
        head="vars: {gain: 5}",
    )

    blocks = project.blocks("-o", "recipe_html=true")

    assert blocks["say"]["given"] == {"name": "say", "half": 2.5}
    assert blocks["show"]["given"] == {"GAIN": 5, "API_TOKEN": "***"}
    assert "s3cr3t" not in (left(project) / "report.html").read_text()
    (kept,) = history_folder(left(project).parent).rglob("*.json")
    assert "show" in kept.read_text()
    assert "s3cr3t" not in kept.read_text()


@pytest.mark.counted
def test_the_page_of_a_large_run_is_written_by_another_process(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_orchestrator.plugin.session.run_end.LARGE", 0)

    result = bench.run("-o", "recipe_html=true", "-k", "one")

    assert "✔ passed" in (left(bench) / "report.html").read_text()
    assert list((left(bench) / "assets").glob("*.svg"))
    assert len([*store.ids(left(bench).parent)]) == 1
    assert not [one for one in result.outlines if "could not be written" in one]
