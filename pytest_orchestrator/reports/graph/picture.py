"""Graph pictures: SVG, DOT, Mermaid.

Nodes of Mermaid have numbered ids, so that a step's name cannot be a keyword of Mermaid.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.text import CONTROLS, cut_to_length, display_width
from pytest_orchestrator.reports.graph.layout import COLUMNS, HEIGHT, WIDTH, layered_layout
from pytest_orchestrator.reports.graph.nodes import MOST, Graph, Node, Steps, graph
from pytest_orchestrator.reports.states import COLOURS, Legend, legend
from pytest_orchestrator.runs.verdicts import STATES, UNKNOWN

_WIDEST_LABEL: Final = 60
_LABEL: Final = CONTROLS | {9: " ", 10: " ", 34: "#quot;", 60: "#lt;", 62: "#gt;"}
"""Escapes of Mermaid for the characters of names, which come from untrusted journals."""
_MOST_ARROWS: Final = 400
# Mermaid refuses a drawing of more than 500 arrows or 50,000 characters.
_INK: Final = "#1f2328"
_DASHES: Final = "stroke-dasharray:5 3"


def legend_of(drawn: Graph) -> Legend:
    """Return the legend of a graph, with the states and marks that it has."""
    nodes = drawn.nodes.values()
    weak = {one for mine in drawn.waits.values() for one in mine.values()}
    marks = {
        "solid": False in weak,
        "dashed": True in weak,
        "final": True in [node.final for node in nodes],
        "folded": max([node.steps for node in nodes], default=0) > 1,
    }
    return legend([node.state for node in nodes], [name for name, used in marks.items() if used])


def mermaid(steps: Steps, most: int = MOST, *, fold: bool = True, with_legend: bool = True) -> str:
    """Return the graph of a recipe as Mermaid.

    Args:
        steps: Its steps in their order, with unique names.
        most: Highest number of boxes. If the recipe has more, failed steps come first, then their
            neighbours in the graph, then the first steps.
        fold: True to fold chains of steps of a large recipe.
        with_legend: True for a legend below the graph, if a sign needs one.

    Returns:
        Text of Mermaid, always below the limits of Mermaid.
    """
    drawn = graph(steps, fold=fold, most=most)
    ids = {name: f"s{number}" for number, name in enumerate(drawn.nodes)}
    nodes = drawn.nodes.values()
    lines = ["flowchart TD"]
    lines += [f"    {_mermaid_box(node, ids)}" for node in nodes if not node.final]
    if final := [node for node in nodes if node.final]:
        inner = (f"        {_mermaid_box(node, ids)}" for node in final)
        lines += ["    subgraph finally", *inner, "    end"]
    lines += _more(drawn)
    arrows = [
        f"{ids[start]} {'-.->' if weak else '-->'} {ids[stop]}"
        for stop, mine in drawn.waits.items()
        for start, weak in mine.items()
    ]
    lines += [f"    {arrow}" for arrow in arrows[:_MOST_ARROWS]]
    if arrows[_MOST_ARROWS:]:
        lines.append(f'    arrows["… {len(arrows) - _MOST_ARROWS:,} more arrows"]')
    if with_legend:
        lines += _mermaid_legend(drawn, ids)
    looks = dict.fromkeys(node.look for node in nodes if node.look)
    lines += [
        f"    classDef {one} fill:{COLOURS[one].ground},stroke:{COLOURS[one].line},color:{_INK}"
        for one in looks
    ]
    if final:
        lines.append(f"    classDef final {_DASHES}")
        lines.append(f"    class {','.join(ids[node.name] for node in final)} final")
    return "\n".join(lines) + "\n"


def _mermaid_box(node: Node, ids: Mapping[str, str]) -> str:
    if node.steps > 1:
        ends = (cut_to_length(name, _WIDEST_LABEL // 2) for name in (node.name, node.last))
        title = " … ".join(ends).translate(_LABEL)
    else:
        title = cut_to_length(node.name, _WIDEST_LABEL).translate(_LABEL)
    state = node.state_text
    label = f"{title}<br/>{state}" if state else title
    shape = f'[["{label}"]]' if node.steps > 1 else f'["{label}"]'
    return f"{ids[node.name]}{shape}" + (f":::{node.look}" if node.look else "")


def _mermaid_legend(drawn: Graph, ids: Mapping[str, str]) -> list[str]:
    """Return a box with the legend below the last step, if a mark of the picture needs one."""
    marks = legend_of(drawn).marks
    if not {*marks} - {"solid"}:
        return []
    text = "<br/>".join(Legend((), marks).texts)
    last = [*ids.values()][-1]
    return [
        f'    legend["{text}"]',
        f"    {last} ~~~ legend",
        "    style legend fill:none,stroke:none",
    ]


def _more(drawn: Graph) -> list[str]:
    if not drawn.left_out:
        return []
    counts = ", ".join(f"{number:,} {one}" for one, number in drawn.left_out.items() if one)
    label = f"… {sum(drawn.left_out.values()):,} more steps" + (f"<br/>{counts}" if counts else "")
    return [f'    more["{label}"]']


class _Box(msgspec.Struct, frozen=True):
    """Values of a node that the SVG template uses."""

    classes: str
    title: str
    label: str
    length: int
    state: str
    folded: bool
    href: Any


class _Entry(msgspec.Struct, frozen=True):
    """Entry of the legend of an SVG: its text, its style and its place."""

    text: str
    look: str
    x: int
    y: int


_INSIDE: Final = WIDTH - 20
_LEGEND_LINE: Final = 18
_NARROW_COLUMNS: Final = 2
_SMALLEST: Final = 0.76
"""Smallest scale of a picture: its texts have at least nine pixels."""


def svg(steps: Steps, *, fold: bool = True) -> str:
    """Return the graph of a recipe as an SVG document.

    Args:
        steps: The steps of a recipe in their order, with unique names; ``seconds`` are shown.
        fold: True to fold chains of steps of a large recipe.
    """
    from pytest_orchestrator.reports.templating import template

    drawn = graph(steps, fold=fold)
    picture = boxes(drawn)
    entries, width, height = _legend_entries(drawn, picture["width"], picture["height"])
    sizes = {"width": width, "height": height, "legend": entries, "least": int(width * _SMALLEST)}
    return template("graph.svg").render(picture | sizes, alone=True, colours=COLOURS)


def boxes(
    drawn: Graph, marks: Mapping[str, str] | None = None, columns: int = COLUMNS
) -> dict[str, Any]:
    """Return the variables of the SVG template for a graph.

    Args:
        drawn: The graph.
        marks: Further classes of boxes, by name of the node.
        columns: Highest number of ranks beside each other.
    """
    marks = marks or {}
    shown = [_svg_box(node, marks.get(name, "")) for name, node in drawn.nodes.items()]
    return _picture(drawn, shown, columns)


def narrow_boxes(drawn: Graph, wide: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the variables of a picture for a narrow screen; None if the graph fits one.

    Args:
        drawn: The graph.
        wide: The variables of its picture for other screens, as `boxes` returns them.
    """
    if len(drawn.nodes) <= _NARROW_COLUMNS:
        return None
    return _picture(drawn, [box for box, _ in wide["boxes"]], _NARROW_COLUMNS)


