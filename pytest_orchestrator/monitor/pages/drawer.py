"""What is shown of the selected step: that of `report.html`, from the same functions."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from dash import html

from pytest_orchestrator.monitor.watch import Sight
from pytest_orchestrator.reports.html.budget import Files, Room
from pytest_orchestrator.reports.html.step_view import Measurement, StepView
from pytest_orchestrator.runs.record import StepRecord

_ROOM: Final = Room(log=4_000, failed_log=16_000, text=20_000, points=240, changes=50, value=1_000)


def view(sight: Sight, step: StepRecord) -> StepView:
    """Return a step as reports see it."""
    recipe = sight.record.recipes[step.recipe]
    order = [*recipe.steps].index(step.name) + 1
    name = str(recipe.about.get("name") or recipe.key)
    return StepView("", order, step, name, Files(sight.folder, ""), _ROOM)


def drawer(shown: StepView) -> list[Any]:
    """Return the parts of the drawer; those that have nothing to show are left out."""
    step = shown.step
    head = [
        html.H2(shown.name),
        html.Span(f"{shown.sign} {shown.state}", className=f"badge look-{shown.look}"),
        html.Div(_facts(shown), className="quiet"),
    ]
    reason = [html.P(shown.reason, className="reason")] if shown.reason else []
    parts = [
        _part("Failure", [html.Pre(shown.text, className="text")] if shown.text else []),
        _part("Criteria", _criteria(shown)),
        _part("Measurements", measurements(shown.measurements)),
        _part("Written to the Context", _writes(shown)),
        _part("Used", _pairs(shown.figures)),
        _part("Given", _pairs(shown.given)),
        _part("Tries before", _attempts(shown)),
        _part("Warnings", [html.P(one) for one in shown.warnings]),
        _part("Files", [html.P(f"{one.name}, {one.bytes:,} bytes") for one in shown.attachments]),
        *(_part(log.name, [html.Pre(log.text)]) for log in shown.logs if log.text),
        _part("Command", [html.Pre(shown.command)] if shown.command else []),
        _part("Repeat", [html.Pre(shown.repeat)] if step.block else []),
    ]
    return [*head, *reason, *(part for part in parts if part is not None)]


def _facts(shown: StepView) -> str:
    step = shown.step
    told = [shown.recipe]
    told += [f"line {shown.about['line']}"] if shown.about.get("line") else []
    told += [f"try {step.attempt}"] if step.attempt > 1 else []
    told += [f"started {step.started[11:19]} UTC"] if step.started else []
    told += [f"{shown.seconds} s"] if "seconds" in shown.used else []
    told += [f"on {shown.where}"] if shown.where else []
    needs = shown.about.get("needs") or ()
    told += [f"needs {', '.join(map(str, needs))}"] if needs else []
    return " · ".join(told)


def _part(title: str, content: Sequence[Any]) -> Any | None:
    return html.Section([html.H3(title), *content]) if content else None


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[Any]:
    rows = [html.Tr([html.Th(name), html.Td(told)]) for name, told in pairs]
    return [html.Table(html.Tbody(rows), className="pairs")] if rows else []


def _criteria(shown: StepView) -> list[Any]:
    rows = []
    for one in shown.criteria:
        why = one["reason"] or one["measured"]
        mark = "✔" if one["held"] else "✘"
        looks = "passed" if one["held"] else "failed"
        rows.append(
            html.Tr(
                [
                    html.Td(mark, className=f"text-{looks}"),
                    html.Td(one["name"], className="name"),
                    html.Td(one["wanted"]),
                    html.Td(why),
                ]
            )
        )
    more = [html.P(f"and {shown.more_criteria} more")] if shown.more_criteria else []
    return [html.Table(html.Tbody(rows)), *more] if rows else []


def measurements(each: Sequence[Measurement]) -> list[Any]:
    """Return a table of measurements, each with a bar against its limits."""
    rows = [
        html.Tr(
            [
                html.Td(one.name, className="name"),
                html.Td(f"{one.value} {one.unit}", className="figure"),
                html.Td(limits_bar(one)),
                html.Td(one.wanted, className="figure"),
                html.Td(one.margin and f"margin {one.margin}", className="figure"),
            ]
        )
        for one in each
    ]
    return [html.Table(html.Tbody(rows))] if rows else []


def limits_bar(one: Measurement) -> Any:
    """Return the bar of a measurement: where the value lies in what is wanted."""
    if one.bar is None:
        return ""
    bar = one.bar
    good = {"left": f"{bar.low:.2%}", "width": f"{max(bar.high - bar.low, 0.01):.2%}"}
    verdict = "failed" if one.verdict == "fail" else "passed"
    return html.Div(
        [
            html.Div(className="wanted", style=good),
            html.Div(className=f"value look-{verdict}", style={"left": f"{bar.value:.2%}"}),
        ],
        className="limits",
        title=f"{one.value} {one.unit}, wanted {one.wanted}",
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
