"""What expressions can look things up in: the Context, the steps before, the run, a used file."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_orchestrator.core.context import Context
from pytest_orchestrator.core.nearest import nearest
from pytest_orchestrator.core.result import Ended, Process, StepResult, Usage
from pytest_orchestrator.core.values import Json
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.recipe.expressions import ExpressionError, absent, item
from pytest_orchestrator.recipe.model import Recipe
from pytest_orchestrator.recipe.part import Part
from pytest_orchestrator.recipe.resolve import lock_names, valued

_ABSENT = object()

Known = Callable[[str], StepResult | None]
"""Gives what became of a step, None where that is not known yet."""


class ContextNames(Mapping[str, Any]):
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
        if isinstance(last, int) and len(parts) > 1:  # perhaps one that counts from the end
            items = self._context.get(".".join(str(part) for part in parts[:-1]))
            if isinstance(items, list):
                return item(items, last)
        keys = self._context.keys()
        there = nearest(path, keys) or _listed(keys)
        return absent(f"the context has no key '{path}'{there}")

    def __getitem__(self, key: str) -> Any:
        value = self._context.get(key, _ABSENT)
        if value is _ABSENT:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._context.keys())

    def __len__(self) -> int:
        return len(self._context.keys())


def _listed(keys: list[str]) -> str:
    if not keys:
        return "; it has none at all"
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return f"; it has {', '.join(keys[:5])}{more}"


class Steps(Mapping[str, Any]):
    """What became of the steps before one.

    Args:
        recipe: The recipe.
        known: Gives what became of a step of it.
        prefix: In front of the names, for the steps of a used file.
    """

    def __init__(self, recipe: Recipe, known: Known, prefix: str = "") -> None:
        self._recipe = recipe
        self._known = known
        self._prefix = prefix

    def below(self, prefix: str) -> "Steps":
        """Return those of a used file, by the names that they have there."""
        return Steps(self._recipe, self._known, prefix)

    def __getitem__(self, name: str) -> Any:
        result = self._known(self._prefix + name)
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
        names = (step.name for step in steps if step.name.startswith(self._prefix))
        return (name[len(self._prefix) :] for name in names if self._known(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def gist(result: StepResult) -> StepResult:
    """Return of a result what steps after it may ask for, and nothing that is only reported."""
    ended = result.ended
    if ended is not None:
        code = ended.process.exit_code if ended.process else None
        process = None if code is None else Process(argv=(), cwd="", alone="", exit_code=code)
        usage = Usage(seconds=ended.usage.seconds)
        ended = Ended(usage=usage, value=ended.value, process=process)
    return StepResult(
        step=result.step,
        outcome=result.outcome,
        failure=result.failure,
        reason=result.reason,
        blocked_by=result.blocked_by,
        meets=result.meets,
        ended=ended,
        restored=result.restored,
    )


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

        return ports.port(Path(self._env.folder), str(name))


class Inner:
    """What the steps of a used file know.

    Args:
        part: The use of the file.
        names: What the names of the recipe mean.
        steps: What became of the steps of the recipe.
        outer: What the user of the file knows, where that is itself used.

    Attributes:
        skipped: The condition that lets none of its steps run; None where they do.
        locks: Locks of all its steps whose names are expressions.
    """

    def __init__(
        self, part: Part, names: Mapping[str, Any], steps: Steps, outer: "Inner | None"
    ) -> None:
        known = dict(names) if outer is None else outer.names(names)
        where = f"in step '{part.name}' that uses {part.source.id}"
        self.skipped: str | None = None if outer is None else outer.skipped
        self.locks: tuple[str, ...] = () if outer is None else outer.locks
        self._own: dict[str, Any] = {
            "steps": steps.below(f"{part.name}."),
            "recipe": about(part.title, part.source.path),
            "vars": {},
        }
        try:
            if self.skipped is None and part.condition and not part.condition.holds(known):
                self.skipped = part.condition.text
            if self.skipped is None:
                self._own["vars"] = self._vars(part, known)
                self.locks += lock_names(part.locks, self.names(names))
        except ExpressionError as error:
            raise ExpressionError(f"{where}: {error}") from None

    @property
    def vars(self) -> Mapping[str, Json]:
        """The vars of the file; none where its steps are skipped."""
        own: Mapping[str, Json] = self._own["vars"]
        return own

    def _vars(self, part: Part, known: Mapping[str, Any]) -> dict[str, Json]:
        told: dict[str, Json] = {
            name: valued(part.given_templates, ("with_", name), value, known)
            for name, value in part.given.items()
        }
        for name, value in part.vars.items():
            if name not in part.given:
                names = {**known, **self._own, "vars": told}
                told[name] = valued(part.templates, ("vars", name), value, names)
        return told

    def names(self, outermost: Mapping[str, Any]) -> dict[str, Any]:
        """Return the names within, over those of the recipe."""
        return {**outermost, **self._own}


def about(name: str | None, path: Path) -> dict[str, str]:
    """Return what expressions can ask of a recipe."""
    return {"name": name or path.stem, "path": str(path), "dir": str(path.parent)}
