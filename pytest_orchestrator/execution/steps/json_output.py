"""Strict JSON parser for output, which names the first violated rule and its position.

The decoder does not pass positions to its hooks. Therefore a text that a hook refuses is scanned
once more for the position; valid output is read only once.
"""

import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from typing import Final, Literal, NoReturn

from pytest_orchestrator.core.figures.exact import decimal
from pytest_orchestrator.core.json_values import Json, kind
from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.core.text import cut_to_length, lazy_pattern

Parse = Literal["json", "last-line", "data", "text"]

STDOUT: Final = "stdout"
_WANTED: Final = {"json": "JSON object", "last-line": "JSON object", "data": "JSON value"}
_CURES: Final = {
    "text": "Write `parse: text` in the step if it prints no JSON: its exit code then says whether "
    'it passed. To return values, print one {} alone, such as {{"status": "ok"}}.',
    "last": "Write `parse: last-line` in the step, which reads the last line alone, "
    "or print the other text to stderr: `echo text >&2`.",
    "around": "Print the other text to stderr, `echo text >&2`, "
    "or write the {} to the file named by $ORCHESTRATOR_RESULT.",
    "kind": "Write `parse: data` in the step if this value is its result, "
    "or `parse: text` if its output is text.",
    "broken": "Correct the program that prints it, or write `parse: text` in the step if its "
    "output is text.",
}
"""Sentences that say what to write; `{}` is the expected JSON."""
_SHOWN: Final = 60


class _Violation(ValueError):
    """Violation of a rule of strict JSON.

    Attributes:
        reason: The predicate of a sentence about the output.
        at: The offset of the violation in characters.
        cure: The key of its cure in `_CURES`.
    """

    def __init__(self, reason: str, at: int, cure: str = "broken") -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at
        self.cure = cure


def parsed(
    raw: bytes, parse: Parse, what: str = STDOUT, mask: Callable[[bytes], bytes] = bytes
) -> Json | Failure:
    """Parse the output of a step as strict JSON, as its `parse` mode requires.

    Args:
        raw: All bytes of the stream or file.
        parse: The value of `parse` in the recipe.
        what: Name of the stream or file, for the message.
        mask: Masks the excerpt in the message.

    Returns:
        The value (an object, except for ``data``), or the failure with the violated rule and the
        byte of the violation.
    """
    if parse == "text":
        return {"status": "ok"}
    start, data = _last_line(raw) if parse == "last-line" else (0, raw)
    subject = f"the last line of {what}" if parse == "last-line" else what
    if not data.strip():
        reason = f"{what} is empty; one {_WANTED[parse]} is expected"
        return _failure(reason, _cure("text", parse, what))
    try:
        return _read(data.decode("utf-8"), objects_only=parse != "data")
    except UnicodeDecodeError as error:
        at = error.start
        found = _Violation(f"is not UTF-8: byte 0x{data[at]:02x}", at)
    except _Violation as error:
        found, at = error, len(data.decode("utf-8")[: error.at].encode("utf-8"))
    shown, caret = _excerpt(*_masked(data, at, mask))
    cure, signs = found.cure, b"{[" if parse == "data" else b"{"
    if cure != "kind" and not {*data} & {*signs}:
        such = ", such as 23.5 without a unit," if parse == "data" else ""
        reason = f"{subject} is text; one {_WANTED[parse]}{such} is expected"
        return _failure(reason, shown, _cure("text", parse, what))
    if cure == "around" and parse == "json" and isinstance(parsed(raw, "last-line"), dict):
        cure = "last"
    reason = f"{subject} {found.reason}, at byte {start + at}"
    return _failure(reason, shown, caret, _cure(cure, parse, what))


def _failure(reason: str, *detail: str) -> Failure:
    return Failure(kind="protocol", reason=reason, detail=detail)


def _cure(name: str, parse: Parse, what: str) -> str:
    if what != STDOUT:
        return f"Write one {_WANTED[parse]} to this file, and nothing else."
    return _CURES[name].format(_WANTED[parse])


def objects_with_status(raw: bytes) -> Iterator[dict[str, Json]]:
    """Yield each object with the key `status` in an output.

    The first is the whole output, if it is one object; then follow the objects at the beginning of
    its last line. Unlike `parsed`, this accepts NaN, numbers of any size and duplicate keys.
    """
    for data, is_whole in ((raw, True), (_last_line(raw)[1], False)):
        text, at = data.decode("utf-8", "replace").strip(), 0
        while at < len(text):
            try:
                value, at = _LENIENT.raw_decode(text, at)
            except (ValueError, RecursionError):
                break
            if is_whole and at < len(text):
                break
            if isinstance(value, dict) and "status" in value:
                yield value
            while text[at : at + 1].isspace():
                at += 1


def _last_line(raw: bytes) -> tuple[int, bytes]:
    """Return the offset of the last line that is not empty, and the line."""
    stripped = raw.rstrip()
    start = stripped.rfind(b"\n") + 1
    return start, stripped[start:]


