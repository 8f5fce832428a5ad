"""The bar over a run that counts up: what became of its steps, how long, how long to go."""

from collections import Counter
from typing import Any, Final

from dash import dcc, html

from pytest_orchestrator.monitor.usual import Seconds, to_go
from pytest_orchestrator.monitor.watch import Sight
from pytest_orchestrator.reports.html.timeline import moment
from pytest_orchestrator.reports.text import duration, look, sign
from pytest_orchestrator.runs.summary import seconds, verdict

_ORDER: Final = ("passed", "failed", "blocked", "skipped", "running", "waiting")


def bar(sight: Sight, usual: Seconds, now: float) -> list[Any]:
    """Return what the bar has in it.

    Args:
        sight: The run.
        usual: What its steps usually take.
        now: Seconds since the epoch.
    """
    run = sight.record
    word = verdict(run)
    states = Counter(step.state for step in run.steps)
    looks = Counter(look(step.state) for step in run.steps)
    total = sum(states.values())
    done = total - looks["running"] - looks["waiting"]
    live = run.state == "running" and bool(run.first)
    took = max(0.0, now - moment(run.first)) if live else seconds(run)
    told = [f"{done} of {total} steps", ", ".join(f"{n} {name}" for name, n in states.items())]
    told += [duration(took)]
    left = to_go(run, usual, now) if live and total else None
    told += [f"about {_clock(left)} to go"] if left is not None else []
    parts = [
        html.Div(className=f"part look-{name}", style={"flexGrow": looks[name]})
        for name in _ORDER
        if looks[name]
    ]
    return [
        html.Div(
            [
                dcc.Link("runs", href="/"),
                html.Span(">", className="quiet"),
                html.H1(sight.folder.name),
                html.Span(f"{sign(word)} {word}", className=f"badge look-{look(word)}"),
                html.Span(_what(sight), className="quiet"),
            ],
            className="line",
        ),
        html.Div(parts, className="bar", title=" · ".join(told)),
        html.Div(" · ".join(part for part in told if part), className="quiet", id="told"),
    ]


def _what(sight: Sight) -> str:
    """Name the recipes, and the machine."""
    names = [recipe.about.get("name") or recipe.key for recipe in sight.record.recipes.values()]
    shown = ", ".join(map(str, names[:3])) + (f" and {len(names) - 3} more" * (len(names) > 3))
    started = sight.record.started
    return f"{shown} on {started.host}" if started and started.host else shown


def _clock(left: float) -> str:
    minutes, rest = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
