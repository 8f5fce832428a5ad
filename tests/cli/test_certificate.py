"""`report --certificate`: choice of recipes, files, settings, errors."""

import os

import pytest

from tests.cli.conftest import Project
from tests.runs.built import RECIPE, Runs


def error_of(project: Project, *words: str) -> str:
    done = project.call("report", *words)
    assert (done.code, done.out) == (2, "")
    return done.err.rpartition("pytest-orchestrator report: error: ")[2].rstrip("\n")


def test_a_certificate_is_written_beside_the_journal_and_does_not_break_its_seal(
    project: Project, runs: Runs
) -> None:
    folder = runs.new().begin("flash").step("flash", measured={"u": 5.0}).seal()
    path = f".orchestrator/runs/{folder.name}/certificate.html"

    assert project.call("report", "--certificate") == (0, f"{path}\n", "")
    again = project.call("report", "latest", "--certificate", "-o", "out.html")

    assert again == (0, "out.html\n", "")
    page = (project.path / path).read_text()
    assert "PASSED" in page
    second = (project.path / "out.html").read_text()
    assert f"<dd>{folder.name}-1</dd>" in page
    assert "Replaces" not in page
    assert f"<dd>{folder.name}-2</dd>" in second
    assert f"<dt>Replaces</dt><dd>{folder.name}-1</dd>" in second
    assert project.call("verify", "latest").code == 0
    seal = project.call("verify", "latest").out.split()[-1]
    assert f"<code>{seal}</code>" in page


def test_a_killed_and_a_modified_run_have_certificates_that_say_what_is_missing(
    project: Project, runs: Runs
) -> None:
    run = runs.new().begin("flash", "burn_in").step("flash")
    run.start("burn_in")
    killed = run.cut()
    sealed = runs.new().begin("flash").step("flash").seal()
    (sealed / "extra.txt").write_text("x")

    for folder in (killed, sealed):
        done = project.call("report", folder.name, "--certificate")
        assert (done.code, done.err) == (0, f"{RECIPE}: NOT COMPLETE\n")

    page = (killed / "certificate.html").read_text()
    assert "NOT COMPLETE" in page
    assert "<b>burn_in</b>: interrupted: pytest was killed" in page
    assert "is not proved by a seal" in page
    page = (sealed / "certificate.html").read_text()
    assert "the seal is broken: extra.txt: it came after the run had ended" in page
    assert "NOT COMPLETE" in page


def test_recipes_are_chosen_by_key_path_or_name(project: Project, runs: Runs) -> None:
    run = runs.new(f"{RECIPE}[gain:1]", cell="gain:1", path=RECIPE).begin("a").step("a")
    run.recipe = f"{RECIPE}[gain:2]"
    run.about["cell"] = "gain:2"
    run.begin("b").step("b").seal()

    def count(*words: str) -> int:
        assert project.call("report", "--certificate", "-o", "x.html", *words).code == 0
        return (project.path / "x.html").read_text().count("<article")

    assert (count(), count("--recipe", RECIPE), count("--recipe", "psu")) == (2, 2, 2)
    assert count("--recipe", f"{RECIPE}[gain:2]") == 1
    run_id = next(runs.base.glob("2*")).name
    assert error_of(project, "--certificate", "--recipe", f"{RECIPE}[gain:3]") == (
        f"run {run_id} has no recipe '{RECIPE}[gain:3]' (did you mean '{RECIPE}[gain:2]'?)"
    )
    assert error_of(project, "--certificate", "--recipe", "zzz") == (
        f"run {run_id} has no recipe 'zzz'; it has {RECIPE}[gain:1], {RECIPE}[gain:2]"
    )


def test_title_logo_and_style_come_from_the_project(project: Project, runs: Runs) -> None:
    runs.new().begin("flash").step("flash").seal()
    project.write(
        "pytest.ini", "[pytest]\nreport_title = Prüfprotokoll\nreport_logo = a/logo.png\n"
    )
    logo = project.write("a/logo.png", "x")
    assert project.call("report", "--certificate", "-o", "x.html").code == 0

    page = (project.path / "x.html").read_text()
    assert 'src="data:image/png;base64,eA=="' in page
    assert "Prüfprotokoll</h1>" in page
    logo.unlink()
    assert error_of(project, "--certificate") == (
        "ini key report_logo: a/logo.png: No such file or directory; the path is relative to "
        f"{project.path}"
    )


def test_wrong_options_and_files_are_usage_errors(
    project: Project, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = runs.new().seal()
    browser = project.write("chromium", "#!/bin/sh\nexit 3\n")
    browser.chmod(0o755)
    monkeypatch.setenv("CHROME", os.fspath(browser))

    assert (
        error_of(project, "--pdf", "x.pdf")
        == "--pdf is an option of certificates; add --certificate"
    )
    assert error_of(project, "--recipe", "x") == (
        "--recipe is an option of certificates; add --certificate"
    )
    assert error_of(project, "--certificate", "--bundle", "x.zip") == (
        "--certificate and --bundle write different files; give one of them"
    )
    assert error_of(project, "--certificate") == (
        f"run {folder.name} has no recipe that a certificate could be about"
    )
    runs.new().begin("flash").step("flash").seal()
    assert error_of(project, "--certificate", "-o", "no/x.html") == (
        "no/x.html: No such file or directory"
    )
    assert error_of(project, "--certificate", "-o", "x.html", "--pdf", "x.pdf") == (
        f"no PDF: {browser} made none: exit code 3; x.html is written"
    )
    monkeypatch.setenv("CHROME", "none")
    assert error_of(project, "--certificate", "-o", "y.html", "--pdf", "y.pdf") == (
        "no PDF: $CHROME is none, which is no program"
    )
    assert not (project.path / "y.html").exists()
