"""What a step of a used file knows that no step of its user knows: the file, and its vars."""

from pathlib import Path
from typing import Any

from msgspec import Struct

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions import Expression, Template
from pytest_orchestrator.recipe.kinds import Json


class Source(Struct, frozen=True):
    """A file that steps stand in.

    Attributes:
        id: Its path relative to the rootdir, as messages show it.
        path: The file.
        text: Its text, without a byte order mark.
    """

    id: str
    path: Path
    text: str


class Part(Struct, frozen=True, kw_only=True):
    """One use of a file.

    Attributes:
        name: Of the step that uses it; in front of the names of its own, with a dot.
        source: The file.
        title: The ``name`` of the used recipe.
        vars: Those of the file.
        templates: The expressions in its values.
        locks: The expressions among its ``locks``.
        secrets: What it calls secret.
        given: What the user gives it as ``with``.
        given_templates: The expressions in that.
        condition: The ``if`` of the step that uses it.
        place: Where that step stands in the user's file.
        outer: The use that the user itself is of.
    """

    name: str
    source: Source
    title: str | None
    vars: dict[str, Json]
    templates: tuple[Template, ...]
    locks: tuple[Template, ...]
    secrets: tuple[str, ...]
    given: dict[str, Json]
    given_templates: tuple[Template, ...]
    condition: Expression | None
    place: Place
    outer: Any = None  # another Part, or None; msgspec does not look into itself
