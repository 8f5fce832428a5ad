"""Data that a step type of a plugin receives besides the keys of its step."""

from msgspec import Struct


class PluginData(Struct, frozen=True, kw_only=True):
    """Data that the class of a plugin's step type receives besides the keys of the step.

    Attributes:
        type: The type of the step, as recipes name it.
        file: The file that contains the class.
        timeout: Timeout of the step in seconds; None if it has none.
        logs: The folder for logs; None if no logs are kept.
        attempt: Number of the attempt, from 1.
        recipe: The path of the recipe.
        plugin: The name of the plugin; empty if unknown.
        imports: Names of modules that the class imports in its step code.
        has_cleanup: True if the class has a hook `cleanup`.
        is_cleanup: True to call that hook instead of the step code.
        asks: True if steps of the type ask a person.
        recorded: The exchanges of the step in the run that is replayed, as JSON; None if none is.
    """

    type: str
    file: str
    timeout: float | None = None
    logs: str | None = None
    attempt: int = 1
    recipe: str = ""
    plugin: str = ""
    imports: tuple[str, ...] = ()
    has_cleanup: bool = False
    is_cleanup: bool = False
    asks: bool = False
    recorded: str | None = None
