"""Value types of recipe keys, their validation rules, and key descriptions.

Each kind is a type with the rule it must keep, and a pattern for the JSON Schema where the
rule has one.

A rule takes a value of the right type and gives the value of the model; it raises
ValueError with the end of the sentence ``'tags[0]' is 'skip', ...``.
"""

import re
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from pytest_orchestrator.core.errors import ContextKeyError
from pytest_orchestrator.core.keys import checked_key
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import compile_pattern

if TYPE_CHECKING:
    from pytest_orchestrator.core import json_values

    Json = json_values.Json
else:
    # msgspec cannot look into a type that contains itself; the loader reads JSON anyway.
    Json = Any

MARKS = frozenset(
    {"parametrize", "skip", "skipif", "xfail", "usefixtures", "filterwarnings", "recipe"}
)
"""Markers that have a meaning of their own."""

GIVEN = frozenset({"ctx", "params"})
"""Fixtures that no step asks for."""

YEAR = 366 * 86_400
DAY = 86_400
MOST = 1000
"""Tries of a step, and the factor of its waits."""

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def shaped(pattern: str, should: str) -> Callable[[str], str]:
    """A rule for texts that match a pattern from end to end.

    Args:
        pattern: A regular expression.
        should: What such a text is, in words.
    """
    shape = re.compile(pattern)

    def rule(text: str) -> str:
        if not shape.fullmatch(text):
            raise ValueError(f"should be {should}")
        return text

    return rule


_IDENTIFIER = r"[^\W\d]\w*"

identifier = shaped(_IDENTIFIER, "a name of Python")
"""A rule for names of classes and functions."""

dotted = shaped(rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})*", "a dotted name, as `import` takes it")
"""A rule for names of modules."""

HOST = r"[A-Za-z0-9_\[][A-Za-z0-9_.@:%\[\]-]*"

host = shaped(HOST, "the name of a host, as ssh takes it")
"""A rule for names of machines; none of them is an option of a program."""

label = shaped(HOST, "the name of a worker or a machine, or a resource of a worker")
"""A rule for what says where a step runs."""

_tag = shaped(r"[A-Za-z][A-Za-z0-9_]*", "letters, digits and _, beginning with a letter")


def tag(text: str) -> str:
    """A marker that is the user's own."""
    if text in MARKS:
        raise ValueError("a mark that has its own meaning")
    return _tag(text)


def fixture(text: str) -> str:
    """A fixture that must be asked for."""
    if text in GIVEN:
        raise ValueError("which every step is given without asking")
    if not text.isidentifier():
        raise ValueError("should be the name of a fixture")
    return text


def filled(text: str) -> str:
    """A text that says something."""
    if not text.strip():
        raise ValueError("should not be empty")
    return text


def word(text: str) -> str:
    """A text that the operating system takes: no NUL in it."""
    if "\0" in text:
        raise ValueError("which has a NUL in it, and no command can be given one")
    return text


def filled_word(text: str) -> str:
    """Both: a path, the name of a program."""
    return word(filled(text))


