"""The keys that an output of a step may have where it is searched in what was printed."""

from typing import Annotated, Literal

from msgspec import Struct, field

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe import rules
from pytest_orchestrator.recipe.kinds import Json, key
from pytest_orchestrator.recipe.names import AFTER


class Search(Struct, frozen=True, kw_only=True):
    """A value that is searched in what a step printed.

    Attributes:
        at: Where the value of each key that was given stands; below ``""`` the output.
    """

    from_: Annotated[Literal["stdout", "stderr"], key("What is searched.", "stdout")] = field(
        name="from"
    )
    regex: Annotated[
        str,
        key(
            "A regular expression: its first group is the value, or all of it without one.",
            r"serial (\w+)",
            rule=rules.pattern,
            names=AFTER,
        ),
    ]
    default: Annotated[
        Json,
        key("The value where nothing is found; without it the step fails.", "none", names=AFTER),
    ] = None

    at: dict[str, Place] = field(default_factory=dict)


class Output(Struct, frozen=True, kw_only=True):
    """A key of the Context that a step writes once its body did as wanted.

    Attributes:
        key: The key.
        value: The value, or how it is found.
        place: Where that stands.
    """

    key: str
    value: Json | Search
    place: Place
