"""What a recipe says of a step, in a line of a page."""

from collections.abc import Mapping
from typing import Any, Final

from pytest_orchestrator.reports.safe_text import cut

_LISTS: Final = ("needs", "after", "tags")
_FLAGS: Final = {"final": "in finally", "background": "a service"}


def worker(where: Mapping[str, str]) -> str:
    """Return the worker that ran a step and its machine; empty where it ran beside pytest.

    Args:
        where: What the block of the step tells of it.
    """
    return cut(f"worker {where['worker']} of {where['host']}", 200) if where else ""


def line(about: Mapping[str, Any], recipe: str, where: str = "") -> str:
    """Return what a step is, where it stands, what it waits for, its tags, and where it ran.

    Args:
        about: What the recipe says of it, as the block of the step tells it.
        recipe: The key of the recipe.
        where: The worker that ran it; empty where it ran beside pytest.
    """
    place = f" at {cut(recipe, 200)}:{about['line']}" if "line" in about else ""
    lists = (f", {name} {cut(', '.join(about[name]), 300)}" for name in _LISTS if about.get(name))
    flags = (f", {word}" for name, word in _FLAGS.items() if about.get(name))
    ran = f", ran on {where}" if where else ""
    return "".join((about.get("type") or "step", place, *lists, *flags, ran))
