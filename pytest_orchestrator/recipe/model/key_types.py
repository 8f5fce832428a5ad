"""Value types of recipe keys, their validation rules, and key descriptions.

Each value type has a rule for its values and, if the rule has one, a pattern for the JSON
Schema.

A rule receives a value of the right type and returns the value of the model. For a wrong value
it raises ValueError with the end of the sentence ``'tags[0]' is 'skip', ...``.
"""

import re
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta

from pytest_orchestrator.core.errors import ContextKeyError
from pytest_orchestrator.core.keys import checked_key
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import compile_pattern, lazy_pattern

if TYPE_CHECKING:
    from pytest_orchestrator.core import json_values

    Json = json_values.Json
else:
    # msgspec cannot resolve a recursive type; the loader checks JSON itself.
    Json = Any

RESERVED_MARKS = frozenset(
    {"parametrize", "skip", "skipif", "xfail", "usefixtures", "filterwarnings", "recipe"}
)
"""Markers that have a meaning in pytest or in this plugin."""

IMPLICIT_FIXTURES = frozenset({"ctx", "params"})
"""Fixtures that every step receives without naming them."""

YEAR = 366 * 86_400
DAY = 86_400
MAX_ELEMENTS = 10_000
"""Most elements of the list of a step with ``foreach``."""
MAX_COUNT = 1000
"""Most attempts of a step, and largest factor of the delay between attempts."""

_DURATION = lazy_pattern(r"([0-9]+(?:\.[0-9]+)?) *(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def matching(pattern: str, should: str) -> Callable[[str], str]:
    """Return a rule for texts that match a pattern from end to end.

    Args:
        pattern: A regular expression.
        should: Description of a valid text, for the message.
    """
    shape = lazy_pattern(pattern)

    def rule(text: str) -> str:
        if not shape.fullmatch(text):
            raise ValueError(f"should be {should}")
        return text

    return rule


_IDENTIFIER = r"[^\W\d]\w*"

identifier = matching(_IDENTIFIER, "a name of Python")
"""Rule for names of classes and functions."""

dotted = matching(rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})*", "a dotted name, as `import` takes it")
"""Rule for names of modules."""

HOST = r"[A-Za-z0-9_\[][A-Za-z0-9_.@:%\[\]-]*"

host = matching(HOST, "the name of a host, as ssh takes it")
"""Rule for names of machines; no such name is an option of a program."""

label = matching(HOST, "the name of a worker or a machine, or a resource of a worker")
"""Rule for the place of a step: a worker, a machine, or a resource of a worker."""

_tag = matching(r"[A-Za-z][A-Za-z0-9_]*", "letters, digits and _, beginning with a letter")


def tag(text: str) -> str:
    """Check a marker that the user defines."""
    if text in RESERVED_MARKS:
        raise ValueError("a mark that has its own meaning")
    return _tag(text)


def fixture(text: str) -> str:
    """Check the name of a fixture that a step can request."""
    if text in IMPLICIT_FIXTURES:
        raise ValueError("which every step is given without asking")
    if not text.isidentifier():
        raise ValueError("should be the name of a fixture")
    return text


def filled(text: str) -> str:
    """Check that a text is not blank."""
    if not text.strip():
        raise ValueError("should not be empty")
    return text


def word(text: str) -> str:
    """Check that a text has no NUL, which the operating system refuses."""
    if "\0" in text:
        raise ValueError("which has a NUL in it, and no command can be given one")
    return text


def filled_word(text: str) -> str:
    """Check a path or the name of a program: not blank, and no NUL."""
    return word(filled(text))


