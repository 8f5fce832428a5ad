"""Histories of figures over earlier runs, and resource curves of steps, for charts."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.compare.history import MEASURED, History, figures_of, units_of
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord
from pytest_orchestrator.runs.summary import verdict_of

_MAX_RUNS: Final = 20
_MAX_CHARTS: Final = 24
_MAX_STEPS: Final = 200


def trends(
    run: RunRecord, before: Iterable[Path], most_bytes: int | None = None
) -> list[dict[str, Any]]:
    """Return the histories of up to 24 figures of a run, each of at most 20 runs.

    Args:
        run: The run.
        before: Folders of the earlier runs, the newest first.
        most_bytes: Largest total size of the journals that are read; None means no limit.

    Returns:
        One mapping for each figure with more than one point: its ``name``, ``unit`` and
        ``points``, the oldest first, each with ``run``, ``value`` and ``passed``.
    """
    folders: Iterable[Path] = islice(before, _MAX_RUNS)
    if most_bytes is not None:
        folders = lookup.within_bytes(folders, most_bytes)
    history = History(folders, is_verified=False)
    charts: list[dict[str, Any]] = []
    for recipe in run.recipes.values():
        charts += islice(_trends(run, recipe, history), _MAX_CHARTS - len(charts))
    return charts


def _trends(run: RunRecord, recipe: RecipeRecord, history: History) -> Iterator[dict[str, Any]]:
    figures = {step.name: figures_of(step) for step in recipe.steps.values()}
    whole = sum(each["seconds"] for each in figures.values() if each)
    earlier = list(islice(history.of(recipe.key), _MAX_RUNS - 1)) if whole else []
    if not earlier:
        return
    passed = verdict_of(recipe) == "passed"

    def chart(name: str, unit: str, last: float, values: list[float | None]) -> dict[str, Any]:
        points = [
            {"run": past.run, "value": value, "passed": past.passed}
            for past, value in zip(earlier, values, strict=True)
            if value is not None
        ]
        points.reverse()
        return {
            "name": name,
            "unit": unit,
            "points": [*points, {"run": run.id, "value": last, "passed": passed}],
        }

    seconds = [sum(each["seconds"] for each in past.steps.values()) for past in earlier]
    yield chart(f"{recipe.key}: total step time", "s", whole, [*seconds])
    for step in islice(recipe.steps.values(), _MAX_STEPS):
        units = units_of(step)
        for name, value in figures[step.name].items():
            if name.startswith(MEASURED):
                values = [past.steps.get(step.name, {}).get(name) for past in earlier]
                if any(each is not None for each in values):
                    title = f"{step.name}: {name.removeprefix(MEASURED)}"
                    yield chart(title, units.get(name, ""), value, values)


_MAX_BYTES = 4 << 20


class _Sample(msgspec.Struct):
    seconds: float
    rss: int = 0
    cpu_seconds: float = 0.0


class Curves(msgspec.Struct, frozen=True):
    """Resource usage of a step over time.

    Attributes:
        seconds: Time of each point since the start of the step.
        rss: Resident memory of its processes, in bytes.
        cpu: Mean number of CPU cores used since the previous point.
    """

    seconds: tuple[float, ...]
    rss: tuple[int, ...]
    cpu: tuple[float, ...]


def curves(path: Path, most: int) -> Curves | None:
    """Return the curves of a step; None if its file is unreadable or has fewer than two samples.

    Args:
        path: A file of samples, one JSON object a line; only its first 4 MiB are read.
        most: Maximum number of points. If the file has more samples, each point shows the peak
            memory and the mean CPU usage of a group of samples.
    """
    try:
        with path.open("rb") as file:
            lines = file.read(_MAX_BYTES).splitlines()
    except OSError:
        return None
    samples: list[_Sample] = []
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):  # an incomplete last line
        samples.extend(map(_decode, lines))
    if len(samples) < 2 or most < 2:
        return None
    size = -(-len(samples) // most)
    groups = [samples[start : start + size] for start in range(0, len(samples), size)]
    return Curves(
        tuple(round(group[-1].seconds, 4) for group in groups),
        tuple(max(sample.rss for sample in group) for group in groups),
        tuple(_cores_used(groups)),
    )


def _cores_used(groups: Sequence[Sequence[_Sample]]) -> list[float]:
    before, cores = _Sample(0.0), []
    for group in groups:
        last = group[-1]
        seconds = last.seconds - before.seconds
        used = max(0.0, last.cpu_seconds - before.cpu_seconds)
        cores.append(round(used / seconds, 3) if seconds > 0 else 0.0)
        before = last
    return cores


_decode = msgspec.json.Decoder(_Sample).decode
