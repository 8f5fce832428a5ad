"""Dependency graph of steps: execution order, transitive needs, cycles."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

_CIRCLES = 20


def ordered(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the execution order: the order of the list, except that needs come first.

    Args:
        needs: For each step, in the order of the list, the names of the steps that it needs.
            All names exist, and there is no cycle.

    Returns:
        The names; at each position the first step of the list whose needs come before it.
    """
    if is_forward(needs):
        return tuple(needs)
    names = tuple(needs)
    positions = {name: position for position, name in enumerate(names)}
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    ready: list[int] = []
    order: list[str] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, positions[name])
        order.append(names[heapq.heappop(ready)])
        sorter.done(order[-1])
    return tuple(order)


def is_forward(needs: Mapping[str, Iterable[str]]) -> bool:
    """Return True if every step stands below all steps that it needs, as in most recipes."""
    above: set[str] = set()
    for name, needed in needs.items():
        if not above.issuperset(needed):
            return False
        above.add(name)
    return True


def circles(needs: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Return cycles of steps that need each other.

    Args:
        needs: For each step the names of the steps that it needs; all names exist.

    Returns:
        At most 20 cycles without a common step. Each is a tuple of names: from one step along
        its needs back to the same step.
    """
    left = {name: tuple(needed) for name, needed in needs.items()}
    cycles: list[tuple[str, ...]] = []
    while len(cycles) < _CIRCLES:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            # The error lists the cycle in reverse: each step is needed by the next one.
            circle = _from_first(error.args[1][:0:-1], needs)
            cycles.append(circle)
            left = {
                name: tuple(each for each in needed if each not in circle)
                for name, needed in left.items()
                if name not in circle
            }
        else:
            break
    return cycles


def _from_first(circle: Sequence[str], names: Iterable[str]) -> tuple[str, ...]:
    first = next(name for name in names if name in circle)
    start = circle.index(first)
    return (*circle[start:], *circle[:start], first)


def needed(recipe: Recipe, name: str) -> tuple[Step, ...]:
    """Return all steps that a step needs, directly or indirectly.

    Args:
        recipe: The recipe.
        name: The name of one of its steps.

    Returns:
        The steps in execution order, without the step itself.

    Raises:
        KeyError: The recipe has no step of that name.
    """
    names = upstream(name, {step.name: step.needs for step in recipe.steps + recipe.final})
    return tuple(step for step in recipe.steps + recipe.final if step.name in names)


def upstream(name: str, needs: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the names of all steps that a step needs, directly or indirectly.

    Args:
        name: The name of a step.
        needs: For each step the names of the steps that it needs.

    Raises:
        KeyError: No step has that name.
    """
    reached: set[str] = set()
    left = list(needs[name])
    while left:
        each = left.pop()
        if each not in reached:
            reached.add(each)
            left += needs[each]
    return reached
