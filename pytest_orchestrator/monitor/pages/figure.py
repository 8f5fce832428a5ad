"""Figures as all tabs have them: on no ground of their own, legible in light and in dark."""

from typing import Any, Final

import plotly.graph_objects as go

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
