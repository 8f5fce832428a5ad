"""Fingerprint of a step: one digest for each input that decides what the step does.

The position of the step, texts for reports and time limits are not included. Results of earlier
steps are not included either; the code that compares fingerprints checks those steps
separately.
"""

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from hashlib import sha256
from itertools import compress
from operator import attrgetter, is_not
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pytest_orchestrator.core.files import content, path_text
from pytest_orchestrator.core.json_values import SCALARS
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.analysis.source_files import Sources
from pytest_orchestrator.recipe.expressions.expression import OPENING, Expression, Template
from pytest_orchestrator.recipe.fields.extensions import CustomStep
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.root_mappings import serial_of
from pytest_orchestrator.recipe.model.step import (
    Cell,
    FileUse,
    InstrumentQuery,
    PythonStep,
    ShellStep,
    SshStep,
    Step,
)
from pytest_orchestrator.recipe.variables import ExternalValue

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.station.model import Station

STEP: Final = "step"
"""Name of the digest of the keys of the step."""

FILE: Final = "file "
"""Prefix of the digest of a file that a step runs; the path follows."""

_SAME_WORK = {"at", "place", "file_use", "templates", "index", "idx", "description", "tags"}
_SAME_WORK |= {"implicit", "idempotent", "continue_on_error", "xfail", "timeout", "locks"}
_SAME_WORK |= {"stop_signal", "artifacts", "heap", "plugin_data", "resources", "host"}
_SAME_WORK |= {"plugin_criterion", "fail_fast", "matrix", "cell", "named_cells"}
_SAME_WORK |= {"literal_braces", "scope", "turn", "due", "ambient"}
_NONE_IF_EMPTY: Final = {"env", "written"}
"""Mappings that are no part of a digest while they are empty: older runs do not have them."""
_DIGEST_NAMES: Final = {"expected": "wanted"}
"""Names of renamed fields in digests: they stay, so that a resume recognizes older runs."""
_OF_INSTRUMENT: Final = (
    "resource",
    "backend",
    "read_termination",
    "write_termination",
    "baud_rate",
    "idn",
    "init",
)
"""Settings of an instrument that decide what a step does with it."""
_PROGRAMS = (".sh", ".bash", ".py", ".pl", ".rb", ".js", ".ps1")
_MOST_BYTES = 16 << 20
_ALL = "*"


class FingerprintInputs(msgspec.Struct, frozen=True):
    """Inputs of a fingerprint other than the recipe.

    Attributes:
        sources: The files of the project.
        external_values: The values of vars that come from outside the recipe, by name.
        environ: The environment variables.
        masked: Function that removes secrets from a value, so that no digest reveals a secret.
        station: The station; None if the project has none.
    """

    sources: Sources
    external_values: Mapping[str, ExternalValue] = {}
    environ: Mapping[str, str] = os.environ
    masked: Callable[[Any], Any] = lambda value: value
    station: "Station | None" = None


_OF_TEXT: Final = {
    "at",
    "defaults",
    "description",
    "env",
    "final",
    "name",
    "sha256",
    "steps",
    "text",
}
"""Fields of a recipe that its steps contain, or that only reports show."""


def changed_since(before: Recipe, now: Recipe, begun: Sequence[Step]) -> str:
    """Return what differs between two readings of a recipe, but for steps that have not begun.

    Args:
        before: The recipe as it was read first.
        now: The recipe as it is now.
        begun: The steps of `before` that have begun.

    Returns:
        The steps, a step or a root key, in words; empty if nothing differs.
    """
    names = [[one.name for one in (*each.steps, *each.final)] for each in (before, now)]
    if names[0] != names[1]:
        return "the list of its steps"
    for name in Recipe.__struct_fields__:
        if name not in _OF_TEXT and _plain(getattr(before, name), []) != _plain(
            getattr(now, name), []
        ):
            return f"'{name}' at its root"
    for step in begun:
        if _plain([step.type, step], []) != _plain([step.type, now.step(step.name)], []):
            return f"step '{step.name}', which has run,"
    return ""


def digests(recipe: Recipe, step: Step, inputs: FingerprintInputs) -> dict[str, str]:
    """Return the fingerprint of a step.

    Args:
        recipe: The recipe of the step, as it was loaded and not as reports show it.
        step: The step, before its expressions are evaluated.
        inputs: The inputs other than the recipe.

    Returns:
        Digests of 16 hexadecimal digits, by name: ``step``, each ``vars.x``, ``env.X`` and
        ``matrix.x`` that its expressions read, ``unit`` for its unit with the serial number,
        ``file path`` for each file that it runs, and ``host x`` and ``instrument x`` for those of
        the station that it uses by name.
    """
    expressions: list[Expression] = []
    keys = [step.type, _plain(step, expressions)]
    for one in step.templates:
        if one.path and one.path[0] not in _SAME_WORK:
            expressions += one.expressions
    result = {STEP: _digest(inputs.masked(keys))}
    if expressions or step.file_use is not None:
        reader = _Reader(recipe, inputs, step.cell)
        for name, value in sorted(reader.read(expressions, step).items()):
            result[name] = _digest(inputs.masked(value))
    if step.unit:
        given = inputs.external_values.get(serial_of(step.unit))
        unit = [step.cell and step.cell.unit, given and given.value]
        result["unit"] = _digest(inputs.masked(unit))
    for path in files_of_step(step, inputs.sources):
        result[f"{FILE}{_shown(path, inputs.sources.root)}"] = file_digest(path)[:16]
    if inputs.station is not None:
        result |= _of_station(recipe, step, inputs.station, inputs.sources.root)
    return result


