"""Sizes and times with units, as settings and the command line read them."""

import re
from collections.abc import Mapping

TIMES = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
"""Seconds by unit."""

SIZES = {
    "": 1,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "kb": 1000,
    "mb": 1_000_000,
    "gb": 10**9,
}
"""Bytes by unit."""


def quantity(text: str, units: Mapping[str, float]) -> float:
    """Return a number with a unit as one without.

    Raises:
        ValueError: It is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if match is None or match[2].lower() not in units:
        raise ValueError(f"{text.strip()!r} is no size or time")
    return float(match[1]) * units[match[2].lower()]