def command(cmd: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """A command line, or a program and its arguments."""
    if isinstance(cmd, str):
        return filled_word(cmd)
    if not cmd:
        raise ValueError("should begin with a program")
    if not cmd[0].strip():
        raise ValueError("should begin with a program, not with an empty text")
    return cmd


SHELLS = ("sh", "bash", "python")
"""Shells that have a name; any other one is a list of words."""


def shell(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """What runs a command line: the name of a shell, or a program and its arguments."""
    if not isinstance(value, str):
        return command(value)
    if value in SHELLS:
        return value
    words = f", or a list of words: [{', '.join(value.split())}]" if value.strip() else ""
    raise ValueError(f"should be sh, bash or python{words}{nearest(value, SHELLS)}")


def shell_setting(text: str) -> str | tuple[str, ...]:
    """The same as the text of a setting, where a list stands in brackets as in a recipe."""
    if text.startswith("[") and text.endswith("]"):
        return shell(tuple(each.strip().strip("\"'") for each in text[1:-1].split(",")))
    return shell(text)


def environment(value: Json) -> Json:
    """A value that can stand in an environment variable, as text or as JSON."""
    if _has_nul(value):
        raise ValueError("which has a NUL in it, and no environment variable can hold one")
    return value


def _has_nul(value: Json) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(_has_nul(part) for part in value)


def seconds(value: float | str) -> float:
    """A time that is longer than none and shorter than for ever, in seconds."""
    number = _in_seconds(value) if isinstance(value, str) else float(value)
    if number <= 0:
        raise ValueError("should be more than 0 seconds")
    if number > YEAR:
        raise ValueError("should be at most a year")
    return number


def pause(value: float | str) -> float:
    """A wait, which may be none, in seconds."""
    number = _in_seconds(value) if isinstance(value, str) else float(value)
    if not 0 <= number <= DAY:
        raise ValueError("should be 0 seconds to a day")
    return number


def tries(number: int) -> int:
    """A number of tries, or of pieces of something."""
    if not 1 <= number <= MOST:
        raise ValueError(f"should be 1 to {MOST}")
    return number


def factor(number: float) -> float:
    """What lets a wait grow."""
    if not 1 <= number <= MOST:
        raise ValueError(f"should be 1 to {MOST}")
    return float(number)


def _in_seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError("should be seconds, or a text such as 500ms, 30s, 2m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def percent(number: float) -> float:
    """A share that makes a range."""
    if number < 0:
        raise ValueError("should be 0 or more")
    return float(number)


def exit_code(code: int) -> int:
    """What a process can end with."""
    if not 0 <= code <= 255:
        raise ValueError("should be 0 to 255")
    return code


def exit_codes(codes: int | str | tuple[int, ...]) -> Json:
    """One exit code, several, or ``nonzero``."""
    if codes == ():
        raise ValueError("should have an exit code in it")
    if isinstance(codes, int):
        return exit_code(codes)
    return list(codes) if isinstance(codes, tuple) else codes


def skip_codes(codes: int | tuple[int, ...]) -> tuple[int, ...]:
    """One exit code, or several."""
    exit_codes(codes)
    return (codes,) if isinstance(codes, int) else codes


def some(what: str) -> Callable[[Any], Any]:
    """Return a rule for lists that are not empty: a criterion over nothing would always hold.

    Args:
        what: The kind of item, in words.
    """

    def rule(items: Any) -> Any:
        if not items:
            raise ValueError(f"should have {what} in it")
        return items

    return rule


some_keys = some("a key")
"""A rule for lists of keys of the Context."""

some_paths = some("a path")
"""A rule for lists of paths and globs."""

some_expressions = some("an expression")
"""A rule for lists of expressions."""


def texts(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """One text that says something, or several."""
    return filled(value) if isinstance(value, str) else some("a text")(value)


def pattern(text: str) -> str:
    """A regular expression."""
    filled(text)
    try:
        compile_pattern(text)
    except ValueError as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


def patterns(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """One regular expression, or several."""
    return pattern(value) if isinstance(value, str) else some("a regular expression")(value)


def positive(number: float) -> float:
    """A limit that something can keep."""
    if number <= 0:
        raise ValueError("should be more than 0")
    return number


def not_negative(number: int) -> int:
    """A place in an order."""
    if number < 0:
        raise ValueError("should be 0 or more")
    return number


def port(number: int) -> int:
    """A port that a program may listen on."""
    if not 1 <= number <= 65535:
        raise ValueError("should be 1 to 65535")
    return number


def signal_name(text: str) -> str:
    """A signal by its name, such as ``TERM``."""
    name = text.upper().removeprefix("SIG")
    known = [one.name.removeprefix("SIG") for one in signal.Signals]
    if name not in known:
        raise ValueError(f"should be the name of a signal{nearest(name, known)}")
    return name


def format_number(number: int) -> int:
    """A format of recipes that is known here."""
    if number != 1:
        raise ValueError("should be 1, the one format that this version knows")
    return number


def secret(text: str) -> str:
    """Where a value that is to be masked comes from."""
    kind, _, name = text.partition(".")
    if kind == "ctx" and name:
        if re.search(r"\s", name):  # no program writes such a key: it would mask nothing
            raise ValueError("should be a key of the Context such as ctx.dut.serial_v1")
        context_path(name)
    elif kind not in ("env", "vars") or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("should be env.NAME, vars.NAME or ctx.KEY")
    return text


def context_path(text: str) -> str:
    """A key that the Context can have, or a path to what is below one."""
    try:
        return checked_key(text)
    except ContextKeyError:
        raise ValueError("should be a key of the Context such as dut.serial_v1") from None


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
        shaped(_STEP_NAME, "letters, digits, _ and -, beginning with a letter or _"),
        _STEP_NAME,
    ),
]
Tag = Annotated[str, _kind(tag, r"[A-Za-z][A-Za-z0-9_]*")]
Fixture = Annotated[str, _kind(fixture)]
Secret = Annotated[str, _kind(secret)]
ContextPath = Annotated[str, _kind(context_path)]
FilePath = Annotated[str, _kind(filled_word)]
Word = Annotated[str, _kind(word)]
EnvName = Annotated[
    str,
    _kind(
        shaped(_ENV_NAME, "the name of an environment variable: letters, digits and _"),
        _ENV_NAME,
    ),
]
EnvValue = Annotated[Json, _kind(environment)]
Dotted = Annotated[str, _kind(dotted)]
Identifier = Annotated[str, _kind(identifier)]
Text = Annotated[str, _kind(filled)]
Sha256 = Annotated[
    str, _kind(shaped(r"[0-9A-Fa-f]{64}", "64 digits of hexadecimal"), r"[0-9A-Fa-f]{64}")
]
Pattern = Annotated[str, _kind(pattern)]
Count = Annotated[int, _kind(tries)]
ExitCode = Annotated[int, _kind(exit_code)]
