from pathlib import Path

import pytest

from tests.cli.conftest import Project
from tests.runs.built import Runs


def test_report_rebuilds_the_page_of_a_run(project: Project, runs: Runs) -> None:
    folder = runs.new().begin("flash").step("flash").seal()

    assert project.call("report") == (0, f".orchestrator/runs/{folder.name}/report.html\n", "")
    assert "✔ passed: run" in (folder / "report.html").read_text()
    left = {path.name for path in folder.iterdir()}
    assert left == {"journal.jsonl", "journal.lock", "report.html"}
    assert project.call("verify", folder.name).code == 0


def test_report_writes_the_page_to_any_path(project: Project, runs: Runs) -> None:
    folder = runs.new().begin("flash").step("flash").seal()

    assert project.call("report", folder.name, "-o", "page.html") == (0, "page.html\n", "")

    page = (project.path / "page.html").read_text()
    assert f'href=".orchestrator/runs/{folder.name}/journal.jsonl"' in page
    assert project.call("report", "-o", "no/page.html").err.endswith(
        "error: no/page.html: No such file or directory\n"
    )


def test_report_opens_the_page_in_the_browser(
    project: Project, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = runs.new().begin("flash").step("flash").seal()
    opened: list[str] = []

    def open_once(uri: str) -> bool:
        opened.append(uri)
        return len(opened) == 1

    monkeypatch.setattr("webbrowser.open", open_once)

    assert project.call("report", "--open").code == 0
    assert opened == [(folder / "report.html").resolve().as_uri()]
    assert project.call("report", "--open").err.endswith(
        "error: no browser was found; set the environment variable BROWSER\n"
    )
    assert project.call("report", "--open", "--certificate").err.endswith(
        "error: --open opens the HTML report; give it without exports and certificates\n"
    )


def test_report_of_a_killed_run_writes_its_page_and_pictures(project: Project, runs: Runs) -> None:
    run = runs.new().begin("flash", "burn_in").step("flash")
    run.start("burn_in")
    folder = run.cut()

    done = project.call("report", "latest")

    assert (done.code, done.err) == (0, "")
    page = Path(done.out.strip()).read_text()
    assert "! interrupted: run" in page
    assert "burn_in</a> of recipes/psu.yaml was running when the run stopped (started " in page
    assert {path.name for path in (folder / "assets").iterdir()} == {
        "psu.svg",
        "psu.mmd",
        "psu.dot",
    }
    assert "burn_in<br/>! interrupted" in (folder / "assets" / "psu.mmd").read_text()


def test_page_shows_the_durations_of_earlier_runs(project: Project, runs: Runs) -> None:
    runs.history(1.0, 2.0, 3.0)

    page = Path(project.call("report").out.strip()).read_text()

    assert "History (last 20 runs)" in page
    assert 'aria-label="psu · total step time in 3 runs: 1 to 3 s"' in page


def test_a_bundle_has_the_name_of_a_zip_file(project: Project, runs: Runs) -> None:
    runs.new().begin("flash").step("flash").seal()
    done = project.call("report", "--bundle", "out/run.tar")

    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(
        "error: a bundle is a zip file; name it out/run.zip, not out/run.tar\n"
    )
    assert not (project.path / "out").exists()


def test_report_exports_a_run_in_several_formats(project: Project, runs: Runs) -> None:
    run = runs.new().begin("flash", "burn_in").step("flash")
    run.start("burn_in")
    folder = run.cut()

    done = project.call("export", "ctrf:ctrf.json", "allure:results")

    assert done == (0, "ctrf.json\nresults\n", "")
    assert '"interrupted"' in (project.path / "ctrf.json").read_text()
    assert len([*(project.path / "results").glob("*-result.json")]) == 2
    assert not (folder / "report.html").exists()


def test_an_export_that_fails_does_not_stop_the_others(project: Project, runs: Runs) -> None:
    runs.new().begin("flash").step("flash").seal()

    done = project.call("export", "ctrf:no/ctrf.json", "allure:results")

    assert done == (1, "results\n", "error: CTRF: no/ctrf.json: No such file or directory\n")


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (("--ctrf", "a.json"), "ctrf:FILE"),
        (("latest", "--allure=results"), "allure:FOLDER"),
        (("latest", "--otel"), "otel:ENDPOINT"),
    ],
)
def test_an_export_of_an_earlier_version_says_what_to_write_instead(
    project: Project, words: tuple[str, ...], instead: str
) -> None:
    done = project.call("report", *words)

    name = instead.partition(":")[0]
    assert done.code == 2
    assert done.err.endswith(
        f"error: there is no 'report --{name}' any more; pytest-orchestrator export {instead}\n"
    )
