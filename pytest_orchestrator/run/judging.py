"""The figures of a step held against those of earlier runs, as criteria of it."""

from collections.abc import Iterator, Mapping, Sequence

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Measured, Verdict
from pytest_orchestrator.run.drift import ENOUGH, Drift, drifted
from pytest_orchestrator.run.history import FIGURES, MEASURED

NAME = "compare."
"""What the names of these criteria begin with, before that of the figure."""


def figures_of_try(ended: Ended, measured: Sequence[Measured]) -> dict[str, float]:
    """Return what a try took and measured, by the names that `History` has for it."""
    usage = ended.usage
    told: dict[str, float] = {"seconds": usage.seconds}
    cpu = [one for one in (usage.cpu_user_seconds, usage.cpu_system_seconds) if one is not None]
    if cpu:
        told["cpu_seconds"] = sum(cpu)
    if usage.max_rss is not None:
        told["max_rss"] = usage.max_rss
    for one in measured:
        if isinstance(one.value, int | float) and not isinstance(one.value, bool):
            told[MEASURED + one.name] = one.value
    return told


def verdicts(
    figures: Mapping[str, float],
    earlier: Mapping[str, list[float]],
    factor: float,
    place: Place,
    units: Mapping[str, str] | None = None,
) -> Iterator[Verdict]:
    """Hold figures against earlier ones.

    Args:
        figures: What a step took and measured.
        earlier: The same of earlier passing runs; those with too few are not judged.
        factor: How many times what was usual a figure may be.
        place: Where the step stands.
        units: Of measurements.

    Returns:
        A criterion for each figure of which enough is known.
    """
    for name, value in figures.items():
        known = earlier.get(name, [])
        if len(known) < ENOUGH:
            continue
        what = name if name in FIGURES else ""
        unit = FIGURES.get(name) or (units or {}).get(name, "")
        drift = drifted(value, known, factor, what)
        yield Verdict(
            name=f"{NAME}{name.removeprefix(MEASURED)}",
            wanted=f"{factor:g} times what was usual",
            place=place,
            measured=value,
            unit=unit,
            distance=None if drift is None else round(abs(value - drift.limit), 6),
            unmet=None if drift is None else _told(drift, unit),
        )


def _told(drift: Drift, unit: str) -> str:
    usual = drift.usual
    side = "at most" if drift.value > usual.median else "at least"
    return (
        f"{_shown(drift.value, unit)} is {drift.factor:.3g} times the median of the last "
        f"{usual.runs} passing runs, {_shown(usual.median, unit)}; {side} "
        f"{_shown(drift.limit, unit)}"
    )


def _shown(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 1e6:.4g} MB"
    return f"{value:.4g} {unit}".rstrip()