def command(cmd: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Check a command line, or a program and its arguments."""
    if isinstance(cmd, str):
        return filled_word(cmd)
    only = cmd[0].strip() if len(cmd) == 1 else ""
    if "\n" in only or (" " in only and "/" not in only):
        raise ValueError(
            "should be a text, because a list is one program and its arguments "
            f"(write `cmd: {only.split()[0]} …`, or `cmd: |` for several lines)"
        )
    return _words(cmd)


def _words(cmd: tuple[str, ...]) -> tuple[str, ...]:
    if not cmd:
        raise ValueError("should begin with a program")
    if not cmd[0].strip():
        raise ValueError("should begin with a program, not with an empty text")
    return cmd


SHELLS = ("sh", "bash", "python")
"""Shells that have a name; any other shell is a list of words."""


def shell(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Check a shell for command lines: the name of a shell, or a program and its arguments."""
    if not isinstance(value, str):
        return _words(value)
    if value in SHELLS:
        return value
    words = f", or a list of words: [{', '.join(value.split())}]" if value.strip() else ""
    raise ValueError(f"should be sh, bash or python{words}{nearest(value, SHELLS)}")


def shell_setting(text: str) -> str | tuple[str, ...]:
    """Check a shell in the text of a setting; a list is in brackets, as in a recipe."""
    if text.startswith("[") != text.endswith("]"):
        raise ValueError(
            "has one bracket without the other; write sh, bash, python or a list of words such as "
            "[zsh, -e]"
        )
    if text.startswith("["):
        return shell(tuple(each.strip().strip("\"'") for each in text[1:-1].split(",")))
    return shell(text)


INSTRUMENT = r"[A-Za-z_][A-Za-z0-9_-]*"

instrument = matching(INSTRUMENT, "letters, digits, _ and -, beginning with a letter or _")
"""Rule for names of instruments."""


def scpi(text: str) -> str:
    """Check a command for an instrument: not blank, in one line, and ASCII."""
    filled(text)
    strange = next((char for char in text if not char.isascii()), "")
    if strange:
        raise ValueError(f"should be ASCII, and has {strange!r} in it")
    if len(text.splitlines()) > 1:
        raise ValueError("should be one line with one command")
    return text


def environment(value: Json) -> Json:
    """Check a value for an environment variable, which holds it as text or as JSON."""
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
    """Return a duration in seconds; it must be above zero and at most a year."""
    number = _in_seconds(value) if isinstance(value, str) else float(value)
    if number <= 0:
        raise ValueError("should be more than 0 seconds")
    if number > YEAR:
        raise ValueError("should be at most a year")
    return number


def pause(value: float | str) -> float:
    """Return a delay in seconds, from zero to a day."""
    return pause_from(0.0, "0 seconds", value)


def pause_from(least: float, words: str, value: float | str) -> float:
    """Return a time in seconds, from the shortest one to a day.

    Args:
        least: The shortest time, in seconds.
        words: The shortest time as the message shows it.
        value: Seconds, or a text with a unit.
    """
    number = _in_seconds(value) if isinstance(value, str) else float(value)
    if not least <= number <= DAY:
        raise ValueError(f"should be {words} to a day")
    return number


def tries(number: int) -> int:
    """Check a number of attempts, or of units of a resource."""
    if not 1 <= number <= MAX_COUNT:
        raise ValueError(f"should be 1 to {MAX_COUNT}")
    return number


def elements(value: Any) -> Any:
    """Accept an expression, or a list of at most `MAX_ELEMENTS` elements."""
    if isinstance(value, tuple) and len(value) > MAX_ELEMENTS:
        wanted = f"should have at most {MAX_ELEMENTS:,} elements"
        raise ValueError(f"{wanted}, and has {len(value):,}")
    return value


def factor(number: float) -> float:
    """Check the factor by which a delay grows."""
    if not 1 <= number <= MAX_COUNT:
        raise ValueError(f"should be 1 to {MAX_COUNT}")
    return float(number)


def _in_seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError("should be seconds, or a text such as 500ms, 30s, 2m or 1h")
    return float(match[1]) * _SECONDS[match[2]]


def percent(number: float) -> float:
    """Check the half-width of a range in percent."""
    if number < 0:
        raise ValueError("should be 0 or more")
    return number


_TOLERANCE: Final = r"[0-9]+(?:\.[0-9]+)? *%"


def tolerance(value: float | str) -> float | str:
    """Check the half-width of a range: a number, or a text with a percentage such as ``1%``."""
    if isinstance(value, str):
        if not re.fullmatch(_TOLERANCE, value):
            raise ValueError("should be a number, or a percentage such as 1%")
    elif value < 0:
        raise ValueError("should be 0 or more")
    return value


def marginal_percent(number: float) -> float:
    """Check the share of a range that is marginal at each end, in percent."""
    if not 0 < number < 50:
        raise ValueError("should be more than 0 and less than 50")
    return number


MAX_DIGITS = 17
"""Significant digits that identify each floating-point number."""


def digits(number: int) -> int:
    """Check a number of significant digits."""
    if not 1 <= number <= MAX_DIGITS:
        raise ValueError(f"should be 1 to {MAX_DIGITS}")
    return number


def exit_code(code: int) -> int:
    """Check the exit code of a process."""
    if not 0 <= code <= 255:
        raise ValueError("should be 0 to 255")
    return code


def wanted_code(code: int | str) -> int | str:
    """Check an item of a list of expected exit codes."""
    return exit_code(code) if isinstance(code, int) else code


def exit_codes(codes: int | str | tuple[int | str, ...]) -> Json:
    """Check one exit code, several, or ``nonzero``."""
    if codes == ():
        raise ValueError("should have an exit code in it")
    if isinstance(codes, int):
        return exit_code(codes)
    return list(codes) if isinstance(codes, tuple) else codes


def skip_codes(codes: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return one exit code or several as a tuple."""
    exit_codes(codes)
    return (codes,) if isinstance(codes, int) else codes


def some(what: str) -> Callable[[Any], Any]:
    """Return a rule for lists that are not empty; a criterion over an empty list would always hold.

    Args:
        what: The kind of item, for the message.
    """

    def rule(items: Any) -> Any:
        if not items:
            raise ValueError(f"should have {what} in it")
        return items

    return rule


some_keys = some("a key")
"""Rule for lists of keys of the Context."""

some_paths = some("a path")
"""Rule for lists of paths and globs."""

some_expressions = some("an expression")
"""Rule for lists of expressions."""


def texts(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Check one text or several; none may be blank."""
    return filled(value) if isinstance(value, str) else some("a text")(value)


def pattern(text: str) -> str:
    """Check a regular expression."""
    filled(text)
    try:
        compile_pattern(text)
    except ValueError as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


def patterns(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Check one regular expression or several."""
    return pattern(value) if isinstance(value, str) else some("a regular expression")(value)


def positive(number: float) -> float:
    """Check a limit that is above zero."""
    if number <= 0:
        raise ValueError("should be more than 0")
    return number


def not_negative(number: int) -> int:
    """Check a number that is zero or more."""
    if number < 0:
        raise ValueError("should be 0 or more")
    return number


def port(number: int) -> int:
    """Check the number of a TCP port."""
    if not 1 <= number <= 65535:
        raise ValueError("should be 1 to 65535")
    return number


URL = r"https?://([^\s@/?#]+@)?[^\s@/?#]+([/?#]\S*)?"
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
_UNEVALUATED = "${{"


def http_probe(value: Any) -> Any:
    """Check the address of a readiness probe, or a mapping of `url` and `code`.

    In a mapping, a value with an expression that is not evaluated yet is accepted.
    """
    if not isinstance(value, dict):
        if not re.fullmatch(URL, value):
            raise ValueError("should be an address such as http://127.0.0.1:8080/health")
        return value
    if "url" not in value or not value.keys() <= {"url", "code"}:
        raise ValueError(
            "should have a 'url' and at most a 'code', such as "
            "{url: http://127.0.0.1:8080/health, code: 401}"
        )
    url, code = value["url"], value.get("code", 200)
    if not isinstance(url, str) or not (_UNEVALUATED in url or re.fullmatch(URL, url)):
        raise ValueError("should have a 'url' such as http://127.0.0.1:8080/health")
    codes = code if isinstance(code, list) else [code]
    if not codes or not all(map(_is_code, codes)):
        raise ValueError("should have a 'code' from 100 to 599, such as 401 or 4xx, or a list")
    return value


def _is_code(code: object) -> bool:
    if isinstance(code, str):
        return code in CLASSES or _UNEVALUATED in code
    return isinstance(code, int) and not isinstance(code, bool) and 100 <= code <= 599


_SIGNALS = (
    "ABRT ALRM BUS CHLD CONT EMT FPE HUP ILL INFO INT IO KILL PIPE PROF PWR QUIT RTMAX RTMIN SEGV "
    "STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ"
)

SIGNALS = frozenset([*_SIGNALS.split(), *(one.name.removeprefix("SIG") for one in signal.Signals)])
"""Names of the signals of Linux, macOS and this system, without ``SIG``."""


def signal_name(text: str) -> str:
    """Check the name of a signal, such as ``TERM``."""
    name = text.upper().removeprefix("SIG")
    names = [one.name.removeprefix("SIG") for one in signal.Signals]
    if name not in names:
        raise ValueError(f"should be the name of a signal{nearest(name, names)}")
    return name


def format_number(number: int) -> int:
    """Check the number of the recipe format; this version knows format 1."""
    if number != 1:
        raise ValueError("should be 1, the one format that this version knows")
    return number


def secret(text: str) -> str:
    """Check the source of a secret: ``env.NAME``, ``vars.NAME`` or ``ctx.KEY``."""
    kind, _, name = text.partition(".")
    if kind == "ctx" and name:
        if re.search(r"\s", name):  # no program writes such a key, so it would mask nothing
            raise ValueError("should be a key of the Context such as ctx.dut.serial_v1")
        context_path(name)
    elif kind not in ("env", "vars") or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("should be env.NAME, vars.NAME or ctx.KEY")
    return text


def context_path(text: str) -> str:
    """Check a key of the Context, or a path to a value below a key."""
    try:
        return checked_key(text)
    except ContextKeyError:
        raise ValueError("should be a key of the Context such as dut.serial_v1") from None


_ENV_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_STEP_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"


def _meta(rule: object, pattern: str | None = None) -> Meta:
    # Not `Meta.pattern`, which msgspec compiles: the rule checks texts, the pattern is for editors.
    return Meta(extra={"rule": rule} | ({"pattern": f"^{pattern}$"} if pattern else {}))


def key(description: str, example: object, **extra: object) -> Meta:
    """Return the description of a key.

    ``written`` is the type of the value in the file, if it differs from the type of the field.
    ``rule`` converts it to the value of the field. ``own`` marks a key that the loader reads
    with its own code. ``names`` are the names that expressions in the value may use; without
    it, the value may have no expression.
    """
    return Meta(description=description, examples=[example], extra=extra)


StepName = Annotated[
    str,
    _meta(
        matching(_STEP_NAME, "letters, digits, _ and -, beginning with a letter or _"),
        _STEP_NAME,
    ),
]
_STEP_REFERENCE = rf"{_STEP_NAME}(\[[^\[\]]+\])?"
StepReference = Annotated[
    str,
    _meta(
        matching(_STEP_REFERENCE, "the name of a step, or of a cell as in measure[channel:1]"),
        _STEP_REFERENCE,
    ),
]
Tag = Annotated[str, _meta(tag, r"[A-Za-z][A-Za-z0-9_]*")]
InstrumentName = Annotated[str, _meta(instrument, INSTRUMENT)]
Fixture = Annotated[str, _meta(fixture)]
Secret = Annotated[str, _meta(secret)]
ContextPath = Annotated[str, _meta(context_path)]
FilePath = Annotated[str, _meta(filled_word)]
Word = Annotated[str, _meta(word)]
EnvName = Annotated[
    str,
    _meta(
        matching(_ENV_NAME, "the name of an environment variable: letters, digits and _"),
        _ENV_NAME,
    ),
]
EnvValue = Annotated[Json, _meta(environment)]
Dotted = Annotated[str, _meta(dotted)]
Identifier = Annotated[str, _meta(identifier)]
Text = Annotated[str, _meta(filled)]
Sha256 = Annotated[
    str, _meta(matching(r"[0-9A-Fa-f]{64}", "64 digits of hexadecimal"), r"[0-9A-Fa-f]{64}")
]
Pattern = Annotated[str, _meta(pattern)]
Count = Annotated[int, _meta(tries)]
ExitCode = Annotated[int, _meta(exit_code)]
LiteralBraces = Annotated[
    bool,
    key(
        "`true`: texts such as `{{ vars.volts }}` and `${vars.volts}`, which other tools replace, "
        "are meant as they are written.",
        True,
    ),
]
WantedCode = Annotated[int | Literal["nonzero"], _meta(wanted_code)]
