"""Steps tab: table of the steps, and the drawer with details of the selected step."""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from dash import Input, Output, State, dcc, html, no_update

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.core.result import is_memory_bound
from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.monitor.pages import elements
from pytest_orchestrator.monitor.pages.common import (
    Columns,
    Selection,
    column,
    grid,
    number_column,
    read_run,
    row_classes,
    selected_rows,
    step_key,
)
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.html.budget import ContentBudget, Files
from pytest_orchestrator.reports.html.step_view import Measurement, StepView
from pytest_orchestrator.reports.text import look, sign
from pytest_orchestrator.runs.record import ACTIVE, StepRecord

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Steps"

_MEGA = 1_000_000
_COLUMNS = (
    column("order", "#", width=52, filter=False, type="rightAligned"),
    column("step", "Step", flex=2, minWidth=140, tooltipField="step"),
    column("state", "State", width=128),
    column("attempt", "Attempt", width=92, type="rightAligned", filter=False),
    column("started", "Started", width=86, filter=False),
    number_column("seconds", "Seconds", 2, width=80, filter=False),
    number_column("cpu", "CPU s", 2, width=72, filter=False),
    number_column("peak", "Peak MB", 1, width=82, filter=False, prefix="params.data.bound"),
    column("locks", "Locks", flex=1, minWidth=70, tooltipField="locks", filter=False),
    column("reason", "Reason", flex=3, minWidth=170, tooltipField="reason"),
    column("recipe", "Recipe", width=190, tooltipField="recipe"),
)
_WORKER = column("worker", "Worker", width=120, tooltipField="worker")


def layout(view: RunView, selection: Selection) -> Any:
    """Return the content of the Steps tab."""
    shown = list(rows(view.record.steps, time.time()))
    table = grid(
        "steps",
        _columns(view),
        shown,
        rowClassRules=row_classes(),
        selectedRows=selected_rows(selection.picked) if selection.picked else [],
        rowSelection={"mode": "singleRow", "checkboxes": False, "enableClickSelection": True},
    )
    return html.Div([dcc.Store(id="steps-seen", data=version(view)), table], className="fill")


def version(view: RunView) -> Any:
    """Return a value that changes whenever the shown content changes."""
    return [view.record.lines, view.record.state, len(view.record.steps), len(_columns(view))]


def register(app: "Dash", run_cache: RunCache) -> None:
    """Register the callbacks that update the table and select a clicked step."""

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
        def render(view: RunView) -> tuple[Any, ...]:
            line, state, count, width = seen
            steps, columns = view.record.steps, list(_columns(view))
            fresh = no_update if version(view) == seen else version(view)
            wider = no_update if len(columns) == width else columns
            if len(steps) != count or state != view.record.state:
                return no_update, list(rows(steps, time.time())), wider, fresh
            update = list(rows(steps, time.time(), line))
            changed = {"update": update, "async": False} if update else no_update
            return changed, no_update, wider, fresh

        return read_run(run_cache, run, render)

    @app.callback(
        Output("picked", "data", allow_duplicate=True),
        Input("steps", "cellClicked"),
        prevent_initial_call=True,
    )
    def pick(cell: dict[str, Any] | None) -> Any:
        return cell["rowId"] if cell else no_update


def _columns(view: RunView) -> Columns:
    """Return the columns of the table, with the workers only if a step ran on a worker."""
    return (*_COLUMNS, _WORKER) if any(step.where for step in view.record.steps) else _COLUMNS


def rows(steps: Iterable[StepRecord], now: float, after: int = -1) -> Iterable[dict[str, Any]]:
    """Yield the rows of the steps that changed after a journal line, and of running steps.

    Args:
        steps: All steps of the run.
        now: Seconds since the epoch.
        after: Number of the journal line.
    """
    for order, step in enumerate(steps, 1):
        if step.touched > after or step.state in ACTIVE:
            yield row(order, step, now)


