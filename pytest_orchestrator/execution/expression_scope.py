"""Variables of recipe expressions: Context, earlier steps, run, free ports."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.files import replacing
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Ended, Process, StepResult, Stream
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import some_of
from pytest_orchestrator.execution.recipe_outcome import (
    RecipeOutcome,
    ResultOf,
    is_expected,
    is_within,
    steps_before,
)
from pytest_orchestrator.execution.run_config import RunConfig, process_variables
from pytest_orchestrator.execution.step_values import FieldsRead, step_value
from pytest_orchestrator.recipe.expressions.expression import (
    ExpressionError,
    LazyValue,
    absent,
    collecting,
    item,
    time_limit,
)
from pytest_orchestrator.recipe.expressions.names import PytestVariables
from pytest_orchestrator.recipe.fields.resolve import (
    lock_names,
    replace_expressions,
    vars_unknown_at_collection,
)
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.root_mappings import serial_of
from pytest_orchestrator.recipe.model.step import Cell, FileUse, ShellStep, Step, cell_name
from pytest_orchestrator.recipe.variables import (
    ExternalValue,
    missing_inputs,
    secret_vars,
    var_values,
    with_values,
)

_ABSENT = object()


class ContextNames(Mapping[str, Any]):
    """The variable `ctx` of expressions; `ctx.a.b` is evaluated as ``ctx("a", "b")``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, *parts: object) -> Any:
        """Return the Context value at a path; for a missing key, `absent` with the reason."""
        path = ".".join(str(part) for part in parts)
        value = self._context.get(path, _ABSENT)
        if value is not _ABSENT:
            return value
        last = parts[-1]
        if isinstance(last, int) and len(parts) > 1:  # a negative index is no key of the Context
            items = self._context.get(".".join(str(part) for part in parts[:-1]))
            if isinstance(items, list):
                return item(items, last)
        keys = self._context.keys()
        hint = nearest(path, keys) or f"; it has {some_of(keys) or 'none at all'}"
        return absent(f"the context has no key '{path}'{hint}")

    def __getitem__(self, key: str) -> Any:
        value = self._context.get(key, _ABSENT)
        if value is _ABSENT:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._context.keys())

    def __len__(self) -> int:
        return len(self._context.keys())


class Steps(Mapping[str, Any]):
    """The variable `steps` of expressions: results of the steps that have ended.

    The result of a step with a matrix is the list of the results of its cells.

    Args:
        recipe: The recipe.
        result_of: Returns the result of a step of the recipe.
        use: The use of the file whose steps are meant; None for the recipe itself.
        fields_read: Returns the large values of a step that expressions read.
        cell: The cell of the step that reads; of steps of its unit the results of this unit count.
        values: The values of the vars and inputs, which have the serial numbers.
    """

    def __init__(
        self,
        recipe: Recipe,
        result_of: ResultOf,
        use: FileUse | None = None,
        fields_read: Callable[[str], frozenset[str]] = lambda _: frozenset(),
        cell: Cell | None = None,
        values: Mapping[str, Json] | None = None,
    ) -> None:
        self._reader, self._values = cell, values or {}
        self._unit = f"unit:{cell.unit['name']}" if cell is not None and cell.unit else ""
        self._recipe = recipe
        self._fields_read = fields_read
        self._result_of = result_of
        self._cell = use.cell if use else self._unit
        self._prefix = f"{use.name.partition('[')[0]}." if use else ""

    def below(self, use: FileUse) -> "Steps":
        """Return the results of the steps of a used file, keyed by their names in that file."""
        more = (self._fields_read, self._reader, self._values)
        return Steps(self._recipe, self._result_of, use, *more)

    def __getitem__(self, name: str) -> Any:
        base, _, own = (self._prefix + name).removesuffix("]").partition("[")
        full = cell_name(base, self._cell, own)
        if self._unit and self._recipe.has_step(once := cell_name(base, own)):
            full = once  # it runs once for all units
        if self._result_of(full) is not None:
            return self._fields(full)
        cells = [step.name for step in self._recipe.cells_of(base) if self._contains(step)]
        results = [self._fields(cell) for cell in cells if self._result_of(cell) is not None]
        if not results:
            raise KeyError(name)
        return results

    def _contains(self, step: Step) -> bool:
        """Return True if a step in a cell belongs to the cell of the used file."""
        cell = step.cell.id if step.cell else ""
        return not self._cell or f"{cell},".startswith(f"{self._cell},")

    def _fields(self, name: str) -> dict[str, Any]:
        """Return what expressions can read of a step that has a result."""
        result = self._result_of(name)
        assert result is not None  # noqa: S101
        step = self._recipe.step(name) if name.endswith("]") else None
        more: dict[str, Any] = {}
        if step is not None and step.cell:
            more = {"matrix": step.cell.values}
        if step is not None and step.unit:
            more["unit"] = unit_of(step.cell, self._values)
        return {**step_value(result, self._fields_read(name)), **more}

    def __iter__(self) -> Iterator[str]:
        steps = [
            step
            for step in (*self._recipe.steps, *self._recipe.final)
            if step.name.startswith(self._prefix) and self._contains(step)
        ]
        ended = (step.name for step in steps if self._result_of(step.name) is not None)
        # All cells of a step have one name.
        names = dict.fromkeys(name[len(self._prefix) :].partition("[")[0] for name in ended)
        return iter(names)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Run:
    """The variable `run` of expressions: the id, folder and reserved ports of the run."""

    def __init__(self, config: RunConfig) -> None:
        self._folder = config.folder
        self.id = config.run_id
        self.dir = str(config.folder or "")

    def port(self, name: str) -> int:
        """Return the TCP port that the run reserves for a name; the first call picks one."""
        if self._folder is None:
            raise ExpressionError("run.port needs a run folder, and this run has none")

        return port(self._folder, str(name))


