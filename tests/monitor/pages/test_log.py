"""Log tab: which log it opens, and where."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pytest_orchestrator.monitor.address import Address
from pytest_orchestrator.monitor.pages import log
from pytest_orchestrator.monitor.run_cache import RunCache
from tests.runs.built import RECIPE, Built

RUN = "20261127T000000Z-0004"


def logs(name: str, attempt: int = 1, **sizes: int) -> dict[str, Any]:
    """Return the logs in a block of a step."""
    folder = f"logs/psu/{name}.{attempt}"
    return {
        stream: {"path": f"{folder}.{stream}", "bytes": size, "cut": False}
        for stream, size in sizes.items()
    }


def content(base: Path, **fields: Any) -> log.Content:
    return RunCache(base).read(RUN, lambda view: log.content(view, Address(RUN, "log", **fields)))


@pytest.fixture
def built(bench: Path) -> Built:
    """Return a run with one passed step, and one that runs."""
    made = Built(bench, RUN).begin("flash", "measure", "release")
    made.write("logs/psu/flash.1.stdout", "one\ntwo\n")
    made.write("logs/psu/flash.1.stderr", "warning\n")
    made.step("flash")
    made.start("measure")
    return made


def test_a_live_run_opens_the_end_of_the_step_that_started_last(built: Built, bench: Path) -> None:
    path = built.write("logs/psu/measure.1.stdout", "a\nb\n")

    def version() -> str:
        return RunCache(bench).read(RUN, lambda view: log.version(view, Address(RUN, "log")))

    shown, before = content(bench), version()
    assert (shown.key, shown.is_open) == (f"{RECIPE}::measure", True)
    assert shown.place is not None
    assert [str(line.html) for line in shown.place.lines] == ["a", "b"]
    assert shown.place.is_end
    with path.open("a") as file:
        file.write("c\n")
    assert version() != before


def test_a_finished_run_opens_stderr_of_the_first_failed_step(built: Built, bench: Path) -> None:
    built.write("logs/psu/measure.1.stdout", "out\n")
    built.write("logs/psu/measure.1.stderr", "error\n")
    built.finish("measure", "failed")
    built.step("release", "failed").seal()

    shown = content(bench)
    assert shown.key == f"{RECIPE}::measure"
    assert shown.stream is not None
    assert shown.stream.name == "stderr"
    assert [one.name for one in shown.streams] == ["stdout", "stderr"]


def test_a_chosen_stream_is_opened_and_an_unknown_one_is_not(built: Built, bench: Path) -> None:
    step = f"{RECIPE}::flash"
    names = [
        one.stream and one.stream.name
        for key in ("/stderr", "/stdout", "../../etc/passwd", "9/log")
        for one in [content(bench, step=step, key=key)]
    ]
    assert names == ["stderr", "stdout", "stdout", "stdout"]


def test_a_permalink_shows_the_lines_around_it(built: Built, bench: Path) -> None:
    built.write("logs/psu/flash.1.stdout", "".join(f"{number}\n" for number in range(1, 5001)))

    def place(at: str) -> tuple[int, int, int, bool]:
        shown = content(bench, step=f"{RECIPE}::flash", key="/stdout", at=at).place
        assert shown is not None
        return shown.first, shown.last, shown.chosen, shown.is_end

    assert place("L3000") == (2800, 3799, 3000, False)
    assert place("P1001") == (1001, 2000, 0, False)
    assert place("L7") == (1, 1000, 7, False)
    assert place("L999999") == (4001, 5000, 5000, False)
    assert place("") == place("L0") == place("x") == (4001, 5000, 0, True)


def test_search_lists_all_matching_lines_and_opens_the_first(built: Built, bench: Path) -> None:
    rows = ["needle" if number % 30 == 0 else "hay" for number in range(1, 5001)]
    built.write("logs/psu/flash.1.stdout", "\n".join(rows))

    def find(**fields: Any) -> tuple[log.Found, int]:
        shown = content(bench, step=f"{RECIPE}::flash", key="/stdout", **fields)
        assert shown.found is not None
        assert shown.place is not None
        return shown.found, shown.place.chosen

    found, chosen = find(q="NEEDLE")
    assert (found.part.total, chosen, found.before, found.after) == (166, 30, 0, 60)
    found, chosen = find(q="needle", at="L4000")
    assert (found.part.page, found.before, found.after) == (2, 3990, 4020)
    assert find(q="needle", at="L4980")[0].after == 0
    assert find(q="nothing")[0].part.total == 0


def test_the_logs_of_attempts_and_elements_can_be_chosen(bench: Path) -> None:
    made = Built(bench, RUN).begin("flash")
    made.start("flash")
    element = {"index": 0, "item": 5, "state": "passed", "logs": logs("sweep", stdout=8)}
    made.finish("flash", elements=[element])
    made.write("logs/psu/sweep.1.stdout", "element\n")

    shown = content(bench)
    assert shown.parts.options == [("e0/stdout", "element 1: 5 (passed)")]
    assert shown.place is not None
    assert str(shown.place.lines[0].html) == "element"


def test_the_page_escapes_a_log_and_links_its_lines(built: Built, bench: Path, client: Any) -> None:
    built.write("logs/psu/flash.1.stdout", "<script>alert(1)</script>\n")
    step = quote(f"{RECIPE}::flash")
    page = client.get(f"/run/{RUN}/log?step={step}&key=/stdout").text

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert '<div id="L1" class="line">' in page
    assert "key=/stdout&amp;at=L1#L1" in page
    assert f'/run/{RUN}/file/logs/psu/flash.1.stdout?download" download' in page
    assert "Line 1 of 1" in page


def test_a_log_outside_of_the_run_is_not_opened(bench: Path, client: Any) -> None:
    (bench / "secret").write_text("secret\n")
    made = Built(bench, RUN).begin("flash")
    made.start("flash")
    element = {
        "index": 0,
        "item": 5,
        "state": "passed",
        "logs": {"stdout": {"path": "../secret", "bytes": 7, "cut": False}},
    }
    made.finish("flash", elements=[element])
    page = client.get(f"/run/{RUN}/log").text

    assert "../secret is missing, or is not a file of this run." in page
    assert "secret\n" not in page
