"""Requirements of a recipe: what a machine must have so that the recipe can run."""

from __future__ import annotations  # few recipes have these keys: read at their first use

from typing import Annotated, Any

from msgspec import Meta, Struct

from pytest_orchestrator.core.extras import EXTRAS
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.recipe.model.key_types import FilePath, key, some
from pytest_orchestrator.recipe.problems import either


def extra(text: str) -> str:
    """Check the name of an extra of this package."""
    if text not in EXTRAS:
        raise ValueError(f"should be {either(EXTRAS)}{nearest(text, EXTRAS)}")
    return text


some_extras = some("an extra")
"""Rule for lists of extras."""

some_programs = some("a program")
"""Rule for lists of programs."""


class Requires(Struct, frozen=True, kw_only=True):
    """Keys of ``requires``."""

    extras: Annotated[
        tuple[Annotated[str, Meta(extra={"rule": extra})], ...],
        key("Extras of pytest-orchestrator that are installed.", ["http"], rule=some_extras),
    ] = ()
    terminal: Annotated[
        bool,
        key(
            "`true`: a person can answer at the terminal of the session, or answers were given "
            "before the run.",
            True,
        ),
    ] = False
    programs: Annotated[
        tuple[FilePath, ...],
        key(
            "Programs that are on `PATH`; one with a slash is a path relative to the rootdir.",
            ["dfu-util"],
            rule=some_programs,
        ),
    ] = ()

    def joined(self, other: Requires) -> Requires:
        """Return the requirements of both."""
        return Requires(
            extras=_joined(self.extras, other.extras),
            terminal=self.terminal or other.terminal,
            programs=_joined(self.programs, other.programs),
        )


def _joined(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*one, *other)))
