"""Strict JSON output parser: names the first offending position and the rule.

A decoder does not tell its hooks where they are, so the text is walked once more; only
what is refused anyway pays for that.
"""

import json
import math
import re
import sys
from collections.abc import Callable
from typing import Literal, NoReturn

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Failure

Parse = Literal["json", "last-line", "data", "text"]

_CURE = (
    "Print logs to stderr, or say `parse: last-line`, "
    "or write the object to the file named by $ORCHESTRATOR_RESULT."
)
_SHOWN = 60


class _Broken(ValueError):
    """A rule of strict JSON that a text breaks, and the offset in characters."""

    def __init__(self, rule: str, at: int) -> None:
        super().__init__(rule)
        self.rule = rule
        self.at = at


class _Refused(ValueError):
    """What a hook of the decoder refuses; it is not told where that stands."""


def parsed(
    raw: bytes, parse: Parse, what: str = "stdout", mask: Callable[[bytes], bytes] = bytes
) -> Json | Failure:
    """Read what a step printed.

    Args:
        raw: All bytes of the stream or file.
        parse: How the recipe says it is to be read.
        what: Name of the stream or file, for the message.
        mask: Masks what the message shows of it.

    Returns:
        The value (an object, but for ``data``), or the failure that says at which byte
        which rule is broken.
    """
    if parse == "text":
        return {"status": "ok"}
    start, body = _last_line(raw) if parse == "last-line" else (0, raw)
    wanted = {"json": "one JSON object", "last-line": "one JSON object", "data": "one JSON value"}
    subject = f"the last line of {what}" if parse == "last-line" else what
    if not body.strip():
        return Failure(
            kind="protocol",
            reason=f"{what} is empty; {wanted[parse]} is wanted",
            detail=("Print one, or say `parse: text` where there is none to print.",),
        )
    try:
        return _read(body.decode("utf-8"), objects_only=parse != "data")
    except UnicodeDecodeError as error:
        rule, at = f"byte 0x{body[error.start]:02x} is not UTF-8", error.start
    except _Broken as error:
        rule, at = error.rule, len(body.decode("utf-8")[: error.at].encode("utf-8"))
    return Failure(
        kind="protocol",
        reason=f"{subject} is not {wanted[parse]}: {rule}, at byte {start + at}",
        detail=(*_pointed(*_masked(body, at, mask)), _CURE),
    )


def object_with_status(raw: bytes) -> dict[str, Json] | None:
    """Return the object with a status in the whole text or in its last line, or None."""
    formats: tuple[Parse, ...] = ("json", "last-line")
    for parse in formats:
        value = parsed(raw, parse)
        if isinstance(value, dict) and "status" in value:
            return value
    return None


def _last_line(raw: bytes) -> tuple[int, bytes]:
    """Return the last line that is not empty, and where it starts."""
    stripped = raw.rstrip()
    start = stripped.rfind(b"\n") + 1
    return start, stripped[start:]


def _read(text: str, *, objects_only: bool) -> Json:
    begin = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        value, end = _DECODER.raw_decode(text, begin)
    except RecursionError:
        raise _Broken("nested too deeply", begin) from None
    except json.JSONDecodeError as error:
        brace = text.find("{", begin)
        if objects_only and brace > begin and _is_json(_DECODER.raw_decode, text, brace):
            raise _Broken("text before it", begin) from None
        raise _Broken(_lowered(error.msg), error.pos) from None
    except ValueError:
        # A hook, or int() of more digits than Python reads.
        raise _Broken(*first_violation(text, begin)) from None
    rest = text[end:].lstrip()
    if rest:
        what = "a second value after it" if rest[0] in "{[" else "text after it"
        raise _Broken(what, len(text) - len(rest))
    if objects_only and not isinstance(value, dict):
        raise _Broken("it is " + _named(value), begin)
    half = half_of_a_pair(text) if "\\u" in text else None
    if half is not None:
        raise _Broken("half of a surrogate pair is no character", half)
    found: Json = value
    return found


def _is_json(read: Callable[[str, int], object], text: str, at: int) -> bool:
    try:
        read(text, at)
    except (ValueError, RecursionError):
        return False
    return True


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused
    return found


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


def _named(value: object) -> str:
    if value is None:
        return "null"
    names = {
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), type(value).__name__)


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def _masked(body: bytes, at: int, mask: Callable[[bytes], bytes]) -> tuple[bytes, int]:
    """Mask a text before it is cut; return it, and where an offset in it has gone."""
    whole, before = mask(body), mask(body[:at])
    return whole, len(before) if whole.startswith(before) else 0


def _pointed(body: bytes, at: int) -> tuple[str, str]:
    """Show the bytes around an offset, and a caret under it."""
    start, stop = max(0, at - _SHOWN // 2), at + _SHOWN // 2
    before, after = _escaped(body[start:at]), _escaped(body[at:stop])
    lead = "… b'" if start else "b'"
    tail = "' …" if stop < len(body) else "'"
    return f"{lead}{before}{after}{tail}", f"{' ' * (len(lead) + len(before))}^"


_ESCAPES = {9: "\\t", 10: "\\n", 13: "\\r"}


def _escaped(chunk: bytes) -> str:
    return "".join(
        chr(byte) if 32 <= byte < 127 else _ESCAPES.get(byte, f"\\x{byte:02x}") for byte in chunk
    )


_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
# One escape after the other, so that the second half of `\\u` is never taken for its start.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F])|.)", re.DOTALL
)


def first_violation(text: str, begin: int) -> tuple[str, int]:
    """Find the first duplicate key, or number that is none.

    Args:
        text: It has one of them.
        begin: Where the value begins.

    Returns:
        The rule that it breaks, and where it stands; both in characters.
    """
    objects: list[set[str]] = []
    last = ("", begin)
    for match in _PIECE.finditer(text, begin):
        piece, at = match.group(), match.start()
        if piece in "{[":
            objects.append(set())
        elif piece in "}]":
            objects.pop()
        elif piece[0] == '"':
            last = (json.loads(piece), at)
        elif piece == ":":
            if last[0] in objects[-1]:
                return f"duplicate key {_short(json.dumps(last[0], ensure_ascii=False))}", last[1]
            objects[-1].add(last[0])
        elif piece != ",":
            rule = _number(piece)
            if rule:
                return rule, at
    return "a number or a key of it is refused", begin


def half_of_a_pair(text: str) -> int | None:
    """Return where a surrogate stands alone in a text of JSON; it is no character."""
    return next((match.start() for match in _ESCAPE.finditer(text) if match[1]), None)


def _number(piece: str) -> str | None:
    if piece in ("NaN", "Infinity", "-Infinity"):
        return f"JSON has no {piece}"
    digits = len(piece.lstrip("-"))
    if piece.lstrip("-").isdigit():
        most = sys.get_int_max_str_digits()
        return f"a number of {digits} digits is too long" if 0 < most < digits else None
    try:
        too_large = math.isinf(float(piece))
    except ValueError:
        return None
    return f"no number is as large as {_short(piece)}" if too_large else None


def _short(piece: str) -> str:
    return piece if len(piece) <= 40 else f"{piece[:39]}…"