def row(order: int, step: StepRecord, now: float) -> dict[str, Any]:
    """Return the row of a step in the table."""
    used, about = step.figures, step.outcome_fields
    cpu = [used[name] for name in ("cpu_user_seconds", "cpu_system_seconds") if name in used]
    seconds = used.get("seconds")
    if step.state in ACTIVE and step.started:
        seconds = max(0.0, now - epoch_seconds(step.started))
    blocked = about.get("blocked_by")
    return {
        "id": step_key(step),
        "order": order,
        "step": step.name,
        "recipe": step.recipe,
        "state": f"{sign(step.state)} {step.state}",
        "look": look(step.state),
        "attempt": step.attempt or None,
        "started": (step.start or "")[11:19],
        "seconds": None if seconds is None else round(seconds, 2),
        "cpu": round(sum(cpu), 3) if cpu else None,
        "peak": round(used["max_rss"] / _MEGA, 1) if "max_rss" in used else None,
        "bound": "≤ " if is_memory_bound(used.get("source")) else "",
        "locks": _locks(step),
        "worker": " of ".join(step.where.values()),
        "reason": about.get("reason") or (f"blocked by {blocked}" if blocked else _now(step)),
    }


def _now(step: StepRecord) -> str:
    """Return a text on an active step: its question, its elements or its last failed attempt."""
    if step.state not in ACTIVE:
        return ""
    asks = f"asks: {one_line(step.asked.message)}" if step.asked else ""
    failed = step.failed[-1].reason if step.failed else ""
    return " · ".join(part for part in (elements.progress(step), asks or failed) if part)


def _locks(step: StepRecord) -> str:
    """Return a text: the lock that a step waits for, the locks it holds, or the time waited."""
    if step.locked is not None:
        event, since = step.locked
        owner = f" (held by {event.owner})" if event.owner else ""
        return f"waiting for {event.lock}{owner} since {since[11:19]}"
    names = [str(one) for one in step.about.get("locks", ())]
    if names and step.state in ACTIVE:
        return f"holds {', '.join(names)} since {(step.started or '')[11:19]}"
    waited = step.block.time.waited_seconds if step.block and step.block.time else 0.0
    return f"waited {waited:.2f} s" if waited else ""


_ROOM: Final = ContentBudget(
    log=4_000, failed_log=16_000, text=20_000, points=240, changes=50, value=1_000
)


def step_view(view: RunView, step: StepRecord) -> StepView:
    """Return the view of a step that the reports use."""
    recipe = view.record.recipes[step.recipe]
    order = [*recipe.steps].index(step.name) + 1
    name = str(recipe.about.get("name") or recipe.key)
    return StepView("", order, step, name, Files(view.folder, ""), _ROOM)


def drawer(shown: StepView) -> list[Any]:
    """Return the content of the drawer: details of a step, without empty sections."""
    step = shown.step
    head = [
        html.H2(shown.name),
        html.Span(f"{shown.sign} {shown.state}", className=f"badge look-{shown.look}"),
        html.Div(_facts(shown), className="quiet"),
    ]
    reason = [html.P(shown.reason, className="reason")] if shown.reason else []
    parts = [
        _part("Failure", [html.Pre(shown.text, className="text")] if shown.text else []),
        _part("Success criteria", _criteria(shown)),
        _part(
            "Question",
            [html.P(shown.step.asked.message, className="question")] if shown.step.asked else [],
        ),
        _part("Measurements", measurements(shown.measurements)),
        _part("Elements", _elements(shown)),
        _part("Context keys written", _writes(shown)),
        _part("Resources", _pairs(shown.figures)),
        _part("Inputs", _pairs(shown.inputs)),
        _part("Earlier attempts", _attempts(shown)),
        _part("Answers", [html.P(one) for one in shown.answers]),
        _part("Warnings", [html.P(one) for one in shown.warnings]),
        _part("Files", [html.P(f"{one.name}, {one.bytes:,} bytes") for one in shown.attachments]),
        *(_part(log.name, [html.Pre(log.text)]) for log in shown.logs if log.text),
        _part("Command", [html.Pre(shown.command)] if shown.command else []),
        _part("Rerun", [html.Pre(shown.rerun_command)] if step.block else []),
    ]
    return [*head, *reason, *(part for part in parts if part is not None)]


