"""What the names of expressions mean in one run of a recipe."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_orchestrator.core.context import Context
from pytest_orchestrator.core.nearest import nearest
from pytest_orchestrator.core.result import Ended, Given, StepResult
from pytest_orchestrator.core.values import Json
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.recipe.expressions import ExpressionError, absent
from pytest_orchestrator.recipe.model import Recipe
from pytest_orchestrator.recipe.resolve import value_of

_ABSENT = object()
_OF_A_RUN = frozenset({"matrix", "run", "recipe"})

Known = Callable[[str], StepResult | None]
"""Gives what became of a step, None where that is not known yet."""


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
        self._early: dict[str, Any] | None = None

    def early(self) -> dict[str, Any]:
        """Return the names that there are before anything runs.

        Raises:
            ExpressionError: A var has no value.
        """
        if self._early is None:
            self._early = {
                "env": self._env.variables(),
                "matrix": self._recipe.cell.values if self._recipe.cell else {},
                "run": Run(self._env),
                "recipe": {
                    "name": self._recipe.name or self._recipe.path.stem,
                    "path": str(self._recipe.path),
                    "dir": str(self._recipe.path.parent),
                },
            }
            self._early["vars"] = _vars(self._recipe, self._env.given, self._early)
            self._env.secrets.declare(self._recipe.secrets, self._early["vars"])
        return self._early

    def before(self, own: Context, attempt: int, fixtures: Mapping[str, object]) -> dict[str, Any]:
        """Return the names that there are before the body of a step.

        Args:
            own: The step's own handle on the Context.
            attempt: Number of the try, from 1.
            fixtures: Values of the step's fixtures.

        Raises:
            ExpressionError: A var has no value.
        """
        return {
            **self.early(),
            "ctx": ContextNames(own),
            "env": self._env.variables(),
            "fixtures": fixtures,
            "steps": Steps(self._recipe, self._known),
            "attempt": attempt,
        }


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
    names["vars"] = _vars(recipe, given, names, but=_later(recipe))
    return names


def _later(recipe: Recipe) -> set[str]:
    """Return the vars that have no value yet at collection: what they read comes with the run."""
    later: set[str] = set()
    for one in recipe.templates:
        for expression in one.expressions:
            for chain in expression.reads:
                reads_later = chain.root == "vars" and chain.parts[:1] and chain.parts[0] in later
                if one.path[0] == "vars" and (chain.root in _OF_A_RUN or reads_later):
                    later.add(str(one.path[1]))
    return later


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


def after(names: Mapping[str, Any], ended: Ended) -> dict[str, Any]:
    """Return the names that there are after the body of a step."""
    process = ended.process
    return {
        **names,
        "result": ended.value,
        "stdout": process.stdout.text if process else "",
        "stderr": process.stderr.text if process else "",
        "exit_code": process.exit_code if process else None,
    }


class ContextNames:
    """The Context as expressions see it; `ctx.a.b` is a call with ``a`` and ``b``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, *parts: object) -> Any:
        """Look a path up."""
        path = ".".join(str(part) for part in parts)
        value = self._context.get(path, _ABSENT)
        if value is not _ABSENT:
            return value
        last = parts[-1]
        if isinstance(last, int) and last < 0:  # counts from the end
            items = self(*parts[:-1])
            if isinstance(items, list) and -len(items) <= last:
                return items[last]
        keys = self._context.keys()
        there = nearest(path, keys) or _listed(keys)
        return absent(f"the context has no key '{path}'{there}")

    def __contains__(self, key: object) -> bool:
        return key in self._context

    def __iter__(self) -> Iterator[str]:
        return iter(self._context.keys())

    def __len__(self) -> int:
        return len(self._context.keys())

    def get(self, key: str, default: Any = None) -> Any:
        """Read a key or path."""
        return self._context.get(key, default)

    def keys(self) -> list[str]:
        """Return all keys."""
        return self._context.keys()

    def whole(self) -> dict[str, Json]:
        """Return all values by their keys."""
        return self._context.to_dict()


def _listed(keys: list[str]) -> str:
    if not keys:
        return "; it has none at all"
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return f"; it has {', '.join(keys[:5])}{more}"


class Steps(Mapping[str, Any]):
    """What became of the steps before one."""

    def __init__(self, recipe: Recipe, known: Known) -> None:
        self._recipe = recipe
        self._known = known

    def __getitem__(self, name: str) -> Any:
        result = self._known(name)
        if result is None:
            raise KeyError(name)
        ended = result.ended
        process = ended.process if ended else None
        return {
            "outcome": result.outcome,
            "result": ended.value if ended else None,
            "exit_code": process.exit_code if process else None,
            "seconds": ended.usage.seconds if ended else 0.0,
        }

    def __iter__(self) -> Iterator[str]:
        steps = (*self._recipe.steps, *self._recipe.final)
        return (step.name for step in steps if self._known(step.name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Run:
    """The run itself."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.id = env.run
        self.dir = str(env.folder or "")

    def port(self, name: str) -> int:
        """Return a free TCP port, the same for the same name in a run."""
        if self._env.folder is None:
            raise ExpressionError("there is no run folder to keep ports in")
        from pytest_orchestrator.execution import ports

        return ports.port(Path(self._env.folder), name)
