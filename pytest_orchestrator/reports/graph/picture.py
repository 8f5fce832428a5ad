"""Graph pictures: SVG, DOT, Mermaid.

Nodes of Mermaid have numbered ids, so that a step's name cannot be a keyword of Mermaid.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.text import CONTROLS, cut_to_length
from pytest_orchestrator.recipe.model.graph import dependencies, names_in
from pytest_orchestrator.reports import text as report_text
from pytest_orchestrator.reports.graph.layout import HEIGHT, WIDTH, Steps, layered_layout
from pytest_orchestrator.reports.text import SIGNS, look, sign

MOST = 150
"""Default of the highest number of steps that are drawn; a picture with more is not readable."""

_WIDEST_LABEL = 60
_LABEL = CONTROLS | {9: " ", 10: " ", 34: "#quot;", 60: "#lt;", 62: "#gt;"}
"""Escapes of Mermaid for the characters of names, which come from untrusted journals."""
_MOST_ARROWS = 400
# Mermaid refuses a drawing of more than 500 arrows or 50,000 characters.

_COLOURS = {
    "passed": ("dafbe1", "1a7f37"),
    "failed": ("ffebe9", "cf222e"),
    "skipped": ("f6f8fa", "6e7781"),
    "blocked": ("fff8c5", "9a6700"),
    "running": ("ddf4ff", "0550ae"),
}


def mermaid(steps: Steps, most: int = MOST) -> str:
    """Return the graph of a recipe as Mermaid.

    Args:
        steps: Its steps in their order, with unique names.
        most: Highest number of steps that are drawn. If the recipe has more, failed steps come
            first, then their neighbours in the graph, then the first steps.

    Returns:
        Text of Mermaid, always below the limits of Mermaid.
    """
    drawn = choose_steps(steps, most)
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
    outcome = f"{SIGNS.get(str(state), '')} {state}".strip() if state else ""
    title = cut_to_length(name, _WIDEST_LABEL).translate(_LABEL)
    label = f"{title}<br/>{outcome}" if outcome else title
    look = _look(step)
    return f'{ids[name]}["{label}"]' + (f":::{look}" if look else "")


def _look(step: Mapping[str, Json]) -> str:
    state = str(step.get("state", ""))
    name = look(state)
    return name if name in _COLOURS else ""


def _arrows(drawn: Steps, ids: Mapping[str, str]) -> Iterable[str]:
    for step in drawn:
        mine, needs = ids[str(step["name"])], names_in(step, "needs")
        for need in needs:
            if need in ids:
                yield f"{ids[need]} --> {mine}"
        for other in names_in(step, "after"):
            if other in ids and other not in needs:
                yield f"{ids[other]} -.-> {mine}"


def choose_steps(steps: Steps, most: int) -> Steps:
    """Return at most `most` steps of a recipe to draw, in their order.

    Args:
        steps: All steps of a recipe.
        most: Highest number of steps; failed steps and their neighbours come first.
    """
    if len(steps) <= most:
        return steps
    failed = {str(step["name"]) for step in steps if _look(step) == "failed"}
    neighbours = {
        name
        for step in steps
        for name in (str(step["name"]), *names_in(step, "needs"))
        if str(step["name"]) in failed or failed.intersection(names_in(step, "needs"))
    }

    def priority(index: int) -> tuple[int, int]:
        name = str(steps[index]["name"])
        return (0 if name in failed else 1 if name in neighbours else 2, index)

    indexes = sorted(sorted(range(len(steps)), key=priority)[:most])
    return [steps[index] for index in indexes]


def _more(steps: Steps, drawn: Steps) -> list[str]:
    if len(drawn) == len(steps):
        return []
    names = {step["name"] for step in drawn}
    states = [str(step.get("state", "")) for step in steps if step["name"] not in names]
    counts = ", ".join(f"{states.count(one):,} {one}" for one in dict.fromkeys(states) if one)
    label = f"… {len(states):,} more steps" + (f"<br/>{counts}" if counts else "")
    return [f'    more["{label}"]']


_WIDEST_NAME: Final = 23


class _Box(msgspec.Struct, frozen=True):
    """Values of a step that the SVG template uses."""

    classes: str
    place: str
    title: str
    label: str
    state: str
    href: Any


def svg(steps: Steps) -> str:
    """Return the graph of a recipe as an SVG document.

    Args:
        steps: The steps of a recipe in their order, with unique names; ``seconds`` are shown.
    """
    from pytest_orchestrator.reports.templating import template

    return template("graph.svg").render(boxes(steps), alone=True)


def boxes(steps: Steps) -> dict[str, Any]:
    """Return the variables of the SVG template for steps."""
    layout = layered_layout(steps)
    drawn = [
        _svg_box(step, name, layout.boxes[name])
        for step in steps
        if (name := str(step["name"])) in layout.boxes
    ]
    size = {"width": layout.width, "height": layout.height, "box_size": (WIDTH, HEIGHT)}
    return size | {"boxes": drawn, "arrows": layout.arrows}


def _svg_box(step: Mapping[str, Json], name: str, corner: tuple[float, float]) -> _Box:
    state, final = _state_text(step), bool(step.get("final"))
    x, y = corner
    return _Box(
        f"box {look(str(step.get('state', 'waiting')))}{' final' * final}",
        f"translate({x:.1f} {y:.1f})",
        f"{name}{f': {state}' if state else ''}{' (finally)' * final}",
        cut_to_length(name, _WIDEST_NAME),
        state,
        step.get("href"),
    )


def dot(steps: Steps) -> str:
    """Return the graph of a recipe in the DOT language of Graphviz.

    Args:
        steps: The steps, as for `svg`.
    """
    lines = ["digraph recipe {", "  rankdir=TB;"]
    lines.append('  node [shape=box, style="rounded,filled", fontname="sans-serif"];')
    lines.append(f"  node [width={WIDTH / 72:.3f}, height={HEIGHT / 72:.3f}, fixedsize=true];")
    for step in steps:
        name, state = str(step["name"]), _state_text(step)
        title = _quoted(cut_to_length(name, _WIDEST_NAME))
        label = f"{title[:-1]}\\n{_quoted(state)[1:]}" if state else title
        fill = _COLOURS[kind][0] if (kind := _look(step)) else "ffffff"
        lines.append(f'  {_quoted(name)} [label={label}, fillcolor="#{fill}"];')
    for stop, mine in dependencies(steps).items():
        for start, weak in mine.items():
            looks = " [style=dashed]" if weak else ""
            lines.append(f"  {_quoted(start)} -> {_quoted(stop)}{looks};")
    return "\n".join([*lines, "}"]) + "\n"


PICTURES: Final[Mapping[str, Callable[[Steps], str]]] = {"svg": svg, "mmd": mermaid, "dot": dot}
"""Writers of pictures by the suffix of the file."""


def _state_text(step: Mapping[str, Json]) -> str:
    """Return the second line of a box: sign, state, and the duration if it is known."""
    state, seconds = step.get("state"), step.get("seconds")
    if not state:
        return ""
    text = f"{sign(str(state))} {state}"
    return f"{text} · {report_text.seconds(seconds)} s" if seconds is not None else text


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{text}"'
