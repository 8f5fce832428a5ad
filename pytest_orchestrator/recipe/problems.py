"""Problems of a recipe, each with its position and its hint; `RecipeError` has all."""

from collections.abc import Collection, Iterable
from typing import ClassVar

from msgspec import Struct

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.location import Place, excerpt
from pytest_orchestrator.core.suggestions import nearest

_SHOWN = 100
"""A person repairs no more than this before trying again; each costs an excerpt."""

_MOST = 10_000
"""A file with as many is not read to its end: its problems would fill the memory."""

_COMPARED = 20_000
"""Names that one file's hints may be compared with, so that a large broken file answers at once."""


class Problem(Struct, frozen=True):
    """One mistake.

    The sentence is ``head + where + tail``; a summary that already stands beside the
    name of the file leaves ``where`` out.

    Attributes:
        place: What the caret marks.
        head: The sentence up to what says where, such as ``unknown key 'modul'``.
        where: Whose part it is, such as `` in python step 'flash'``; may be empty.
        tail: The rest of the sentence; may be empty.
        hint: What to do instead, shown in brackets; may be empty.
        cause: What is wrong in another file that this one needs.
    """

    place: Place
    head: str
    where: str = ""
    tail: str = ""
    hint: str = ""
    cause: "RecipeError | None" = None

    @property
    def text(self) -> str:
        """The whole sentence with its hint."""
        return f"{self.head}{self.where}{self.tail}{self._bracket}"

    @property
    def short(self) -> str:
        """The sentence without ``where``, for a line that says it already."""
        return f"{self.head}{self.tail}{self._bracket}"

    @property
    def _bracket(self) -> str:
        return f" ({self.hint})" if self.hint else ""


class RecipeError(OrchestratorError, ValueError):
    """A file that is no good recipe; says everything that is wrong in it.

    Attributes:
        problems: All problems, in the order of the file.
        path: The recipe's id: its path as messages show it.
        text: The text of the file, for excerpts; empty where it could not be read.
    """

    slug: ClassVar[str] = "recipe"

    def __init__(self, problems: Iterable[Problem], path: str, text: str = "") -> None:
        self.problems = tuple(
            sorted(problems, key=lambda problem: (problem.place.line, problem.place.column))
        )
        self.path = path
        self.text = text
        super().__init__(self.problems, path, text)

    def __str__(self) -> str:
        return self.render()

    @property
    def summary(self) -> str:
        """One line: the first problem, and how many more there are."""
        first = self.problems[0]
        more = len(self.problems) - 1
        rest = f", and {more:,} more" if more else ""
        return f"{first.place.line}:{first.place.column} {first.short}{rest}"

    def render(self, told: "set[RecipeError] | None" = None) -> str:
        """Every problem with its source line and a caret.

        Args:
            told: What is wrong in other files and was told already.

        Returns:
            Lines without a newline at the end; the number of problems last, if several.
        """
        rows: list[str] = []
        told = set() if told is None else told
        for problem in self.problems[:_SHOWN]:
            place = problem.place
            rows.append(f"{self.path}:{place.line}:{place.column}: {problem.text}")
            if self.text.strip():
                rows += ["", excerpt(self.text, place)]
            if problem.cause is not None and problem.cause not in told:
                told.add(problem.cause)
                rows.append(problem.cause.render(told))
        if len(self.problems) > _SHOWN:
            rows.append(f"... and {len(self.problems) - _SHOWN:,} more")
        if len(self.problems) > 1:
            rows.append(f"{len(self.problems):,} problems")
        return "\n".join(rows)


class Problems:
    """The problems of one file while it is being read.

    Attributes:
        found: What was found so far; the same mistake at the same place only once
            (a part that many steps share by an alias is read for each of them).
        text: The text of the file for excerpts, as soon as it is known.
        variables: The vars that the file declares, for hints, as soon as they are known.
    """

    def __init__(self) -> None:
        self.found: dict[Problem, None] = {}
        self.text = ""
        self.variables: Collection[str] = ()
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
        """Note one mistake; the arguments are those of `Problem`.

        Raises:
            Refused: There are so many that the rest of the file is not worth reading.
        """
        self.found.setdefault(Problem(place, head, where, tail, hint, cause))
        if len(self.found) == _MOST:
            raise Refused

    def meant(self, word: str, names: Collection[str], *, but: Collection[str] = ()) -> str:
        """The hint that names what a person may have meant, or an empty text.

        Args:
            word: What was written.
            names: What would have been known.
            but: Names of these that cannot be meant.
        """
        self._budget -= len(names)
        if self._budget < 0:
            return ""
        return nearest(word, [name for name in names if name not in but])[2:-1]


class Refused(Exception):
    """The file cannot be read any further; its problems say why."""


_WIDEST = 60


def shortened(text: str, widest: int = _WIDEST) -> str:
    """The text on one line: escaped, and cut in the middle where it is long."""
    if len(text) > widest:
        half = widest // 2 - 1
        text = f"{text[:half]}...{text[-half:]}"
    return text if text.isprintable() else repr(text)[1:-1]


def quoted(text: str) -> str:
    """The text in quotes, escaped and not too long."""
    half = _WIDEST // 2 - 1
    return repr(text if len(text) <= _WIDEST else f"{text[:half]}...{text[-half:]}")


def either(names: Iterable[str]) -> str:
    """The names in one phrase: ``a, b or c``."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def lines(first: int, second: int) -> str:
    """Where two things stand: ``lines 3 and 7``, or ``line 3``."""
    return f"lines {first} and {second}" if first != second else f"line {first}"
