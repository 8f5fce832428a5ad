"""Problems of a recipe file, each with its position and hint; `RecipeError` holds all of them.

Hints for wrong keys and values are words of other tools, the allowed keys, and forms of mappings.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from msgspec import Struct
from msgspec.structs import replace

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.location import Place, excerpt
from pytest_orchestrator.core.suggestions import nearest

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.masked_source import MaskedSource

_SHOWN = 100
"""Problems that `RecipeError` shows; each costs an excerpt, and a user repairs fewer at a time."""

_MOST = 10_000
"""Problems after which reading stops, because more of them would fill the memory."""

_COMPARED = 20_000
"""Most names that the hints of one file are compared with, to bound the time of a broken file."""


class Problem(Struct, frozen=True):
    """One mistake in a recipe.

    The sentence is ``head + where + tail``. A summary that already shows the name of the file
    omits ``where``.

    Attributes:
        place: The characters that the caret marks.
        head: The first part of the sentence, such as ``unknown key 'modul'``.
        where: The step or part of the recipe, such as `` in python step 'flash'``; may be
            empty.
        tail: The rest of the sentence; may be empty.
        hint: The cure, shown in brackets; may be empty.
        cause: The error of another file that this file needs.
    """

    place: Place
    head: str
    where: str = ""
    tail: str = ""
    hint: str = ""
    cause: "RecipeError | None" = None

    @property
    def text(self) -> str:
        """The complete sentence with its hint."""
        return f"{self.head}{self.where}{self.tail}{self._bracket}"

    @property
    def short(self) -> str:
        """The sentence without ``where``, for a line that already names the file."""
        return f"{self.head}{self.tail}{self._bracket}"

    @property
    def _bracket(self) -> str:
        return f" ({self.hint})" if self.hint else ""


class RecipeError(OrchestratorError, ValueError):
    """A recipe file with errors, and all of its problems.

    Attributes:
        problems: All problems, in the order of the file.
        path: The recipe's id: its path as messages show it.
        text: The text of the file, for excerpts; empty if the file could not be read.
        secrets: Secret values that step types have named. They, and values with secret names in
            the text, are masked in all messages and excerpts.
    """

    slug: ClassVar[str] = "recipe"

    def __init__(
        self,
        problems: Iterable[Problem],
        path: str,
        text: str = "",
        secrets: Sequence[Any] = (),
    ) -> None:
        self.path = path
        self.text = text
        self.secrets = secrets
        source = self._source()
        self.problems = tuple(
            _masked(each, source)
            for each in sorted(problems, key=lambda each: (each.place.line, each.place.column))
        )
        super().__init__(self.problems, path, text, secrets)

    def __str__(self) -> str:
        return self.render()

    def _source(self) -> "MaskedSource":
        """Return the text of the file without its secrets."""
        from pytest_orchestrator.recipe.masked_source import masked_source

        return masked_source(self.text, self.secrets)

    @property
    def summary(self) -> str:
        """One line: the first problem and the number of further ones."""
        first = self.problems[0]
        more = len(self.problems) - 1
        rest = f", and {more:,} more" if more else ""
        return f"{first.place.line}:{first.place.column} {first.short}{rest}"

    def render(self, rendered: "set[RecipeError] | None" = None) -> str:
        """Return every problem with its source line and a caret.

        Args:
            rendered: Errors of other files that were already rendered; these are not repeated.

        Returns:
            Lines without a newline at the end; with several problems, the last line has their
            number.
        """
        rows: list[str] = []
        rendered = set() if rendered is None else rendered
        source = self._source()
        for problem in self.problems[:_SHOWN]:
            place = problem.place
            rows.append(f"{self.path}:{place.line}:{place.column}: {problem.text}")
            if self.text.strip():
                rows += ["", excerpt(source.text, source.place(place))]
            if problem.cause is not None and problem.cause not in rendered:
                rendered.add(problem.cause)
                rows.append(problem.cause.render(rendered))
        if len(self.problems) > _SHOWN:
            rows.append(f"... and {len(self.problems) - _SHOWN:,} more")
        if len(self.problems) > 1:
            rows.append(f"{len(self.problems):,} problems")
        return "\n".join(rows)


def _masked(problem: Problem, source: "MaskedSource") -> Problem:
    """Return a problem without the secrets of its file in the sentence."""
    head, tail = source.message(problem.head), source.message(problem.tail)
    return replace(problem, head=head, tail=tail, hint=source.message(problem.hint))


class Problems:
    """The problems of one file while it is being read.

    Attributes:
        found: All problems so far, without duplicates. A problem can occur twice because a part
            that several steps share by a YAML alias is read once for each step.
        text: The text of the file for excerpts, as soon as it is known.
        variables: How expressions write the vars and matrix values of the file, by their names,
            for hints, as soon as they are known.
        secrets: The secret values that types of steps have named.
    """

    def __init__(self) -> None:
        self.found: dict[Problem, None] = {}
        self.text = ""
        self.variables: Mapping[str, str] = {}
        self.secrets: list[Any] = []
        self._budget = _COMPARED

    def add(
        self,
        place: Place,
        head: str,
        where: str = "",
        tail: str = "",
        *,
        hint: str = "",
        cause: RecipeError | None = None,
    ) -> None:
        """Add one problem; the arguments are those of `Problem`.

        Raises:
            Refused: The file has so many problems that reading it further is useless.
        """
        self.found.setdefault(Problem(place, head, where, tail, hint, cause))
        if len(self.found) == _MOST:
            raise Refused

    def suggest(self, word: str, names: Collection[str], *, exclude: Collection[str] = ()) -> str:
        """Return a hint with the most similar name; an empty text if no name is similar.

        Args:
            word: The word in the recipe.
            names: The valid names.
            exclude: Names that are never suggested.
        """
        self._budget -= len(names)
        if self._budget < 0:
            return ""
        return nearest(word, [name for name in names if name not in exclude])[2:-1]


class Refused(Exception):
    """Exception for a file that cannot be read any further; its `Problems` say why."""


_WIDEST = 60


def shortened(text: str, widest: int = _WIDEST) -> str:
    """Return the text on one line, escaped, and cut in the middle if it is long."""
    text = _cut(text, widest)
    return text if text.isprintable() else repr(text)[1:-1]


def quoted(text: str) -> str:
    """Return the text in quotes, escaped, and cut in the middle if it is long."""
    return repr(_cut(text, _WIDEST))


def _cut(text: str, widest: int) -> str:
    half = widest // 2 - 1
    return text if len(text) <= widest else f"{text[:half]}...{text[-half:]}"


def either(names: Iterable[str]) -> str:
    """Join names into one phrase: ``a, b or c``."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def lines(first: int, second: int) -> str:
    """Return the phrase for two lines: ``lines 3 and 7``, or ``line 3`` if they are the same."""
    return f"lines {first} and {second}" if first != second else f"line {first}"


