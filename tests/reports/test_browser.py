"""HTML pages in a browser: one browser for all tests, without a network."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pytest_orchestrator.reports.certificate.look import Look
from pytest_orchestrator.reports.certificate.render import html as certificates_page
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs import lookup
from tests.house.browser import ROOT, Opened, browser
from tests.reports.certificate.recorded import BAD, GOOD, Recorded, certificate
from tests.reports.certificate.test_render import hostile_run
from tests.reports.sample_run import RECIPE, SampleRun, psu_run

Open = Callable[..., Opened]
FLASH, RIPPLE = (f"[id='{RECIPE}::{name}']" for name in ("flash", "measure_ripple"))

# Returns all texts whose contrast with their background is below 4.5 (3 for large texts).
_PALE = """() => {
  const parsed = (colour) => (colour.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((one) => {
      const part = one / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const svg = one.tagName === "g" && one.querySelector("rect");
      const style = getComputedStyle(svg || one);
      const [r, g, b, a = 1] = parsed(svg ? style.fill : style.backgroundColor);
      if (a > 0.9) return [r, g, b];
    }
    return parsed(getComputedStyle(document.body).backgroundColor);
  };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const fore = parsed(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
    const [one, other] = [light(fore), light(behind(element))].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24;
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.add(`${element.outerHTML} ${ratio.toFixed(2)}`);
  }
  return [...found];
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Open]:
    pages: list[Opened] = []

    def opening(file: Path, scheme: str = "light", width: int = 1280, *, js: bool = True) -> Opened:
        pages.append(Opened(chromium, file, scheme, width, js=js))
        return pages[-1]

    yield opening
    for each in pages:
        each.close()
        assert each.errors == []
        assert [url for url in each.asked if not url.startswith(("file:", "data:"))] == []


def written(run: SampleRun) -> Path:
    page = run.folder / "report.html"
    page.write_text(html(lookup.load_record(run.folder), run.folder), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def psu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = psu_run(tmp_path_factory.mktemp("runs") / "20261125T101502Z-7f3a")
    run.seal()
    return written(run)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a session that ran all recipes of this repository."""
    folder = tmp_path_factory.mktemp("samples")
    for name in ("recipes", "scriptlets"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "station.yaml", folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "recipes", "-q", "--recipe-jobs", "2"]
    plugins = ["-p", "no:randomly", "-p", "no:hypothesispytest"]
    done = subprocess.run([*command, *plugins], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode()
    return folder / ".orchestrator" / "runs" / "latest" / "report.html"


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), pytest.param("dark", 400, marks=pytest.mark.nightly)]
)
def test_the_page_of_all_sample_recipes_is_complete(
    samples: Path, opened: Open, scheme: str, width: int
) -> None:
    shown = opened(samples, scheme, width)

    page = shown.page
    recipes = page.locator("details.recipe")
    assert recipes.count() == page.locator("svg.graph:not(.narrow)").count() > 6
    assert page.locator(".timeline .k-running").count() >= 40
    assert page.locator(".step").count() == page.locator("svg:not(.narrow) .box").count()
    assert not shown.is_too_wide
    assert page.evaluate(_PALE) == []


# Returns the boxes that are cut off at a side of their frame, the scales of the drawings, the
# numbers of failed boxes out of sight, and the tick labels that are cut off.
_CUT_OFF = """() => {
  const outside = (one, frame) => one.left < frame.left - 1 || one.right > frame.right + 1;
  const rect = (element) => element.getBoundingClientRect();
  const found = {cut: [], scales: [], unseen: 0, ticks: []};
  for (const frame of document.querySelectorAll(".graph-box"))
    for (const svg of frame.querySelectorAll("svg")) {
      if (!svg.getClientRects().length) continue;
      found.scales.push(rect(svg).width / svg.viewBox.baseVal.width);
      for (const box of svg.querySelectorAll(".box")) {
        if (outside(rect(box), rect(frame))) found.cut.push(box.textContent);
        const below = rect(box).bottom > rect(frame).bottom || rect(box).top < rect(frame).top;
        if (below && box.classList.contains("failed")) found.unseen += 1;
      }
    }
  for (const tick of document.querySelectorAll(".tick b"))
    if (tick.getClientRects().length && outside(rect(tick), rect(tick.closest(".timeline"))))
      found.ticks.push(tick.textContent);
  return found;
}"""


@pytest.mark.parametrize("width", [390, 1280])
def test_graphs_and_times_are_whole_and_show_the_failed_steps(
    tmp_path: Path, opened: Open, width: int
) -> None:
    run = SampleRun(tmp_path / "run")
    names = [f"step_{number:02}" for number in range(39)]
    run.begin({name: names[max(n - 1, 0) : n] for n, name in enumerate(names)} | {"off": []},
              off={"final": True})  # fmt: skip
    for number, name in enumerate([*names, "off"]):
        run.step(name, "failed" if number in (36, 39) else "passed", (number, number + 0.9))
    run.seal()

    found = opened(written(run), width=width).page.evaluate(_CUT_OFF)

    assert (found["cut"], found["ticks"]) == ([], [])
    assert [scale >= 0.75 for scale in found["scales"]] == [True]
    assert found["unseen"] <= 1


def test_steps_are_sorted_filtered_and_searched(psu: Path, opened: Open) -> None:
    page = opened(psu).page
    names = page.locator(".step .name")

    page.click("#steps [data-sort=seconds]")
    assert names.all_inner_texts()[:2] == ["release", "power_off"]
    page.click("#steps [data-sort=seconds]")
    assert names.all_inner_texts()[:2] == ["burn_in", "flash"]
    page.click("[data-state=failed][aria-pressed]")
    page.click("[data-state=blocked][aria-pressed]")
    assert set(names.all_inner_texts()) == {"measure_ripple", "release"}
    assert page.inner_text(".shown") == "2 of 6"
    page.click("[data-state=failed][aria-pressed]")
    page.click("[data-state=blocked][aria-pressed]")
    page.select_option("#tag", "smoke")
    assert len(names.all_inner_texts()) == 3
    page.select_option("#tag", "")
    page.fill("#steps .find", "= 61.4 failed")
    page.locator(".shown", has_text="1 of 6").wait_for()
    assert names.all_inner_texts() == ["measure_ripple"]


def test_a_click_in_the_graph_opens_a_filtered_step(psu: Path, opened: Open) -> None:
    page = opened(psu).page
    page.click("[data-state=failed][aria-pressed]")

    page.click("svg.graph a:has-text('flash')")

    page.locator(f"{FLASH}[open] .panel").wait_for()
    assert (
        page.evaluate("document.activeElement.parentElement.id")
        == "recipes/psu_burn_in.yaml::flash"
    )
    assert page.inner_text(".shown") == "6"


def test_curves_are_drawn_and_show_values_under_the_pointer(psu: Path, opened: Open) -> None:
    page = opened(psu).page
    page.locator(f"{FLASH} summary").first.press("Enter")

    canvas = page.locator(f"{FLASH} canvas")
    canvas.wait_for()
    inked = """(canvas) => new Set(new Uint32Array(canvas.getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
    assert canvas.evaluate(inked) > 5
    page.locator(f"{FLASH} .u-over").hover()
    page.locator(f"{FLASH} .u-legend", has_text=re.compile(r"memory:?\s*\d+\.\d MB")).wait_for()


def test_a_command_is_copied_or_selected(psu: Path, opened: Open) -> None:
    page = opened(psu).page

    page.click("#first-failure .copy")

    page.locator("#first-failure .copy", has_text="ed").wait_for()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.nightly)])
def test_all_texts_have_sufficient_contrast(psu: Path, opened: Open, scheme: str) -> None:
    page = opened(psu, scheme).page
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")

    assert page.evaluate(_PALE) == []


def test_a_page_without_scripts_is_complete(psu: Path, opened: Open) -> None:
    page = opened(psu, js=False).page

    page.locator(f"{RIPPLE} summary").first.click()
    assert page.locator(f"{RIPPLE} .panel", has_text="WARN probe").is_visible()
    assert not page.locator("#steps .controls").is_visible()
    assert not page.locator("#first-failure .copy").is_visible()


def test_hostile_texts_are_inert(tmp_path: Path, opened: Open) -> None:
    hostile = "</script><script>alert(1)</script><img src=http://a.test onerror=alert(1)>{{7*7}}"
    run = SampleRun(tmp_path / "run", {"name": hostile, "description": hostile})
    run.begin({"a": []}, a={"description": hostile, "tags": [hostile]})
    run.step("a", "failed", (0, 1), text=hostile, step={"reason": hostile},
             logs={"stdout": run.log("x", hostile)}, given={hostile: hostile},
             resources={"samples": run.samples("a", 1)})  # fmt: skip
    run.seal()

    shown = opened(written(run))

    shown.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    shown.page.locator(".step canvas").wait_for()
    assert shown.page.locator("script").count() == 2
    assert shown.page.locator("body", has_text="alert(1)").count() == 1
    assert "{{7*7}}" in shown.page.inner_text("#first-failure")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page with certificates of each verdict, a hostile one, and with a style of its own.

    The style tries to load a picture and a style sheet, and to run a script.
    """
    folder = tmp_path_factory.mktemp("certificates")
    runs = []
    for name, ways in {"good": GOOD, "bad": BAD, "gap": {"not run": BAD["not run"]}}.items():
        run = Recorded(folder / name, test_meta={"dut": {"serial": "A17"}})
        run.begin(*(f"step_{number}" for number, _ in enumerate(ways)))
        for number, way in enumerate(ways.values()):
            way(run, f"step_{number}")
        runs.append(certificate(run.seal()))
    hostile = hostile_run(folder / "hostile")
    path = hostile.about["path"]
    hostile.about["path"] = "recipes/psu.yaml"
    runs.append(certificate(hostile.seal(1, path)))
    css = "@import url(http://a.test/x.css); h1 { background: url(http://a.test/x.png) }"
    look = Look(f"{path}", css=css + "<\\/style><script>window.hit=1</script>")
    page = folder / "certificate.html"
    page.write_text(certificates_page(runs, look), encoding="utf-8")
    return page


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_a_certificate_is_light_legible_and_inert(
    chromium: Browser, certified: Path, scheme: str, width: int
) -> None:
    shown = Opened(chromium, certified, scheme, width, js=True)
    page = shown.page

    assert page.locator(".word").all_inner_texts() == [
        "✔ PASSED",
        "✘ FAILED",
        "□ NOT COMPLETE",
        "✘ FAILED",
    ]
    assert page.evaluate(_PALE) == []
    assert not shown.is_too_wide
    colour = "getComputedStyle(document.querySelector('.certificate')).backgroundColor"
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    assert page.evaluate("window.hit") is None
    assert page.locator("script").count() == 0
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    shown.close()
    refused = ("http://a.test/x.css", "http://a.test/x.png")
    assert all(
        "Content Security Policy" in one and any(url in one for url in refused)
        for one in shown.errors
    )
    assert len(shown.errors) == 2


def test_a_unit_with_40_measurements_fits_on_two_sheets(tmp_path: Path, chromium: Browser) -> None:
    run = Recorded(tmp_path / "run", test_meta={"dut": {"serial": "A17"}, "operator": "Ada"})
    run.begin("flash", "measure", "off")
    run.step("flash")
    limits = {"low": 1.0, "high": 9.0, "margin": 4.0, "verdict": "pass", "unit": "V"}
    run.step(
        "measure",
        measurements=[
            {"name": f"rail_{at}", "value": 5.01 + at / 100} | limits for at in range(40)
        ],
    )
    run.step("off")
    page = tmp_path / "certificate.html"
    page.write_text(certificates_page([certificate(run.seal())], Look()), encoding="utf-8")
    shown = Opened(chromium, page, "light", 1280, js=True)

    pdf = shown.page.pdf(prefer_css_page_size=True)

    shown.close()
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 2
    assert b"/MediaBox [0 0 594.95996 841.91998]" in pdf
