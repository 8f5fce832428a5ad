"""No report holds more than a megabyte of the failure text of a step, whatever its size."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from pytest_orchestrator.core.text import MAX_TEXT
from pytest_orchestrator.plugin.results.bounds import bounded

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

SMALL = {"lines": ["a", "b"], "pair": ("x", 1), "none": None}


def size_of(value: Any) -> int:
    return len(json.dumps(value))


def test_a_small_value_is_returned_unchanged() -> None:
    assert bounded(SMALL) is SMALL


def test_a_long_text_keeps_its_ends() -> None:
    cut = bounded("a" * 600 + "b" * 9_000 + "c" * 600, 1_000)
    assert cut.startswith("a" * 600 + "b")  # below the size that is always kept
    assert bounded("a" * 6_000 + "b" * 6_000, 5_000) == (
        f"{'a' * 2500}… 7,000 characters are left out here …{'b' * 2500}"
    )


def test_many_lines_keep_the_first_and_the_last() -> None:
    lines = [f"line {number}" for number in range(100_000)]
    cut = bounded(lines, 10_000)
    left = 100_000 - (len(cut) - 1)
    at = cut.index(f"… {left:,} lines are left out here …")
    assert cut[:at] == lines[:at]
    assert cut[at + 1 :] == lines[at + left :]
    assert size_of(cut) < 12_000


def test_a_million_empty_lines_are_cut_too() -> None:
    assert len(bounded([""] * 1_000_000)) < 20_000


def test_a_long_line_keeps_its_ends_and_the_lines_around_it() -> None:
    cut = bounded(["def step():", "E   " + "x" * 1_000_000 + "end", "steps.py:7"], 30_000)
    assert (cut[0], cut[2], len(cut)) == ("def step():", "steps.py:7", 3)
    assert cut[1].startswith("E   xxx")
    assert cut[1].endswith("xxxend")
    assert len(cut[1]) < 12_000


@pytest.mark.counted
def test_several_long_texts_get_equal_shares() -> None:
    chain = [{"lines": ["E " + letter * 1_000_000]} for letter in "abcde"]
    cut: dict[str, Any] = bounded({"chain": chain, "text": "t" * 1_000_000}, 120_000)
    assert size_of(cut) < 130_000
    for letter, one in zip("abcde", cut["chain"], strict=True):
        assert one["lines"][0].startswith(f"E {letter * 1000}")
    assert len(cut["text"]) > 15_000


def test_a_tuple_or_a_list_of_tuples_keeps_its_shape() -> None:
    cut: dict[str, Any] = bounded(
        {"args": [("x", "1" * 100_000)], "where": ("a.py", 3, "r" * 100_000)}, 20_000
    )
    assert cut["args"][0][0] == "x"
    assert cut["where"][:2] == ("a.py", 3)
    assert size_of(cut) < 22_000


_LONG = """
import pytest

SIZE = 1_200_000


def message(ctx, params):
    raise ValueError("m" * SIZE)

def lines(ctx, params):
    raise ValueError("\\n".join(["line"] * 240_000))

def chain(ctx, params):
    try:
        raise KeyError("k" * SIZE)
    except KeyError as error:
        raise ValueError("v" * SIZE) from error

def asserts(ctx, params):
    assert not params, "a" * SIZE
    assert params, "a" * SIZE

def explains(ctx, params):
    seen = "s" * SIZE
    assert seen == seen[1:]

def fails(ctx, params):
    pytest.fail("f" * SIZE)

def exits(ctx, params):
    raise SystemExit("e" * SIZE)

def skips(ctx, params):
    pytest.skip("s" * SIZE)

def expected(ctx, params):
    pytest.xfail("x" * SIZE)

def ends(ctx, params):
    pytest.exit("z" * SIZE)

def errs(ctx, params):
    return {"status": "error", "reason": "r" * SIZE}
"""


_OUTCOMES = {
    "message": "failed",
    "lines": "failed",
    "chain": "failed",
    "asserts": "failed",
    "explains": "failed",
    "fails": "failed",
    "exits": "failed",
    "skips": "skipped",
    "expected": "xfailed",
    "errs": "failed",
    "ends": "failed",  # it ends the session, so it is the last one
}


@pytest.mark.parametrize("isolation", ["process", "inline"])
def test_no_report_holds_more_than_a_megabyte_of_a_failure_text(
    project: Project, isolation: str
) -> None:
    project.write("long.py", _LONG)
    keys = f"type: python, module: long, isolation: {isolation}, needs: []"
    project.recipe("x", {name: f"{keys}, function: {name}" for name in _OUTCOMES})
    project.write(
        "conftest.py",
        """
        import json

        def pytest_runtest_logreport(report):
            if report.when == "call":
                texts = [report.longreprtext, getattr(report, "wasxfail", "")]
                if isinstance(report.longrepr, tuple):
                    texts.append(report.longrepr[2])
                with open("sizes.jsonl", "a") as file:
                    print(json.dumps([len(one) for one in texts]), file=file)
        """,
    )

    outcomes = project.outcomes("--json-report", "--json-report-file=j.json", "--junitxml=j.xml")

    assert {node.partition("::")[2]: one for node, one in outcomes.items()} == _OUTCOMES
    room = MAX_TEXT + 20_000  # for the rest of the report
    sizes = [json.loads(line) for line in (project.path / "sizes.jsonl").read_text().splitlines()]
    assert len(sizes) == len(_OUTCOMES)
    assert max(map(max, sizes)) < room
    (journal,) = project.path.glob(".orchestrator/runs/2*/journal.jsonl")
    tests = json.loads((project.path / "j.json").read_text())["tests"]
    # A reason is in each file twice: in the block and in the report of pytest.
    longest = {"journal": max(map(len, journal.read_bytes().splitlines()))}
    longest["j.json"] = max(map(size_of, tests))
    assert {name: size for name, size in longest.items() if size > 2 * room} == {}
    cases = ElementTree.parse(project.path / "j.xml").getroot().iter("testcase")
    assert max(len(ElementTree.tostring(one)) for one in cases) < 3 * room


def test_a_message_of_many_lines_is_explained_like_any_other(project: Project) -> None:
    project.write("long.py", _LONG)
    project.recipe("x", {"one": "type: python, module: long, function: lines"})

    lines = project.run().outlines

    assert "E       ValueError: line" in lines
    assert any(line.endswith("lines are left out here …") for line in lines)
    assert "long.py:10: ValueError" in lines


def test_the_rest_of_a_secret_that_was_cut_is_masked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_TOKEN", "token-of-the-bench-4711")
    project.write(
        "long.py",
        """
        import os

        def leaks(ctx, params):
            raise ValueError(os.environ["BENCH_TOKEN"] * 200_000)
        """,
    )
    project.recipe("x", {"one": "type: python, module: long, function: leaks"})

    result = project.run("--json-report", "--json-report-file=j.json", "-vv")

    for text in (str(result.stdout), (project.path / "j.json").read_text()):
        assert "left out here" in text
        assert ("token-of" in text, "bench-4711" in text) == (False, False)