OTHER_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("run", "script", "command"), "cmd"),
    **dict.fromkeys(("depends_on", "requires"), "needs"),
    **dict.fromkeys(("when", "condition"), "if"),
    **dict.fromkeys(("always", "teardown", "cleanup", "finally"), "finally"),
    **dict.fromkeys(("ignore_errors", "allow_failure", "continue-on-error"), "continue_on_error"),
    **dict.fromkeys(("values", "options"), "choices"),
    "float": "number",
    "int": "integer",
    "str": "string",
    "enum": "string",
    "bool": "boolean",
    **dict.fromkeys(("status_code", "status"), "code"),
    "register": "outputs",
    "environment": "env",
    **dict.fromkeys(("expect", "assert"), "success"),
    **dict.fromkeys(("loop", "with_items", "for"), "foreach"),
    "working-directory": "cwd",
    "timeout-minutes": "timeout",
    **dict.fromkeys(("stages", "tasks", "jobs"), "steps"),
    "parallel": "matrix",
    "services": "background",
    **dict.fromkeys(("min", "lower", "lsl"), "low"),
    **dict.fromkeys(("max", "upper", "usl"), "high"),
    "tol": "tolerance",
    **dict.fromkeys(("target", "expected"), "nominal"),
}
"""Words of other tools, each with the key or type that means the same."""

