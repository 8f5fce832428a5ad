"""HTML pages in a browser: one browser for all tests, without a network."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser

from pytest_orchestrator.addons.certificate.write import html as certificates_page
from pytest_orchestrator.reports.head.look import Look
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.history.model import PastRecipe, PastStep
from tests.addons.certificate.recorded import BAD, GOOD, Recorded, certificate
from tests.addons.certificate.test_write import hostile_run
from tests.house.browser import ROOT, Opened, browser
from tests.reports.line_run import line_run
from tests.reports.past import copies
from tests.reports.sample_run import RECIPE, SampleRun, psu_run

pytestmark = pytest.mark.nightly
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
    command = [sys.executable, "-m", "pytest", "recipes", "-q", "--recipe-jobs", "4"]
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

    plot = page.locator(f"{FLASH} .plot").first
    read = page.locator(f"{FLASH} .read").first
    assert plot.locator(".course").bounding_box()
    assert re.fullmatch(r"[\d.]+ to [\d.]+ MB", read.inner_text())
    plot.hover()
    page.locator(f"{FLASH} .read", has_text=re.compile(r"^[\d.]+ s: \d+\.\d MB")).first.wait_for()
    page.mouse.move(0, 0)
    plot.focus()
    page.keyboard.press("Home")
    first = read.inner_text()
    page.keyboard.press("ArrowRight")
    assert first != read.inner_text()
    page.keyboard.press("Escape")
    assert " to " in read.inner_text()


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
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


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
    shown.page.locator(".step .plot").first.wait_for()
    assert shown.page.locator("script").count() == 2
    assert shown.page.locator("body", has_text="alert(1)").count() == 1
    assert "{{7*7}}" in shown.page.inner_text("#first-failure")


LOG = "".join(f"line {number} of the log\n" for number in range(1500)) + "ERROR: device lost\n"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a production line, with the history of a figure."""
    run = line_run(tmp_path_factory.mktemp("line"))
    page = run.folder / "report.html"
    record = lookup.load_record(run.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytest_orchestrator.reports.html.trends._MAX_CHARTS", 4)
        earlier = copies(record, lambda one: one, _with_large_ripple, lambda one: one)
        page.write_text(html(record, run.folder, earlier=earlier), encoding="utf-8")
    return page


def _with_large_ripple(recipe: PastRecipe) -> PastRecipe:
    """Return a recipe whose step ``measure`` has failed, because of its ripple."""

    def edit(step: PastStep) -> PastStep:
        measured = [replace(one, value=61.4, verdict="fail") for one in step.measurements]
        return replace(step, state="failed", reason="ripple", measurements=tuple(measured))

    steps = [edit(step) if step.name == "measure" else step for step in recipe.steps]
    return replace(recipe, verdict="failed", steps=tuple(steps))


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a recipe whose last step failed, with a long log and measurements."""
    run = SampleRun(tmp_path_factory.mktemp("board") / "run", {"test_meta": {"dut": "A17"}})
    run.begin({"measure": [], "off": []})
    measured: list[dict[str, Any]] = [
        {"name": "a_rather_long_name_of_a_rail", "value": 61.4, "unit": "mV", "high": 50}
        | {"verdict": "fail", "margin": -11.4, "allow_fail": True},
        {"name": "noise", "value": 3.2, "unit": "mV", "low": 1, "high": 10, "verdict": "pass"},
    ]
    samples = run.samples("measure", 9.9)
    run.step("measure", "passed", (0, 9.9), measurements=measured, resources={"samples": samples})
    run.step("off", "failed", (9.9995, 10), logs={"stderr": run.log("off.stderr", LOG)})
    run.seal()
    return written(run)


def test_a_reader_filters_searches_and_moves_with_keys_and_the_address_keeps_it(
    line: Path, opened: Open
) -> None:
    page = opened(line).page
    names, shown = page.locator("#steps .step .name"), page.locator("#steps .shown")
    assert page.evaluate("[...document.querySelectorAll('.recipe')].map((one) => one.open)") == (
        [True] + [False] * 10
    )
    assert page.locator("#steps .group").count() == 11

    page.click("#steps [data-state=failed][aria-pressed]")
    assert page.url.endswith("#?state=failed")
    page.reload()
    assert names.all_inner_texts() == ["release", "off", "sweep"]
    page.fill("#steps .find", "sweep")
    shown.get_by_text("1 of 43").wait_for()
    page.fill("#steps .find", "no such text")
    page.locator("#steps .none").wait_for()
    page.click("#steps .none button")
    assert page.inner_text("#steps .shown") == "43"
    page.locator("#steps h2").click()
    for key, node in {
        "n": "recipes/unit_5.yaml::release",
        "j": "recipes/unit_5.yaml::off",
        "k": "recipes/unit_5.yaml::release",
    }.items():
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.closest('.step').id") == node
    for key, node in {
        "n": "recipes/unit_5.yaml::off",
        "p": "recipes/unit_5.yaml::release",
    }.items():
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.closest('.step[open]').id") == node
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    assert page.url.endswith("#recipes/unit_5.yaml::release")

    link = page.locator("[id='recipes/unit_5.yaml::off'] button", has_text="Copy link")
    assert str(link.get_attribute("data-copy")).endswith("#recipes/unit_5.yaml::off")
    page.click("#steps [data-sort=seconds]")
    assert page.locator("#steps .group").count() == 0
    assert page.locator("#steps .of.added").first.inner_text().strip()

    page.click(".grid a:has-text('✘')")
    page.locator("[id='recipes/sweep.yaml[gain:20,load:2]'][open] svg.graph").wait_for()
    for theme, colour in {"light": "255, 255, 255", "dark": "13, 17, 23"}.items():
        page.locator("button.theme").click()
        page.locator("button.theme", has_text=theme).wait_for()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == f"rgb({colour})"
    assert page.evaluate(_PALE) == []


def test_measurements_are_sifted_sorted_and_copied_as_csv(line: Path, opened: Open) -> None:
    page = opened(line).page
    values = page.locator("#measurements tbody tr:not([hidden]) td[data-by]:nth-of-type(3)")
    page.evaluate("""navigator.clipboard.writeText = (text) => {
        document.body.dataset.copied = text;
        return Promise.resolve();
    }""")

    page.click("#measurements th:has-text('Value') button")
    page.click("#measurements th:has-text('Value') button")
    assert values.all_inner_texts() == [f"{18.5 - at:g}" for at in range(7)]
    page.fill("#measurements .find", "15.5 unit")
    assert page.inner_text("#measurements .found") == "1 of 7"
    page.click("#measurements .csv")

    assert page.evaluate("document.body.dataset.copied").splitlines() == [
        "recipe,step,measurement,value,unit,low,high,margin %,verdict,exact value",
        "unit 3,measure,ripple,15.5,mV,,50.0,69.0,pass,15.5 mV",
    ]
    page.fill("#measurements .find", "")
    page.click("#measurements [data-verdict=pass][aria-pressed]")
    assert page.inner_text("#measurements .found") == "7"
    assert page.locator(".trend").nth(1).locator(".cross").count() >= 1
    assert page.locator("#trends-head", has_text="4 of 18 figures shown").count() == 1


@pytest.mark.nightly
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 390)])
def test_the_grid_of_runs_shows_the_newest_run_at_each_width(
    line: Path, opened: Open, scheme: str, width: int
) -> None:
    shown = opened(line, scheme, width)
    page = shown.page
    page.evaluate("for (const one of document.querySelectorAll('.past')) one.open = true")
    grid = page.locator(".runs").first
    grid.scroll_into_view_if_needed()

    newest = grid.locator("tbody tr").nth(1).locator("td a, td span").last
    box = newest.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= width
    assert page.locator("#history .past").count() == 11
    assert not shown.is_too_wide
    assert page.evaluate(_PALE) == []
    page.click("#history .past:first-of-type tbody a[href^='#']")


# Returns the bars of a timeline that are not in sight, and the right edges of all parts beyond it.
_OUTSIDE = """() => {
  const bars = [...document.querySelectorAll(".track .span")].filter((one) => {
    const [bar, box] = [one.getBoundingClientRect(), one.closest("figure").getBoundingClientRect()];
    return box.width && (bar.width < 3 || bar.right > box.right || bar.left < box.left);
  });
  const all = [...document.querySelectorAll("body *:not(.skip, .scroll *, pre *, svg *)")];
  const wide = all.filter((one) => one.getBoundingClientRect().right > innerWidth + 1);
  return [bars.map((one) => one.title), wide.map((one) => one.outerHTML.slice(0, 90))];
}"""


def test_the_last_bar_and_the_end_of_a_log_are_in_sight(board: Path, opened: Open) -> None:
    page = opened(board).page
    page.keyboard.press("n")

    log = page.locator(".step[open] pre.output")
    assert log.evaluate("(pre) => pre.scrollHeight > pre.clientHeight + 100")
    bottoms = "(pre) => [pre, pre.firstChild].map((one) => one.getBoundingClientRect().bottom)"
    box, text = log.evaluate(bottoms)
    assert 0 <= box - text < 20
    assert (
        page.locator(".step[open] .log p", has_text="last").inner_text().endswith(" kB, open all")
    )
    page.locator("#steps .find").fill("device lost")
    page.locator("#steps .shown", has_text="1 of 2").wait_for()
    assert page.evaluate(_OUTSIDE) == [[], []]


def test_a_phone_shows_the_verdict_of_a_measurement_first(board: Path, opened: Open) -> None:
    shown = opened(board, width=390)
    page = shown.page
    page.locator(".step summary").first.click()

    for table in (".step[open] .measured", ".all-measured"):
        row = page.locator(f"{table} tbody tr").first
        verdict, name = row.locator(".verdict").bounding_box(), row.locator("th").bounding_box()
        assert verdict is not None
        assert name is not None
        assert (verdict["y"], verdict["x"]) < (name["y"] + 3, name["x"])
        margin = row.locator(".margin").bounding_box()
        assert margin is not None
        assert margin["x"] + margin["width"] <= 390
    assert not shown.is_too_wide
    assert page.evaluate(_OUTSIDE) == [[], []]
    assert page.evaluate(_PALE) == []


def test_paper_is_light_and_has_charts_of_its_width_and_all_measurements(
    board: Path, opened: Open
) -> None:
    page = opened(board, "dark").page
    page.locator(".step summary").first.click()
    page.locator(".step .plot").first.wait_for()

    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".step .plot").first.evaluate("(one) => one.clientWidth") <= 700
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(_OUTSIDE) == [[], []]
    assert page.locator(".step[open]").count() == 2
    assert page.locator(".all-measured tbody tr").count() == 2
    assert page.locator(".all-measured").is_visible()
    assert not page.locator("#measurements .controls").is_visible()
    height = page.locator(".step[open] pre.output").evaluate("(pre) => pre.clientHeight")
    assert height < 300

    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen", color_scheme="dark")
    assert page.locator(".step[open]").count() == 1
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"


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
    look = Look(f"{path}")
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
    assert shown.errors == []


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
