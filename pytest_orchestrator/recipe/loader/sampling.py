"""Reader of the root key `sampling`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.figures.exact import violated
from pytest_orchestrator.core.location import Place, Places
from pytest_orchestrator.recipe.expressions import command_line
from pytest_orchestrator.recipe.expressions.expression import Template
from pytest_orchestrator.recipe.expressions.names import UNIT
from pytest_orchestrator.recipe.fields.extensions import Extensions
from pytest_orchestrator.recipe.fields.nested import read_nested, uncertainty
from pytest_orchestrator.recipe.fields.readers import Reading, keys_of
from pytest_orchestrator.recipe.fields.values import Templates, Values
from pytest_orchestrator.recipe.loader.steps import Draft
from pytest_orchestrator.recipe.model.root_mappings import Sampler, Sampling
from pytest_orchestrator.recipe.model.step import InstrumentQuery, PythonStep, ShellStep, Step
from pytest_orchestrator.recipe.parsing.nodes import pairs
from pytest_orchestrator.recipe.problems import Problems, quoted
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node

_SOURCES: Final = (("cmd",), ("module", "function"), ("instrument", "query"))
"""The keys of each source of samples; an entry has one source."""

_OF_THE_STEP: Final = ("cmd", "query")
"""Keys whose expressions are those of the step code."""


class SamplingReader:
    """Reader of the sampled values of one file.

    Args:
        values: Reads the values of the file.
        problems: Receives the problems.
        known: The step types that exist, and the default shell.
        has_units: True for a recipe with `units`.

    Attributes:
        expressions: All expressions in the entries.
    """

    def __init__(
        self, values: Values, problems: Problems, known: Extensions, *, has_units: bool
    ) -> None:
        self._has_units = has_units
        self._values, self._problems, self._known = values, problems, known
        self._shared = Templates()
        self.expressions = self._shared.expressions

    def read(self, node: Node, steps: Sequence[Draft], final: Sequence[Draft]) -> list[Sampler]:
        """Read all entries.

        Args:
            node: The value of ``sampling``.
            steps: The steps of the recipe in execution order.
            final: The steps of ``finally``.
        """
        reading = Reading(self._values, self._problems, "", Templates())
        samplers: list[Sampler] = []
        names = {each.name: each for each in (*steps, *final)}
        for name, (name_node, value) in (reading.mapping(node, "sampling") or {}).items():
            if self._is_name(name, name_node, names, reading):
                fields, one = self._entry(name, value)
                self._check_range(name, fields, value, [each.name for each in steps], final)
                samplers += [] if one is None else [one]
        return samplers

    def _is_name(self, name: str, node: Node, steps: Mapping[str, Draft], reading: Reading) -> bool:
        rule = keys_of(Step)["name"].reader
        assert rule is not None  # noqa: S101
        try:
            rule.convert(name, "sampling")
        except ValueError as error:
            should = str(error).partition(", ")[2]
            reading.report(node, "sampling", f" has the key {quoted(name)}, {should}")
            return False
        if name in steps:
            tail = f" has the key {quoted(name)}, and a step has that name, too"
            reading.report(node, "sampling", tail, "call one of them by another name")
            return False
        return True

    def _entry(self, name: str, node: Node) -> tuple[dict[str, Any], Sampler | None]:
        """Read an entry; return its correct fields, and the sampled value if all are correct."""
        title, templates = f"sampling.{name}", Templates()
        reading = Reading(self._values, self._problems, "", templates)
        scope = pairs(node).get("scope") if type(node) is MappingNode else None
        if scope is not None and self._has_units and scope[1].value == "each":
            reading = msgspec.structs.replace(reading, unit_names=UNIT)
        fields = read_nested(Sampling, node, title, reading)
        self.expressions += templates.expressions
        if fields is None:
            return {}, None
        keys, before = pairs(node), len(self._problems.found)
        if scope is not None and not self._has_units:
            reading.report(scope[0], f"{title}.scope", " stands in a recipe without 'units'")
        if "uncertainty" in keys:
            fields["uncertainty"] = uncertainty(keys["uncertainty"][1], title, reading)
            if any(one.path[:1] == ("uncertainty",) for one in templates.found):
                reading.report(keys["uncertainty"][1], f"{title}.uncertainty", " has an expression")
        self._check_source(keys, node, title, reading)
        if "instrument" in fields:
            place = self._place(keys["instrument"][1])
            said, problems = f"'{title}.instrument'", self._problems
            self._known.check_instrument(fields["instrument"], place, said, "", problems)
        low, high = fields.get("low"), fields.get("high")
        numbers = [one for one in (low, high) if isinstance(one, int | float)]
        if len(numbers) == 2 and violated(numbers[0], None, numbers[1]):
            reading.report(keys["low"][1], f"{title}.low", " is above 'high'")
        if fields.get("abort") and not {"low", "high"} & keys.keys():
            reading.report(keys["abort"][1], f"{title}.abort", " needs a limit", "low: or high:")
        if len(self._problems.found) > before:
            return fields, None
        at = Places(fields["at"] | {"name": self._values.place(node)})
        own = tuple(one for one in templates.found if one.path[0] not in _OF_THE_STEP)
        sampling = Sampling(**{**fields, "templates": own})
        step = self._step(name, sampling, templates, at)
        return fields, None if step is None else Sampler(step=step, sampling=sampling)

    def _check_source(
        self, keys: Mapping[str, Any], node: Node, title: str, reading: Reading
    ) -> None:
        """Check that an entry has all keys of one source of samples, and none of another one."""
        given = [source for source in _SOURCES if any(key in keys for key in source)]
        if not given:
            others = [f"{one!r} and {other!r}" for one, other in _SOURCES[1:]]
            reading.report(node, title, " is missing 'cmd'", f"or {', or '.join(others)}")
            return
        missing = next((key for key in given[0] if key not in keys), "")
        if missing and not given[1:]:
            reading.report(node, title, f" is missing '{missing}'")
        first = next(key for key in given[0] if key in keys)
        for key in (key for source in given[1:] for key in source if key in keys):
            reading.report(keys[key][0], f"{title}.{key}", f" beside '{first}'", "give one of them")

    def _step(self, name: str, sampling: Sampling, templates: Templates, at: Places) -> Step | None:
        own = tuple(one for one in templates.found if one.path[0] in _OF_THE_STEP)
        if sampling.cmd is not None:
            return self._command(name, sampling.cmd, own, at)
        if sampling.instrument is not None:
            return InstrumentQuery(
                name=name,
                instrument=sampling.instrument,
                query=sampling.query or "",
                templates=own,
                is_sampler=True,
                at=at,
            )
        return PythonStep(
            name=name,
            module=str(sampling.module),
            function=sampling.function,
            is_sampler=True,
            at=at,
        )

    def _command(
        self, name: str, cmd: str | tuple[str, ...], templates: tuple[Template, ...], at: Places
    ) -> Step:
        shell = self._known.shell if isinstance(cmd, str) else None
        for one in templates:
            wrong = command_line.problem(one, cmd, shell)
            if wrong:
                self._problems.add(one.place, "an expression", f" in 'sampling.{name}'", wrong)
        return ShellStep(
            name=name,
            cmd=cmd,
            shell=shell,
            parse="data",
            templates=templates,
            is_sampler=True,
            at=at,
        )

    def _check_range(
        self,
        of: str,
        fields: Mapping[str, Any],
        node: Node,
        steps: Sequence[str],
        final: Sequence[Draft],
    ) -> None:
        """Check that `from` and `to` name steps, in the order in which these run."""
        late = {each.name for each in final}
        places, keys = [], pairs(node) if fields else {}
        for key, name in (("from", fields.get("from_")), ("to", fields.get("to"))):
            if name is None:
                continue
            title, place = f"'sampling.{of}.{key}'", self._place(keys[key][1])
            if name in late:
                head = f"{title} is {quoted(name)}, which stands in 'finally'"
                self._problems.add(place, head, hint="only ordinary steps are watched")
            elif name not in steps:
                hint = self._problems.suggest(name, steps)
                head = f"{title} is {quoted(name)}, which is no step of this recipe"
                self._problems.add(place, head, hint=hint)
            else:
                places.append(steps.index(name))
        if places[1:] and places[0] > places[1]:
            head = f"'sampling.{of}.from' runs after 'to', so no step is watched"
            self._problems.add(self._place(keys["from"][1]), head)

    def _place(self, node: Node) -> Place:
        return self._values.place(node)
