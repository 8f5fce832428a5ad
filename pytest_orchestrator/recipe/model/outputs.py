"""Types of the outputs that are searched in the output of a step."""

from typing import Literal

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.typed_fields import InputField, value_of_json, value_of_text

OutputType = Literal["text", "integer", "number", "boolean", "json"]


def typed_output(kind: OutputType, text: str) -> Json:
    """Convert a text that was found in the output of a step to the type of the output.

    Args:
        kind: ``text``, ``integer``, ``number``, ``boolean`` or ``json``.
        text: The text.

    Raises:
        ValueError: The text is not of the type; the message is the rule, such as ``should be a
            whole number``.
    """
    return text if kind == "text" else value_of_text(_field(kind), text)


def checked_output(kind: OutputType, default: Json) -> Json:
    """Check the default of an output.

    Args:
        kind: As for `typed_output`. Any value is accepted for ``text``.
        default: The default; null is accepted for all types.

    Raises:
        ValueError: The default is not of the type; the message is the rule.
    """
    return default if kind == "text" or default is None else value_of_json(_field(kind), default)


def _field(kind: OutputType) -> InputField:
    return InputField(type="string" if kind == "text" else kind)
