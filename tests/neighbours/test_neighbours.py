"""The tables about other plugins show the last results; installed plugins are tried again."""

import os

import pytest

from tests.neighbours import table
from tests.neighbours.cases import NEIGHBOURS, PYTESTS, PYTHONS, Case
from tests.neighbours.trying import tried

# Plugins that the extra `dev` installs. Many tests use one of them; this run uses all.
TOGETHER = Case(
    "pytest-xdist", "running", "all at once", ("--randomly-seed=7", "--reruns", "1", "-n", "2")
)


def test_the_tables_of_compatible_plugins_are_of_the_last_matrix() -> None:
    page = table.PAGE.read_text(encoding="utf-8")

    assert table.placed(page, table.results()) == page, "run scripts/neighbours"
    assert table.text(table.results()) in page


def test_a_plugin_that_does_not_work_has_its_reason() -> None:
    results = table.results()
    unlike = [one for one in results if one["wrong"]]

    for one in unlike:
        assert any(
            case.hint and (case.name, case.group) == (one["name"], one["group"])
            for case in NEIGHBOURS
        ), one
    assert "| |\n" not in "".join(
        line for line in table.text(results).splitlines(keepends=True) if "does not work" in line
    )


def test_a_case_that_was_not_run_is_said_so() -> None:
    results = table.text([])

    assert results.count("not run") == len(NEIGHBOURS) + len(PYTESTS) * len(PYTHONS)
    assert "works" not in results


def test_a_result_that_is_not_as_expected_does_not_pass() -> None:
    results = [dict(one, wrong=["wanted more"]) for one in table.results()]

    assert "| works" not in table.text(results)


def test_the_neighbours_of_the_gate_work_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    env = {name: value for name, value in os.environ.items() if "XDIST" not in name}

    result = tried(TOGETHER, env)

    # The try that did not count has no outcome in a JUnit file.
    assert result["outcomes"] == TOGETHER.expected | {"passed": TOGETHER.expected["passed"] + 1}