def _of_station(recipe: Recipe, step: Step, station: "Station", root: Path) -> dict[str, str]:
    """Return the digests of host and instruments of the station that a step uses by name."""
    found: dict[str, str] = {}
    if isinstance(step, SshStep) and step.host in station.hosts:
        found[f"host {step.host}"] = _digest(station.hosts[step.host])
    names = [step.instrument] if isinstance(step, InstrumentQuery) else []
    if isinstance(step, CustomStep):
        from pytest_orchestrator.recipe.fields import type_hooks

        with contextlib.suppress(type_hooks.HookError):  # the step raises the error again
            names = type_hooks.call("instruments", step, str(recipe.path))
    for name in names:
        one = station.instruments.get(name)
        if one is not None:
            found[f"instrument {name}"] = _digest([getattr(one, key) for key in _OF_INSTRUMENT])
            simulation = one.simulation
            if simulation:
                path = Path(simulation)
                found[f"{FILE}{_shown(path, root)}"] = file_digest(path)[:16]
    return found


def _plain(value: Any, expressions: list[Expression]) -> Any:
    """Convert a value to plain data without places and defaults; collect its expressions."""
    if type(value) in SCALARS:
        return value
    if isinstance(value, Expression):
        expressions.append(value)
        return value.text
    if isinstance(value, Place):
        return None
    if isinstance(value, msgspec.Struct):
        names, defaults, read = _fields(type(value))
        ones = read(value)
        return {
            name: one if type(one) in SCALARS else _plain(one, expressions)
            for name, one, default in compress(
                zip(names, ones, defaults, strict=True), map(is_not, ones, defaults)
            )
            if one != default
        }
    if isinstance(value, Mapping):
        return {str(name): _plain(one, expressions) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one, expressions) for one in value]
    return str(value)


@cache
def _fields(
    kind: type[msgspec.Struct],
) -> tuple[tuple[str, ...], tuple[Any, ...], Callable[[Any], tuple[Any, ...]]]:
    """Return the names in digests of the fields of a type, their defaults, and their reader."""
    names, defaults = kind.__struct_fields__, kind.__struct_defaults__
    required = len(names) - len(defaults)
    known = (
        (name, {} if name in _NONE_IF_EMPTY else default)
        for name, default in zip(names, (*[msgspec.NODEFAULT] * required, *defaults), strict=True)
    )
    # For an `ssh` step the host decides what the step does; for other steps it is only a placement.
    same = _SAME_WORK - {"host"} if issubclass(kind, SshStep) else _SAME_WORK
    fields = {name: default for name, default in known if name not in same}
    shown = tuple(_DIGEST_NAMES.get(name, name) for name in fields)
    if len(fields) < 2:  # `attrgetter` returns a tuple for two names or more
        return (
            shown,
            (*fields.values(),),
            lambda value: tuple(getattr(value, one) for one in fields),
        )
    return shown, (*fields.values(),), attrgetter(*fields)


