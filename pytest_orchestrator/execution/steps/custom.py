"""Steps whose type another plugin registered; such a step runs a class of that plugin."""

import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from pytest_orchestrator.context.context import ContextLike
from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.events import InstrumentExchange
from pytest_orchestrator.core.result import Ended, Failure
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.extending import StepEnvironment, StepSpec
from pytest_orchestrator.recipe.model.plugin_data import PluginData
from pytest_orchestrator.recipe.model.step import CodeStep, PythonStep
from pytest_orchestrator.scriptlets.call import ValidationFailed

CLEANUP: Final = ".cleanup"
"""End of the name under which the logs of a cleanup are written."""

CLEANUP_SECONDS: Final = 10.0
"""Seconds after which a cleanup is ended."""

_Exchanges = tuple[InstrumentExchange, ...]
_SHARED = [name for name in CodeStep.__struct_fields__ if name != "success"]


def called(step: CodeStep, attempt: AttemptContext) -> PythonStep:
    """Convert a step of a registered type to a Python step; return a Python step unchanged.

    Args:
        step: The step, with the values of its expressions.
        attempt: The context of the attempt.
    """
    if isinstance(step, PythonStep):
        return step
    # A lane for Python steps imports this module, and needs neither this class nor PyYAML.
    from pytest_orchestrator.recipe.fields.extensions import CustomStep

    assert isinstance(step, CustomStep)  # noqa: S101
    kind = step.kind
    place = step.at["type"]
    from pytest_orchestrator.recipe.fields import type_hooks

    plugin_data = PluginData(
        type=step.type,
        file=step.file,
        timeout=attempt.seconds_for(step.timeout),
        logs=str(attempt.logs) if attempt.logs else None,
        attempt=attempt.number,
        recipe=attempt.recipe,
        plugin=step.plugin,
        has_cleanup=type_hooks.defines(kind, "cleanup"),
        imports=tuple(kind.imports),
        asks=kind.asks,
        recorded=_recorded(step, attempt) if attempt.config.replays(step) else None,
    )
    shared: dict[str, Any] = {name: getattr(step, name) for name in _SHARED}
    shared["at"] = {**step.at, "module": place, "class": place}
    return PythonStep(
        **shared,
        module=kind.__module__,
        class_=kind.__name__,
        params=step.own,
        plugin_data=plugin_data,
    )


def _recorded(step: CodeStep, attempt: AttemptContext) -> str:
    """Return the exchanges of the step in the run that is replayed, as JSON."""
    from pytest_orchestrator.instrument import Author

    assert attempt.config.recorded is not None  # noqa: S101
    author = Author(attempt.recipe, step.name, attempt.number, attempt.element)
    return msgspec.json.encode(attempt.config.recorded(author)).decode()


def module_of(
    step: PythonStep, plugin_data: PluginData, imported: Callable[[], ModuleType]
) -> ModuleType:
    """Import the module that defines a plugin's class.

    A module such as a `conftest` is loaded by its path if it cannot be imported by its name, or if
    the import finds another module of the same name.

    Args:
        step: The step.
        plugin_data: The data of the step type, with the path of the module.
        imported: Imports the module by its name.
    """
    spec = importlib.util.spec_from_file_location(step.module, plugin_data.file)
    try:
        module = imported()
    except ModuleNotFoundError as error:
        if spec is None or not f"{step.module}.".startswith(f"{error.name}."):
            raise
    else:
        if spec is None or os.path.abspath(str(module.__file__)) == plugin_data.file:
            return module
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_class(
    kind: Any,
    step: PythonStep,
    plugin_data: PluginData,
    context: ContextLike,
    attempt: AttemptContext,
    fixtures: Mapping[str, object],
) -> object:
    """Run a step by calling ``run`` of a new instance of a plugin's class.

    Returns:
        The value that the class returned.

    Raises:
        ValidationFailed: The class does not accept the keys of the step.
    """
    if plugin_data.is_cleanup:
        return _clean_up(kind, step, plugin_data)
    try:
        keys = msgspec.convert(json_values.deep_copy(step.params), kind.Keys)
    except msgspec.ValidationError as error:
        raise ValidationFailed(f"{plugin_data.type} step '{step.name}': {error}") from None
    recorded = plugin_data.recorded
    exchanges = None if recorded is None else msgspec.json.decode(recorded, type=_Exchanges)
    step_environment = StepEnvironment(
        step=step.name,
        recipe=plugin_data.recipe,
        root=attempt.config.root,
        timeout=plugin_data.timeout,
        logs=Path(plugin_data.logs) if plugin_data.logs else None,
        attempt=plugin_data.attempt,
        fixtures=fixtures,
        log=_logger(plugin_data.type),
        add_secret=attempt.config.secrets.add,
        asker=attempt.asker,
        opener=attempt.opener,
        add_exchange=attempt.add_exchange,
        recorded=exchanges,
    )
    return kind().run(keys, context, step_environment)


