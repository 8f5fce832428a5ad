"""What to write instead of a value that JSON does not have."""

from enum import Enum

import msgspec

_BY_NAME = {
    "tuple": "use a list",
    "set": "use a sorted list",
    "frozenset": "use a sorted list",
    "bytes": "use its hex() or decode it to text",
    "bytearray": "use its hex() or decode it to text",
    "memoryview": "use its hex() or decode its bytes to text",
    "datetime": "use its isoformat()",
    "date": "use its isoformat()",
    "time": "use its isoformat()",
    "timedelta": "use its total_seconds()",
    "Decimal": "use str() or float()",
    "Fraction": "use str() or float()",
    "UUID": "use str()",
    "complex": "use a list of its real and its imaginary part",
}
# What a class offers for the purpose, and how to say so.
_BY_ATTRIBUTE = {
    "__dataclass_fields__": "use dataclasses.asdict()",
    "_asdict": "use its _asdict()",
    "__fspath__": "use str()",
    "tolist": "use its tolist()",
    "keys": "use dict()",
    "__iter__": "use list()",
}


def a(name: str) -> str:
    """Put the article before a name: ``a tuple``, ``an int``."""
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def what(value: object) -> str:
    """Say what a value is: ``a tuple``, ``a float64, a kind of float``."""
    family = type(value)
    if issubclass(family, Enum):
        return f"a member of the enum {family.__name__}"
    base = _base(family)
    if base is not None and base is not family:
        return f"{a(family.__name__)}, a kind of {base.__name__}"
    return "bytes" if family is bytes else a(family.__name__)


def cure(value: object) -> str:
    """Say what to write instead of a value: ``use a list``."""
    family = type(value)
    if issubclass(family, Enum):
        return "use its .value"
    base = _base(family)
    if base is not None:
        return f"use {base.__name__}()"
    if issubclass(family, msgspec.Struct):
        return "use msgspec.to_builtins()"
    by_attribute = (how for name, how in _BY_ATTRIBUTE.items() if hasattr(family, name))
    return _BY_NAME.get(family.__name__) or next(
        by_attribute, "store the plain values of it that you need"
    )


def _base(family: type) -> type | None:
    return next((base for base in (str, bool, int, float) if issubclass(family, base)), None)
