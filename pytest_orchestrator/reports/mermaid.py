"""The graph of a recipe as text for Mermaid, which GitHub, GitLab and many editors draw.

Ids are numbers, so no name of a step can be a word of Mermaid's.
"""

from collections.abc import Iterable, Mapping, Sequence

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.text import CONTROLS
from pytest_orchestrator.reports.states import SIGNS, look

Steps = Sequence[Mapping[str, Json]]
"""What blocks of the JSON report say of steps: ``name``, and ``needs``, ``after``, ``state``
and ``final`` as far as they are there."""

MOST = 150
"""Steps that are drawn where no other number is asked for; nobody reads more."""

_WIDEST = 60
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
    lines += [f"    {_box(step, ids)}" for step in drawn if not step.get("final")]
    final = [step for step in drawn if step.get("final")]
    if final:
        inner = (f"        {_box(step, ids)}" for step in final)
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


def _box(step: Mapping[str, Json], ids: Mapping[str, str]) -> str:
    name, state = str(step["name"]), step.get("state")
    words = f"{SIGNS.get(str(state), '')} {state}".strip() if state else ""
    shown = name if len(name) <= _WIDEST else f"{name[: _WIDEST - 1]}…"
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