_ELSEWHERE: Final[Mapping[str, str]] = {
    "finally": "'finally' is a key of the recipe, beside 'steps'",
    "background": "a service is a step with `background: true`",
}
"""Keys that may not stand at the place of such a word, each with its own place."""

_FORMS: Final[Mapping[str, str]] = {
    "retry": "{attempts: 3}",
    "ready": "{port: 8080}",
    "success": "{stdout_contains: PASS}",
    "outputs": '{dut.serial_v1: "${{ result.serial }}"}',
    "measurements": "{ripple: {value: result.ripple_mv, high: 50}}",
    "within": "{of: 12.0, percent: 5}",
    "marginal": "{percent: 10}",
    "params": "{message: Hi}",
    "env": "{MESSAGE: Hi}",
    "args": "{MESSAGE: Hi}",
    "vars": "{gain: 2}",
    "with": "{volts: 12}",
    "matrix": "{gain: [1, 2]}",
    "defaults": "{timeout: 30s}",
    "test_meta": "{tester: your name}",
    "resources": "{scope: 1}",
    "result_schema": "{properties: {ripple: {type: number}}}",
    "requires": "{programs: [dfu-util]}",
    "sampling": '{case: {cmd: "psu measure --temperature", every: 1s, high: 85}}',
}
"""For each key whose value is a mapping, a value as it may stand in a recipe."""

_ENTRIES: Final[Mapping[str, str]] = {
    "measurements": "{value: result.ripple_mv, high: 50}",
    "sampling": '{cmd: "psu measure --temperature", every: 1s, high: 85}',
}
"""For each key whose value is a mapping of named mappings, one of these."""


def unknown_key(
    name: str, known: Collection[str], problems: Problems, *, exclude: Collection[str] = ()
) -> str:
    """Return the hint for a key that does not exist: the right key, or all keys that may stand.

    Args:
        name: The unknown key.
        known: The keys that may stand in its place.
        problems: Limits the number of comparisons in one file.
        exclude: Keys that are in the file already.
    """
    word = OTHER_WORDS.get(name, "")
    if word in known:
        return f"'{word}' is there already" if word in exclude else f"did you mean '{word}'?"
    if word in _ELSEWHERE:
        return _ELSEWHERE[word]
    near = problems.suggest(name, known, exclude=exclude)
    return near or f"it may have {either([key for key in known if key not in exclude] or known)}"


def form_like(key: str, example: object) -> str:
    """Return the hint with the form of a key by an example; empty if that has no keys."""
    return f"write {key}: {_flow(example)}" if example and isinstance(example, dict) else ""


def _flow(value: object) -> str:
    """Return a value as YAML in one line; texts that need quotes have them."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_flow(one)}' for name, one in value.items())}}}"
    is_plain = isinstance(value, str) and value.isidentifier()
    return str(value) if is_plain else json.dumps(value, ensure_ascii=False)


def form_of(key: str) -> str:
    """Return the hint with the form of a key whose value is a mapping; else an empty text.

    Args:
        key: The key as messages show it, such as ``defaults.retry`` or ``measurements.ripple``.
    """
    root, _, entry = key.partition(".")
    is_entry = root in _ENTRIES and entry and entry.rpartition(".")[2] not in ("within", "marginal")
    name = entry if is_entry else key.rpartition(".")[2]
    form = _ENTRIES[root] if is_entry else _FORMS.get(name, "")
    return f"write {name}: {form}" if form else ""
