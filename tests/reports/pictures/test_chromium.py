"""PDF by a headless browser: made by a stand-in program, and the errors without one."""

import subprocess
from pathlib import Path

import pytest

from pytest_orchestrator.reports.pictures.chromium import (
    BrowserError,
    browser_path,
    write_pdf,
    write_png,
)
from tests.house.browser import ROOT

PRINTS = """#!/bin/sh
for one; do case $one in --print-to-pdf=*) printf '%%PDF %s' "$*" > "${one#*=}" ;; esac; done
"""


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs; it is empty."""
    monkeypatch.setattr("pytest_orchestrator.reports.pictures.chromium._APPLICATIONS", ())
    monkeypatch.delenv("CHROME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}")
    return tmp_path / "bin"


def test_a_browser_is_found_by_its_name_or_by_the_variable(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs, "msedge", PRINTS)
    chrome = program(programs, "google-chrome", PRINTS)
    mine = program(programs, "mine", PRINTS)

    assert browser_path() == str(chrome)
    monkeypatch.setenv("CHROME", "mine")
    assert browser_path() == str(mine)
    monkeypatch.setenv("CHROME", "yours")
    with pytest.raises(BrowserError) as error:
        browser_path()
    assert str(error.value) == "no PDF: $CHROME is yours, which is no program"


def test_without_a_browser_the_error_says_how_to_get_a_pdf(programs: Path) -> None:
    with pytest.raises(BrowserError) as error:
        write_pdf(programs / "page.html", programs / "page.pdf")

    assert str(error.value) == (
        "no PDF: there is no Chromium, Chrome or Edge; install the package chromium, or set "
        "$CHROME to the path of one, or print the page with any browser"
    )


def test_a_page_is_printed_without_a_network_and_a_profile_of_the_user(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    program(programs, "chromium", PRINTS)
    page, file = tmp_path / "a b.html", tmp_path / "out.pdf"
    page.write_text("")

    write_pdf(page, file)

    words = file.read_text()
    assert words.startswith("%PDF --headless ")
    assert words.endswith(page.as_uri())
    assert "/orchestrator-pdf-" in words.partition("--user-data-dir=")[2].partition(" ")[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/bin/sh\necho noise >&2; echo no display >&2; exit 1\n", "made none: no display"),
        ("#!/bin/sh\nexit 3\n", "made none: exit code 3"),
        ("#!/bin/sh\n", "made none"),
        ("#!/no/such/shell\n", "made none: No such file or directory"),
    ],
)
def test_a_browser_that_makes_no_pdf_is_an_error(
    programs: Path, tmp_path: Path, text: str, said: str
) -> None:
    path = program(programs, "chromium", text)

    with pytest.raises(BrowserError) as error:
        write_pdf(tmp_path / "page.html", tmp_path / "page.pdf")

    assert str(error.value) == f"no PDF: {path} {said}"
    assert not (tmp_path / "page.pdf").exists()


@pytest.mark.nightly
def test_chromium_prints_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = subprocess.run(
        [ROOT / "scripts" / "browser"], check=True, stdout=subprocess.PIPE, text=True
    )
    monkeypatch.setenv("CHROME", found.stdout.strip())
    page = tmp_path / "Prüfling.html"
    page.write_text("<!doctype html><title>x</title><p>y")

    write_pdf(page, tmp_path / "page.pdf")

    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")


def test_a_picture_is_drawn_in_its_size(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    program(programs, "chromium", PRINTS.replace("print-to-pdf", "screenshot"))

    write_png('<svg class="x" width="300.2" height="40" viewBox="">', tmp_path / "out.png")

    words = (tmp_path / "out.png").read_text()
    assert "--window-size=301,40 --force-device-scale-factor=2" in words


@pytest.mark.nightly
def test_chromium_draws_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = subprocess.run(
        [ROOT / "scripts" / "browser"], check=True, stdout=subprocess.PIPE, text=True
    )
    monkeypatch.setenv("CHROME", found.stdout.strip())
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="50"/>'

    write_png(svg, tmp_path / "out.png")

    data = (tmp_path / "out.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (120, 100)
