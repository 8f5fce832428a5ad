"""Accessibility of the report and of certificates, checked by axe-core: no findings."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pytest_orchestrator.addons.certificate.write import html as certificates_page
from pytest_orchestrator.reports.head.look import Look
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs.lookup import load_record
from tests.addons.certificate.recorded import BAD, GOOD, Recorded, certificate
from tests.house.browser import Opened, axe_findings, browser
from tests.reports.line_run import line_run
from tests.reports.sample_run import SampleRun, psu_run

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return pages of a recipe, of many recipes, of logs and a kill, and of certificates."""
    folder = tmp_path_factory.mktemp("axe")
    unit = psu_run(folder / "20261125T101502Z-7f3a")
    unit.seal()
    line = line_run(folder / "line")
    logs = SampleRun(folder / "logs")
    logs.begin({"slow": [], "cut": []})
    log = logs.log("slow.1.stdout", "".join(f"\x1b[3{n % 8}mline {n}\x1b[0m\n" for n in range(900)))
    logs.write("logs/psu_burn_in/slow.1.stdout.times", b"100 1000\n9000 2000\n")
    logs.step("slow", "failed", (0, 3), logs={"stdout": log}, step={"kind": "timeout"})
    logs.step("cut", "interrupted", (3, 4), step={"kind": "interrupted"})
    logs.cut()
    found = {"unit": unit.folder, "line": line.folder, "logs": logs.folder}
    for name, run in found.items():
        page = folder / f"{name}.html"
        page.write_text(html(load_record(run), run), encoding="utf-8")
    all_certificates = []
    for name, ways in {"good": GOOD, "bad": BAD}.items():
        recorded = Recorded(folder / name, test_meta={"dut": {"serial": "A17"}})
        recorded.begin(*(f"step_{number}" for number, _ in enumerate(ways)))
        for number, way in enumerate(ways.values()):
            way(recorded, f"step_{number}")
        all_certificates.append(certificate(recorded.seal()))
    text = certificates_page(all_certificates, Look())
    (folder / "certificates.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in ("unit", "line", "logs", "certificates")}


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["unit", "line", "logs", "certificates"])
def test_axe_has_no_findings(
    chromium: Browser, pages: dict[str, Path], name: str, scheme: str, width: int
) -> None:
    shown = Opened(chromium, pages[name], scheme, width, js=True)
    found = axe_findings(shown.page)
    shown.close()

    assert found == []
