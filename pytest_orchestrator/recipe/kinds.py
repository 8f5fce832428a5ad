"""The kinds of values that keys of a recipe have, and what is said about a key.

Each kind is a type with the rule it must keep, and a pattern for the JSON Schema where the
rule has one.
"""

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from pytest_orchestrator.recipe import rules

if TYPE_CHECKING:
    from pytest_orchestrator.core import json_values

    Json = json_values.Json
else:
    # msgspec cannot look into a type that contains itself; the loader reads JSON anyway.
    Json = Any

_ENV_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_STEP_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"


def _kind(rule: object, pattern: str | None = None) -> Meta:
    return Meta(extra={"rule": rule}, pattern=f"^{pattern}$" if pattern else None)


def key(description: str, example: object, **extra: object) -> Meta:
    """What is said about a key.

    ``written`` is the type of what may be written, where that is not the type of the
    field; ``rule`` makes the field's value of it; ``own`` marks what the loader reads itself;
    ``names`` are those that expressions in its value may use, where they may stand there.
    """
    return Meta(description=description, examples=[example], extra=extra)


StepName = Annotated[
    str,
    _kind(
        rules.shaped(_STEP_NAME, "letters, digits, _ and -, beginning with a letter or _"),
        _STEP_NAME,
    ),
]
Tag = Annotated[str, _kind(rules.tag, r"[A-Za-z][A-Za-z0-9_]*")]
Fixture = Annotated[str, _kind(rules.fixture)]
Secret = Annotated[str, _kind(rules.secret)]
ContextPath = Annotated[str, _kind(rules.context_path)]
FilePath = Annotated[str, _kind(rules.filled_word)]
Word = Annotated[str, _kind(rules.word)]
EnvName = Annotated[
    str,
    _kind(
        rules.shaped(_ENV_NAME, "the name of an environment variable: letters, digits and _"),
        _ENV_NAME,
    ),
]
EnvValue = Annotated[Json, _kind(rules.environment)]
Dotted = Annotated[str, _kind(rules.dotted)]
Identifier = Annotated[str, _kind(rules.identifier)]
Text = Annotated[str, _kind(rules.filled)]
Sha256 = Annotated[
    str, _kind(rules.shaped(r"[0-9A-Fa-f]{64}", "64 digits of hexadecimal"), r"[0-9A-Fa-f]{64}")
]
Pattern = Annotated[str, _kind(rules.pattern)]
Count = Annotated[int, _kind(rules.tries)]
ExitCode = Annotated[int, _kind(rules.exit_code)]
