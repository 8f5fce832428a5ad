"""Fields of the forms on the operator page."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from pytest_orchestrator.core.typed_fields import InputField, checks_of, hint_of, sentence_of

PREFIX: Final = "f."
"""Prefix of the names of fields in a form."""

_MOST_CHOICES: Final = 6
"""Highest number of choices that are shown beside each other."""


class FormField(Struct, frozen=True):
    """Field of the form.

    Attributes:
        name: Its name.
        label: Its name for people.
        error: Sentence about a wrong value; empty for that of the rule.
        control: ``text``, ``password``, ``lines``, ``choice`` or ``select``.
        hint: Text beside it.
        choices: The texts of its choices.
        checks: Sentences of the rules that the page checks, by check.
        limits: The field's ``type``, ``min``, ``max``, ``unit`` and ``pattern``, if it has them.
        typed: The line that was typed before.
        problem: Sentence about this line; empty if it is right.
    """

    name: str
    label: str
    error: str
    control: str
    hint: str
    choices: tuple[str, ...]
    checks: dict[str, str]
    limits: dict[str, Any]
    typed: str
    problem: str


def form_field(name: str, field: InputField, typed: Mapping[str, str], problem: str) -> FormField:
    """Return a field of a form.

    Args:
        name: Its name.
        field: Its type and rules.
        typed: The lines that were typed before, by name.
        problem: The rule that its line violates; empty if none.
    """
    choices = _choices(field)
    if choices:
        control = "choice" if len(choices) <= _MOST_CHOICES else "select"
    elif field.secret:
        control = "password"
    else:
        control = "lines" if field.type == "json" else "text"
    keys = ("type", "min", "max", "unit", "pattern")
    limits = {key: getattr(field, key) for key in keys if getattr(field, key) is not None}
    return FormField(
        name=name,
        label=field.label or name,
        error=field.error or "",
        control=control,
        hint=hint_of(field),
        choices=choices,
        checks=checks_of(field),
        limits=limits,
        typed="" if field.secret else typed.get(name, ""),
        problem=problem and sentence_of(name, field, problem),
    )


def lines_in(form: Mapping[str, str]) -> dict[str, str]:
    """Return the lines that were typed into the fields of a form, by the name of the field."""
    return {
        name.removeprefix(PREFIX): text for name, text in form.items() if name.startswith(PREFIX)
    }


def _choices(field: InputField) -> tuple[str, ...]:
    if field.type == "boolean":
        return ("true", "false")
    return tuple(one if isinstance(one, str) else f"{one}" for one in field.choices or ())
