"""Collection and checks of the step types and criteria that plugins add."""

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.extending import Criterion, HookWarning, StepType

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.fields.extensions import Extensions
    from pytest_orchestrator.scriptlets.model import Inventory, Scriptlet

_WARNED = pytest.StashKey[set[str]]()
_TYPES, _CRITERIA = "pytest_recipe_step_types", "pytest_recipe_criteria"
_TOP = "has to stand at the top level of a module that has a file"


def extension_plugins(config: pytest.Config) -> tuple[object, ...]:
    """Return the pytest plugins that implement the hook for step types or criteria."""
    hooks = (config.hook.pytest_recipe_step_types, config.hook.pytest_recipe_criteria)
    return tuple(one.plugin for hook in hooks for one in hook.get_hookimpls())


def session_extensions(config: pytest.Config) -> "Extensions":
    """Return all step types and criteria of a session, built-in and from plugins.

    Raises:
        pytest.UsageError: A step type or criterion is unusable; the message names its plugin.
    """
    from pytest_orchestrator.plugin.options.values import value_of
    from pytest_orchestrator.recipe.fields.extensions import BUILT_IN

    settings = (value_of(config, name) for name in ("recipe_shell", "recipe_decision"))
    extensions = BUILT_IN.with_defaults(*settings)
    for name, plugin, step_type in _hook_results(config, _TYPES):
        try:
            kind = _checked_type(step_type)
            shown = os.path.relpath(name, config.rootpath) if Path(name).is_absolute() else name
            extensions = extensions.with_type(kind, _file_of(kind, plugin), shown)
            _warn_of_uncalled(config, shown, kind)
        except ValueError as error:
            raise _usage_error(name, f"step type {_name_of(step_type)} {error}") from None
    for name, _, criterion in _hook_results(config, _CRITERIA):
        try:
            extensions = extensions.with_criterion(_checked_criterion(criterion))
        except ValueError as error:
            raise _usage_error(name, f"criterion {_name_of(criterion)} {error}") from None
    return extensions


def _hook_results(config: pytest.Config, hook: str) -> Iterator[tuple[str, object, Any]]:
    """Yield plugin name, plugin and value for each value that a plugin returns from a hook."""
    manager = config.pluginmanager
    plugins = [one.plugin for one in getattr(config.hook, hook).get_hookimpls()]
    for plugin in dict.fromkeys(reversed(plugins)):  # in the order of their registration
        name = str(manager.get_name(plugin))
        others = [other for other in plugins if other is not plugin]
        try:
            for values in manager.subset_hook_caller(hook, others)(config=config):
                yield from ((name, plugin, value) for value in values)
        except Exception as error:
            problem = f"{hook} raised {type(error).__name__}: {error}"
            raise _usage_error(name, problem) from error


def _checked_type(value: Any) -> type[StepType]:
    """Return the value of a plugin as a step type that other processes can import.

    Raises:
        ValueError: The value is no importable class of a step type.
    """
    if not (inspect.isclass(value) and issubclass(value, StepType)):
        raise ValueError("is no class derived from StepType of pytest_orchestrator.extending")
    if inspect.isabstract(value):
        raise ValueError("does not define run(self, keys, ctx, env)")
    if value.__qualname__ != value.__name__:
        raise ValueError(_TOP)
    return value


def _warn_of_uncalled(config: pytest.Config, plugin: str, kind: type[StepType]) -> None:
    """Report methods of a step type that have the name of a hook but are no class methods.

    They may be older than the hook, so they are no error.
    """
    from pytest_orchestrator.recipe.fields.type_hooks import uncalled

    for hook in uncalled(kind):
        text = (
            f"plugin '{plugin}': '{hook}' of step type {kind.__name__} is no class method, so it "
            "is not called as a hook: write @classmethod above it, or rename it"
        )
        warned = config.stash.setdefault(_WARNED, set())
        if text not in warned:
            warned.add(text)
            record_warning(config, text, inspect.getfile(kind), _line(kind), "config")


def _file_of(kind: type, plugin: object) -> str:
    """Return the file that defines a plugin's class.

    Raises:
        ValueError: The module of the class has no file.
    """
    # Of several modules named `conftest`, sys.modules holds only the last one.
    is_its_own = getattr(plugin, "__name__", None) == kind.__module__
    module = plugin if is_its_own else sys.modules.get(kind.__module__)
    path = getattr(module, "__file__", None)
    if not path:
        raise ValueError(_TOP)
    return str(Path(path).absolute())