def _read(text: str, *, objects_only: bool) -> Json:
    begin = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        value, end = _DECODER.raw_decode(text, begin)
    except RecursionError:
        raise _Violation("is not valid JSON: nested too deeply", begin) from None
    except json.JSONDecodeError as error:
        brace = text.find("{", begin)
        if objects_only and brace > begin and _is_json(_DECODER.raw_decode, text, brace):
            raise _Violation("has text before its JSON object", begin, "around") from None
        raise _Violation(f"is not valid JSON: {_plain(error.msg)}", error.pos) from None
    except ValueError:
        # A hook refused a token, or int() refused a number with too many digits.
        rule, at = first_violation(text, begin)
        raise _Violation(f"is not valid JSON: {rule}", at) from None
    rest, noun = text[end:].lstrip(), "object" if objects_only else "value"
    if rest:
        what = "a second JSON value" if rest[0] in "{[" else "text"
        raise _Violation(f"has {what} after its JSON {noun}", len(text) - len(rest), "around")
    if objects_only and not isinstance(value, dict):
        raise _Violation(f"is {kind(value)}, not a JSON object", begin, "kind")
    lone = lone_surrogate(text) if "\\u" in text else None
    if lone is not None:
        raise _Violation("is not valid JSON: half of a surrogate pair is no character", lone)
    checked: Json = value
    return checked


def _is_json(read: Callable[[str, int], object], text: str, at: int) -> bool:
    try:
        read(text, at)
    except (ValueError, RecursionError):
        return False
    return True


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a name occurs twice")
    return unique


def _no_constant(token: str) -> NoReturn:
    raise ValueError(token)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=decimal
)

_LENIENT = json.JSONDecoder()


_RULES = {
    "Expecting value": "a JSON value is expected",
    "Expecting property name enclosed in double quotes": "a name in double quotes is expected",
    "Expecting ':' delimiter": "':' is expected",
    "Expecting ',' delimiter": "',' is expected",
    "Unterminated string starting at": "a text without its last quote",
    "Invalid control character at": "a line break, tab or other control character in a text",
}
"""Messages of the decoder in the words of these errors; `<rule>, at byte 7` follows them."""


def _plain(message: str) -> str:
    return _RULES.get(message, f"{message[:1].lower()}{message[1:]}")


def _masked(data: bytes, at: int, mask: Callable[[bytes], bytes]) -> tuple[bytes, int]:
    """Return the masked data, and the offset in the masked data that corresponds to ``at``."""
    whole, before = mask(data), mask(data[:at])
    return whole, len(before) if whole.startswith(before) else 0


def _excerpt(data: bytes, at: int) -> tuple[str, str]:
    """Return the bytes around an offset, and a line with a caret under it."""
    start, stop = max(0, at - _SHOWN // 2), at + _SHOWN // 2
    before, after = _escaped(data[start:at]), _escaped(data[at:stop])
    lead = "… '" if start else "'"
    tail = "' …" if stop < len(data) else "'"
    return f"{lead}{before}{after}{tail}", f"{' ' * (len(lead) + len(before))}^"


_ESCAPES = {9: "\\t", 10: "\\n", 13: "\\r"}


def _escaped(chunk: bytes) -> str:
    return "".join(
        chr(byte) if 32 <= byte < 127 else _ESCAPES.get(byte, f"\\x{byte:02x}") for byte in chunk
    )


_TOKEN = lazy_pattern(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
# Matches every escape in order, so that the end of `\\u` is not mistaken for the start of another.
_ESCAPE = lazy_pattern(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F])|.)", re.DOTALL
)


def first_violation(text: str, begin: int) -> tuple[str, int]:
    """Find the first duplicate key or invalid number in a JSON text.

    Args:
        text: A text that the hooks of the decoder have refused.
        begin: The offset of the value, in characters.

    Returns:
        The violated rule, and the offset of the violation in characters.
    """
    objects: list[set[str]] = []
    last = ("", begin)
    for match in _TOKEN.finditer(text, begin):
        lexeme, at = match.group(), match.start()
        if lexeme in "{[":
            objects.append(set())
        elif lexeme in "}]":
            objects.pop()
        elif lexeme[0] == '"':
            last = (json.loads(lexeme), at)
        elif lexeme == ":":
            if last[0] in objects[-1]:
                key = cut_to_length(json.dumps(last[0], ensure_ascii=False), 40)
                return f"duplicate key {key}", last[1]
            objects[-1].add(last[0])
        elif lexeme != ",":
            rule = _number(lexeme)
            if rule:
                return rule, at
    return "a number or a key of it is refused", begin


def lone_surrogate(text: str) -> int | None:
    """Return the offset of the first unpaired surrogate escape in a JSON text, or None."""
    return next((match.start() for match in _ESCAPE.finditer(text) if match[1]), None)


def _number(lexeme: str) -> str | None:
    if lexeme in ("NaN", "Infinity", "-Infinity"):
        return f"JSON has no {lexeme}"
    digits = sum(map(str.isdigit, lexeme))
    if 0 < sys.get_int_max_str_digits() < digits:
        return f"a number of {digits} digits is too long"
    try:
        too_large = math.isinf(float(lexeme))
    except ValueError:
        return None
    return f"no number is as large as {cut_to_length(lexeme, 40)}" if too_large else None
