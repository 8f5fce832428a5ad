"""The options that a command needs to repeat a step: values that came from outside its recipe."""

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pytest_orchestrator.core.json_values import Json

OPTION: Final = "--recipe-var"
_OWN: Final = "recipe"


def command(node: str, options: Iterable[str] = ()) -> str:
    """Return a command that runs a step again, as it is pasted into a shell."""
    return shlex.join(["pytest", *options, node])


def options(told: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the options that give vars the values that they had.

    Args:
        told: Vars by name, each with ``value`` and ``origin``, as the block of a step has them.
    """
    origins = [str(one["origin"]) for one in told.values()]
    files = [one for one in dict.fromkeys(origins) if one not in (OPTION, _OWN)]
    return [f"--recipe-vars-file={one}" for one in files] + [
        f"{OPTION}={name}={_written(one['value'])}"
        for name, one in told.items()
        if one["origin"] == OPTION
    ]


def _written(value: Json) -> str:
    """Return a value as the option reads it: what is no JSON is text as it is."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value, ensure_ascii=False)
