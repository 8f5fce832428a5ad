"""Trends of earlier runs and resource curves, for charts."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from pytest_orchestrator.runs.compare.history import MEASURED, History, figures_of, units_of
from pytest_orchestrator.runs.journal.writer import NAME
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord
from pytest_orchestrator.runs.summary import verdict_of

_RUNS: Final = 20
_FIGURES: Final = 24
_MOST_STEPS: Final = 200


def trends(
    run: RunRecord, before: Iterable[Path], most_bytes: int | None = None
) -> list[dict[str, Any]]:
    """Follow the figures of a run back through the runs before it.

    Args:
        run: The run.
        before: Folders of the runs before it, the newest first.
        most_bytes: How much of their journals is read; None is all.

    Returns:
        For each figure of which there is more than one point its ``name``, ``unit`` and
        ``points``, the oldest first, each with ``run``, ``value`` and ``passed``.
    """
    folders = islice(before, _RUNS)
    history = History(folders if most_bytes is None else _affordable(folders, most_bytes))
    found: list[dict[str, Any]] = []
    for recipe in run.recipes.values():
        found += islice(_trends(run, recipe, history), _FIGURES - len(found))
    return found


def _trends(run: RunRecord, recipe: RecipeRecord, history: History) -> Iterator[dict[str, Any]]:
    figures = {step.name: figures_of(step) for step in recipe.steps.values()}
    whole = sum(one["seconds"] for one in figures.values() if one)
    earlier = list(islice(history.of(recipe.key), _RUNS - 1)) if whole else []
    if not earlier:
        return
    passed = verdict_of(recipe) == "passed"

    def told(name: str, unit: str, last: float, values: list[float | None]) -> dict[str, Any]:
        points = [
            {"run": once.run, "value": value, "passed": once.passed}
            for once, value in zip(earlier, values, strict=True)
            if value is not None
        ]
        points.reverse()
        return {
            "name": name,
            "unit": unit,
            "points": [*points, {"run": run.id, "value": last, "passed": passed}],
        }

    seconds = [sum(one["seconds"] for one in once.steps.values()) for once in earlier]
    yield told(f"{recipe.key}: all steps together", "s", whole, [*seconds])
    for step in islice(recipe.steps.values(), _MOST_STEPS):
        units = units_of(step)
        for name, value in figures[step.name].items():
            if name.startswith(MEASURED):
                values = [once.steps.get(step.name, {}).get(name) for once in earlier]
                if any(one is not None for one in values):
                    what = f"{step.name}: {name.removeprefix(MEASURED)}"
                    yield told(what, units.get(name, ""), value, values)


def _affordable(folders: Iterable[Path], most: int) -> Iterator[Path]:
    """Give folders as long as their journals are small."""
    for folder in folders:
        try:
            most -= (folder / NAME).stat().st_size
        except OSError:
            continue
        if most < 0:
            return
        yield folder


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
