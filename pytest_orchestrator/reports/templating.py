"""Rendering of the compiled templates without Jinja2.

`scripts/templates` compiles the files of the folder `templates` with Jinja2 to the modules of
`reports.compiled`. Jinja2 takes longer to import than a page takes to render, so this module has
the part of its runtime that these modules use. The names are those of Jinja2, and a test compares
the output of both.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import markupsafe
from markupsafe import Markup, soft_str

from pytest_orchestrator.reports.text import shown

FOLDER: Final = Path(__file__).with_name("templates")
"""Folder of the templates."""

missing: Final = object()
"""Value of a variable that is not set yet."""


class TemplateRuntimeError(Exception):
    """Exception for a mistake in a template."""


class Undefined:
    """Value of a name that does not exist: false, without elements, and rendered as no text."""

    def __init__(self, hint: str | None = None, name: str = "") -> None:
        self._hint = hint or f"{name!r} is undefined"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise TemplateRuntimeError(f"{self._hint}, and has no attribute {name!r}")

    def __bool__(self) -> bool:
        return False

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __str__(self) -> str:
        return ""

    __html__ = __str__


class LoopContext:
    """Iterator over the elements of a loop, each with this object as the variable `loop`."""

    def __init__(self, iterable: Iterable[Any], _undefined: object) -> None:
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


class Macro:
    """A macro of a template, which returns its output when it is called."""

    def __init__(self, _environment: object, func: Callable[..., str], *details: Any) -> None:
        self._func = func
        self._arguments = len(details[1])

    def __call__(self, *values: Any) -> Markup:
        """Return the output for the values of the arguments."""
        values += (missing,) * (self._arguments - len(values))
        return Markup(self._func(*values))  # noqa: S704  # a template escapes what it inserts


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

    @staticmethod
    def call(func: Callable[..., Any], *args: Any, **_loop_vars: Any) -> Any:
        """Call a function or macro; the variables of the loop are not passed on."""
        return func(*args)


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


def _getattr(value: Any, name: str) -> Any:
    try:
        return getattr(value, name)
    except AttributeError:
        pass
    try:
        return value[name]
    except (TypeError, LookupError, AttributeError):
        return Undefined(name=name)


def _getitem(value: Any, key: Any) -> Any:
    try:
        return value[key]
    except (TypeError, LookupError, AttributeError):
        return _getattr(value, key) if isinstance(key, str) else Undefined(name=repr(key))


_PLAIN = re.compile(r"[ !#-%(-;=?-~]*").fullmatch
"""Matches a text of printable ASCII without the five characters that HTML escapes."""


def escaped(value: Any) -> str:
    """Return a value as HTML: a text is escaped, and its control characters are made visible."""
    # Called about eighty times for each step of a page; nearly every value needs no escaping.
    if type(value) is not str:
        return str(value) if type(value) is int else markupsafe.escape(value)
    return value if _PLAIN(value) else markupsafe.escape(shown(value))


escape = str
"""Called by compiled templates for each value that `escaped` has returned."""


def _selectattr(values: Iterable[Any], name: str, *test: str) -> Iterator[Any]:
    """Yield the values whose attribute is true or, with ``"ne"`` and a text, differs from it."""
    for value in values:
        found = _getattr(value, name)
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
        "default": lambda value, other: other if isinstance(value, Undefined) else value,
        "format": lambda text, *values: text % values,
        "join": lambda values, between: between.join(map(str, values)),
        "length": len,
        "list": list,
        "replace": str.replace,
        "reverse": reversed,
        "round": round,
        "safe": Markup,
        "selectattr": _selectattr,
        "string": soft_str,
        "tojson": _tojson,
    }
    tests: Final[dict[str, Callable[[Any], bool]]] = {
        "defined": lambda value: not isinstance(value, Undefined),
        "none": lambda value: value is None,
    }
    globals: Final[dict[str, Any]] = {}
    undefined = Undefined
    concat = staticmethod("".join)
    getattr = staticmethod(_getattr)
    getitem = staticmethod(_getitem)
    finalize = staticmethod(escaped)
    get_template = staticmethod(template)


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
__all__ = ["FOLDER", "Environment", "LoopContext", "Macro", "Markup", "Undefined"]
__all__ += ["escape", "identity", "internalcode", "markup_join", "missing", "str_join", "template"]
