"""The scalars of YAML 1.2's core schema: what a word means that stands without quotes.

PyYAML itself reads YAML 1.1, where ``no`` is false, ``22:30`` is 1350, ``010`` is 8 and
``2024-01-01`` is a date.
"""

import math
import re

from pytest_orchestrator.recipe.words import quoted, shortened

Scalar = None | bool | int | float | str

_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_TYPES = {"int": int, "float": float, "bool": bool, "null": type(None)}
_NUMBER_BEGINS = frozenset("+-.0123456789")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1
_DIGITS = 22
"""No number of 64 bits has more, in base 8 or above; Python refuses to read some thousand."""


class NotJsonScalar(ValueError):
    """A number that YAML can write and JSON cannot keep; the message says what to do."""


def plain(text: str) -> Scalar:
    """Read a scalar that stands without quotes and without a tag.

    Args:
        text: The scalar as YAML delivers it.

    Returns:
        None, a boolean, a number, or the text itself.

    Raises:
        NotJsonScalar: The number is not finite or has more than 64 bits.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_BEGINS:
        return text
    if _WHOLE.fullmatch(text):
        return _whole(text, 10)
    if _OCTAL_OR_HEX.fullmatch(text):
        return _whole(text, 8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text):
        return _finite(text)
    if _NOT_FINITE.fullmatch(text):
        raise NotJsonScalar(f"{text} is no number of JSON; use null, or quote it: '{text}'")
    return text


def tagged(text: str, tag: str) -> Scalar:
    """Read a scalar whose tag the file gives, such as ``!!int 12``.

    Args:
        text: The scalar as YAML delivers it.
        tag: ``str``, ``int``, ``float``, ``bool`` or ``null``.

    Returns:
        The value; a whole number as a float where the tag asks for one.

    Raises:
        NotJsonScalar: The text does not mean a value of that tag, or JSON cannot keep it.
    """
    if tag == "str":
        return text
    value = plain(text)
    if tag == "float" and type(value) is int:
        return float(value)
    if type(value) is _TYPES[tag]:
        return value
    raise NotJsonScalar(f"{quoted(text)} is not what the tag !!{tag} says")


def _whole(text: str, radix: int) -> int:
    digits = text.lstrip("+-0ox")
    if len(digits) <= _DIGITS:
        number = int(digits or "0", radix) * (-1 if text[0] == "-" else 1)
        if _LOWEST <= number <= _HIGHEST:
            return number
    raise NotJsonScalar(f"{shortened(text)} does not fit into 64 bits; quote it to have it as text")


def _finite(text: str) -> float:
    number = float(text)
    if math.isfinite(number):
        return number
    raise NotJsonScalar(f"{shortened(text)} is too large for a number; quote it to have it as text")
