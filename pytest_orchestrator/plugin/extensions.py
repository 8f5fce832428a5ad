"""Step types and criteria registered by plugins: collected and checked."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.extending import Criterion, StepType

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.fields.extensions import Extensions
    from pytest_orchestrator.scriptlets.model import Inventory, Scriptlet

_TYPES, _CRITERIA = "pytest_recipe_step_types", "pytest_recipe_criteria"
_TOP = "has to stand at the top level of a module that has a file"


def extension_plugins(config: pytest.Config) -> tuple[object, ...]:
    """Return the plugins that bring something."""
    hooks = (config.hook.pytest_recipe_step_types, config.hook.pytest_recipe_criteria)
    return tuple(one.plugin for hook in hooks for one in hook.get_hookimpls())


def session_extensions(config: pytest.Config) -> "Extensions":
    """Ask all plugins for what they bring; the session's own settings are beside it.

    Raises:
        pytest.UsageError: Something of it cannot be used; the text names the plugin.
    """
    from pytest_orchestrator.plugin.options.settings import shell
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


class _Asks:
    """Takes the place of a run."""

    known: "Extensions | None" = None
    refused = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        """Ask instead of running anything."""
        try:
            self.known = session_extensions(config)
        except pytest.UsageError as error:
            self.refused = str(error)
        return 0


def project_extensions(root: Path) -> "Extensions":
    """Let pytest load the plugins and the ``conftest.py`` of a project, and ask them.

    Raises:
        ValueError: They cannot be loaded, or bring what cannot be used.
    """
    asks = _Asks()
    pytest.main([f"--rootdir={root}", str(root)], plugins=[asks])
    if asks.known is None:
        raise ValueError(asks.refused or "pytest cannot be started here; it says why")
    return asks.known


def with_types(inventory: "Inventory", known: "Extensions") -> "Inventory":
    """Return an inventory with the types of steps that plugins have brought at its end."""
    found = tuple(_types(known, inventory.root))
    return inventory._replace(scriptlets=inventory.scriptlets + found)


def _types(known: "Extensions", root: Path) -> "Iterator[Scriptlet]":
    from pytest_orchestrator.recipe.fields.extensions import CustomStep, own_keys
    from pytest_orchestrator.recipe.fields.struct_fields import keys_of
    from pytest_orchestrator.scriptlets.docs import cleaned
    from pytest_orchestrator.scriptlets.model import Param, Scriptlet

    for name, model in known.step_types.items():
        if issubclass(model, CustomStep):
            keys = keys_of(model)
            path = Path(model.file)
            yield Scriptlet(
                name,
                "type",
                path.relative_to(root).as_posix() if path.is_relative_to(root) else model.file,
                _line(model.kind),
                module=model.kind.__module__,
                summary=cleaned(model.kind.__doc__ or "").partition("\n")[0],
                params=tuple(
                    Param(
                        key,
                        required=keys[key].is_required,
                        type=None,
                        default=None,
                        has_default=False,
                        description=keys[key].said.description or "",
                    )
                    for key in own_keys(model)
                ),
            )


def _line(kind: type) -> int:
    try:
        return inspect.getsourcelines(kind)[1]
    except (OSError, TypeError):
        return 1
