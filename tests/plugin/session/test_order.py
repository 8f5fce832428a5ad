"""Recipes run as a whole and in order, whatever plugin reorders the items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tiers import kept_first

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_RECIPES = {"a": ["a1", "a2", "a3"], "b": ["b1", "b2"], "c": ["c1", "c2", "c3", "c4"]}
_HERE = "isolation: inline"  # the isolation does not change the order, and lanes are slow
_TESTS = """
import pytest


@pytest.mark.parametrize("number", range(8))
def test_it(number):
    with open("ran.txt", "a") as file:
        file.write(f"test{number}\\n")
"""


@pytest.fixture
def mixed(project: Project) -> Project:
    """A project with three recipes and some tests between them."""
    for name, steps in _RECIPES.items():
        project.recipe(name, dict.fromkeys(steps, _HERE), {f"{name}_off": _HERE})
    project.write("recipes/test_x.py", _TESTS)
    return project


def _is_whole(ran: list[str]) -> bool:
    """Return True if the steps of each recipe ran in order with nothing between them."""
    return all(
        ran[ran.index(steps[0]) :][: len(steps) + 1] == [*steps, f"{name}_off"]
        for name, steps in _RECIPES.items()
    )


def test_recipes_run_as_they_are_written(mixed: Project) -> None:
    mixed.run("-k", "not test_it")

    assert mixed.ran == [*_RECIPES["a"], "a_off", *_RECIPES["b"], "b_off", *_RECIPES["c"], "c_off"]


@pytest.mark.parametrize("seed", kept_first(range(4, 12), *range(4)))
def test_shuffled_items_leave_recipes_whole(mixed: Project, seed: int) -> None:
    result = mixed.shuffled(seed)

    assert result.parseoutcomes() == {"passed": 20}
    assert _is_whole(mixed.ran)


def test_shuffling_moves_whole_recipes(mixed: Project) -> None:
    orders = set()
    for seed in range(4):
        mixed.forget()
        mixed.shuffled(seed, "-k", "not test_it")
        orders.add(tuple(mixed.ran))

    assert len(orders) > 1


def test_failed_first_leaves_recipes_whole(mixed: Project) -> None:
    mixed.recipe("c", {"c1": "", "c2": "", "c3": "function: refuse", "c4": "needs: [c2]"})
    mixed.run()
    mixed.recipe("c", dict.fromkeys(_RECIPES["c"], ""), {"c_off": ""})
    mixed.forget()

    mixed.run("--ff")

    assert mixed.ran[:5] == [*_RECIPES["c"], "c_off"]
    assert _is_whole(mixed.ran)


def test_a_hook_that_reverses_everything_leaves_recipes_whole(mixed: Project) -> None:
    mixed.write(
        "conftest.py",
        """
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(items):
            items.reverse()
        """,
    )

    mixed.run()

    assert _is_whole(mixed.ran)
    assert mixed.ran.index("c1") < mixed.ran.index("b1") < mixed.ran.index("a1")


def test_idx_and_needs_determine_the_order_of_steps(project: Project) -> None:
    project.recipe("x", {"three": "idx: 30", "one": "idx: 10", "two": "idx: 20"})
    project.recipe("y", {"late": "needs: [early]", "early": "needs: []", "last": ""})

    project.run()

    assert project.ran == ["one", "two", "three", "early", "late", "last"]


def test_node_ids_in_another_order_run_in_the_order_of_the_recipe(mixed: Project) -> None:
    mixed.run("recipes/a.yaml::a3", "recipes/b.yaml::b1", "recipes/a.yaml::a1")

    assert mixed.ran == ["a1", "a2", "a3", "a_off", "b1", "b_off"]


def test_a_step_named_twice_runs_once(mixed: Project) -> None:
    result = mixed.run("recipes/b.yaml::b1", "recipes/b.yaml")

    assert result.parseoutcomes() == {"passed": 3}
    assert mixed.ran == ["b1", "b2", "b_off"]
