"""Masking of secrets in pytest's reports and log records."""

import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec

    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.variables import ExternalValue

S = TypeVar("S", bound="msgspec.Struct")

_PLACES = {"path", "lineno", "filename"}
_BLOCK = "orchestrator"
_OWN_FIELDS = {"created", "filename", "funcName", "levelname", "levelno", "lineno", "module"}
_OWN_FIELDS |= {"msecs", "name", "pathname", "process", "processName", "relativeCreated"}
_OWN_FIELDS |= {"taskName", "thread", "threadName"}
"""Fields of a log record that logging sets itself; they hold no text of the program."""


def mask(report: pytest.TestReport | pytest.CollectReport, secrets: "Masker") -> None:
    """Mask secrets in the texts of a report, in place; its step block is masked already."""
    report.longrepr = _masked_longrepr(report.longrepr, secrets)
    report.sections = [(name, secrets.text(text)) for name, text in report.sections]
    if isinstance(report, pytest.CollectReport):
        return
    if hasattr(report, "wasxfail"):
        report.wasxfail = secrets.text(report.wasxfail)
    if report.user_properties:
        from_block = _block_properties(report)
        report.user_properties = [
            pair if pair in from_block else (pair[0], secrets.mask_json(pair[1]))
            for pair in report.user_properties
        ]
    # pytest-json-report stores its data of a report in this attribute.
    extra = getattr(report, "_json_report_extra", None)
    if extra:
        masked = {name: _masked_stage(name, stage, secrets) for name, stage in extra.items()}
        setattr(report, "_json_report_extra", masked)  # noqa: B010


def fields(
    value: S, secrets: "Masker", names: Collection[str] | None = None, but: Collection[str] = ()
) -> S:
    """Return a copy of a struct with secrets masked in the fields `names`.

    Without `names`, all fields are masked except those in `but`.
    """
    import msgspec

    names = names or set(value.__struct_fields__).difference(but)
    masked = {name: secrets.mask(getattr(value, name)) for name in names}
    return msgspec.structs.replace(value, **masked)


def record(fields_of_record: dict[str, Any], secrets: "Masker") -> dict[str, Any]:
    """Return the fields of a log record, with secrets masked in fields that hold program text."""
    return {
        name: value if name in _OWN_FIELDS else secrets.mask_json(value)
        for name, value in fields_of_record.items()
    }


def _block_properties(report: pytest.TestReport) -> list[tuple[str, Any]]:
    """Return the JUnit properties that were made from the step block of a report."""
    block = getattr(report, _BLOCK, None)
    if block is None:
        return []
    from pytest_orchestrator.reports import junit

    return list(junit.properties(block))


def _masked_stage(name: str, stage: Any, secrets: "Masker") -> Any:
    if not isinstance(stage, dict):
        return secrets.mask(stage)
    if name == "metadata":
        return {key: one if key == _BLOCK else secrets.mask_json(one) for key, one in stage.items()}
    return {
        key: [record(each, secrets) for each in one] if key == "log" else secrets.mask(one)
        for key, one in stage.items()
    }


def _masked_longrepr(longrepr: Any, secrets: "Masker") -> Any:
    if isinstance(longrepr, tuple):  # of a skip: path, line, reason
        return (*longrepr[:2], *map(secrets.text, longrepr[2:]))
    longrepr = _masked_parts(longrepr, secrets)
    if longrepr is None or isinstance(longrepr, str):
        return longrepr
    # An object of another plugin: only its text can be masked.
    text = str(longrepr)
    masked = secrets.text(text)
    return longrepr if masked == text else masked


def _masked_parts(part: Any, secrets: "Masker") -> Any:
    """Return a text, list or tuple with secrets masked; mask pytest objects in place."""
    if isinstance(part, str):
        return secrets.text(part)
    if type(part) in (list, tuple):
        return type(part)(_masked_parts(one, secrets) for one in part)
    if type(part).__module__.startswith("_pytest."):
        for name, value in vars(part).items():
            if name not in _PLACES:
                object.__setattr__(part, name, _masked_parts(value, secrets))
    return part


def learn_args(recipe: "Recipe", secrets: "Masker") -> None:
    """Add the literal secrets of steps to the masker.

    They are the values of ``env`` and ``args`` with secret names, such as ``API_KEY``, and those
    that the hook ``secrets`` of a step type returns.
    """
    from pytest_orchestrator.execution.steps.command import environment_of
    from pytest_orchestrator.recipe.fields.extensions import CustomStep

    for step in (*recipe.steps, *recipe.final):
        if isinstance(step, CustomStep):
            from pytest_orchestrator.recipe.fields.type_hooks import HookError, call

            # The step raises the error again, before its step code runs.
            with contextlib.suppress(HookError):
                secrets.add(call("secrets", step, str(recipe.path)))
        for key in ("args", "env"):
            variables = getattr(step, key, None)
            if variables:
                templated = {one.path[-1] for one in step.templates if one.path[0] == key}
                literal = {name: one for name, one in variables.items() if name not in templated}
                secrets.add_environment(environment_of(literal, {}))


def learn_vars(recipe: "Recipe", secrets: "Masker", given: "Mapping[str, ExternalValue]") -> None:
    """Add the vars and inputs that a recipe hands over in variables with secret names.

    Args:
        recipe: The recipe; an expression in the value of one of its variables is a var.
        secrets: The masker.
        given: The values that come from outside the recipe, by name.
    """
    from pytest_orchestrator.recipe.variables import literal_vars, secret_vars

    paths, literal = secret_vars(recipe, secrets.is_secret), literal_vars(recipe)
    for scope, own in paths.items():
        secrets.add_vars(own, literal.get(scope, {}))
    own = paths.get("", ())
    secrets.add_vars(own, {name: one.value for name, one in given.items()})
    secrets.add_vars(own, {name: one.text for name, one in given.items() if one.text})
