"""What plugins bring to the language of recipes in one session, asked for and checked."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.extending import Criterion, StepType

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.fields.extensions import Extensions

_TYPES, _CRITERIA = "pytest_recipe_step_types", "pytest_recipe_criteria"
_TOP = "has to stand at the top level of a module that has a file"


def bringers(config: pytest.Config) -> tuple[object, ...]:
    """Return the plugins that bring something."""
    hooks = (config.hook.pytest_recipe_step_types, config.hook.pytest_recipe_criteria)
    return tuple(one.plugin for hook in hooks for one in hook.get_hookimpls())


def found(config: pytest.Config) -> "Extensions":
    """Ask all plugins for what they bring; the session's own settings are beside it.

    Raises:
        pytest.UsageError: Something of it cannot be used; the text names the plugin.
    """
    from pytest_orchestrator.plugin.settings import shell
    from pytest_orchestrator.recipe.fields.extensions import BUILT_IN

    known = BUILT_IN.with_shell(shell(config))
    for name, plugin, given in _each(config, _TYPES):
        try:
            known = known.with_type(_checked(given), _file_of(given, plugin))
        except ValueError as error:
            raise _wrong(name, f"step type {_named(given)} {error}") from None
    for name, _, given in _each(config, _CRITERIA):
        try:
            known = known.with_criterion(_criterion(given))
        except ValueError as error:
            raise _wrong(name, f"criterion {_named(given)} {error}") from None
    return known


def _each(config: pytest.Config, hook: str) -> Iterator[tuple[str, object, Any]]:
    """Give the name of each plugin, the plugin, and each thing that it returns from a hook."""
    manager = config.pluginmanager
    plugins = [one.plugin for one in getattr(config.hook, hook).get_hookimpls()]
    for plugin in dict.fromkeys(reversed(plugins)):  # in the order of their registration
        name = str(manager.get_name(plugin))
        others = [other for other in plugins if other is not plugin]
        try:
            for given in manager.subset_hook_caller(hook, others)(config=config):
                yield from ((name, plugin, one) for one in given)
        except Exception as error:
            what = f"{hook} raised {type(error).__name__}: {error}"
            raise _wrong(name, what) from error


def _checked(given: Any) -> type[StepType]:
    """Return a type of steps that other processes can import.

    Raises:
        ValueError: It is none.
    """
    if not (inspect.isclass(given) and issubclass(given, StepType)):
        raise ValueError("is no class derived from StepType of pytest_orchestrator.extending")
    if inspect.isabstract(given):
        raise ValueError("does not define run(self, keys, ctx, env)")
    if given.__qualname__ != given.__name__:
        raise ValueError(_TOP)
    return given


def _file_of(kind: type, plugin: object) -> str:
    """Return the file that has a plugin's class.

    Raises:
        ValueError: There is none.
    """
    # Of several modules called `conftest` only the last one is among those of the process.
    is_its_own = getattr(plugin, "__name__", None) == kind.__module__
    module = plugin if is_its_own else sys.modules.get(kind.__module__)
    path = getattr(module, "__file__", None)
    if not path:
        raise ValueError(_TOP)
    return str(Path(path).absolute())


def _criterion(given: Any) -> Criterion:
    if not isinstance(given, Criterion):
        raise ValueError("is no Criterion of pytest_orchestrator.extending")
    return given


def _named(given: Any) -> str:
    return given.__name__ if inspect.isclass(given) else str(getattr(given, "name", repr(given)))


def _wrong(plugin: str, what: str) -> pytest.UsageError:
    return pytest.UsageError(f"plugin '{plugin}': {what}")
