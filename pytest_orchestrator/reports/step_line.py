"""What a recipe says of a step, in a line of a page."""

from collections.abc import Mapping
from typing import Any, Final

from pytest_orchestrator.reports.safe_text import cut

_LISTS: Final = ("needs", "after", "tags")
_FLAGS: Final = {"final": "in finally", "background": "a service"}


def line(about: Mapping[str, Any], recipe: str) -> str:
    """Return what a step is, where it stands, what it waits for, and its tags.

    Args:
        about: What the recipe says of it, as the block of the step tells it.
        recipe: The key of the recipe.
    """
    place = f" at {cut(recipe, 200)}:{about['line']}" if "line" in about else ""
    lists = (f", {name} {cut(', '.join(about[name]), 300)}" for name in _LISTS if about.get(name))
    flags = (f", {word}" for name, word in _FLAGS.items() if about.get(name))
    return "".join((about.get("type") or "step", place, *lists, *flags))
