"""The line at the bottom of each page: what is read, how late, and when something happened last."""

from typing import Any

from dash import html

from pytest_orchestrator.monitor.watch import Sight
from pytest_orchestrator.reports.html.timeline import moment


def footer(name: str = "foot", told: str = "") -> Any:
    """Return the line; a script turns it red where three answers in a row are missing.

    Args:
        name: The id of what is told.
        told: What that is at first.
    """
    return html.Footer(
        [
            html.Span(told, id=name),
            html.Span("the monitor does not answer", className="missing"),
        ]
    )


def told(sight: Sight, now: float) -> str:
    """Return what the line says of a run."""
    if sight.trouble:
        return sight.trouble
    last = sight.record.last
    lag = max(0.0, now - sight.checked)
    parts = [f"source {sight.folder}", f"lag {lag:.1f} s"]
    if last:
        ago = max(0.0, now - moment(last))
        event = f"last event {last[11:19]} UTC"
        parts.append(f"{event}, {ago:.0f} s ago" if sight.record.state == "running" else event)
    return " · ".join(parts)
