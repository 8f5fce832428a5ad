"""Chart of the samples of a value that a recipe watches while its steps run."""

from pytest_orchestrator.core.json_values import finite_number
from pytest_orchestrator.reports.chart import Chart, Measurand, Point, chart, seconds_axis
from pytest_orchestrator.runs.block import Block


def caption(block: Block) -> str:
    """Return one line on the samples of a block that has a curve."""
    curve = block.curve
    if not curve:
        return ""
    parts = [f"{curve.samples:,} sample{'' if curve.samples == 1 else 's'}"]
    parts.append(f"every {curve.every:g} s")
    if curve.late:
        parts.append(f"{curve.late:,} left out because the one before took too long")
    if curve.failed:
        parts.append(f"{curve.failed:,} without a value")
    if curve.segment:
        parts.append(f"segment {curve.segment} after resumed runs")
    return ", ".join(parts)


def picture(block: Block) -> Chart | None:
    """Return the chart of the samples of a block; None without samples."""
    curve = block.curve
    if not curve or not curve.points:
        return None
    measured = next(iter(block.measurements or ()), None)
    low = finite_number(measured.low) if measured else None
    high = finite_number(measured.high) if measured else None

    def point(seconds: float, value: float) -> Point:
        is_bad = (low is not None and value < low) or (high is not None and value > high)
        look = "failed" if is_bad else "passed"
        return Point(seconds, value, f"{seconds:g} s", look, low, high)

    unit = (measured and measured.unit) or ""
    what = Measurand(block.step.name, unit, about=caption(block))
    points = [point(*one) for one in curve.points]
    return chart(what, [("", points)], seconds_axis(points[-1].x))