def _checked_criterion(value: Any) -> Criterion:
    if not isinstance(value, Criterion):
        raise ValueError("is no Criterion of pytest_orchestrator.extending")
    return value


def _name_of(value: Any) -> str:
    return value.__name__ if inspect.isclass(value) else str(getattr(value, "name", repr(value)))


def _usage_error(plugin: str, problem: str) -> pytest.UsageError:
    return pytest.UsageError(f"plugin '{plugin}': {problem}")


def record_warning(
    config: pytest.Config, text: str, file: str, line: int, when: str, node: str = ""
) -> None:
    """Report a `HookWarning` without `warnings.warn`, which may raise.

    Args:
        config: The configuration of the session.
        text: The text of the warning.
        file: The file that it is about.
        line: The line in that file.
        when: The phase of the session, as pytest names it: ``config`` or ``runtest``.
        node: The node id of a step; empty if the warning belongs to none.
    """
    message = warnings.WarningMessage(HookWarning(text), HookWarning, file, line)
    arguments = {"warning_message": message, "when": when, "nodeid": node, "location": None}
    config.hook.pytest_warning_recorded.call_historic(kwargs=arguments)


def each_result(
    config: pytest.Config, hook: str, problem: Callable[[Any, str], None], **arguments: Any
) -> Iterator[tuple[Any, Any]]:
    """Call the implementations of a hook one by one, so that an error of one stops no other.

    Args:
        config: The configuration of the session.
        hook: Name of the hook.
        problem: Called with an implementation and a description of the exception it raised.
        **arguments: Arguments of the hook besides `config`.

    Yields:
        The implementations with their results, in the order of their registration.
    """
    implementations = getattr(config.hook, hook).get_hookimpls()
    for one in implementations:
        others = [other.plugin for other in implementations if other is not one]
        caller = config.pluginmanager.subset_hook_caller(hook, others)
        try:
            for result in caller(config=config, **arguments):
                yield one, result
        except pytest.exit.Exception:
            raise
        except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # noqa: BLE001
            problem(one, f"raised {type(error).__name__}: {error}")


class _ExtensionsOnly:
    """Pytest plugin that stores the step types and criteria and exits before the collection."""

    extensions: "Extensions | None" = None
    error = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        """Store the extensions, or the text of a usage error; return an exit status for pytest."""
        try:
            self.extensions = session_extensions(config)
        except pytest.UsageError as error:
            self.error = str(error)
        return 0


def project_extensions(root: Path) -> "Extensions":
    """Load the plugins of a project with pytest; return their step types and criteria.

    Raises:
        ValueError: pytest cannot load the plugins, or an extension cannot be used.
    """
    plugin = _ExtensionsOnly()
    pytest.main([f"--rootdir={root}", str(root)], plugins=[plugin])
    if plugin.extensions is None:
        raise ValueError(plugin.error or "pytest cannot be started here; it says why")
    return plugin.extensions


def with_types(inventory: "Inventory", extensions: "Extensions") -> "Inventory":
    """Return an inventory with the step types of plugins appended to its scriptlets."""
    types = tuple(_plugin_types(extensions, inventory.root))
    return inventory._replace(scriptlets=inventory.scriptlets + types)


def _plugin_types(extensions: "Extensions", root: Path) -> "Iterator[Scriptlet]":
    from pytest_orchestrator.recipe.fields.extensions import CustomStep, own_keys
    from pytest_orchestrator.recipe.fields.readers import keys_of
    from pytest_orchestrator.scriptlets.discovery import clean_docstring
    from pytest_orchestrator.scriptlets.model import Param, Scriptlet

    for name in extensions.step_types.of_plugins:
        model = extensions.step_types[name]
        if issubclass(model, CustomStep):
            keys = keys_of(model)
            path = Path(model.file)
            yield Scriptlet(
                name,
                "type",
                path.relative_to(root).as_posix() if path.is_relative_to(root) else model.file,
                _line(model.kind),
                module=model.kind.__module__,
                summary=clean_docstring(model.kind.__doc__ or "").partition("\n")[0],
                params=tuple(
                    Param(
                        key,
                        required=keys[key].is_required,
                        type=None,
                        default=None,
                        has_default=False,
                        description=keys[key].meta.description or "",
                    )
                    for key in own_keys(model)
                ),
            )


def _line(kind: type) -> int:
    try:
        return inspect.getsourcelines(kind)[1]
    except (OSError, TypeError):
        return 1
