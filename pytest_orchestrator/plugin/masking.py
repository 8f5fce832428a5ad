"""Masking of pytest's reports and log records."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    import msgspec

    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.recipe.model.recipe import Recipe

S = TypeVar("S", bound="msgspec.Struct")

_PLACES = {"path", "lineno", "filename"}
_BLOCK = "orchestrator"
_OF_RECORD = {"created", "filename", "funcName", "levelname", "levelno", "lineno", "module"}
_OF_RECORD |= {"msecs", "name", "pathname", "process", "processName", "relativeCreated"}
_OF_RECORD |= {"taskName", "thread", "threadName"}
"""What a log record says of itself: no word of whoever logs."""


def mask(report: pytest.TestReport | pytest.CollectReport, secrets: "Masker") -> None:
    """Mask what a report shows; the block of a step has been masked where it was made."""
    report.longrepr = _shown(report.longrepr, secrets)
    report.sections = [(name, secrets.text(text)) for name, text in report.sections]
    if isinstance(report, pytest.CollectReport):
        return
    if hasattr(report, "wasxfail"):
        report.wasxfail = secrets.text(report.wasxfail)
    if report.user_properties:
        mine = _of_step(report)
        report.user_properties = [
            pair if pair in mine else (pair[0], secrets.value(pair[1]))
            for pair in report.user_properties
        ]
    # The name is pytest-json-report's.
    extra = getattr(report, "_json_report_extra", None)
    if extra:
        told = {name: _stage(name, stage, secrets) for name, stage in extra.items()}
        setattr(report, "_json_report_extra", told)  # noqa: B010


def fields(
    value: S, secrets: "Masker", names: Collection[str] | None = None, but: Collection[str] = ()
) -> S:
    """Return a value whose fields of these names, or all but some, have no secrets in them."""
    import msgspec

    names = names or set(value.__struct_fields__).difference(but)
    masked = {name: secrets.of(getattr(value, name)) for name in names}
    return msgspec.structs.replace(value, **masked)


def record(told: dict[str, Any], secrets: "Masker") -> dict[str, Any]:
    """Mask a log record, given as plain data."""
    return {
        name: value if name in _OF_RECORD else secrets.value(value) for name, value in told.items()
    }


def _of_step(report: pytest.TestReport) -> list[tuple[str, Any]]:
    """Return the properties that come from the block of a step."""
    block = getattr(report, _BLOCK, None)
    if block is None:
        return []
    from pytest_orchestrator.reports import junit

    return list(junit.properties(block))


def _stage(name: str, stage: Any, secrets: "Masker") -> Any:
    if not isinstance(stage, dict):
        return secrets.of(stage)
    if name == "metadata":
        return {key: one if key == _BLOCK else secrets.value(one) for key, one in stage.items()}
    return {
        key: [record(each, secrets) for each in one] if key == "log" else secrets.of(one)
        for key, one in stage.items()
    }


def _shown(shown: Any, secrets: "Masker") -> Any:
    if isinstance(shown, tuple):  # of a skip: path, line, reason
        return (*shown[:2], *map(secrets.text, shown[2:]))
    shown = _walked(shown, secrets)
    if shown is None or isinstance(shown, str):
        return shown
    # What another plugin shows in a way of its own.
    text = str(shown)
    masked = secrets.text(text)
    return shown if masked == text else masked


def _walked(shown: Any, secrets: "Masker") -> Any:
    """Mask a text, a list of such, or an explanation of pytest's with all its parts."""
    if isinstance(shown, str):
        return secrets.text(shown)
    if type(shown) in (list, tuple):
        return type(shown)(_walked(one, secrets) for one in shown)
    if type(shown).__module__.startswith("_pytest."):
        for name, value in vars(shown).items():
            if name not in _PLACES:
                object.__setattr__(shown, name, _walked(value, secrets))
    return shown


def learn_args(recipe: "Recipe", secrets: "Masker") -> None:
    """Take the values of ``args`` whose names say secret, as they are written in a recipe."""
    from pytest_orchestrator.execution.steps.command import environment_of

    for step in (*recipe.steps, *recipe.final):
        args = getattr(step, "args", None)
        if args:
            late = {one.path[1] for one in step.templates if one.path[0] == "args"}
            secrets.learn(environment_of({n: v for n, v in args.items() if n not in late}, {}))
