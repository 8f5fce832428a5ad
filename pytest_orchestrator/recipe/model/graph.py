"""Dependency graph of steps: execution order, transitive needs, longest chains, cycles."""

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

_CIRCLES = 20


def ordered(needs: Mapping[str, Collection[str]]) -> tuple[str, ...]:
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


def dependencies(steps: Sequence[Mapping[str, Json]]) -> dict[str, dict[str, bool]]:
    """Return the steps that each step waits for, each with True if only `after` names it.

    Args:
        steps: The steps, each with the fields of ``step`` in the JSON report. If they wait for
            each other in a cycle, as only a foreign journal can say, steps wait for those above.
    """
    names = {str(step["name"]) for step in steps}
    waited_for: dict[str, dict[str, bool]] = {}
    for step in steps:
        mine = waited_for[str(step["name"])] = {}
        for key, is_weak in (("after", True), ("needs", False)):
            for name in names_in(step, key) if step.get(key) else ():
                if name in names:
                    mine[name] = is_weak
    if not is_forward(waited_for) and circles(waited_for):
        above: dict[str, None] = {}
        for name, mine in waited_for.items():
            waited_for[name] = {other: weak for other, weak in mine.items() if other in above}
            above[name] = None
    return waited_for


def names_in(step: Mapping[str, Json], key: str) -> list[str]:
    """Return the names of steps that a key of a step lists, such as ``needs``."""
    names = step.get(key)
    return list(map(str, names)) if isinstance(names, (list, tuple)) else []


def longest_chains(
    needs: Mapping[str, Collection[str]], lengths: Mapping[str, float]
) -> dict[str, tuple[float, str]]:
    """Return, for each step, the longest chain of steps that ends with it.

    Args:
        needs: For each step the names of the steps that must end before it; all names exist, and
            there is no cycle.
        lengths: The length of each step; a step that is left out has none.

    Returns:
        The length of the chain with the step itself, and the step before it in the chain; empty
        text for the first step. Steps come after their needs.
    """
    chains: dict[str, tuple[float, str]] = {}
    for name in ordered(needs):
        before = max(needs[name], key=lambda each: chains[each][0], default="")
        length = chains[before][0] if before else 0
        chains[name] = (length + lengths.get(name, 0), before)
    return chains


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


def needed_steps(recipe: Recipe, name: str) -> tuple[Step, ...]:
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