def _logger(type_name: str) -> logging.Logger:
    """Return the logger of the steps of a type, which passes records of all levels on."""
    logger = logging.getLogger(f"pytest_orchestrator.step.{type_name}")
    logger.setLevel(logging.DEBUG)
    return logger


def _clean_up(kind: Any, step: PythonStep, plugin_data: PluginData) -> Mapping[str, Any]:
    """Call the hook ``cleanup`` of a plugin's class; return the result of a passed step."""
    from pytest_orchestrator.recipe.fields import type_hooks

    name = step.name.removesuffix(CLEANUP)
    keys = type_hooks.defaults(kind.Keys) | step.params
    kind.cleanup(StepSpec(step=name, recipe=plugin_data.recipe, keys=keys))
    return {"status": "ok"}


def cleanup_of(step: PythonStep) -> PythonStep | None:
    """Return a step whose step code cleans up after a step; None if its type has no ``cleanup``.

    Args:
        step: The step of which `called` made a Python step.
    """
    if step.plugin_data is None or not step.plugin_data.has_cleanup:
        return None
    return msgspec.structs.replace(
        step,
        name=f"{step.name}{CLEANUP}",
        timeout=CLEANUP_SECONDS,
        heap=False,
        plugin_data=msgspec.structs.replace(step.plugin_data, is_cleanup=True),
    )


def cleanup_reason(step: PythonStep, failure: Failure) -> str:
    """Return the sentence about a failed cleanup, with the name of the plugin.

    Args:
        step: The step of which `called` made a Python step.
        failure: The failure of the cleanup.
    """
    assert step.plugin_data is not None  # noqa: S101
    plugin = f"plugin '{step.plugin_data.plugin}': " if step.plugin_data.plugin else ""
    title = f"{plugin}cleanup of step type '{step.plugin_data.type}' failed"
    return f"{title}: {failure.reason}"


def after_cleanup(step: PythonStep, ended: Ended, failure: Failure | None) -> Ended:
    """Return the end of an attempt with the failure of its cleanup, if the cleanup failed.

    Args:
        step: The step of which `called` made a Python step.
        ended: The end of the step code.
        failure: The failure of the cleanup; None if it did not fail.
    """
    if failure is None:
        return ended
    reason = cleanup_reason(step, failure)
    if failure.exception is not None:
        failure.exception.add_note(reason.removesuffix(f": {failure.reason}"))
    if ended.failure is not None:
        if ended.failure.exception is not None:
            ended.failure.exception.add_note(reason)
        detail = (*ended.failure.detail, reason)
        return msgspec.structs.replace(
            ended, failure=msgspec.structs.replace(ended.failure, detail=detail)
        )
    place = step.at["class"]
    failure = msgspec.structs.replace(failure, reason=reason, place=failure.place or place)
    return msgspec.structs.replace(ended, failure=failure, skipped=None)
