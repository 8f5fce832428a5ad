"""Steps whose type another plugin registered; such a step runs a class of that plugin."""

import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from pytest_orchestrator.context.context import ContextLike
from pytest_orchestrator.core import json_values
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.extending import StepEnvironment
from pytest_orchestrator.recipe.fields.extensions import CustomStep
from pytest_orchestrator.recipe.model.step import CodeStep, PluginData, PythonStep
from pytest_orchestrator.scriptlets.call import ValidationFailed

_SHARED = [name for name in CodeStep.__struct_fields__ if name != "success"]


def called(step: CodeStep, attempt: AttemptContext) -> PythonStep:
    """Convert a step of a registered type to a Python step; return a Python step unchanged.

    Args:
        step: The step, with the values of its expressions.
        attempt: The context of the attempt.
    """
    if not isinstance(step, CustomStep):
        assert isinstance(step, PythonStep)  # noqa: S101
        return step
    kind = step.kind
    place = step.at["type"]
    plugin_data = PluginData(
        type=step.type,
        file=step.file,
        timeout=attempt.seconds_for(step.timeout),
        logs=str(attempt.logs) if attempt.logs else None,
        attempt=attempt.number,
        recipe=attempt.recipe,
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
    try:
        keys = msgspec.convert(json_values.deep_copy(step.params), kind.Keys)
    except msgspec.ValidationError as error:
        raise ValidationFailed(f"{plugin_data.type} step '{step.name}': {error}") from None
    step_environment = StepEnvironment(
        step=step.name,
        recipe=plugin_data.recipe,
        root=attempt.config.root,
        timeout=plugin_data.timeout,
        logs=Path(plugin_data.logs) if plugin_data.logs else None,
        attempt=plugin_data.attempt,
        fixtures=fixtures,
    )
    return kind().run(keys, context, step_environment)