def _facts(shown: StepView) -> str:
    step = shown.step
    facts = [shown.recipe]
    facts += [f"line {shown.about['line']}"] if shown.about.get("line") else []
    facts += [f"attempt {step.attempt}"] if step.attempt > 1 else []
    facts += [part] if (part := elements.progress(step)) else []
    facts += [f"started {step.start[11:19]} UTC"] if step.start else []
    facts += [f"{shown.seconds} s"] if "seconds" in shown.used else []
    facts += [f"on {shown.where}"] if shown.where else []
    needs = shown.about.get("needs") or ()
    facts += [f"needs {', '.join(map(str, needs))}"] if needs else []
    return " · ".join(facts)


def _part(title: str, content: Sequence[Any]) -> Any | None:
    return html.Section([html.H3(title), *content]) if content else None


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[Any]:
    rows = [html.Tr([html.Th(name), html.Td(value)]) for name, value in pairs]
    return [html.Table(html.Tbody(rows), className="pairs")] if rows else []


def _criteria(shown: StepView) -> list[Any]:
    rows = []
    for one in shown.criteria:
        detail = one["reason"] or one["measured"]
        mark = "✔" if one["held"] else "✘"
        look_name = "passed" if one["held"] else "failed"
        rows.append(
            html.Tr(
                [
                    html.Td(mark, className=f"text-{look_name}"),
                    html.Td(one["name"], className="name"),
                    html.Td(one["wanted"]),
                    html.Td(detail),
                ]
            )
        )
    more = [html.P(f"and {shown.more_criteria} more")] if shown.more_criteria else []
    return [html.Table(html.Tbody(rows)), *more] if rows else []


def _elements(shown: StepView) -> list[Any]:
    """Return the curves and the table of the elements of ``foreach``."""
    if shown.elements is None:
        return []
    return [*elements.curves(shown.element_curves), *elements.table(shown.elements)]


def measurements(each: Sequence[Measurement]) -> list[Any]:
    """Return a table of measurements, each with a bar that shows its value and limits."""
    rows = [
        html.Tr(
            [
                html.Td(one.name, className="name"),
                html.Td(figure_of(one), className="figure", title=one.texts.exact),
                html.Td(limits_bar(one)),
                html.Td(one.limits, className="figure"),
                html.Td(margin_of(one) and f"margin {margin_of(one)}", className="figure"),
                html.Td(f"{one.sign} {one.verdict}", className=f"text-{one.look}"),
            ]
        )
        for one in each
    ]
    return [html.Table(html.Tbody(rows))] if rows else []


def figure_of(one: Measurement) -> str:
    """Return the value of a measurement with its unit."""
    return f"{one.texts.value} {one.texts.unit}".strip()


def margin_of(one: Measurement) -> str:
    """Return the distance of a measurement to its nearest limit in percent; empty without one."""
    return f"{one.texts.margin} %" if one.texts.margin else ""


def limits_bar(one: Measurement) -> Any:
    """Return a bar that shows the expected range of a measurement and its value."""
    if one.bar is None:
        return ""
    bar = one.bar
    expected = {"left": f"{bar.low:.2%}", "width": f"{max(bar.high - bar.low, 0.01):.2%}"}
    clear = []
    if bar.clear is not None:
        start, end = bar.clear
        clear = [
            html.Div(
                className="clear", style={"left": f"{start:.2%}", "width": f"{end - start:.2%}"}
            )
        ]
    near = " near" if clear else ""
    return html.Div(
        [
            html.Div(className=f"wanted{near}", style=expected),
            *clear,
            html.Div(className=f"value look-{one.look}", style={"left": f"{bar.value:.2%}"}),
        ],
        className="limits",
        title=f"{figure_of(one)}, expected {one.limits}",
    )


def _writes(shown: StepView) -> list[Any]:
    rows = []
    for one in shown.writes:
        change = f"{one['old']} → {one['new']}" if one["had"] else one["new"]
        rows.append(html.Tr([html.Th(one["key"]), html.Td(one["op"]), html.Td(change)]))
    more = [html.P(f"and {shown.more_writes} more")] if shown.more_writes else []
    return [html.Table(html.Tbody(rows), className="pairs"), *more] if rows else []


def _attempts(shown: StepView) -> list[Any]:
    return [html.P(f"{number}: {one['reason']}") for number, one in enumerate(shown.attempts, 1)]
