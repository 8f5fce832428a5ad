"""Strict JSON parser for output, which names the first violated rule and its position.

The decoder does not pass positions to its hooks. Therefore a text that a hook refuses is scanned
once more for the position; valid output is read only once.
"""

import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from typing import Literal, NoReturn

from pytest_orchestrator.core.json_values import Json, kind
from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.core.text import cut_to_length, lazy_pattern

Parse = Literal["json", "last-line", "data", "text"]

_CURE = (
    "Print logs to stderr, or say `parse: last-line`, "
    "or write the object to the file named by $ORCHESTRATOR_RESULT."
)
_SHOWN = 60


class _Violation(ValueError):
    """Violation of a rule of strict JSON, and its offset in characters."""

    def __init__(self, rule: str, at: int) -> None:
        super().__init__(rule)
        self.rule = rule
        self.at = at


class _Refused(ValueError):
    """Refusal of a token by a hook of the decoder, which does not know the position."""


def parsed(
    raw: bytes, parse: Parse, what: str = "stdout", mask: Callable[[bytes], bytes] = bytes
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
    wanted = {"json": "one JSON object", "last-line": "one JSON object", "data": "one JSON value"}
    subject = f"the last line of {what}" if parse == "last-line" else what
    if not data.strip():
        return Failure(
            kind="protocol",
            reason=f"{what} is empty; {wanted[parse]} is expected",
            detail=("Print one, or say `parse: text` where there is none to print.",),
        )
    try:
        return _read(data.decode("utf-8"), objects_only=parse != "data")
    except UnicodeDecodeError as error:
        rule, at = f"byte 0x{data[error.start]:02x} is not UTF-8", error.start
    except _Violation as error:
        rule, at = error.rule, len(data.decode("utf-8")[: error.at].encode("utf-8"))
    return Failure(
        kind="protocol",
        reason=f"{subject} is not {wanted[parse]}: {rule}, at byte {start + at}",
        detail=(*_excerpt(*_masked(data, at, mask)), _CURE),
    )


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
        raise _Violation("nested too deeply", begin) from None
    except json.JSONDecodeError as error:
        brace = text.find("{", begin)
        if objects_only and brace > begin and _is_json(_DECODER.raw_decode, text, brace):
            raise _Violation("text before it", begin) from None
        raise _Violation(_lowered(error.msg), error.pos) from None
    except ValueError:
        # A hook refused a token, or int() refused a number with too many digits.
        raise _Violation(*first_violation(text, begin)) from None
    rest = text[end:].lstrip()
    if rest:
        what = "a second value after it" if rest[0] in "{[" else "text after it"
        raise _Violation(what, len(text) - len(rest))
    if objects_only and not isinstance(value, dict):
        raise _Violation(f"it is {kind(value)}", begin)
    lone = lone_surrogate(text) if "\\u" in text else None
    if lone is not None:
        raise _Violation("half of a surrogate pair is no character", lone)
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
        raise _Refused
    return unique


def _no_constant(_token: str) -> NoReturn:
    raise _Refused


def _finite(token: str) -> float:
    number = float(token)
    if math.isinf(number):
        raise _Refused
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
)

_LENIENT = json.JSONDecoder()


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def _masked(data: bytes, at: int, mask: Callable[[bytes], bytes]) -> tuple[bytes, int]:
    """Return the masked data, and the offset in the masked data that corresponds to ``at``."""
    whole, before = mask(data), mask(data[:at])
    return whole, len(before) if whole.startswith(before) else 0


def _excerpt(data: bytes, at: int) -> tuple[str, str]:
    """Return the bytes around an offset, and a line with a caret under it."""
    start, stop = max(0, at - _SHOWN // 2), at + _SHOWN // 2
    before, after = _escaped(data[start:at]), _escaped(data[at:stop])
    lead = "… b'" if start else "b'"
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
    digits = len(lexeme.lstrip("-"))
    if lexeme.lstrip("-").isdigit():
        most = sys.get_int_max_str_digits()
        return f"a number of {digits} digits is too long" if 0 < most < digits else None
    try:
        too_large = math.isinf(float(lexeme))
    except ValueError:
        return None
    return f"no number is as large as {cut_to_length(lexeme, 40)}" if too_large else None
