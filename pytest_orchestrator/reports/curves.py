"""Curves of memory and CPU of a step, from what was sampled while it ran."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

_LARGEST = 4 << 20


class _Sample(msgspec.Struct):
    seconds: float
    rss: int = 0
    cpu_seconds: float = 0.0


class Curves(NamedTuple):
    """What a step used over time.

    Attributes:
        seconds: Since it began.
        rss: Resident memory of its processes, in bytes.
        cpu: Cores that it kept busy since the point before.
    """

    seconds: tuple[float, ...]
    rss: tuple[int, ...]
    cpu: tuple[float, ...]


def curves(path: Path, most: int) -> Curves | None:
    """Return the curves of a step; None where there is nothing to draw.

    Args:
        path: A file of samples, each a line of JSON.
        most: Number of points at most; where there are more samples, a point is the peak of
            those that it stands for.
    """
    try:
        with path.open("rb") as file:
            lines = file.read(_LARGEST).splitlines()
    except OSError:
        return None
    samples: list[_Sample] = []
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):  # cut while it was written
        samples.extend(map(_decode, lines))
    if len(samples) < 2 or most < 2:
        return None
    size = -(-len(samples) // most)
    groups = [samples[start : start + size] for start in range(0, len(samples), size)]
    return Curves(
        tuple(round(group[-1].seconds, 4) for group in groups),
        tuple(max(one.rss for one in group) for group in groups),
        tuple(_busy(groups)),
    )


def _busy(groups: Sequence[Sequence[_Sample]]) -> list[float]:
    before, found = _Sample(0.0), []
    for group in groups:
        last = group[-1]
        seconds = last.seconds - before.seconds
        used = max(0.0, last.cpu_seconds - before.cpu_seconds)
        found.append(round(used / seconds, 3) if seconds > 0 else 0.0)
        before = last
    return found


_decode = msgspec.json.Decoder(_Sample).decode
