"""What the names of expressions mean in one run of a recipe."""

import os
import threading
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from pytest_orchestrator.core.context import Context
from pytest_orchestrator.core.given import Given
from pytest_orchestrator.core.late import Late
from pytest_orchestrator.core.result import Ended, Process, Stream
from pytest_orchestrator.core.values import Json
from pytest_orchestrator.execution import printed
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.lookups import ContextNames, Inner, Known, Run, Steps, about
from pytest_orchestrator.recipe.expressions import ExpressionError, at_collection, within
from pytest_orchestrator.recipe.model import Recipe
from pytest_orchestrator.recipe.part import Part
from pytest_orchestrator.recipe.resolve import later, value_of
from pytest_orchestrator.recipe.step_keys import Step

_OUTERMOST = Step(name="_")
_NOTHING = Stream()


class Scope:
    """The names of one run of a recipe.

    Args:
        recipe: The recipe.
        env: The surroundings of the run.
        known: Gives what became of a step of it.
    """

    def __init__(self, recipe: Recipe, env: Environment, known: Known) -> None:
        self._recipe = recipe
        self._env = env
        self._known = known
        self._early: dict[str, Any] | ExpressionError | None = None
        self._inner: dict[str, Inner] = {}
        self._lock = threading.RLock()

    def node(self, step: Step) -> str:
        """Return the node id of a step."""
        return self._recipe.node(step.name)

    def early(self) -> dict[str, Any]:
        """Return the names that there are before anything runs.

        Raises:
            ExpressionError: A var has no value.
        """
        with self._lock:
            if self._early is None:
                try:
                    with within(self._env.seconds_for(None), is_shared=True):
                        self._early = self._evaluated()
                except ExpressionError as error:
                    self._early = error
            if isinstance(self._early, ExpressionError):
                raise self._early.with_traceback(None)
            return self._early

    def _evaluated(self) -> dict[str, Any]:
        names: dict[str, Any] = {
            "env": self._env.variables(),
            "matrix": self._recipe.cell.values if self._recipe.cell else {},
            "run": Run(self._env),
            "recipe": about(self._recipe.name, self._recipe.path),
        }
        names["vars"] = _vars(self._recipe, self._env.given, names)
        self._env.secrets.declare(self._recipe.secrets, names["vars"])
        return names

    def before(
        self, step: Step, own: Context, attempt: int, fixtures: Mapping[str, object]
    ) -> dict[str, Any]:
        """Return the names that there are before the body of a step.

        Args:
            step: The step.
            own: The step's own handle on the Context.
            attempt: Number of the try, from 1.
            fixtures: Values of the step's fixtures.

        Raises:
            ExpressionError: A var has no value.
        """
        names = {
            **self.early(),
            "ctx": ContextNames(own),
            "env": self._env.variables(),
            "fixtures": fixtures,
            "steps": Steps(self._recipe, self._known),
            "attempt": attempt,
        }
        return names if step.part is None else self._within(step.part, names).names(names)

    def locked(self, step: Step) -> Step:
        """Return a step with the locks that the files it comes from have for all their steps.

        Args:
            step: The step, when the names are known that there are before its body.
        """
        locks = self._inner[step.part.name].locks if step.part else ()
        return msgspec.structs.replace(step, locks=(*step.locks, *locks)) if locks else step

    def skipped(self, step: Step, own: Context) -> str | None:
        """Return the condition of a use that a step is of and that is false; None where none is.

        Raises:
            ExpressionError: A var or a condition has no value.
        """
        if step.part is None:
            return None
        return self._within(step.part, self.before(_OUTERMOST, own, 1, {})).skipped

    def _within(self, part: Part, names: dict[str, Any]) -> Inner:
        """Return what a used file knows; evaluated once, when its first step runs."""
        with self._lock:
            if part.name not in self._inner:
                outer = self._within(part.outer, names) if part.outer else None
                steps = Steps(self._recipe, self._known)
                inner = self._inner[part.name] = Inner(part, names, steps, outer)
                self._env.secrets.declare(part.secrets, inner.vars)
            return self._inner[part.name]


def collected(recipe: Recipe, given: Mapping[str, Given]) -> dict[str, Any]:
    """Return the names that there are at collection, for the lists of a matrix.

    Args:
        recipe: The recipe.
        given: Values of vars that come from outside.

    Raises:
        ExpressionError: A var has no value.
    """
    if not recipe.matrix:
        return {}
    names: dict[str, Any] = {"env": dict(os.environ)}
    with at_collection():
        names["vars"] = _vars(recipe, given, names, but=later(recipe.templates))
    return names


def _vars(
    recipe: Recipe,
    given: Mapping[str, Given],
    names: Mapping[str, Any],
    but: Collection[str] = (),
) -> dict[str, Json]:
    """Return the values of a recipe's vars: each may read those before it."""
    told: dict[str, Json] = {name: given[name].value for name in recipe.required if name in given}
    for name, value in recipe.vars.items():
        if name in given:
            told[name] = given[name].value
        elif name not in but:
            told[name] = value_of(recipe, ("vars", name), value, {**names, "vars": told})
    return told


def after(names: Mapping[str, Any], ended: Ended, view: Context, limit: int) -> dict[str, Any]:
    """Return the names that there are after the body of a step.

    Args:
        names: Those that there were before.
        ended: How the body ended.
        view: The Context as it is seen then.
        limit: The most bytes of what was printed that expressions can read.
    """
    process = ended.process
    return {
        **names,
        "ctx": ContextNames(view),
        "result": ended.value,
        **{name: _printed(process, name, limit) for name in ("stdout", "stderr")},
        "exit_code": process.exit_code if process else None,
    }


def _printed(process: Process | None, name: str, limit: int) -> Late:
    stream = _NOTHING if process is None else getattr(process, name)
    return Late(lambda: printed.text(stream, name, limit))