class _Reader:
    """Collector of the vars, environment variables and matrix values that expressions read.

    Only lookups with a literal name are followed. A var that gets no value from outside is recorded
    by its text and by the values that this text reads. Its evaluated value is not used: it may
    contain the id or a port of the run.
    """

    def __init__(self, recipe: Recipe, inputs: FingerprintInputs, cell: Cell | None) -> None:
        self._recipe = recipe
        self._inputs = inputs
        self._matrix = {
            name: value
            for each in (recipe.cell, cell)
            if each is not None
            for name, value in each.values.items()
        }
        self._values: dict[str, Any] = {}

    def read(self, expressions: list[Expression], step: Step) -> dict[str, Any]:
        """Return, by name, the values that expressions of a step and its `use` steps read."""
        self._follow(expressions, step.file_use)
        for use in step.uses:
            if use.condition is not None:
                self._values[f"if of {use.name}"] = use.condition.text
                self._follow([use.condition], use.outer)
        return self._values

    def _follow(self, expressions: list[Expression], file_use: FileUse | None) -> None:
        for expression in expressions:
            for chain in expression.reads:
                if chain.root in ("vars", "env", "matrix"):
                    first = chain.parts[0] if chain.parts else None
                    self._note(chain.root, str(first) if first is not None else _ALL, file_use)

    def _note(self, root: str, name: str, file_use: FileUse | None) -> None:
        if name == _ALL:
            for each in self._names(root, file_use):
                self._note(root, each, file_use)
            return
        scope = f"{file_use.name}." if file_use is not None and root == "vars" else ""
        key = f"{root}.{scope}{name}"
        if key in self._values:
            return
        self._values[key] = None
        if root == "env":
            self._values[key] = self._inputs.environ.get(name)
        elif root == "matrix":
            self._values[key] = self._matrix.get(name)
        elif file_use is not None:
            self._inner(key, name, file_use)
        elif name in self._inputs.external_values:
            self._values[key] = self._inputs.external_values[name].value
        else:
            self._values[key] = _declared(self._recipe, name)
            self._follow(_below(self._recipe.templates, name), None)

    def _inner(self, key: str, name: str, file_use: FileUse) -> None:
        if name in file_use.with_values:
            self._values[key] = file_use.with_values[name]
            self._follow(_below(file_use.with_templates, name, "with_"), file_use.outer)
        else:
            self._values[key] = _declared(file_use, name)
            self._follow(_below(file_use.templates, name), file_use)

    def _names(self, root: str, file_use: FileUse | None) -> list[str]:
        if root == "vars":
            source = self._recipe if file_use is None else file_use
            return [*source.inputs, *source.vars]
        # The complete environment differs in every run.
        return [*self._matrix] if root == "matrix" else []


def _declared(source: Recipe | FileUse, name: str) -> Any:
    """Return the value of a var as it is written, or the default of an input."""
    field = source.inputs.get(name)
    return source.vars.get(name) if field is None else field.absent


def _below(templates: tuple[Template, ...], name: str, field: str = "") -> list[Expression]:
    """Return the expressions in the value of a var or input, or of an entry of another field."""
    ways = [(field, name)] if field else [("vars", name), ("inputs", name)]
    return [each for one in templates if one.path[:2] in ways for each in one.expressions]


def files_of_step(step: Step, sources: Sources) -> Iterator[Path]:
    """Yield the files of the project that a step runs, as far as static analysis finds them.

    Args:
        step: The step.
        sources: The files of the project.
    """
    if isinstance(step, PythonStep):
        module = sources.module(step.module)
        if module is not None and module.path:
            yield from _with_imports(module.path, sources)
    elif isinstance(step, CustomStep):
        yield from _with_imports(Path(step.file), sources)
    elif isinstance(step, ShellStep):
        root = str(sources.root)
        places = dict.fromkeys((f"{root}/{step.cwd or ''}", root))
        for word in _words(step.cmd):
            # Strings: a check by `Path` takes ten times as long, and most words are no files.
            candidates = (
                os.path.normpath(word if word[:1] == "/" else f"{place}/{word}") for place in places
            )
            name = next(filter(os.path.isfile, candidates), "")
            if name.startswith(f"{root}/") and _is_program(name):
                yield _path(name)


_path = lru_cache(maxsize=4096)(Path)  # one object for a file, because a Path caches its hash


@lru_cache(maxsize=4096)
def _shown(path: Path, root: Path) -> str:
    return path_text(path.relative_to(root) if path.is_relative_to(root) else path)


def _with_imports(path: Path, sources: Sources) -> tuple[Path, ...]:
    """Return a project file and the project files that it imports; empty for another file."""
    return (path, *sources.imported(path)) if sources.is_own(path) else ()


@lru_cache(maxsize=4096)
def _words(cmd: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a command that may be paths of files, without duplicates."""
    words: Sequence[str] = cmd if isinstance(cmd, tuple) else ()
    if isinstance(cmd, str):
        try:
            words = shlex.split(cmd, comments=True)
        except ValueError:
            words = cmd.split()
    good = (word for word in words if OPENING not in word and "\0" not in word)
    return tuple(dict.fromkeys(word for word in good if len(word) < 1024))


def _is_program(path: str) -> bool:
    return path.endswith(_PROGRAMS) or os.access(path, os.X_OK)


def _digest(value: Any) -> str:
    return sha256(msgspec.json.encode(value)).hexdigest()[:16]


_known: dict[Path, tuple[tuple[int, int, int], str]] = {}


def file_digest(path: Path) -> str:
    """Return the digest of a file; it is cached until the file changes.

    Args:
        path: The file.

    Returns:
        The SHA-256 of the first 16 MiB, in hexadecimal; empty if the file cannot be read.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - once for each step, and `Path.stat` takes longer
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = _known.get(path)
        if known is None or known[0] != stamp:
            read = content(path, _MOST_BYTES, whole=False)
            known = _known[path] = (stamp, sha256(read).hexdigest())
        return known[1]
    except OSError:
        return ""
