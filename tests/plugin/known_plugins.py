"""A faster search for hooks and fixtures in plugins, for all sessions in a process.

A session registers about fifty plugins. For each of them pytest looks at all names twice: for
hooks and for fixtures. That takes a third of the CPU time of a session with a small recipe. The
modules that are imported before the first session do not change, so they are searched once.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import pytest

_FIXTURE: Final = type(pytest.fixture(lambda: None))


def install() -> None:
    """Search the modules and classes that are imported now only for what they contain."""
    for name, module in sys.modules.items():
        if not name.startswith("tests"):  # such a module may be incomplete now
            _shorten_list_of_names(module)
    inspect.getattr_static = _in_module(inspect.getattr_static)
    known = frozenset(sys.modules)
    manager_of_plugins: Any = pytest.PytestPluginManager
    register = manager_of_plugins.register

    def registered(manager: Any, plugin: Any, name: str | None = None) -> Any:
        if name == "funcmanage":
            kind: Any = type(plugin)
            _skip_classes_without_fixtures(kind, known)
        return register(manager, plugin, name)

    manager_of_plugins.register = registered


def _shorten_list_of_names(module: ModuleType) -> None:
    """Limit `dir` of a module with hooks or fixtures to the names of these."""
    names = [
        name
        for name, value in vars(module).items()
        if name.startswith("pytest_") or type(value) is _FIXTURE
    ]
    if names:
        vars(module)["__dir__"] = names.copy


def _in_module(getattr_static: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that finds hooks of modules without a search in their class."""

    def found(where: object, name: str, *default: object, **named: object) -> Any:
        if type(where) is ModuleType and name.startswith("pytest_") and name in vars(where):
            return vars(where)[name]
        return getattr_static(where, name, *default, **named)

    return found


@functools.cache
def _skip_classes_without_fixtures(manager_of_fixtures: Any, known: frozenset[str]) -> None:
    search = manager_of_fixtures.pytest_plugin_registered

    @functools.cache
    def has_fixtures(kind: Any) -> bool:
        return any(type(getattr(kind, name, None)) is _FIXTURE for name in dir(kind))

    def pytest_plugin_registered(manager: Any, plugin: Any, plugin_name: str) -> None:
        kind: Any = type(plugin)
        if kind is ModuleType or kind.__module__ not in known or has_fixtures(kind):
            search(manager, plugin, plugin_name)

    manager_of_fixtures.pytest_plugin_registered = pytest_plugin_registered
