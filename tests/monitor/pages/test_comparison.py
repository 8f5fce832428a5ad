"""Comparison of two runs: differences first, and everything side by side."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.conftest import OLDER, RUN
from tests.runs.built import Built

A, B = "20261127T000000Z-000a", "20261127T000000Z-000b"


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<main")[2]).split())


@pytest.fixture
def two(bench: Path) -> None:
    """Write two runs of one recipe: in the second, one step fails and one is slower."""
    for name, start, outcome, seconds, ripple in (
        (A, 1_795_100_000_000_000, "passed", 1.0, 12.0),
        (B, 1_795_200_000_000_000, "failed", 1.5, 48.0),
    ):
        built = Built(bench, name, start=start, test_meta={"dut": name[-4:]})
        built.begin("flash", "measure", "release", digests={"x.py": name[-1] * 64})
        built.step("flash", seconds=seconds)
        built.change("flash", "dut.rev", ripple)
        built.step("measure", measured={"ripple": ripple}, limits={"high": 50, "margin": 2})
        built.step("release", outcome, reason=f"reason of {name[-1]}", kind="exit_code")
        built.seal(int(outcome == "failed"))


@pytest.mark.usefixtures("two")
def test_two_runs_stand_side_by_side_with_differences_first(client: Any) -> None:
    page = client.get(f"/compare?run={B}&run={A}").text
    shown = text_of(page)

    assert shown.index(A) < shown.index(B)  # the earlier one is A
    assert "B is worse than A." in shown
    assert page.index(">release <") < page.index(">flash <")
    assert "✔ passed 1.0 s reason of a ✘ failed 1.0 s reason of b" in shown
    assert "✔ passed 1.0 s ✔ passed 1.5 s +50 %" in shown
    assert "12 mV limits ≤ 50 mV" in shown
    assert "48 mV limits ≤ 50 mV +36 mV" in shown
    assert "Changed files 1" in shown
    assert "dut.rev 12.0 48.0" in shown


@pytest.mark.usefixtures("two")
def test_one_table_can_be_shown_alone(client: Any) -> None:
    shown = text_of(client.get(f"/compare?run={B}&run={A}&show=steps").text)

    assert "Steps 3" in shown
    assert "Measurements" not in shown
    assert "Show all tables" in shown


def test_equal_runs_have_no_significant_differences_and_all_tables(
    bench: Path, client: Any
) -> None:
    for name in (A, B):
        Built(bench, name).begin("flash").step("flash", measured={"ripple": 1.0}).seal()
    shown = text_of(client.get(f"/compare?run={A}&run={B}").text)

    assert "No significant differences." in shown
    assert "Recipes 1" in shown
    assert "flash recipes/psu.yaml ✔ passed 1.0 s ✔ passed 1.0 s" in shown
    assert "ripple recipes/psu.yaml::flash" in shown


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "No run is selected."),
        (f"?run={RUN}", "1 run is selected; a comparison needs exactly two."),
        (f"?run={RUN}&run={RUN}", "1 run is selected; a comparison needs exactly two."),
        (f"?run={RUN}&run={OLDER}&run={A}", "3 runs are selected;"),
    ],
)
def test_other_than_two_runs_get_a_page_that_says_what_to_do(
    query: str, said: str, client: Any
) -> None:
    reply = client.get(f"/compare{query}")

    assert reply.status_code == 200
    assert said in text_of(reply.text)


@pytest.mark.parametrize("name", ["..", f"../runs/{OLDER}", "latest", "x%00"])
def test_a_name_that_is_no_run_is_refused(name: str, client: Any) -> None:
    assert client.get(f"/compare?run={RUN}&run={name}").status_code == 404
