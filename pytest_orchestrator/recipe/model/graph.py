"""Dependency graph of steps: execution order, transitive needs, circles."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

_CIRCLES = 20


def ordered(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The order in which steps run: that of the list, but for what must come before.

    Args:
        needs: For each step, in the order of the list, the names of those that it needs.
            All names are known, and there are no circles.

    Returns:
        The names; at each point the first of the list whose needs are met.
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
    """Tell whether every step stands below all that it needs, as in most recipes."""
    above: set[str] = set()
    for name, needed in needs.items():
        if not above.issuperset(needed):
            return False
        above.add(name)
    return True


def circles(needs: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Steps that need each other.

    Args:
        needs: For each step the names of those that it needs; all names are known.

    Returns:
        The circles that have no step in common, 20 at most: each as the names from one step
        along its needs back to the same.
    """
    left = {name: tuple(needed) for name, needed in needs.items()}
    found: list[tuple[str, ...]] = []
    while len(found) < _CIRCLES:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            # The error names them the other way round: each is needed by the next.
            circle = _from_first(error.args[1][:0:-1], needs)
            found.append(circle)
            left = {
                name: tuple(each for each in needed if each not in circle)
                for name, needed in left.items()
                if name not in circle
            }
        else:
            break
    return found


def _from_first(circle: Sequence[str], names: Iterable[str]) -> tuple[str, ...]:
    first = next(name for name in names if name in circle)
    start = circle.index(first)
    return (*circle[start:], *circle[:start], first)


def needed(recipe: Recipe, name: str) -> tuple[Step, ...]:
    """All steps that a step needs, and those that they need.

    Args:
        recipe: The recipe.
        name: The name of one of its steps.

    Returns:
        The steps in the order in which they run, without the step itself.

    Raises:
        KeyError: The recipe has no step of that name.
    """
    found = upstream(name, {step.name: step.needs for step in recipe.steps + recipe.final})
    return tuple(step for step in recipe.steps + recipe.final if step.name in found)


def upstream(name: str, needs: Mapping[str, Sequence[str]]) -> set[str]:
    """The names of all that a step needs, and of what they need.

    Args:
        name: The name of a step.
        needs: For each step the names of those that it needs.

    Raises:
        KeyError: There is no such step.
    """
    found: set[str] = set()
    left = list(needs[name])
    while left:
        each = left.pop()
        if each not in found:
            found.add(each)
            left += needs[each]
    return found
