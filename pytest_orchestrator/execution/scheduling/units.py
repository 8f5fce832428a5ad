"""Units in one run of a recipe: who waits for whom at a barrier, and whose turn it is.

The methods are called with the lock of the workers held. A barrier looks only at steps that may
still come, and a turn ends with its last such step. So a unit that has left the run keeps no
other one waiting.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.expression_scope import Scope, early_names
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

ResultOf = Callable[[str], StepResult | None]


class Needs(NamedTuple):
    """The needs of a step in a recipe with units.

    Attributes:
        own: Steps that must have passed.
        units: For a step that runs once, what it needs of each unit: it waits for all of them, and
            runs if one unit has passed all of its own.
    """

    own: Sequence[str]
    units: Sequence[Sequence[str]] = ()

    def blocker(self, result_of: ResultOf, *, is_due: bool = False) -> str | None:
        """Return the step because of which the step will never run; None if it still may.

        Args:
            result_of: Returns the result of a step, or None if it has none.
            is_due: True if the step would run now: a need without a result blocks it then.
        """

        def failed(names: Iterable[str]) -> str | None:
            for name in names:
                result = result_of(name)
                if result is None and is_due:
                    return name
                if result is not None and not result.meets:
                    return result.blocked_by or name
            return None

        cause = failed(self.own)
        if cause is not None or not self.units:
            return cause
        causes = [failed(names) for names in self.units]
        return None if None in causes else causes[0]


def needs_of(recipe: Recipe, step: Step, names: Iterable[str]) -> Needs:
    """Return the needs of a step, those of a step that runs once for each unit.

    Args:
        recipe: The recipe.
        step: The step.
        names: The names of the steps that it needs.
    """
    if recipe.units is None:
        return Needs([*names])
    own: list[str] = []
    units: dict[str, list[str]] = {}
    for name in names:
        unit = recipe.step(name).unit
        (own if step.unit or not unit else units.setdefault(unit, [])).append(name)
    return Needs(own, [*units.values()])


class UnitStates:
    """State of the units of one run: their Contexts, and which of them were stopped.

    Args:
        recipe: The recipe.
        config: The settings of the run.
        scope: The variables of expressions.
        context: The Context of the recipe.
        new_layer: Returns the Context of a unit, above that of the recipe.

    Attributes:
        stoppers: Of each unit that was stopped the name of the step whose failure has done so.
    """

    def __init__(
        self,
        recipe: Recipe,
        config: RunConfig,
        scope: Scope,
        context: Context,
        new_layer: Callable[[Context, str], Context],
    ) -> None:
        self.stoppers: dict[str, str] = {}
        self._recipe, self._config, self._scope = recipe, config, scope
        self._context, self._new_layer = context, new_layer
        self._layers: dict[str, Context] = {}

    def context_of(self, step: Step) -> Context:
        """Return the Context that a step writes: that of its unit, or that of the recipe."""
        if not step.unit:
            return self._context
        if step.unit not in self._layers:
            self._layers[step.unit] = self._new_layer(self._context, step.unit)
        return self._layers[step.unit]

    def own_instruments(self, step: Step) -> set[str]:
        """Return the names of the instruments that a step takes for its unit."""
        from pytest_orchestrator.recipe.fields import type_hooks

        bench = self._config.bench
        if bench is None or not type_hooks.has_hook(step, "instruments"):
            return set()
        names = early_names(self._scope.early(), step.cell)
        found = type_hooks.call(
            "instruments", step, str(self._recipe.path), names, before_steps=True
        )
        return {name for name in found if not bench.is_shared(name)}

    def has_begun(self, final: Step, results: Mapping[str, StepResult]) -> bool:
        """Return True if a step of the unit of a final step ran."""
        own = (one.name for one in self._recipe.steps if one.unit == final.unit)
        known = (results.get(name) for name in own)
        return any(one is not None and (one.ended or one.failure) for one in known)


class Turn(NamedTuple):
    """The use of instruments by a unit: in one step, or in all steps of a turn.

    Attributes:
        unit: The unit; empty for a step that runs once.
        steps: The names of its steps.
        is_named: True if the steps have a common ``turn``; then other units wait until the last of
            them has ended, also between two attempts of a step.
    """

    unit: str
    steps: tuple[str, ...]
    is_named: bool


class Panel:
    """Barriers and turns of the units of one run.

    Args:
        recipe: The recipe, which has units.
        instruments: Returns the names of the instruments that a step takes for itself.
        may_come: Returns True if a step has not ended and may still run.
        rests: Returns True if a step waits for its next attempt.
    """

    def __init__(
        self,
        recipe: Recipe,
        instruments: Callable[[Step], Collection[str]],
        may_come: Callable[[str], bool],
        rests: Callable[[str], bool],
    ) -> None:
        self._may_come, self._rests = may_come, rests
        self._instruments = instruments
        self._recipe = recipe
        self._together: dict[str, tuple[str, ...]] = {}
        groups: dict[str, list[str]] = {}
        self._turns: dict[str, Turn] = {}
        members: dict[tuple[str, str], list[str]] = {}
        for step in recipe.steps:
            if step.scope == "together":
                base, _, cell = step.name.partition("[")
                groups.setdefault(base + cell.partition(",")[2], []).append(step.name)
            if step.turn:
                members.setdefault((step.unit, step.turn), []).append(step.name)
        for names in groups.values():
            self._together |= dict.fromkeys(names, tuple(names))
        for (unit, _), names in members.items():
            self._turns |= dict.fromkeys(names, Turn(unit, tuple(names), is_named=True))
        self._taken: dict[str, frozenset[str]] = {}
        self._holders: dict[str, Turn] = {}
        self.opening: set[str] = set()

    @property
    def barriers(self) -> Iterable[tuple[str, ...]]:
        """The names of the steps of each barrier."""
        return dict.fromkeys(self._together.values())

    def may_start(self, step: Step, queued: Collection[str], free: int, *, is_new: bool) -> bool:
        """Return True if a queued step may start as far as other units are concerned.

        A barrier opens when all steps that may still come are queued and have slots. While it
        waits for slots, no other step gets one.

        Args:
            step: The step.
            queued: Names of all queued steps.
            free: Number of free slots.
            is_new: False for a further attempt of the step.
        """
        if self.opening:
            return step.name in self.opening and free >= len(self.opening & {*queued})
        if step.name in self._together and is_new:
            group = self._together[step.name]
            waiting = {name for name in group if name in queued}
            if any(name not in waiting and self._may_come(name) for name in group):
                return False
            self.opening = waiting
            return free >= len(waiting)
        return all(self._is_free(one, step) for one in self._wanted(step))

    def begin(self, step: Step) -> None:
        """Note that a step starts: its barrier is open for it, and its unit has the turn."""
        self.opening.discard(step.name)
        wanted = self._wanted(step)
        if wanted:
            turn = self._turns.get(step.name) or Turn(step.unit, (step.name,), is_named=False)
            self._holders |= dict.fromkeys(wanted, turn)

    def keep(self, queued: Collection[str]) -> None:
        """Forget the steps of an open barrier that are not queued any more."""
        self.opening &= {*queued}

    def _wanted(self, step: Step) -> frozenset[str]:
        """Return what a step takes for its unit: the instruments of its turn, and its name."""
        if step.name not in self._taken:
            turn = self._turns.get(step.name)
            steps = [self._recipe.step(name) for name in turn.steps] if turn else [step]
            found = {f"instrument {name}" for one in steps for name in self._instruments(one)}
            self._taken[step.name] = frozenset(found | {f"turn {step.turn}"} if turn else found)
        return self._taken[step.name]

    def _is_free(self, one: str, step: Step) -> bool:
        holder = self._holders.get(one)
        if holder is None or holder.unit == step.unit:
            return True
        return not any(
            self._may_come(name) and (holder.is_named or not self._rests(name))
            for name in holder.steps
        )
