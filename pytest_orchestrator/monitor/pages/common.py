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
    """Return the definition of a table column for AG Grid."""
    return {"field": field, "headerName": title, "headerTooltip": title, **more}


def number_column(
    field: str, title: str, digits: int = 2, prefix: str = "''", **more: Any
) -> dict[str, Any]:
    """Return a right-aligned column of numbers with a fixed number of digits.

    Args:
        field: Field of the row that holds the number.
        title: Heading of the column.
        digits: Number of decimal places.
        prefix: JavaScript expression for the text before the number.
        more: Further options of the column.
    """
    text = f"params.value == null ? '' : {prefix} + d3.format(',.{digits}f')(params.value)"
    options = {"type": "rightAligned", "valueFormatter": {"function": text}, "width": 96}
    return column(field, title, **(options | more))


def grid(name: Any, columns: Columns, rows: list[dict[str, Any]], **more: Any) -> Any:
    """Return a table whose rows are identified by their field ``id``.

    Args:
        name: The id of the component.
        columns: Its columns.
        rows: Its rows.
        more: Options of AG Grid; `selectedRows` and `rowClassRules` go to the Dash component.
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


def row_classes() -> dict[str, str]:
    """Return the rules that give a row a CSS class by its field ``look``."""
    return {
        f"row-{name}": f"params.data.look === '{name}'"
        for name in ("passed", "failed", "running", "blocked", "skipped", "waiting")
    }


def selected_rows(*ids: str) -> dict[str, Any]:
    """Return the value of `selectedRows` that selects rows by their ids."""
    return {"ids": list(ids)}


T = TypeVar("T")

_SEPARATOR = "::"


class Selection(NamedTuple):
    """The step and the recipe that are selected on a page.

    Attributes:
        picked: Key of the selected step; None if no step is selected.
        recipe: Key of the shown recipe; None shows the recipe of the step, or the first one.
    """

    picked: str | None
    recipe: str | None = None


def step_key(step: StepRecord) -> str:
    """Return the key that identifies a step on a page."""
    return f"{step.recipe}{_SEPARATOR}{step.name}"


def selected_step(view: RunView, picked: str | None) -> StepRecord | None:
    """Return the selected step of a page; None if it does not exist."""
    if not isinstance(picked, str):
        return None
    recipe_key, _, name = picked.rpartition(_SEPARATOR)
    recipe = view.record.recipes.get(recipe_key)
    return recipe.steps.get(name) if recipe else None


def selected_recipe(view: RunView, selection: Selection) -> RecipeRecord | None:
    """Return the selected recipe, else the recipe of the selected step, else the first recipe."""
    recipes = view.record.recipes
    if selection.recipe in recipes:
        return recipes[selection.recipe]
    step = selected_step(view, selection.picked)
    return recipes[step.recipe] if step else next(iter(recipes.values()), None)


def read_run(run_cache: RunCache, run: str, render: Callable[[RunView], T]) -> T:
    """Return the result of a function for a run; leave the page unchanged if the run is gone.

    Raises:
        PreventUpdate: The run does not exist.
    """
    try:
        return run_cache.read(run, render)
    except NoRun:
        raise PreventUpdate from None


_INK: Final = "#7d8590"
_LINES: Final = "rgba(125,133,144,0.22)"


def empty_figure(message: str = "", **layout: Any) -> go.Figure:
    """Return a figure without data.

    Args:
        message: Text in the middle of the figure; empty for a figure to which data are added.
        layout: Further layout options, such as `xaxis`.
    """
    figure = go.Figure(layout={"template": None})
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": _INK, "family": "system-ui, sans-serif", "size": 12},
        margin={"l": 64, "r": 16, "t": 28, "b": 44},
        showlegend=False,
        hovermode="closest",
        **layout,
    )
    figure.update_xaxes(gridcolor=_LINES, zerolinecolor=_LINES, linecolor=_LINES)
    figure.update_yaxes(gridcolor=_LINES, zerolinecolor=_LINES, linecolor=_LINES)
    if message:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        figure.add_annotation(text=message, showarrow=False, font={"size": 14})
    return figure
