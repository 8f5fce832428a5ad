"""Values of vars that come from outside their recipes."""

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
else:
    # msgspec cannot look into a type that contains itself.
    Json = Any


class Given(msgspec.Struct, frozen=True):
    """The value of a var that comes from outside its recipe.

    Attributes:
        value: The value.
        origin: Where it comes from, such as ``--recipe-var`` or the path of a file.
    """

    value: Json
    origin: str
