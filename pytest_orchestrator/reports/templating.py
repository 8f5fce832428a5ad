"""Rendering of the compiled templates without Jinja2.

`scripts/templates` compiles the files of the folder `templates` with Jinja2 to the modules of
`reports.compiled`. Jinja2 takes longer to import than a page takes to render, so this module has
the part of its runtime that these modules use. The names are those of Jinja2, and a test compares
the output of both.
"""

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import markupsafe
from markupsafe import Markup, soft_str

from pytest_orchestrator.reports.text import on_point, shown

FOLDER: Final = Path(__file__).with_name("templates")
"""Folder of the templates."""


class TemplateRuntimeError(Exception):
    """Exception for a mistake in a template."""


class _Missing:
    """Value of a variable that is not set; each use of it is an error."""

    def _fail(self, *_: object) -> Any:
        raise TemplateRuntimeError("a variable of a template is not set")

    __bool__ = __call__ = __contains__ = __getattr__ = __getitem__ = __iter__ = __str__ = _fail


missing: Final = _Missing()
"""Value of a variable that is not set yet."""


def undefined(hint: str, name: str) -> Any:  # noqa: ARG001  # as Jinja2 calls it
    """Raise the error for a macro, or for an argument of one, that does not exist."""
    raise TemplateRuntimeError(hint)


class LoopContext:
    """Iterator over the elements of a loop, each with this object as the variable `loop`."""

    def __init__(self, iterable: Iterable[Any], _: object) -> None:
        self._iterable = iterable
        self.index0 = -1

    def __iter__(self) -> Iterator[tuple[Any, "LoopContext"]]:
        for element in self._iterable:
            self.index0 += 1
            yield element, self

    @property
    def index(self) -> int:
        """The number of the element, from 1."""
        return self.index0 + 1


class Context:
    """Variables of one rendering.

    Attributes:
        vars: Variables that the template has set.
        exported_vars: Names of the variables that other templates may import.
        eval_ctx: The settings of the output.
    """

    eval_ctx: Final = SimpleNamespace(autoescape=True)

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self.vars: dict[str, Any] = {}
        self.exported_vars: set[str] = set()

    def resolve_or_missing(self, name: str) -> Any:
        """Return the value of a variable, or `missing`."""
        return self.vars.get(name, self._given.get(name, missing))


class Template:
    """A compiled template.

    Attributes:
        name: Its file in the folder of the templates.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        compiled = import_module(f"pytest_orchestrator.reports.compiled.{name.partition('.')[0]}")
        self._root: Callable[[Context], Iterator[str]] = compiled.root

    def render(self, *mappings: Mapping[str, Any], **values: Any) -> str:
        """Return the output for variables that are given as mappings and by name."""
        given = dict(Environment.globals)
        for one in (*mappings, values):
            given.update(one)
        return "".join(self._root(Context(given)))

    def _get_default_module(self, _context: Context) -> SimpleNamespace:
        """Return the macros of the template, which another template imports."""
        context = Context(Environment.globals)
        for _ in self._root(context):
            pass
        return SimpleNamespace(**{name: context.vars[name] for name in context.exported_vars})


def _is_plain(text: str) -> bool:
    """Return True if a text is printable and has none of the five characters that HTML escapes."""
    return text.isprintable() and not (
        "<" in text or ">" in text or "&" in text or '"' in text or "'" in text
    )


def escaped(value: Any) -> str:
    """Return a value as HTML: a text is escaped, and its control characters are made visible."""
    if type(value) is not str:
        return str(value) if type(value) is int else markupsafe.escape(value)
    return value if _is_plain(value) else markupsafe.escape(shown(value))


def all_escaped(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return values of which each is shown as `escaped` returns it.

    Nearly all values of a page need no escaping, so one search looks at the text of all of them.
    """
    return values if _is_plain("".join(map(str, values))) else tuple(map(escaped, values))


def _selectattr(values: Iterable[Any], name: str, *test: str) -> Iterator[Any]:
    """Yield the values whose attribute is true or, with ``"ne"`` and a text, differs from it."""
    for value in values:
        found = getattr(value, name)
        if found != test[1] if test else found:
            yield value


def _tojson(value: Any) -> Markup:
    text = json.dumps(value, sort_keys=True)
    for char in "<>&'":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # noqa: S704  # no character of it has a meaning in HTML any more


@functools.cache
def template(name: str, *_: str) -> Template:
    """Return the template of a file, by its name in the folder `templates`."""
    return Template(name)


class Environment:
    """Functions and settings of all templates.

    Attributes:
        filters: The filters by name; other modules may add some.
        tests: The tests by name.
        globals: The variables of all templates; other modules may add some.
    """

    filters: Final[dict[str, Callable[..., Any]]] = {
        "format": lambda text, *values: text % values,
        "join": lambda values, between: between.join(map(str, values)),
        "length": len,
        "list": list,
        "on_point": on_point,
        "replace": str.replace,
        "reverse": reversed,
        "round": round,
        "safe": Markup,
        "selectattr": _selectattr,
        "string": soft_str,
        "tojson": _tojson,
    }
    tests: Final[dict[str, Callable[[Any], bool]]] = {
        "none": lambda value: value is None,
    }
    globals: Final[dict[str, Any]] = {}
    undefined = staticmethod(undefined)
    concat = staticmethod("".join)
    get_template = staticmethod(template)


SAFE: Final = frozenset(
    {"format", "length", "duration", "look", "percent", "round", "safe", "sign"}
)
"""Filters and functions whose results are texts and numbers without a character to escape."""


def str_join(values: Iterable[Any]) -> str:
    """Join values to a text."""
    return "".join(map(str, values))


def markup_join(values: Iterable[Any]) -> str:
    """Join values to a text; if one of them is markup, escape the others and return markup."""
    texts = list(map(soft_str, values))
    is_markup = any(isinstance(text, Markup) for text in texts)
    return Markup("").join(texts) if is_markup else "".join(texts)


def identity(value: Any) -> Any:
    """Return the value."""
    return value


internalcode = identity
__all__ = ["FOLDER", "Environment", "LoopContext", "Markup", "all_escaped", "escaped"]
__all__ += ["identity", "internalcode", "markup_join", "missing", "str_join", "template"]