def _picture(drawn: Graph, shown: Sequence[_Box], columns: int) -> dict[str, Any]:
    """Return the variables of a picture: each box with its place, the lines, and the sizes."""
    layout = layered_layout(drawn, columns)
    places = [f"translate({x:.1f} {y:.1f})" for x, y in map(layout.boxes.__getitem__, drawn.nodes)]
    return {
        "width": layout.width,
        "height": layout.height,
        "least": int(layout.width * _SMALLEST),
        "box_size": (WIDTH, HEIGHT),
        "boxes": list(zip(shown, places, strict=True)),
        "lines": layout.lines,
        "dashed": layout.dashed,
        "heads": layout.heads,
        "columns": layout.columns,
        "legend": (),
        "screen": "",
    }


def _svg_box(node: Node, mark: str) -> _Box:
    label, outcome = node.label, node.outcome
    return _Box(
        f"box {node.look or 'waiting'}{' final' if node.final else ''}{mark and f' {mark}'}",
        node.title(outcome),
        label,
        _INSIDE if _is_wide(label) else 0,
        outcome,
        node.steps > 1,
        node.href,
    )


def _is_wide(label: str) -> bool:
    """Return True if a name may be wider than its box: many capitals, `m`, `w` or wide letters."""
    if label.isascii() and (6.6 + 2.6) * len(label) <= _INSIDE:
        return False
    wide = sum([letter.isupper() or letter in "mw_…" for letter in label])
    return 6.6 * display_width(label) + 2.6 * wide > _INSIDE


def _legend_entries(drawn: Graph, width: float, height: float) -> tuple[list[_Entry], float, float]:
    """Return the entries of the legend below a picture, and the size of the whole picture."""
    shown = legend_of(drawn)
    styles = [STATES.get(word, UNKNOWN).look for word in shown.states]
    texts = shown.texts
    if not {*shown.marks} - {"solid"} and len(styles) <= 1:
        return [], width, height
    width = max(width, 2 * WIDTH)
    entries, x, y = [], 10, int(height) + _LEGEND_LINE
    for text, style in zip(texts, [*styles, *[""] * len(shown.marks)], strict=True):
        room = 7 * len(text) + 16
        if x > 10 and x + room > width:
            x, y = 10, y + _LEGEND_LINE
        entries.append(_Entry(text, style, x, y))
        x += room
    return entries, width, y + 8


def dot(steps: Steps, *, fold: bool = True) -> str:
    """Return the graph of a recipe in the DOT language of Graphviz.

    Args:
        steps: The steps, as for `svg`.
        fold: True to fold chains of steps of a large recipe.
    """
    drawn = graph(steps, fold=fold)
    lines = ["digraph recipe {", "  rankdir=TB;"]
    lines.append('  node [shape=box, style="rounded,filled", fontname="sans-serif"];')
    lines.append(f"  node [width={WIDTH / 72:.3f}, height={HEIGHT / 72:.3f}, fixedsize=true];")
    for node in drawn.nodes.values():
        label = _quoted(node.label)
        label = f"{label[:-1]}\\n{_quoted(node.outcome)[1:]}" if node.outcome else label
        colours = COLOURS[node.look or "waiting"]
        more = ', style="rounded,filled,dashed"' * node.final + ", peripheries=2" * (node.steps > 1)
        fill = f'color="{colours.line}", fillcolor="{colours.ground}"'
        lines.append(f"  {_quoted(node.name)} [label={label}, {fill}{more}];")
    for stop, mine in drawn.waits.items():
        for start, weak in mine.items():
            looks = " [style=dashed]" if weak else ""
            lines.append(f"  {_quoted(start)} -> {_quoted(stop)}{looks};")
    if {*legend_of(drawn).marks} - {"solid"}:
        text = "   ".join(legend_of(drawn).texts)
        lines.append(f'  label={_quoted(text)}; labelloc=b; fontname="sans-serif"; fontsize=11;')
    return "\n".join([*lines, "}"]) + "\n"


PICTURES: Final[Mapping[str, Callable[..., str]]] = {"svg": svg, "mmd": mermaid, "dot": dot}
"""Writers of pictures by the suffix of the file."""


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{text}"'
