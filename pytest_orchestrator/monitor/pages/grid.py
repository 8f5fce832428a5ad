"""Tables that are sorted and filtered in the browser; what stands in their cells is text."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_ag_grid

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
