"""Nodes of a picture: the steps of a recipe, with long chains of them folded into one node.

A picture of more than 40 steps folds neighbours of the same state, so that failed steps stay in
sight. Failed, running and interrupted steps and those of ``finally`` are never folded.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.text import cut_to_length
from pytest_orchestrator.recipe.model.graph import dependencies
from pytest_orchestrator.reports.quantities import duration
from pytest_orchestrator.reports.text import look, sign
from pytest_orchestrator.runs.verdicts import NOT_GOOD

Steps = Sequence[Mapping[str, Json]]
"""Steps as mappings with ``name`` and optional ``needs``, ``after``, ``state`` and ``final``, which
have the meaning of the JSON report."""

Waits = dict[str, dict[str, bool]]
"""For each node the nodes that it waits for, each with True if the arrow is dashed."""

FOLDED_ABOVE: Final = 40
"""Highest number of steps that are all drawn; a picture with more folds chains of steps."""

MOST: Final = 150
"""Default of the highest number of nodes that are drawn; a picture with more is not readable."""

WIDEST_NAME: Final = 23

_FOLDED: Final = frozenset(
    {"passed", "restored", "skipped", "blocked", "not run", "not selected", "waiting"}
)
_FEWEST_FOLDED: Final = 3
_MAX_LAST_STEPS: Final = 12


class Node(msgspec.Struct, frozen=True):
    """One box of a picture: a step, or several folded steps of the same state.

    Attributes:
        name: Name of the step; of folded steps that of the first.
        last: Name of the last folded step; the same as `name` for one step.
        steps: Number of steps.
        state: Their state; empty if the recipe has not run.
        seconds: Duration, of folded steps the sum; None if it is not known.
        final: True for ``finally`` steps.
        href: Link of the box; None without one.
    """

    name: str
    last: str
    steps: int
    state: str
    seconds: float | None
    final: bool
    href: Any = None

    @property
    def label(self) -> str:
        """First line of the box."""
        if self.steps == 1:
            return cut_to_length(self.name, WIDEST_NAME)
        half = (WIDEST_NAME - 3) // 2
        return f"{_cut_in_middle(self.name, half)} … {_cut_in_middle(self.last, half)}"

    @property
    def state_text(self) -> str:
        """Sign and state, of folded steps with their number; empty if the recipe has not run."""
        if not self.state:
            return ""
        number = f"{self.steps:,} " if self.steps > 1 else ""
        return f"{sign(self.state)} {number}{self.state}"

    @property
    def outcome(self) -> str:
        """Second line of the box: sign, state, and the duration if it is known; may be empty."""
        text = self.state_text
        if not text or self.seconds is None:
            return text
        return f"{text} · {duration(self.seconds)}"

    @property
    def look(self) -> str:
        """Style of the box; empty if the recipe has not run."""
        return look(self.state) if self.state else ""

    def title(self, outcome: str) -> str:
        """Return the full text of the box, for a tooltip.

        Args:
            outcome: Its second line.
        """
        names = self.name if self.steps == 1 else f"{self.name} … {self.last}"
        state = f": {outcome}" if outcome else ""
        return f"{names}{state}{' (finally)' if self.final else ''}"


class Graph(msgspec.Struct, frozen=True):
    """Graph of a recipe, ready to be drawn.

    Attributes:
        nodes: The nodes by name, in the order of the recipe.
        waits: The nodes that each of them waits for.
        left_out: Number of steps that are not drawn, by state.
    """

    nodes: dict[str, Node]
    waits: Waits
    left_out: dict[str, int]


def graph(steps: Steps, *, fold: bool = True, most: int | None = None) -> Graph:
    """Return the graph of a recipe.

    Args:
        steps: Its steps in their order, with unique names.
        fold: True to fold chains of steps if there are more than `FOLDED_ABOVE`.
        most: Highest number of nodes; None draws all. If there are more, failed ones come first,
            then their neighbours, then the first ones.
    """
    nodes = {str(step["name"]): _node(step) for step in steps}
    drawn = Graph(nodes, dependencies(steps), {})
    if fold:
        for fold_once in (_inner_chains, _chains, _siblings, _chains, _siblings):
            if len(drawn.nodes) <= FOLDED_ABOVE:
                break
            drawn = _folded(drawn, fold_once(drawn))
    final = [name for name, node in drawn.nodes.items() if node.final]
    drawn = Graph(drawn.nodes, _with_finally(drawn.waits, final), drawn.left_out)
    return drawn if most is None else _few(drawn, most)


def waits(steps: Steps) -> Waits:
    """Return the steps that each step waits for; ``finally`` steps follow one by one at the end.

    The arrows to ``finally`` steps are dashed, as those of ``after`` are.

    Args:
        steps: The steps, each with the fields of ``step`` in the JSON report.
    """
    final = [str(step["name"]) for step in steps if step.get("final")]
    return _with_finally(dependencies(steps), final)


def _with_finally(waited_for: Waits, final: Sequence[str]) -> Waits:
    if final:
        needed = {name for mine in waited_for.values() for name in mine} | {*final}
        last = [name for name in waited_for if name not in needed][-_MAX_LAST_STEPS:]
        waited_for[final[0]] = dict.fromkeys(last, True) | waited_for[final[0]]
    for before, name in itertools.pairwise(final):
        waited_for[name] = {before: True} | waited_for[name]
    return waited_for


def _node(step: Mapping[str, Json]) -> Node:
    name, seconds = str(step["name"]), step.get("seconds")
    return Node(
        name,
        name,
        1,
        str(step.get("state") or ""),
        float(seconds) if isinstance(seconds, (int, float)) else None,
        bool(step.get("final")),
        step.get("href"),
    )


def _cut_in_middle(name: str, most: int) -> str:
    """Return a name with at most `most` characters; the end of it is kept, which has the number."""
    if len(name) <= most:
        return name
    tail = (most - 1) // 2
    return f"{name[: most - 1 - tail]}…{name[len(name) - tail :]}"


def _following(graph: Graph) -> dict[str, list[str]]:
    following: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for stop, mine in graph.waits.items():
        for start in mine:
            following[start].append(stop)
    return following


def _kind(node: Node) -> str | None:
    """Return the state that folded nodes have in common; None for a node that is never folded."""
    return node.state if node.state in _FOLDED and not node.final else None


def _inner_chains(graph: Graph) -> list[list[str]]:
    """Return chains of nodes to fold, without the first and the last steps of the recipe."""
    following = _following(graph)
    ends = {name for name in graph.nodes if not graph.waits[name] or not following[name]}
    return _chains(graph, ends)


def _chains(graph: Graph, kept: Iterable[str] = ()) -> list[list[str]]:
    """Return chains of nodes to fold: each node waits only for the one before it.

    Args:
        graph: The graph.
        kept: Names of nodes that are not folded.
    """
    following, alone = _following(graph), {*kept}
    after: dict[str, str] = {}
    for start, stops in following.items():
        if len(stops) != 1 or len(graph.waits[stops[0]]) != 1 or alone & {start, stops[0]}:
            continue
        kind = _kind(graph.nodes[start])
        if kind and kind == _kind(graph.nodes[stops[0]]):
            after[start] = stops[0]
    chains = []
    for start in graph.nodes.keys() & after.keys() - {*after.values()}:
        chain = [start]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        chains.append(chain)
    return chains


def _siblings(graph: Graph) -> list[list[str]]:
    """Return groups of nodes that wait for the same nodes and are waited for by the same ones."""
    following = _following(graph)
    groups: dict[Any, list[str]] = {}
    for name, node in graph.nodes.items():
        if kind := _kind(node):
            before = frozenset(graph.waits[name].items())
            groups.setdefault((kind, before, frozenset(following[name])), []).append(name)
    return [*groups.values()]


def _folded(graph: Graph, groups: Iterable[Sequence[str]]) -> Graph:
    """Return a graph with one node for each group of nodes, unless the group is small."""
    into: dict[str, str] = {}
    joined: dict[str, Node] = {}
    for group in groups:
        members = [graph.nodes[name] for name in group]
        if sum([one.steps for one in members]) < _FEWEST_FOLDED or len(members) == 1:
            continue
        known = [one.seconds for one in members if one.seconds is not None]
        joined[group[0]] = msgspec.structs.replace(
            members[0],
            last=members[-1].last,
            steps=sum([one.steps for one in members]),
            seconds=sum(known) if known else None,
        )
        into |= dict.fromkeys(group, group[0])
    nodes = {
        name: joined.get(name, node)
        for name, node in graph.nodes.items()
        if into.get(name, name) == name
    }
    waited_for: Waits = {name: {} for name in nodes}
    for stop, mine in graph.waits.items():
        target = waited_for[into.get(stop, stop)]
        for start, weak in mine.items():
            source = into.get(start, start)
            if source != into.get(stop, stop):
                target[source] = weak and target.get(source, True)
    return Graph(nodes, waited_for, graph.left_out)


def _few(graph: Graph, most: int) -> Graph:
    """Return a graph of at most `most` nodes; failed nodes and their neighbours come first."""
    if len(graph.nodes) <= most:
        return graph
    failed = {name for name, node in graph.nodes.items() if node.state in NOT_GOOD}
    near = {
        name
        for stop, mine in graph.waits.items()
        for name in (stop, *mine)
        if stop in failed or not failed.isdisjoint(mine)
    }

    def priority(name: str) -> int:
        return 0 if name in failed else 1 if name in near else 2

    chosen = set(sorted(graph.nodes, key=priority)[:most])
    left_out: dict[str, int] = {}
    for name, node in graph.nodes.items():
        if name not in chosen:
            left_out[node.state] = left_out.get(node.state, 0) + node.steps
    nodes = {name: node for name, node in graph.nodes.items() if name in chosen}
    waited_for = {
        stop: {start: weak for start, weak in graph.waits[stop].items() if start in chosen}
        for stop in nodes
    }
    return Graph(nodes, waited_for, left_out)
