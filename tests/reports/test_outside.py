"""A style sheet of a project in a browser: nothing of it loads from outside, nothing escapes."""

from pathlib import Path

import pytest

from pytest_orchestrator.reports.certificate.look import brand_of
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs.lookup import load_record
from tests.house.browser import Opened, browser
from tests.reports.sample_run import SampleRun

pytestmark = pytest.mark.nightly

_HOSTILE = """@import url(http://a.test/import.css);
@font-face { font-family: stolen; src: url(http://a.test/font.woff) }
body { background: url(http://a.test/picture.png); font-family: stolen }
h1::before { content: "</style><script>document.title = 'script'</script>" }
footer { letter-spacing: 3px }
"""


def test_a_style_sheet_changes_the_page_and_loads_nothing_from_outside(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    run.step("a", "passed", (0, 1))
    run.seal(0)
    (tmp_path / "own.css").write_text(_HOSTILE)
    page = tmp_path / "page.html"
    look = brand_of(tmp_path, "", "", "own.css")
    page.write_text(html(load_record(run.folder), run.folder, brand=look), encoding="utf-8")

    with browser() as chromium:
        shown = Opened(chromium, page, "light", 900, js=True)
        failed: list[str] = []
        shown.page.on("requestfailed", lambda request: failed.append(request.url))
        shown.page.reload()
        refused = [one for one in shown.errors if "Content Security Policy" in one]
        spacing = shown.page.evaluate(
            "getComputedStyle(document.querySelector('footer')).letterSpacing"
        )
        title = shown.page.title()
        done = [url for url in shown.asked if url.startswith("http") and url not in failed]
        shown.close()

    assert (spacing, title.startswith("✔")) == ("3px", True)
    assert refused
    assert done == []
