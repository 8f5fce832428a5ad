"""The tab of steps: a table that gets only the rows that changed."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dash import Input, Output, State, dcc, html, no_update

from pytest_orchestrator.monitor.pages.grid import Columns, chosen, column, grid, looks, number
from pytest_orchestrator.monitor.pages.tab import Asked, key, look_at
from pytest_orchestrator.monitor.watch import Sight, Watch
from pytest_orchestrator.reports.html.timeline import moment
from pytest_orchestrator.reports.text import look, sign
from pytest_orchestrator.runs.record import GOING_ON, StepRecord

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Steps"

_MEGA = 1_000_000
_COLUMNS = (
    column("order", "#", width=52, filter=False, type="rightAligned"),
    column("step", "step", flex=2, minWidth=140, tooltipField="step"),
    column("state", "state", width=128),
    column("attempt", "try", width=52, type="rightAligned", filter=False),
    column("started", "started", width=86, filter=False),
    number("seconds", "seconds", 2, width=80, filter=False),
    number("cpu", "CPU s", 2, width=72, filter=False),
    number("peak", "peak MB", 1, width=82, filter=False),
    column("locks", "locks", flex=1, minWidth=70, tooltipField="locks", filter=False),
    column("reason", "reason", flex=3, minWidth=170, tooltipField="reason"),
    column("recipe", "recipe", width=190, tooltipField="recipe"),
)
_WORKER = column("worker", "worker", width=120, tooltipField="worker")


def layout(sight: Sight, asked: Asked) -> Any:
    """Return the tab."""
    shown = list(rows(sight.record.steps, time.time()))
    table = grid(
        "steps",
        _columns(sight),
        shown,
        rowClassRules=looks(),
        selectedRows=chosen(asked.picked) if asked.picked else [],
        rowSelection={"mode": "singleRow", "checkboxes": False, "enableClickSelection": True},
    )
    return html.Div([dcc.Store(id="steps-seen", data=version(sight)), table], className="fill")


def version(sight: Sight) -> Any:
    """Return what tells a page whether it is up to date."""
    return [sight.record.lines, sight.record.state, len(sight.record.steps), len(_columns(sight))]


def register(app: "Dash", watch: Watch) -> None:
    """Keep the table as it is."""

    @app.callback(
        Output("steps", "rowTransaction"),
        Output("steps", "rowData"),
        Output("steps", "columnDefs"),
        Output("steps-seen", "data"),
        Input("tick", "data"),
        State("run", "data"),
        State("steps-seen", "data"),
        prevent_initial_call=True,
    )
    def refresh(_: int, run: str, seen: Any) -> tuple[Any, ...]:
        def show(sight: Sight) -> tuple[Any, ...]:
            line, state, count, width = seen
            steps, columns = sight.record.steps, list(_columns(sight))
            fresh = no_update if version(sight) == seen else version(sight)
            wider = no_update if len(columns) == width else columns
            if len(steps) != count or state != sight.record.state:
                return no_update, list(rows(steps, time.time())), wider, fresh
            update = list(rows(steps, time.time(), line))
            changed = {"update": update, "async": False} if update else no_update
            return changed, no_update, wider, fresh

        return look_at(watch, run, show)

    @app.callback(
        Output("picked", "data", allow_duplicate=True),
        Input("steps", "cellClicked"),
        prevent_initial_call=True,
    )
    def pick(cell: dict[str, Any] | None) -> Any:
        return cell["rowId"] if cell else no_update


def _columns(sight: Sight) -> Columns:
    """Return the columns: that of the workers only where there are any."""
    return (*_COLUMNS, _WORKER) if any(step.where for step in sight.record.steps) else _COLUMNS


def rows(steps: Iterable[StepRecord], now: float, after: int = -1) -> Iterable[dict[str, Any]]:
    """Give the rows of the steps that changed after a line, and of those that go on.

    Args:
        steps: All steps of the run.
        now: Seconds since the epoch.
        after: Number of the line.
    """
    for order, step in enumerate(steps, 1):
        if step.touched > after or step.state in GOING_ON:
            yield row(order, step, now)


def row(order: int, step: StepRecord, now: float) -> dict[str, Any]:
    """Return what the table shows of a step."""
    block = step.block or {}
    used, about = block.get("resources", {}), block.get("step", {})
    cpu = [used[name] for name in ("cpu_user_seconds", "cpu_system_seconds") if name in used]
    seconds = used.get("seconds")
    if step.state in GOING_ON and step.started:
        seconds = max(0.0, now - moment(step.started))
    blocked = about.get("blocked_by")
    retried = step.failed[-1].reason if step.failed and step.state in GOING_ON else ""
    return {
        "id": key(step),
        "order": order,
        "step": step.name,
        "recipe": step.recipe,
        "state": f"{sign(step.state)} {step.state}",
        "look": look(step.state),
        "attempt": step.attempt or None,
        "started": (step.started or "")[11:19],
        "seconds": None if seconds is None else round(seconds, 2),
        "cpu": round(sum(cpu), 3) if cpu else None,
        "peak": round(used["max_rss"] / _MEGA, 1) if "max_rss" in used else None,
        "locks": _locks(step),
        "worker": " of ".join(step.where.values()),
        "reason": about.get("reason") or (f"blocked by {blocked}" if blocked else retried),
    }


def _locks(step: StepRecord) -> str:
    """Tell what a step waits for, or holds, and since when."""
    if step.locked is not None:
        event, since = step.locked
        owner = f", which {event.owner} has" if event.owner else ""
        return f"waits for {event.lock}{owner}, since {since[11:19]}"
    names = [str(one) for one in step.about.get("locks", ())]
    if names and step.state in GOING_ON:
        return f"holds {', '.join(names)} since {(step.started or '')[11:19]}"
    waited = (step.block or {}).get("time", {}).get("waited_seconds")
    return f"waited {waited:.2f} s" if waited else ""
