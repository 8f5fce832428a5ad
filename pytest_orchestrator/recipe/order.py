"""The steps of a file among each other: names, ``idx``, ``needs``, and the order that follows."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from yaml import Node

from pytest_orchestrator.recipe import graph
from pytest_orchestrator.recipe.problems import Problems
from pytest_orchestrator.recipe.steps import Draft
from pytest_orchestrator.recipe.values import Values
from pytest_orchestrator.recipe.words import lines, quoted, shortened


class Order:
    """Arranges what was read of ``steps`` and ``finally``.

    Args:
        values: Knows where nodes stand.
        problems: Takes what is wrong.
    """

    def __init__(self, values: Values, problems: Problems) -> None:
        self._values = values
        self._problems = problems

    def arranged(
        self, steps: Sequence[Draft], final: Sequence[Draft]
    ) -> tuple[list[Draft], list[Draft]]:
        """Put the steps into the order in which they run, each with its needs.

        Args:
            steps: The steps of the recipe in the order of the list.
            final: Those of ``finally``.

        Returns:
            Both in order; the field ``needs`` of each has what it needs. Only where no
            problem was found it is of use.
        """
        steps, final = self._by_idx(steps), self._by_idx(final)
        named = self._named([*steps, *final])
        late = {each.name for each in final}
        before = ""
        for each in steps:
            if "needs" not in each.at:
                each.fields["needs"] = (before,) if before else ()
            before = each.name
        for each in (*steps, *final):
            if "needs" in each.at:
                self._check_needs(each, named, late)
        return self._sorted(steps), self._sorted(final)

    def _note(self, node: Node, head: str, where: str = "", hint: str = "") -> None:
        self._problems.add(self._values.place(node), head, where, hint=hint)

    def _by_idx(self, drafts: Sequence[Draft]) -> list[Draft]:
        given = [each for each in drafts if "idx" in each.at]
        for each in drafts if given else ():
            if "idx" not in each.at:
                cure = "all steps of a list have one, or none"
                self._note(each.node, "missing 'idx'", f" in {each.title}", cure)
        first: dict[int, Draft] = {}
        for each in given:
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

    def _check_needs(self, each: Draft, named: Mapping[str, Draft], late: set[str]) -> None:
        """Keep of the needs that the file gives those that can be met."""
        given = each.fields.get("needs", ())
        kept: dict[str, None] = {}
        for name, node in zip(given, each.node_of("needs").value if given else (), strict=True):
            head = f"{each.title} needs {quoted(name)}"
            if name == each.name:
                self._note(node, f"{each.title} needs itself")
            elif name not in named:
                hint = self._problems.meant(name, named, but=[each.name])
                self._note(node, f"{head}, which is no step of this recipe", hint=hint)
            elif name in late and each.name not in late:
                self._note(node, f"{head}, which stands in 'finally' and runs after all steps")
            elif name not in late and each.name in late:
                cure = (
                    "steps of 'finally' need only each other: they run whatever became of the rest"
                )
                self._note(node, f"{head}, which does not stand in 'finally'", hint=cure)
            else:
                kept[name] = None
        each.fields["needs"] = tuple(kept)

    def _sorted(self, drafts: Sequence[Draft]) -> list[Draft]:
        by_name: dict[str, Draft] = {}
        for each in drafts:
            if each.name:
                by_name.setdefault(each.name, each)
        needs = {
            name: tuple(other for other in each.fields.get("needs", ()) if other in by_name)
            for name, each in by_name.items()
        }
        circles = graph.circles(needs) if not graph.is_forward(needs) else []
        for circle in circles:
            self._circle([by_name[name] for name in circle])
        return list(drafts) if circles else [by_name[name] for name in graph.ordered(needs)]

    def _circle(self, drafts: Sequence[Draft]) -> None:
        asked = [each for each in drafts if "needs" in each.at]
        unasked = [(each, need) for each, need in pairwise(drafts) if "needs" not in each.at]
        hint = ""
        if unasked:
            each, need = unasked[0]
            hint = (
                f"'{each.name}' needs the step before it, '{need.name}', unless it says needs: []"
            )
        path = shortened(" -> ".join(each.name for each in drafts), 400)
        self._note(
            asked[0].node_of("needs"), f"steps need each other in a circle: {path}", hint=hint
        )
