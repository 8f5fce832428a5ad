"""Figures of a step: duration, CPU time, memory and measurements that are numbers, by name."""

from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from pytest_orchestrator.core.result import is_memory_bound
from pytest_orchestrator.runs.block import Block, measurements_of
from pytest_orchestrator.runs.history.model import MEASURED

if TYPE_CHECKING:
    from pytest_orchestrator.runs.record import StepRecord

FIGURES: Final = {"seconds": "s", "cpu_seconds": "s", "max_rss": "bytes"}
"""Figures that all steps have, each with its unit."""


def figures_of(step: "StepRecord") -> dict[str, float]:
    """Return the figures of a step; empty for a step that did not run.

    Returns:
        The figures by name: those of `FIGURES`, and measurements with the prefix `MEASURED`.
    """
    block = step.block
    if block is None or step.state == "restored":
        return {}
    figures = usage_in(block)
    for one in measurements_of(block) if figures else ():
        if isinstance(one.value, int | float) and not isinstance(one.value, bool):
            figures[MEASURED + one.name] = one.value
    return figures


def usage_in(block: Block) -> dict[str, float]:
    """Return the figures of `FIGURES` in a block; empty if the step did not run."""
    used = block.resources
    if not used:
        return {}
    figures: dict[str, float] = {"seconds": used.seconds}
    cpu = [one for one in (used.cpu_user_seconds, used.cpu_system_seconds) if one is not UNSET]
    if cpu:
        figures["cpu_seconds"] = round(sum(cpu), 6)
    if used.max_rss is not UNSET and not is_memory_bound(used.source):
        figures["max_rss"] = used.max_rss
    return figures


def units_of(step: "StepRecord") -> dict[str, str]:
    """Return the units of the measurements of a step, by name of the figure."""
    measured = measurements_of(step.block)
    return {MEASURED + one.name: one.unit for one in measured if one.unit}


def precisions_of(step: "StepRecord") -> dict[str, int]:
    """Return the `precision` of the measurements of a step that have one, by figure."""
    measured = measurements_of(step.block)
    return {MEASURED + one.name: one.precision for one in measured if one.precision}
