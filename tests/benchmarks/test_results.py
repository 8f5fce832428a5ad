"""Recorded results: the figures in documents are those of the benchmark runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import results
from benchmarks.growth.tables import Table
from benchmarks.instructions import BUDGET

if TYPE_CHECKING:
    import pytest

_ROOT = Path(__file__).parents[2]
_TABLE = Table("A title", ("tool", "CPU ms"), [("bash", 1.25), ("none", None)])
_SHOWN = """\
<!-- results: peers -->

| tool | CPU ms |
| ---: | ---: |
| bash | 1.25 |
| none | - |

(3 rounds.)

<!-- end of results -->
"""


def test_the_tables_of_the_document_are_those_of_the_recorded_results() -> None:
    text = results.DOCUMENT.read_text(encoding="utf-8")
    found = results.recorded()

    assert text == results.with_results(text, found)
    assert {f"<!-- results: {part} -->" for part in found} == set(
        re.findall("<!-- results: .*? -->", text)
    )


def test_the_budget_is_the_recorded_count_of_instructions() -> None:
    rows = {name: value for name, value, _ in results.recorded()["instructions"]["rows"]}
    budget = json.loads(BUDGET.read_text(encoding="utf-8"))

    assert budget == {name: rows[name] for name in budget}


def test_the_guarantees_state_the_cost_of_the_unused_plugin_as_it_was_counted() -> None:
    rows = {name: value for name, value, _ in results.recorded()["instructions"]["rows"]}
    text = (_ROOT / "docs/explanation/guarantees.md").read_text(encoding="utf-8")
    cost = r"less than (\d+) % of a session with one empty test\..*?, less than (\d+) %"
    (limits,) = re.findall(cost, text)

    for limit, end in zip(limits, ("", " as an installed package"), strict=True):
        added = rows[f"the unused plugin adds{end}"]
        percent = 100 * added / rows["an empty test without the plugin"]
        assert percent < int(limit) < percent + 2


def test_recorded_results_are_shown_between_the_comments_of_their_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "README.md"
    document.write_text("# Title\n\n<!-- results: peers -->\nold\n<!-- end of results -->\nrest\n")
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(results, "DOCUMENT", document)

    results.record("peers", _TABLE, "3 rounds")
    first = document.read_text()
    results.record("peers", _TABLE, "3 rounds")

    assert first == document.read_text() == f"# Title\n\n{_SHOWN}rest\n"
