"""Text for terminals: control characters, escaping, column widths; regular expressions."""

import importlib
import json
import re
import sys
import warnings
from functools import lru_cache
from itertools import accumulate
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_orchestrator.core.json_values import Json

_KEPT: Final = {9, 10}

CONTROLS: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in _KEPT},
    # Bidirectional controls reverse the text after them, so a reader sees other text.
    **{code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}
"""Table for `str.translate` that escapes control characters except tab and newline."""


def escape_surrogates(value: str) -> str:
    """Return a text with its surrogates escaped, so that UTF-8 can encode it.

    Args:
        value: Any text. Python uses surrogates for bytes of file
            names that are not valid UTF-8.
    """
    # `str.encode` is called on the class, so that no method of a subclass runs.
    try:
        return str.encode(value, errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:  # a surrogate that stands for no byte of a file's name
        return str.encode(value, errors="backslashreplace").decode()


def escape_surrogates_in_json(value: "Json") -> "Json":
    r"""Return a JSON value with the surrogates in its texts escaped, so that UTF-8 can encode it.

    Args:
        value: The JSON value. Python represents the invalid bytes of a file name by surrogates;
            each of these becomes an escape such as ``\xff``.
    """
    if isinstance(value, str):
        return escape_surrogates(value)
    if isinstance(value, dict):
        return {
            escape_surrogates(key): escape_surrogates_in_json(one) for key, one in value.items()
        }
    return [escape_surrogates_in_json(one) for one in value] if isinstance(value, list) else value


class _LazyPattern:
    """A `re.Pattern` that is compiled when an attribute of it is used first."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._source = (pattern, flags)

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(*self._source), name)
        setattr(self, name, value)  # later uses find the attribute in the instance
        return value


def lazy_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return a pattern that is compiled at its first use.

    To compile a pattern may take longer than to import a module, and a session uses few of the
    patterns of the modules that it imports.

    Args:
        pattern: A valid regular expression.
        flags: Flags of `re.compile`.
    """
    return cast("re.Pattern[str]", _LazyPattern(pattern, flags))


def import_without_patterns(package: str) -> ModuleType:
    """Import a package, with each pattern of its modules compiled at its first use.

    PyYAML compiles one pattern at its import that takes two thirds of the time of the import and
    is not used with libyaml: 62 of 1,085 million instructions of a session with two shell steps.
    Patterns that other code compiles meanwhile are not affected.

    Args:
        package: Name of the package.
    """
    if package in sys.modules:
        return importlib.import_module(package)
    compiled = re.compile

    def compile_later(pattern: Any, flags: int = 0) -> Any:
        module = str(sys._getframe(1).f_globals.get("__name__"))  # noqa: SLF001
        is_own = module.partition(".")[0] == package
        return lazy_pattern(pattern, flags) if is_own else compiled(pattern, flags)

    re.compile = compile_later
    try:
        return importlib.import_module(package)
    finally:
        re.compile = compiled


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression of a recipe.

    Raises:
        ValueError: The expression is invalid; the text says what is wrong, and at which
            character.
    """
    try:
        with warnings.catch_warnings():
            # A FutureWarning about the syntax does not concern the person who runs the recipe.
            warnings.simplefilter("ignore")
            return re.compile(pattern, re.MULTILINE)
    except re.error as error:
        where = "" if error.pos is None else f", at character {error.pos + 1}"
        raise ValueError(f"{error.msg}{where}") from None
    except (OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


_WORD: Final = r"\p{L}\p{N}_"
_SPACE: Final = r"\s\x1c-\x1f"
_START: Final = f"(?<![{_WORD}])(?=[{_WORD}])"
_END: Final = f"(?<=[{_WORD}])(?![{_WORD}])"
_INNER: Final = f"(?<=[{_WORD}])(?=[{_WORD}])|(?<![{_WORD}])(?![{_WORD}])"

_CLASSES: Final = {
    r"\w": f"[{_WORD}]",
    r"\W": f"[^{_WORD}]",
    r"\s": f"[{_SPACE}]",
    r"\S": f"[^{_SPACE}]",
    r"\b": f"(?:{_START}|{_END})",
    r"\B": f"(?:{_INNER})",
}
"""Classes of `re` in the syntax of `regex`, whose own ones are those of another Unicode rule: for
`re`, ``²`` is a letter, a combining accent is none, and U+001C is a space."""

_IN_SETS: Final = {
    r"\w": _WORD,
    r"\W": r"\p{M}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}\p{S}\p{Z}\p{C}"
    r"\u203f\u2040\u2054\ufe33\ufe34\ufe4d-\ufe4f\uff3f",
    r"\s": _SPACE,
    r"\S": r"\x00-\x08\x0e-\x1b!-\x84\x86-\x9f\xa1-\u167f\u1681-\u1fff\u200b-\u2027"
    r"\u202a-\u202e\u2030-\u205e\u2060-\u2fff\u3001-\U0010ffff",
}
_TOKEN: Final = lazy_pattern(r"(?s)\\.|\[\^?\]?|\]|\{(?:\d*,\d*|\d+)\}|.")


@lru_cache(maxsize=256)
def interruptible_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern by the package `regex`, whose searches accept a `timeout` in seconds.

    Args:
        pattern: A pattern that `compile_pattern` accepts. It means the same here.
    """
    import regex

    is_ascii = compile_pattern(pattern).flags & re.ASCII
    classes, in_sets = ({}, {}) if is_ascii else (_CLASSES, _IN_SETS)
    in_set, pieces = False, list[str]()
    for match in _TOKEN.finditer(pattern):
        piece = match[0]
        if not in_set and piece[0] == "[":
            in_set = True
            pieces.append(piece.replace("]", r"\]"))
        elif in_set and piece[0] in "[]":  # a `[` is no set in a set: `[[:alpha:]]`
            in_set = "]" not in piece
            pieces.append(piece.replace("[", r"\["))
        elif not in_set and piece in "{}":  # no repetition, and no fuzzy match: `a{e<2}`
            pieces.append(f"\\{piece}")
        else:
            pieces.append((in_sets if in_set else classes).get(piece, piece))
    flags = regex.MULTILINE | regex.VERSION0
    return cast("re.Pattern[str]", regex.compile("".join(pieces), flags))


MAX_TEXT: Final = 1_000_000
"""Maximum characters of the text of a failure, a skip, a warning or a log record in reports."""

MAX_CAUSE: Final = 1_000
"""Maximum characters of the cause that ended a session; each stopped step repeats the cause."""


def clipped(text: str, max_chars: int = MAX_TEXT) -> str:
    """Return a text, cut in the middle if it is too long.

    Args:
        text: Any text.
        max_chars: Maximum characters of the text that are kept.
    """
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    left = len(text) - 2 * half
    # The ellipses touch the text, because the rest of a cut secret is masked only beside one.
    return f"{text[:half]}… {left:,} characters are left out here …{text[len(text) - half :]}"


_LONGEST = 300
_MAX_READ = 1 << 16  # characters, far more than a line of 300 characters needs
_QUOTED = 80
_ELEMENT = 40


def printable(raw: bytes) -> str:
    """Return output as text: invalid UTF-8 and control characters are escaped.

    The result cannot move the cursor of a terminal or overwrite its line.
    """
    text = raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return text.translate(CONTROLS)


_COLOURS: Final = lazy_pattern(r"\x1b\[[0-9;]*m")
_ERASED: Final = lazy_pattern(r"\x1b\[[0-2]?K")
_OVERWRITTEN: Final = lazy_pattern(r"[^\n]*\r(?=[^\n])")


def without_colours(text: str) -> str:
    """Return a text without the colours of a terminal."""
    return _COLOURS.sub("", text) if "\x1b" in text else text


def overwritten(text: str) -> str:
    """Return a text as a terminal shows it in the end: a carriage return overwrites its line."""
    if "\x1b" in text:
        text = _ERASED.sub("", text)
    if "\r" not in text:
        return text
    return _OVERWRITTEN.sub("", text.replace("\r\n", "\n")).replace("\r", "")


def one_line(text: str) -> str:
    """Return a text of a step as one printable line of at most 300 characters."""
    text = without_colours(overwritten(text[:_MAX_READ]))
    line = " ".join(printable(escape_surrogates(text).encode()).split())
    return cut_to_length(line, _LONGEST)


def quoted(text: str) -> str:
    """Return a text in quotes, escaped and cut to 80 characters."""
    return repr(cut_to_length(text, _QUOTED))


def cut_to_length(text: str, length: int) -> str:
    """Return a text of at most `length` characters; ``…`` marks where it was cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def display_width(text: str) -> int:
    """Return the number of terminal columns of a text; a wide character has two."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    """Return the columns of a character; a mark that a terminal puts on another one has none."""
    import unicodedata

    if unicodedata.category(char) in ("Mn", "Me", "Cf") and char != _SOFT_HYPHEN:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


_SOFT_HYPHEN: Final = "\u00ad"


def cut_to_width(text: str, width: int) -> str:
    """Return a text of at most `width` columns; ``…`` marks where it was cut."""
    if display_width(text) <= width:
        return text.rstrip()
    widths = accumulate(map(display_width, text))
    end = next((at for at, columns in enumerate(widths) if columns >= width), 0)
    return text[:end].rstrip() + "…"


def cut_start_to_width(text: str, width: int) -> str:
    """Return the end of a text in at most `width` columns; ``…`` marks where it was cut."""
    left = display_width(text) - width
    if left <= 0:
        return text
    widths = accumulate(map(display_width, text))
    start = next((at for at, columns in enumerate(widths, 1) if columns > left), len(text))
    while start < len(text) and not display_width(text[start]):
        start += 1  # a mark belongs to the character before it
    return "…" + text[start:]


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Return the lines of a text that is broken at spaces.

    Args:
        text: A text of one line.
        width: Maximum columns of a line; a longer word is broken too.
        indent: Spaces before each line but the first.
    """
    text = text.rstrip(" ")
    lines: list[str] = []
    start, margin = 0, ""
    while True:
        end = _end_of(text, start, width - len(margin))
        if end == len(text):
            return [*lines, margin + text[start:]]
        word = start
        while text[word] == " ":
            word += 1
        space = text.rfind(" ", word, end + 1)
        end = space if space > word else max(end, word + 1)
        lines.append((margin + text[start:end]).rstrip(" "))
        start, margin = end, indent
        while start < len(text) and text[start] == " ":
            start += 1


def _end_of(text: str, start: int, width: int) -> int:
    """Return the end of the longest part of a text from `start` that fits into some columns."""
    columns = 0
    for at in range(start, len(text)):
        columns += display_width(text[at])
        if columns > width:
            return at
    return len(text)


def element_label(index: int, item: "Json") -> str:
    """Return the index and the start of an element of a list in one line, such as ``[6] 12.5``."""
    text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
    if not (text and text.isprintable()):
        text = json.dumps(item)
    return f"[{index}] {cut_to_length(text, _ELEMENT)}"


def some_of(names: "Sequence[str]", most: int | None = 5) -> str:
    """Return the first names and the number of the others, as in ``a, b and 3 more``.

    Args:
        names: The names.
        most: Most names that are listed; None lists all.
    """
    left = len(names[most:]) if most is not None else 0
    return ", ".join(names[:most]) + (f" and {left:,} more" if left else "")


def counted(number: int, noun: str) -> str:
    """Return a number with a noun, such as ``1 step`` or ``1,200 steps``."""
    return f"{number:,} {noun}" + ("s" if number != 1 else "")


_NUMBERS: Final = lazy_pattern(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")


def without_numbers(text: str) -> str:
    """Return a text with ``#`` for each number in it; the key of reasons that are alike."""
    return _NUMBERS.sub("#", text)
