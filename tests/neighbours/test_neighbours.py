"""The tables of neighbours are those of the last matrix; what is at hand is tried again."""

import os

import pytest

from tests.neighbours import table
from tests.neighbours.cases import NEIGHBOURS, Case
from tests.neighbours.trying import tried

# What the extra `dev` brings anyway. Many tests meet each; here one run meets all.
TOGETHER = Case(
    "pytest-xdist", "running", "all at once", ("--randomly-seed=7", "--reruns", "1", "-n", "2")
)


def test_the_tables_of_the_readme_are_of_the_last_matrix() -> None:
    readme = (table.ROOT / "README.md").read_text(encoding="utf-8")

    assert table.placed(readme, table.results()) == readme, "run scripts/neighbours"
    assert table.text(table.results()) in readme


def test_what_does_not_work_has_its_reason() -> None:
    told = table.results()
    unlike = [one for one in told if one["wrong"]]

    for one in unlike:
        assert any(
            case.hint and (case.name, case.group) == (one["name"], one["group"])
            for case in NEIGHBOURS
        ), one
    assert "| |\n" not in "".join(
        line for line in table.text(told).splitlines(keepends=True) if "does not work" in line
    )


def test_a_case_that_was_not_run_is_said_so() -> None:
    told = table.text([])

    assert told.count("not run") == len(NEIGHBOURS) + 12
    assert "works" not in told


def test_a_result_that_is_not_as_expected_does_not_pass() -> None:
    told = [dict(one, wrong=["wanted more"]) for one in table.results()]

    assert "| works" not in table.text(told)


def test_the_neighbours_of_the_gate_work_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    env = {name: value for name, value in os.environ.items() if "XDIST" not in name}

    result = tried(TOGETHER, env)

    # The try that did not count has no outcome in a JUnit file.
    assert result["outcomes"] == TOGETHER.expected | {"passed": TOGETHER.expected["passed"] + 1}
