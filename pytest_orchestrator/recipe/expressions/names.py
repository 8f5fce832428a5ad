"""Names that an expression may use at each place of a recipe."""

from collections.abc import Collection, Iterable, Mapping

from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import lazy_pattern

OUTCOMES = frozenset({"failed", "passed", "interrupted"})
"""Functions that return what became of the recipe so far; see `loader.outcomes`."""

BEFORE = OUTCOMES.union(
    ("vars", "ctx", "env", "matrix", "fixtures", "run", "steps", "recipe", "attempt")
)
"""Names that an expression may use before the step code runs."""

AFTER = BEFORE | {"result", "stdout", "stderr", "exit_code"}
"""Names that an expression may use after the step code has run."""

TRIED = AFTER | {"kind"}
"""Names that expressions in `until` and `abort_if` may use."""

ELEMENT = frozenset({"item", "index"})
"""Names of the current element; expressions in a step with ``foreach`` may also use them."""

UNIT = frozenset({"unit"})
"""Name of the unit; expressions in steps of one unit may also use it, see `Step.scope`."""

ONCE = frozenset({"if_", "foreach", "locks"})
"""Fields of a step that are evaluated once, before its first element: they cannot use `ELEMENT`."""

EARLY = frozenset({"vars", "env", "matrix", "run", "recipe"})
"""Names that exist before any step runs; expressions in `vars` and `test_meta` may use them."""

COLLECTED = frozenset({"vars", "env"})
"""Names that the lists of a matrix may use; its cells are computed at collection."""

CONDITION = frozenset({"vars", "env", "matrix"})
"""Names that the `if` of a recipe may use, and expressions in the keys of `outputs`."""


class PytestVariables(dict[str, str]):
    """Environment variables of pytest, as the name `env` in expressions.

    Attributes:
        of_steps: Variables that the recipe sets for programs; an expression cannot read them.
    """

    def __init__(self, variables: Mapping[str, str], of_steps: Collection[str]) -> None:
        super().__init__(variables)
        self.of_steps = of_steps

    def hint(self, name: str) -> str:
        """Return the hint for a missing variable that the recipe sets; else an empty text."""
        if name not in self.of_steps:
            return ""
        return (
            " (the recipe sets it for its programs, and an expression reads the environment of "
            f"pytest: write the value in vars, and read vars.{name.lower()})"
        )


FUNCTIONS = ("range", "dict")
"""Functions that an expression may call besides filters."""

_DASHED = lazy_pattern(
    r"\b(?:(?P<ctx>ctx)\.(?P<path>[\w.]*\w(?:-\w+)+)|(?P<root>steps|vars|env)\.(?P<name>\w+(?:-\w+)+))"
)
_CURES = {
    "len": "write `x | length`",
    "str": "write `x | string`",
    "null": "write `none`",
    **dict.fromkeys(("no", "off", "No", "NO", "FALSE"), "write `false`, or the text '{}'"),
    **dict.fromkeys(("yes", "on", "Yes", "YES", "TRUE"), "write `true`, or the text '{}'"),
    "undefined": "write `x is defined`",
    **{name: f"write `x | {name}`" for name in ("abs", "int", "float", "round", "sum", "sorted")},
    **{name: f"write `[a, b] | {name}`" for name in ("min", "max")},
}


_WITHOUT = " is known only in a step with `foreach`"
_NO_UNIT = " is known only in steps of one unit: `units` at the root, and `scope: each`"
_ONCE = " cannot be used here: `if`, `locks` and `foreach` are evaluated once for all elements"


class Chain:
    """A name and the keys that are looked up from it, such as `vars.gain` or `ctx['a'].b`.

    Attributes:
        root: The name.
        parts: The keys that are looked up; None for a computed key.
        is_optional: True if the value may be missing, because `is defined` or `default` tests
            for it.
    """

    __slots__ = ("is_optional", "parts", "root")

    def __init__(
        self, root: str, parts: tuple[str | int | None, ...], *, is_optional: bool
    ) -> None:
        self.root, self.parts, self.is_optional = root, parts, is_optional

    @property
    def head(self) -> tuple[str | int | None, ...]:
        """The name and the first key."""
        return (self.root, *self.parts[:1])

    @property
    def text(self) -> str | None:
        """The chain as the text of an expression; None if a key is computed."""
        if None in self.parts:
            return None
        steps = (
            f".{one}" if isinstance(one, str) and one.isidentifier() else f"[{one!r}]"
            for one in self.parts
        )
        return self.root + "".join(steps)


def unknown(
    reads: Iterable[Chain],
    text: str,
    known: Collection[str],
    variables: Mapping[str, str],
    *,
    is_once: bool = False,
) -> tuple[str, str] | None:
    """Return a message for the first unknown name of an expression; None if all are known.

    The message has two parts, between which the step is named.

    Args:
        reads: The lookups of the expression.
        text: The expression.
        known: The names that exist at its place.
        variables: The vars and matrix values of the file by name, as an expression must write
            them: `vars.x`, not `x`.
        is_once: True for one of the keys `ONCE` of a step with ``foreach``.
    """
    for chain in reads:
        if chain.root in known or chain.is_optional or chain.root in FUNCTIONS:
            continue
        if chain.root in TRIED:
            if chain.root in BEFORE:
                tail = f"there is {_listed(known)}; an input is vars.NAME"
                return f"'{chain.root}'", f" cannot be used here ({tail})"
            is_after = chain.root in AFTER
            when = "after the step code has run" if is_after else "in `until` and `abort_if`"
            return f"'{chain.root}'", f" is known only {when}"
        if chain.root in ELEMENT:
            return f"'{chain.root}'", _ONCE if is_once else _WITHOUT
        if chain.root in UNIT:
            return f"'{chain.root}'", _NO_UNIT
        head = f"unknown name '{chain.root}'"
        written = variables.get(chain.root, "")
        if written.partition(".")[0] in known:
            return head, f" (write `{written}`)"
        cure = _cure(text, chain.root) or nearest(chain.root, known)
        return head, cure or f" (there is {_listed(known)})"
    return None


def _cure(text: str, root: str) -> str:
    hint = dashed(text, root) or _CURES.get(root, "").replace("{}", root)
    return f" ({hint})" if hint else ""


def dashed(text: str, word: str) -> str:
    """Return a hint if a name has a dash, which Jinja reads as a subtraction; else an empty text.

    Args:
        text: The expression.
        word: The part of the name that Jinja reads as a complete name.
    """
    for match in _DASHED.finditer(text):
        name = match["path"] or match["name"]
        if word in name.split("-"):
            return f"a name with a dash is written {match['ctx'] or match['root']}['{name}']"
    return ""


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(set(names) - OUTCOMES))