class Inner:
    """Variables of expressions in the steps of a used file: one that a recipe includes by ``use``.

    Args:
        file_use: The ``use`` entry that includes the file.
        names: The variables of the recipe.
        steps: The results of the steps of the recipe.
        outer: The variables of the file that uses this one; None if the recipe itself uses it.

    Attributes:
        skipped: The false condition that skips all steps of the file; None if they run.
        locks: The evaluated names of the locks that all steps of the file take.
    """

    def __init__(
        self, file_use: FileUse, names: Mapping[str, Any], steps: Steps, outer: "Inner | None"
    ) -> None:
        outer_names = dict(names) if outer is None else outer.names(names)
        where = f"in step '{file_use.name}' that uses {file_use.source.id}"
        self.skipped: str | None = None if outer is None else outer.skipped
        self.locks: tuple[str, ...] = () if outer is None else outer.locks
        self._own: dict[str, Any] = {
            "steps": steps.below(file_use),
            "recipe": about(file_use.title, file_use.source.path),
            "vars": {},
        }
        try:
            if (
                self.skipped is None
                and file_use.condition
                and not file_use.condition.holds(outer_names)
            ):
                self.skipped = file_use.condition.text
            if self.skipped is None:
                given = with_values(file_use, outer_names)
                own_names = {**outer_names, **self._own}
                self._own["vars"] = var_values(file_use, given, own_names)
                self.locks += lock_names(file_use.locks, self.names(names))
        except ExpressionError as error:
            raise ExpressionError(f"{where}: {error}") from None

    @property
    def vars(self) -> Mapping[str, Json]:
        """The vars of the file; empty if its steps are skipped."""
        own: Mapping[str, Json] = self._own["vars"]
        return own

    def names(self, outermost: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variables of the recipe, overridden by those of the used file."""
        return {**outermost, **self._own}


def about(name: str | None, path: Path) -> dict[str, str]:
    """Return the value of the variable `recipe`: name, path and folder of a recipe file."""
    return {"name": name or path.stem, "path": str(path), "dir": str(path.parent)}


_NOTHING = Stream()


def unit_of(cell: Cell | None, values: Mapping[str, Json]) -> dict[str, Json]:
    """Return the variable `unit`: name, index and serial number of the unit of a step.

    Args:
        cell: The cell of the step.
        values: The values of the vars and inputs of the recipe.
    """
    unit = cell.unit if cell is not None else {}
    return {**unit, "serial": values.get(serial_of(str(unit.get("name"))))}


def early_names(names: dict[str, Any], cell: Cell | None) -> dict[str, Any]:
    """Return the variables of a recipe, with those of a step's own matrix cell and unit."""
    if cell is None:
        return names
    unit = {"unit": unit_of(cell, names["vars"])} if cell.unit else {}
    return {**names, "matrix": {**names["matrix"], **cell.values}, **unit}


class Scope:
    """Variables of expressions in one run of a recipe.

    Args:
        recipe: The recipe.
        config: The settings of the run.
        result_of: Returns the result of one of its steps.

    Attributes:
        is_cut_off: True if the session was interrupted while the recipe ran.
        test_meta: The `test_meta` of the recipe, with the values of its expressions after `early`.
        identified: Keys of the unit under test that people gave, with their values.
        named: The origin of the serial number of each unit that a person gave, by its input.
    """

    def __init__(self, recipe: Recipe, config: RunConfig, result_of: ResultOf) -> None:
        self._recipe = recipe
        self._config = config
        self._result_of = result_of
        self._early: dict[str, Any] | ExpressionError | None = None
        self._inner: dict[str, Inner] = {}
        self._lock = threading.RLock()
        self.is_cut_off = False
        self.test_meta = recipe.test_meta
        self.identified: dict[str, str] = {}
        self.named: dict[str, str] = {}
        self._fields: FieldsRead | None = None

    def read_again(self, recipe: Recipe) -> None:
        """Use the recipe as it was read again; its root keys and cells are the same."""
        self._recipe, self._fields = recipe, None

    def fields_read(self, step: str) -> frozenset[str]:
        """Return the large values of a step, such as ``stdout``, that an expression may read."""
        if self._fields is None:
            self._fields = FieldsRead(self._recipe)
        return self._fields.of(step)

    def node(self, step: Step) -> str:
        """Return the node id of a step."""
        return self._recipe.node(step.name)

    def early(self) -> dict[str, Any]:
        """Return the expression variables that are known before any step runs.

        Raises:
            ExpressionError: A var, or an expression in `test_meta`, has no value.
        """
        with self._lock:
            if self._early is None:
                try:
                    with time_limit(self._config.seconds_for(None)):
                        self._early = self._evaluated()
                except ExpressionError as error:
                    self._early = error
            if isinstance(self._early, ExpressionError):
                raise self._early.with_traceback(None)
            return self._early

    def identify(self, step: Step, values: Mapping[str, str]) -> None:
        """Set keys of the unit under test; in a panel the serial number of the unit of a step.

        Args:
            step: The step that asked a person for them; `unit.serial` is the answer from then on.
            values: The values.
        """
        if not step.unit or not values:
            self.identified |= values
            return
        with self._lock:
            (serial,), name, early = values.values(), serial_of(step.unit), self.early()
            self._early = {**early, "vars": {**early["vars"], name: serial}}
            self.named[name] = "prompt"

    @property
    def is_evaluated(self) -> bool:
        """True if the variables of the recipe have their values, so that `early` returns them."""
        return isinstance(self._early, dict)

    def _evaluated(self) -> dict[str, Any]:
        names: dict[str, Any] = {
            "env": process_variables(),
            "matrix": self._recipe.cell.values if self._recipe.cell else {},
            "run": Run(self._config),
            "recipe": about(self._recipe.name, self._recipe.path),
        }
        names["vars"] = var_values(self._recipe, self._config.var_values, names)
        self._config.secrets.declare(self._recipe.secrets, names["vars"])
        self._config.secrets.add_vars(self._secret_vars.get("", ()), names["vars"])
        # A certificate without its unit or operator must not be one of a passed recipe.
        self.test_meta = replace_expressions(
            self._recipe.templates, ("test_meta",), self._recipe.test_meta, names
        )
        return names

    @cached_property
    def _secret_vars(self) -> dict[str, tuple[str, ...]]:
        """The vars that the recipe hands over in variables with secret names; see `secret_vars`."""
        if not self._recipe.evaluates_variables:
            return {}
        return secret_vars(self._recipe, self._config.secrets.is_secret)

    def before(
        self, step: Step, own: Context, attempt: int, fixtures: Mapping[str, object]
    ) -> dict[str, Any]:
        """Return the expression variables of a step that are known before its step code runs.

        Args:
            step: The step.
            own: The step's own handle to the Context.
            attempt: Number of the attempt, from 1.
            fixtures: Values of the step's fixtures.

        Raises:
            ExpressionError: A var, condition or lock name cannot be evaluated.
        """
        names = self._recipe_names(step.cell, own, attempt, fixtures)
        names["env"] = _pytest_variables(step, names["env"])
        if step.file_use is not None:
            names = self._within(step.file_use, names, step).names(names)
        outcome = self._outcome(step, step.file_use)
        names |= {"failed": outcome.failed, "passed": outcome.passed}
        names["interrupted"] = outcome.interrupted
        if step.is_final:
            names["recipe"] = {**names["recipe"], "outcome": outcome.word}
            if step.unit:
                names["unit"] = {**names["unit"], "outcome": outcome.word}
        return names

    def _recipe_names(
        self, cell: Cell | None, own: Context, attempt: int, fixtures: Mapping[str, object]
    ) -> dict[str, Any]:
        """Return the expression variables of a step of the recipe itself, in a matrix cell."""
        return {
            **early_names(self.early(), cell),
            "ctx": ContextNames(own),
            "env": process_variables(),
            "fixtures": fixtures,
            "steps": self._steps(cell),
            "attempt": attempt,
        }

    def _steps(self, cell: Cell | None) -> Steps:
        values = self.early()["vars"]
        return Steps(self._recipe, self._result_of, None, self.fields_read, cell, values)

    def _outcome(
        self, step: Step, use: FileUse | None = None, excluded: FileUse | None = None
    ) -> RecipeOutcome:
        """Return the outcome of the steps that count for a step.

        Args:
            step: The step.
            use: The use of the file whose step it is; see `steps_before`.
            excluded: The use whose steps do not count; None excludes none.
        """

        def steps() -> list[Step]:
            found = steps_before(self._recipe, step, use)
            return [one for one in found if excluded is None or not is_within(one, excluded)]

        def expected(one: Step, result: StepResult) -> bool:
            return is_expected(one, result, self._config.xfail_exceptions)

        return RecipeOutcome(steps, self._result_of, expected, is_cut_off=self.is_cut_off)

    def locked(self, step: Step) -> Step:
        """Return a step whose locks also contain the locks of its used file.

        Args:
            step: The step; `before` has been called for it.
        """
        locks = self._inner[step.file_use.name].locks if step.file_use else ()
        return msgspec.structs.replace(step, locks=(*step.locks, *locks)) if locks else step

    def skipped(self, step: Step, own: Context) -> str | None:
        """Return the false condition of the ``use`` that includes a step; None if none is false.

        Raises:
            ExpressionError: A var, condition or lock name cannot be evaluated.
        """
        if step.file_use is None:
            return None
        names = self._recipe_names(step.cell, own, 1, {})
        return self._within(step.file_use, names, step).skipped

    def _within(self, file_use: FileUse, names: dict[str, Any], step: Step) -> Inner:
        """Return the variables of a used file; evaluate them once, at its first step.

        Args:
            file_use: The use of the file.
            names: The variables of the recipe.
            step: A step of the file.
        """
        with self._lock:
            if file_use.name not in self._inner:
                outer = self._within(file_use.outer, names, step) if file_use.outer else None
                steps = self._steps(step.cell)
                # The condition of the use reads the outcome of the steps before the use.
                before = self._outcome(step, excluded=file_use)
                names = {**names, "failed": before.failed, "passed": before.passed}
                names["interrupted"] = before.interrupted
                inner = self._inner[file_use.name] = Inner(file_use, names, steps, outer)
                self._config.secrets.declare(file_use.secrets, inner.vars)
                paths = self._secret_vars.get(file_use.name, ())
                self._config.secrets.add_vars(paths, inner.vars)
            return self._inner[file_use.name]


def _pytest_variables(step: Step, variables: dict[str, str]) -> dict[str, str]:
    """Return the environment variables of pytest, for the expressions of a step."""
    own = step.args if isinstance(step, ShellStep) else step.env
    return PytestVariables(variables, own) if own else variables


def collected(recipe: Recipe, given: Mapping[str, ExternalValue]) -> dict[str, Any]:
    """Return the variables known at collection, for the lists of matrices; empty without any.

    Args:
        recipe: The recipe.
        given: Values of vars that come from outside the recipe.

    Raises:
        ExpressionError: A var cannot be evaluated.
    """
    if not (recipe.matrix or recipe.has_cells):
        return {}
    names: dict[str, Any] = {"env": dict(os.environ)}
    with collecting():
        missing = dict.fromkeys(missing_inputs(recipe.inputs, given), "inputs")
        late = vars_unknown_at_collection(recipe.templates, missing)
        names["vars"] = var_values(recipe, given, names, late)
    return names


def after(names: Mapping[str, Any], ended: Ended, view: Context, limit: int) -> dict[str, Any]:
    """Return the expression variables that are known after the step code has ended.

    Args:
        names: The variables that were known before the step code ran.
        ended: The end of the step code.
        view: The Context as the step left it.
        limit: The size in bytes of the largest output that expressions can read.
    """
    process = ended.process
    return {
        **names,
        "ctx": ContextNames(view),
        "result": ended.exact_value,
        **{name: _printed(process, name, limit) for name in ("stdout", "stderr")},
        "exit_code": process.exit_code if process else None,
    }


def _printed(process: Process | None, name: str, limit: int) -> LazyValue:
    stream = _NOTHING if process is None else getattr(process, name)

    def read() -> str:
        from pytest_orchestrator.execution import text_search

        return text_search.text(stream, name, limit)

    return LazyValue(read)


def port(folder: Path, name: str) -> int:
    """Return the TCP port that a run reserves for a name; the first call picks a free port.

    Args:
        folder: The folder of the run.
        name: The name, any text.
    """
    import contextlib
    import fcntl
    import hashlib

    ports = folder / "ports"
    kept = ports / hashlib.sha256(name.encode()).hexdigest()
    # For this user alone: another user who can open the lock could hold it and block the run.
    ports.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (ports / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            return int(kept.read_text())
        number = _free({int(each.read_text()) for each in ports.glob("[!.]*")})
        with replacing(kept) as file:
            file.write(b"%d" % number)
    return number


def _free(reserved: set[int]) -> int:
    import socket

    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            number: int = probe.getsockname()[1]
        if number not in reserved:
            return number
