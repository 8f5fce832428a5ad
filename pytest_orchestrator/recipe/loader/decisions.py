"""Decision rule and instrument of each measurement and sampled value of a recipe."""

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from msgspec import structs

from pytest_orchestrator.core.figures import decisions
from pytest_orchestrator.core.figures.notation import factor, figure
from pytest_orchestrator.recipe.fields.extensions import Extensions
from pytest_orchestrator.recipe.loader.steps import Draft
from pytest_orchestrator.recipe.model.measurements import (
    NUMERIC,
    LimitsError,
    Measurement,
    Range,
    Rule,
    Source,
    limits_of,
)
from pytest_orchestrator.recipe.model.root_mappings import Sampling
from pytest_orchestrator.recipe.problems import Problems, quoted

_E = TypeVar("_E", Measurement, Sampling)


class Decisions:
    """Settlement of the decisions in one file.

    Args:
        fields: The fields of the recipe; those of sampled values are replaced.
        known: The default rule, and the instruments of the station.
        problems: Receives the problems.
    """

    def __init__(self, fields: dict[str, Any], known: Extensions, problems: Problems) -> None:
        self._fields, self._known, self._problems = fields, known, problems

    def settle(self, drafts: Iterable[Draft]) -> None:
        """Set rule and source of the measurements of steps, and of the sampled values."""
        for draft in drafts:
            measured: dict[str, Measurement] = draft.fields.get("measurements", {})
            for name, one in measured.items():
                templates = draft.fields.get("templates", ())
                paths = [each.path for each in templates if each.path[:2] == ("measurements", name)]
                late = {str(path[2]) for path in paths if path[2:]}
                where, title = f" in {draft.title}", f"measurements.{name}"
                measured[name] = self._settled(one, title, where, late)
        samplers = []
        for sampler in self._fields.get("samplers", ()):
            one = sampler.sampling
            late = {str(each.path[0]) for each in one.templates}
            own = self._settled(one, f"sampling.{sampler.name}", "", late)
            samplers.append(structs.replace(sampler, sampling=own))
        if samplers:
            self._fields["samplers"] = tuple(samplers)

    def _settled(self, one: _E, title: str, where: str, late: Collection[str]) -> _E:
        """Return an entry with its rule and source.

        Args:
            one: The entry.
            title: Its name in messages.
            where: The step, as messages have it; empty for a sampled value.
            late: Its keys with expressions.
        """
        rule, named = self._rule(one)
        source = None if one.instrument is None else self._source(one, title, where, late)
        if not any(key in one.at for key in NUMERIC):
            rule = "simple"
        if rule != "simple":
            self._check(one, rule, source, late, (title, where, named))
        elif source is None and one.decision == "simple":
            return one
        return structs.replace(one, decision=rule, source=source)

    def _rule(self, one: Measurement | Sampling) -> tuple[Rule, str]:
        """Return the rule of an entry, and the words for its origin in messages."""
        if "decision" in one.at:
            return one.decision, "its 'decision'"
        if self._fields.get("decision"):
            return self._fields["decision"], "'decision' of the recipe"
        return self._known.decision, "the ini key recipe_decision"

    def _source(
        self, one: Measurement | Sampling, title: str, where: str, late: Collection[str]
    ) -> Source | None:
        name, place = str(one.instrument), one.at["instrument"]
        if isinstance(one, Measurement):  # the reader of `sampling` has checked it
            said = f"'{title}.instrument'"
            self._known.check_instrument(name, place, said, where, self._problems)
        source = self._known.sources.get(name)
        if source is None or not source.uncertainties or one.unit is None or "unit" in late:
            return source
        if all(factor(one.unit, unit) is None for unit in source.uncertainties):
            head = f"'{title}.instrument'"
            tail = f" is {quoted(name)}, whose uncertainty is not known in {quoted(one.unit)}"
            hint = f"the station file has it in {', '.join(source.uncertainties)}"
            self._problems.add(place, head, where, tail, hint=hint)
        return source

    def _check(
        self,
        one: Measurement | Sampling,
        rule: Rule,
        source: Source | None,
        late: Collection[str],
        names: tuple[str, str, str],
    ) -> None:
        """Report an entry without an uncertainty, and limits that are too near for its rule."""
        title, where, named = names
        place = one.at.get("decision", one.at[""])
        is_known = source is not None and (source.uncertainties and (one.unit or "unit" in late))
        if one.uncertainty is None and not is_known:
            if "uncertainty" in one.at or (one.instrument and self._known.has_broken_station):
                return
            tail = f" has no uncertainty, and {named} is {rule}"
            hint = "write uncertainty: NUMBER, or instrument: NAME and its uncertainty and a unit"
            self._problems.add(place, f"'{title}'", where, tail, hint=hint)
            return
        own = one.uncertainty
        if own is None or own.value is None or own.percent or is_known:
            return  # the uncertainty is known once the value is
        limits = None if {*NUMERIC, "tolerance", "uncertainty"} & {*late} else _limits(one)
        band = decisions.expanded([decisions.standard_squared(0, own.value, None, own.k)])
        if limits is not None and not decisions.can_pass(*limits, rule, band):
            tail = f" can never pass: its limits are nearer than 2U, and U is {figure(band)}"
            self._problems.add(place, f"'{title}'", where, tail, hint="make U smaller")


def _limits(one: Measurement | Sampling) -> Range | None:
    """Return the limits of an entry; None if they are wrong, which its reader reports."""
    if isinstance(one, Sampling):
        return one.low, one.high
    try:
        return limits_of(one)
    except LimitsError:
        return None
