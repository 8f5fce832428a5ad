"""Failures of a run, grouped by their reason."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.text import without_numbers
from pytest_orchestrator.reports.html.page import RecipeView
from pytest_orchestrator.reports.text import cut
from pytest_orchestrator.runs.verdicts import NOT_GOOD

_MOST_LINKS: Final = 200
_MOST_CAUSES: Final = 100


class Cause(msgspec.Struct, frozen=True):
    """Failures with the same reason, apart from numbers in it.

    Attributes:
        reason: The reason of the first one.
        is_alike: True if the reasons of the others differ from it in numbers.
        kind: Kind of the failure; empty if the reason says the same.
        number: Number of the failures.
        links: Anchors of the failed steps, with their names, recipes and reasons.
        blocked: Number of steps that these failures block.
    """

    reason: str
    is_alike: bool
    kind: str
    number: int
    links: list[tuple[str, str, str, str]]
    blocked: int


def causes(recipes: Sequence[RecipeView], tests: Iterable[Any]) -> list[Cause]:
    """Return the failures of steps and of other tests, grouped by reason, the largest group first.

    Args:
        recipes: The recipes.
        tests: Reports of the tests that are no steps.
    """
    groups: dict[tuple[str, str], list[tuple[str, str, str, str]]] = {}
    blocked: Counter[tuple[str, str]] = Counter()
    for one in recipes:
        by_node: dict[str, tuple[str, str]] = {}
        for step in one.steps:
            if step.state in NOT_GOOD and step.state != "interrupted":
                key = (step.badge, without_numbers(step.reason))
                by_node[step.name] = key
                of = one.title if len(recipes) > 1 else ""
                link = (step.anchor, step.name, of, step.reason)
                groups.setdefault(key, []).append(link)
        for step in one.steps if by_node else ():
            if step.state == "blocked":
                by = str(step.about.get("blocked_by") or "").rpartition("::")[2]
                if by in by_node:
                    by_node[step.name] = by_node[by]
                    blocked[by_node[by]] += 1
    for test in tests:
        if test.outcome in ("failed", "error"):
            reason = cut(test.reason, 300)
            link = ("tests", cut(test.node, 200), "", reason)
            groups.setdefault(("", without_numbers(reason)), []).append(link)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [
        Cause(
            links[0][3] or "no reason is known",
            len({link[3] for link in links}) > 1,
            key[0],
            len(links),
            links[:_MOST_LINKS],
            blocked[key],
        )
        for key, links in ordered[:_MOST_CAUSES]
    ]
