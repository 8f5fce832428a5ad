"""Shared parts of the tabs: selection, tables, figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import dash_ag_grid
import plotly.graph_objects as go
from dash.exceptions import PreventUpdate

from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.runs.lookup import NoRun
from pytest_orchestrator.runs.record import RecipeRecord, StepRecord

Columns = Sequence[Mapping[str, Any]]


def column(field: str, title: str, **more: Any) -> dict[str, Any]:
    """Return a column of a table."""
    return {"field": field, "headerName": title, "headerTooltip": title, **more}


def number(field: str, title: str, digits: int = 2, **more: Any) -> dict[str, Any]:
    """Return a column of figures, at the right and with the same digits."""
    shown = f"params.value == null ? '' : d3.format(',.{digits}f')(params.value)"
    looks = {"type": "rightAligned", "valueFormatter": {"function": shown}, "width": 96}
    return column(field, title, **(looks | more))


def grid(name: Any, columns: Columns, rows: list[dict[str, Any]], **more: Any) -> Any:
    """Return a table whose rows are known by their field ``id``.

    Args:
        name: The id of the component.
        columns: Its columns.
        rows: Its rows.
        more: Options of AG Grid; those of the component are `selectedRows` and `getRowStyle`.
    """
    of_component = {key: more.pop(key) for key in ("selectedRows", "rowClassRules") if key in more}
    return dash_ag_grid.AgGrid(
        id=name,
        columnDefs=list(columns),
        rowData=rows,
        getRowId="params.data.id",
        defaultColDef={"sortable": True, "resizable": True, "filter": True, "minWidth": 60},
        dashGridOptions={
            "animateRows": False,
            "suppressCellFocus": True,
            "tooltipShowDelay": 300,
            "enableCellTextSelection": True,
            "rowHeight": 30,
            "headerHeight": 32,
        }
        | more,
        style={"height": "100%", "width": "100%"},
        **of_component,
    )


def looks() -> dict[str, str]:
    """Return which class a row has by its field ``look``."""
    return {
        f"row-{name}": f"params.data.look === '{name}'"
        for name in ("passed", "failed", "running", "blocked", "skipped", "waiting")
    }


def chosen(*ids: str) -> dict[str, Any]:
    """Return what `selectedRows` takes for rows that are known by their ids."""
    return {"ids": list(ids)}


T = TypeVar("T")

_BETWEEN = "::"


class Asked(NamedTuple):
    """What a page has chosen.

    Attributes:
        picked: Key of the selected step; None where there is none.
        recipe: Key of the recipe that is looked at; the first one where it is None.
    """

    picked: str | None
    recipe: str | None = None


def key(step: StepRecord) -> str:
    """Return what a step is known by on a page."""
    return f"{step.recipe}{_BETWEEN}{step.name}"


def found(sight: RunView, picked: str | None) -> StepRecord | None:
    """Return the step that a page has selected."""
    if not isinstance(picked, str):
        return None
    recipe, _, name = picked.rpartition(_BETWEEN)
    known = sight.record.recipes.get(recipe)
    return known.steps.get(name) if known else None


def recipe_of(sight: RunView, asked: Asked) -> RecipeRecord | None:
    """Return the recipe that is looked at: the chosen one, that of the selected step, the first."""
    recipes = sight.record.recipes
    if asked.recipe in recipes:
        return recipes[asked.recipe]
    step = found(sight, asked.picked)
    return recipes[step.recipe] if step else next(iter(recipes.values()), None)


def look_at(watch: RunCache, run: str, show: Callable[[RunView], T]) -> T:
    """Show a run; where it is gone the page stays as it is.

    Raises:
        PreventUpdate: There is no such run.
    """
    try:
        return watch.see(run, show)
    except NoRun:
        raise PreventUpdate from None


_INK: Final = "#7d8590"
_LINES: Final = "rgba(125,133,144,0.22)"


def figure(told: str = "", **axes: Any) -> go.Figure:
    """Return an empty figure.

    Args:
        told: A sentence in its middle, where there is nothing to show.
        axes: More of the layout, such as `xaxis`.
    """
    found = go.Figure(layout={"template": None})
    found.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": _INK, "family": "system-ui, sans-serif", "size": 12},
        margin={"l": 64, "r": 16, "t": 28, "b": 44},
        showlegend=False,
        hovermode="closest",
        **axes,
    )
    found.update_xaxes(gridcolor=_LINES, zerolinecolor=_LINES, linecolor=_LINES)
    found.update_yaxes(gridcolor=_LINES, zerolinecolor=_LINES, linecolor=_LINES)
    if told:
        found.update_xaxes(visible=False)
        found.update_yaxes(visible=False)
        found.add_annotation(text=told, showarrow=False, font={"size": 14})
    return found
