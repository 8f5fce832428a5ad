"""Step ordering: unique names, `needs`, `idx`, and the execution order."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from pytest_orchestrator.recipe.fields.values import Values
from pytest_orchestrator.recipe.loader.steps import Draft
from pytest_orchestrator.recipe.model import graph
from pytest_orchestrator.recipe.model.step import NamedCell
from pytest_orchestrator.recipe.problems import Problems, lines, quoted, shortened
from pytest_orchestrator.recipe.pyyaml import Node

_AWAITED = {
    "needs": (
        "needs",
        "steps of 'finally' need only each other: they run whatever became of the rest",
    ),
    "after": ("comes after", "steps of 'finally' come after all others anyway"),
}
"""Keys that name other steps, with a verb and the cure for a step outside of the same list."""


class StepOrdering:
    """Ordering of the steps in ``steps`` and ``finally``.

    Args:
        values: Returns the places of nodes.
        problems: Receives the problems.
    """

    def __init__(self, values: Values, problems: Problems) -> None:
        self._values = values
        self._problems = problems

    def arrange(
        self, steps: Sequence[Draft], final: Sequence[Draft]
    ) -> tuple[list[Draft], list[Draft]]:
        """Return the steps in execution order, each with its needs.

        Args:
            steps: The steps of the recipe in the order of the list.
            final: The steps of ``finally``.

        Returns:
            Both lists in order. The field ``needs`` of each step has the steps that it needs,
            ``after`` the other steps that it waits for. The result is valid only if no problem
            was reported.
        """
        steps, final = self._by_idx(steps), self._by_idx(final)
        named = self._named([*steps, *final])
        late = {each.name for each in final}
        before = ""
        for each in steps:
            if not _AWAITED.keys() & each.at.keys():
                each.fields["needs"] = (before,) if before else ()
            before = each.name
        for each in (*steps, *final):
            for key in filter(each.at.__contains__, _AWAITED):
                self._check(each, key, named, late)
        return self._sorted(steps), self._sorted(final)

    def _note(self, node: Node, head: str, where: str = "", hint: str = "") -> None:
        self._problems.add(self._values.place(node), head, where, hint=hint)

    def _by_idx(self, drafts: Sequence[Draft]) -> list[Draft]:
        with_idx = [each for each in drafts if "idx" in each.at]
        for each in drafts if with_idx else ():
            if "idx" not in each.at:
                cure = "all steps of a list have one, or none"
                self._note(each.node, "missing 'idx'", f" in {each.title}", cure)
        first: dict[int, Draft] = {}
        for each in with_idx:
            idx = each.fields.get("idx")
            if idx is None:
                continue
            other = first.setdefault(idx, each)
            if other is not each:
                where = lines(other.at["idx"].line, each.at["idx"].line)
                self._note(each.node_of("idx"), f"idx {idx} is given twice, in {where}")
        return sorted(drafts, key=lambda each: each.fields.get("idx", 0))

    def _named(self, drafts: Sequence[Draft]) -> dict[str, Draft]:
        named: dict[str, Draft] = {}
        for each in drafts:
            if not each.name:
                continue
            first = named.setdefault(each.name, each)
            if first is not each:
                where = lines(first.at["name"].line, each.at["name"].line)
                head = f"two steps are called {quoted(each.name)}, in {where}"
                self._note(each.node_of("name"), head)
        return named

    def _check(self, each: Draft, key: str, named: Mapping[str, Draft], late: set[str]) -> None:
        """Report the invalid step names in `needs` or `after`, and keep only the valid ones."""
        written = each.fields.get(key, ())
        kept: dict[str, None] = {}
        verb, cure = _AWAITED[key]
        for whole, node in zip(written, each.node_of(key).value if written else (), strict=True):
            name, bracket, cell = whole.removesuffix("]").partition("[")
            head = f"{each.title} {verb} {quoted(whole)}"
            if name == each.name:
                self._note(node, f"{each.title} {verb} itself")
            elif name not in named:
                hint = self._problems.suggest(name, named, exclude=[each.name])
                self._note(node, f"{head}, which is no step of this recipe", hint=hint)
            elif name in late and each.name not in late:
                self._note(node, f"{head}, which stands in 'finally' and runs after all steps")
            elif name not in late and each.name in late:
                self._note(node, f"{head}, which does not stand in 'finally'", hint=cure)
            elif bracket and "matrix" not in named[name].at:
                self._note(node, f"{head}, and {named[name].title} has no matrix")
            else:
                kept[name] = None
                if bracket and name not in written:  # the name alone means all cells
                    one = NamedCell(key, name, cell, self._values.place(node))
                    each.fields["named_cells"] = (*each.fields.get("named_cells", ()), one)
        each.fields[key] = tuple(kept)

    def _sorted(self, drafts: Sequence[Draft]) -> list[Draft]:
        by_name: dict[str, Draft] = {}
        for each in drafts:
            if each.name:
                by_name.setdefault(each.name, each)
        waits = {
            name: tuple(other for other in awaited_steps(each) if other in by_name)
            for name, each in by_name.items()
        }
        circles = graph.circles(waits) if not graph.is_forward(waits) else []
        for circle in circles:
            self._circle([by_name[name] for name in circle])
        return list(drafts) if circles else [by_name[name] for name in graph.ordered(waits)]

    def _circle(self, drafts: Sequence[Draft]) -> None:
        steps = list(pairwise(drafts))
        explicit = [each.node_of(key) for each, other in steps if (key := _key(each, other))]
        implicit = [pair for pair in steps if not _key(*pair)]
        hint = ""
        if implicit:
            each, need = implicit[0]
            hint = (
                f"'{each.name}' needs the step before it, '{need.name}', unless it says needs: []"
            )
        path = shortened(" -> ".join(each.name for each in drafts), 400)
        verb = "wait for" if any(_key(*pair) == "after" for pair in steps) else "need"
        self._note(explicit[0], f"steps {verb} each other in a circle: {path}", hint=hint)


def awaited_steps(each: Draft) -> tuple[str, ...]:
    """Return the names of all steps that a step waits for: those in `needs` and in `after`."""
    return (*each.fields.get("needs", ()), *each.fields.get("after", ()))


def _key(each: Draft, other: Draft) -> str:
    """Return the key, `needs` or `after`, in which a step names another; empty if in neither."""
    return next((key for key in _AWAITED if key in each.at and other.name in each.fields[key]), "")
