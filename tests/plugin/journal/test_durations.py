"""Durations of earlier runs decide the order of parallel work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_orchestrator.plugin.journal.baseline import longest_first

if TYPE_CHECKING:
    from tests.plugin.conftest import Project


def test_the_longest_unit_is_first_and_an_unknown_item_counts_as_the_median() -> None:
    known = {"a::1": 1.0, "a::2": 1.0, "b::1": 5.0}
    units = {"a": ["a::1", "a::2"], "new": ["new::1", "new::2", "new::3"], "b": ["b::1"]}

    assert longest_first(known, units) == ["b", "new", "a"]
    assert longest_first({}, units) == ["new", "a", "b"]


def test_workers_start_with_the_recipe_that_took_longest_before(project: Project) -> None:
    project.recipe("a", {"one": "", "two": "", "three": ""})
    project.recipe("b", {"four": ""})
    seconds = project.path / ".pytest_cache/v/orchestrator/seconds"
    seconds.parent.mkdir(parents=True)
    short = {f"recipes/a.yaml::{name}": 0.1 for name in ("one", "two", "three")}
    seconds.write_text(json.dumps(short | {"recipes/b.yaml::four": 9.0}))

    project.spawn("-n", "1").assert_outcomes(passed=4)

    assert project.ran == ["four", "one", "two", "three"]
    known = json.loads(seconds.read_text())
    assert known.keys() == {*short, "recipes/b.yaml::four"}
    assert known["recipes/b.yaml::four"] < 9.0
    project.forget()

    project.spawn("-n", "1", "--no-loadscope-reorder").assert_outcomes(passed=4)

    assert project.ran == ["one", "two", "three", "four"]
