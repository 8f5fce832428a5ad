"""Figures as people read them."""

from pytest_orchestrator.core.json_values import Json

_MEGA = 1_000_000


def seconds(value: Json) -> str:
    """Return seconds with two decimals, or a dash where there is no figure."""
    return f"{value:.2f}" if isinstance(value, (int, float)) else "-"


def duration(value: float) -> str:
    """Return seconds with their unit, as many digits as say something."""
    return f"{value:.1f} s" if value >= 10 else f"{value:.2f} s"


def megabytes(value: Json) -> str:
    """Return bytes as MB with one decimal, or a dash where there is no figure."""
    return f"{value / _MEGA:.1f}" if isinstance(value, (int, float)) else "-"


def added(*values: Json) -> float | None:
    """Return the sum of the figures that are there, None where there is none."""
    numbers = [value for value in values if isinstance(value, (int, float))]
    return sum(numbers) if numbers else None


def whole_megabytes(value: int) -> str:
    """Return bytes as whole MB."""
    return f"{value / _MEGA:.0f}"
