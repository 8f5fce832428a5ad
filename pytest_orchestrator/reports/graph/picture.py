"""Graph pictures: SVG, DOT, Mermaid.

Ids are numbers, so no name of a step can be a word of Mermaid's.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.text import CONTROLS
from pytest_orchestrator.reports import text as report_text
from pytest_orchestrator.reports.graph.layout import HEIGHT, WIDTH, Layout, Steps, laid_out, waits
from pytest_orchestrator.reports.text import SIGNS, look, sign

"""What blocks of the JSON report say of steps: ``name``, and ``needs``, ``after``, ``state``
and ``final`` as far as they are there."""

MOST = 150
"""Steps that are drawn where no other number is asked for; nobody reads more."""

_WIDEST_LABEL = 60
_LABEL = CONTROLS | {9: " ", 10: " ", 34: "#quot;", 60: "#lt;", 62: "#gt;"}
"""Names in journals may be anything; Mermaid has its own way to write a character."""
_MOST_ARROWS = 400
# A drawing of more than 500 arrows or 50,000 characters is refused by Mermaid itself.

_COLOURS = {
    "passed": ("dafbe1", "1a7f37"),
    "failed": ("ffebe9", "cf222e"),
    "skipped": ("f6f8fa", "6e7781"),
    "blocked": ("fff8c5", "9a6700"),
    "running": ("ddf4ff", "0550ae"),
}


def mermaid(steps: Steps, most: int = MOST) -> str:
    """Return the graph of a recipe.

    Args:
        steps: Its steps in their order, each named once.
        most: Number of steps that are drawn. Where there are more, these are the steps that
            failed, what they need and what needs them, and then the first ones.

    Returns:
        Lines of Mermaid, below its limits whatever the recipe.
    """
    drawn = chosen(steps, most)
    ids = {str(step["name"]): f"s{number}" for number, step in enumerate(drawn)}
    lines = ["flowchart TD"]
    lines += [f"    {_mermaid_box(step, ids)}" for step in drawn if not step.get("final")]
    final = [step for step in drawn if step.get("final")]
    if final:
        inner = (f"        {_mermaid_box(step, ids)}" for step in final)
        lines += ["    subgraph finally", *inner, "    end"]
    lines += _more(steps, drawn)
    arrows = list(_arrows(drawn, ids))
    lines += [f"    {arrow}" for arrow in arrows[:_MOST_ARROWS]]
    if arrows[_MOST_ARROWS:]:
        lines.append(f'    arrows["… {len(arrows) - _MOST_ARROWS:,} more arrows"]')
    looks = dict.fromkeys(look for step in drawn if (look := _look(step)))
    lines += [
        f"    classDef {look} fill:#{_COLOURS[look][0]},stroke:#{_COLOURS[look][1]},color:#1f2328"
        for look in looks
    ]
    return "\n".join(lines) + "\n"


def _mermaid_box(step: Mapping[str, Json], ids: Mapping[str, str]) -> str:
    name, state = str(step["name"]), step.get("state")
    words = f"{SIGNS.get(str(state), '')} {state}".strip() if state else ""
    shown = name if len(name) <= _WIDEST_LABEL else f"{name[: _WIDEST_LABEL - 1]}…"
    shown = shown.translate(_LABEL)
    told = f"{shown}<br/>{words}" if words else shown
    look = _look(step)
    return f'{ids[name]}["{told}"]' + (f":::{look}" if look else "")


def _look(step: Mapping[str, Json]) -> str:
    state = str(step.get("state", ""))
    found = look(state)
    return found if found in _COLOURS else ""


def _arrows(drawn: Steps, ids: Mapping[str, str]) -> Iterable[str]:
    for step in drawn:
        mine, needs = ids[str(step["name"])], _names(step, "needs")
        for need in needs:
            if need in ids:
                yield f"{ids[need]} --> {mine}"
        for other in _names(step, "after"):
            if other in ids and other not in needs:
                yield f"{ids[other]} -.-> {mine}"


def chosen(steps: Steps, most: int) -> Steps:
    """Return the steps to draw where there is no room for all, in their order.

    Args:
        steps: All steps of a recipe.
        most: Number of steps at most; those that failed and their neighbours come first.
    """
    if len(steps) <= most:
        return steps
    failed = {str(step["name"]) for step in steps if _look(step) == "failed"}
    near = {
        name
        for step in steps
        for name in (str(step["name"]), *_names(step, "needs"))
        if str(step["name"]) in failed or failed.intersection(_names(step, "needs"))
    }

    def weight(place: int) -> tuple[int, int]:
        name = str(steps[place]["name"])
        return (0 if name in failed else 1 if name in near else 2, place)

    places = sorted(sorted(range(len(steps)), key=weight)[:most])
    return [steps[place] for place in places]


def _more(steps: Steps, drawn: Steps) -> list[str]:
    if len(drawn) == len(steps):
        return []
    names = {step["name"] for step in drawn}
    states = [str(step.get("state", "")) for step in steps if step["name"] not in names]
    counts = ", ".join(f"{states.count(one):,} {one}" for one in dict.fromkeys(states) if one)
    told = f"… {len(states):,} more steps" + (f"<br/>{counts}" if counts else "")
    return [f'    more["{told}"]']


def _names(step: Mapping[str, Json], key: str) -> list[str]:
    told = step.get(key)
    return [str(one) for one in told] if isinstance(told, list) else []


_WIDEST_NAME: Final = 23
_FILLS: Final = {
    "passed": "#dafbe1",
    "failed": "#ffebe9",
    "blocked": "#fff8c5",
    "running": "#ddf4ff",
    "skipped": "#f6f8fa",
}


class _Box(NamedTuple):
    """A step as the template writes it, in few values: each takes a microsecond there."""

    classes: str
    place: str
    title: str
    shown: str
    told: str
    href: Any


def svg(steps: Steps, *, graphviz: bool = False) -> str:
    """Return a drawing that is a file of its own.

    Args:
        steps: The steps of a recipe in their order, each named once; ``seconds`` are shown.
        graphviz: Let Graphviz find the places where it is installed (extra ``graph``).
    """
    from pytest_orchestrator.reports.templating import template

    layout = _by_graphviz(steps) if graphviz else None
    return template("graph.svg").render(boxes(steps, layout or laid_out(steps)), alone=True)


def boxes(steps: Steps, layout: Layout | None = None) -> dict[str, Any]:
    """Return what the template of a drawing shows."""
    layout = layout or laid_out(steps)
    drawn = [
        _svg_box(step, name, layout.boxes[name])
        for step in steps
        if (name := str(step["name"])) in layout.boxes
    ]
    size = {"width": layout.width, "height": layout.height, "box_size": (WIDTH, HEIGHT)}
    return size | {"boxes": drawn, "arrows": layout.arrows}


def _svg_box(step: Mapping[str, Json], name: str, corner: tuple[float, float]) -> _Box:
    told, final = _told(step), bool(step.get("final"))
    x, y = corner
    return _Box(
        f"box {look(str(step.get('state', 'waiting')))}{' final' * final}",
        f"translate({x:.1f} {y:.1f})",
        f"{name}{f': {told}' if told else ''}{' (finally)' * final}",
        _shown(name),
        told,
        step.get("href"),
    )


def _shown(name: str) -> str:
    """Return as much of a name as has room in a box."""
    return name if len(name) <= _WIDEST_NAME else f"{name[: _WIDEST_NAME - 1]}…"


def dot(steps: Steps) -> str:
    """Return the graph as text for Graphviz.

    Args:
        steps: As for `svg`.
    """
    lines = ["digraph recipe {", "  rankdir=TB;"]
    lines.append('  node [shape=box, style="rounded,filled", fontname="sans-serif"];')
    lines.append(f"  node [width={WIDTH / 72:.3f}, height={HEIGHT / 72:.3f}, fixedsize=true];")
    for step in steps:
        name, told = str(step["name"]), _told(step)
        shown = _quoted(_shown(name))
        label = f"{shown[:-1]}\\n{_quoted(told)[1:]}" if told else shown
        fill = _FILLS.get(look(str(step.get("state", ""))), "#ffffff")
        lines.append(f'  {_quoted(name)} [label={label}, fillcolor="{fill}"];')
    for stop, mine in waits(steps).items():
        for start, weak in mine.items():
            looks = " [style=dashed]" if weak else ""
            lines.append(f"  {_quoted(start)} -> {_quoted(stop)}{looks};")
    return "\n".join([*lines, "}"]) + "\n"


PICTURES: Final[Mapping[str, Callable[[Steps], str]]] = {"svg": svg, "mmd": mermaid, "dot": dot}
"""What draws a picture, by the suffix of its file."""


def _told(step: Mapping[str, Json]) -> str:
    """Return the second line of a box: sign and state, and the time where there is one."""
    state, seconds = step.get("state"), step.get("seconds")
    if not state:
        return ""
    told = f"{sign(str(state))} {state}"
    return f"{told} · {report_text.seconds(seconds)} s" if seconds is not None else told


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _by_graphviz(steps: Steps) -> Layout | None:
    """Return the places that Graphviz finds; None where it is not installed."""
    from pytest_orchestrator.reports.graph.layout import graphviz_layout

    try:
        return graphviz_layout(dot(steps), waits(steps))
    except ImportError:
        return None
