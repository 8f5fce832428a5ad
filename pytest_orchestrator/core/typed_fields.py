"""Typed fields: values that a person or an option gives, with their rules.

The root key `inputs` of a recipe and the fields of a prompt have the same keys. The functions
of this module convert and check their values.
"""

from __future__ import annotations  # few recipes have these keys: read at their first use

import json
import math
import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, cast

from msgspec import UNSET, Meta, Struct, structs

from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.figures.exact import violated
from pytest_orchestrator.core.text import compile_pattern, interruptible_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_orchestrator.core.json_values import Json

FIELD_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
"""Pattern of the name of a field."""

EMPTY: Final = "should not be empty"
"""Rule that an empty line violates."""

MAX_CHARS: Final = 100_000
"""Maximum characters of a text; a pattern is matched with no more than that."""

_SHORT: Final = 12
"""Characters of a text with which any pattern is compared at once."""
_LONGEST: Final = 2.0  # seconds

FieldType = Literal["string", "integer", "number", "boolean", "json"]

# Compiled at their first use: few recipes have typed fields.
_CHOICE: Final = r"[*+?{|]"
_INTEGER: Final = r"[+-]?[0-9]{1,4000}"
_NUMBER: Final = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_BOOLEANS = {"true": True, "yes": True, "y": True, "on": True, "1": True}
_BOOLEANS |= {"false": False, "no": False, "n": False, "off": False, "0": False}


def _key(description: str, example: object, **extra: object) -> Meta:
    """Return the description of a key in the form that `recipe.model.key_types.key` returns."""
    return Meta(description=description, examples=[example], extra=extra)


def _checked_pattern(text: str) -> str:
    if not text.strip():
        raise ValueError("should not be empty")
    try:
        compile_pattern(text)
    except ValueError as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


class InputField(Struct, frozen=True, kw_only=True):
    """Keys of a typed field.

    `default` is `msgspec.UNSET` if the field has none, because null can be a default.
    """

    is_socket: ClassVar[bool] = False

    type: Annotated[
        FieldType, _key("`string`, `integer`, `number`, `boolean` or `json`.", "string")
    ] = "string"
    default: Annotated[Any, _key("Value that is used if none is given.", "A1", own=True)] = UNSET
    required: Annotated[
        bool,
        _key("`false`: the value is null if none is given and the field has no default.", False),
    ] = True
    pattern: Annotated[
        str | None,
        _key(
            "Regular expression that matches the whole text of a `string`.",
            r"SN\d{6}",
            rule=_checked_pattern,
        ),
    ] = None
    choices: Annotated[
        tuple[Any, ...] | None,
        _key("The values that are allowed, each of the type of the field.", ["red", "green"]),
    ] = None
    min: Annotated[float | None, _key("Smallest value of an `integer` or `number`.", 0)] = None
    max: Annotated[float | None, _key("Largest value of an `integer` or `number`.", 30)] = None
    unit: Annotated[str | None, _key("Unit of the value, for people.", "V")] = None
    description: Annotated[
        str | None, _key("Text for people who give the value.", "As printed on the label.")
    ] = None
    label: Annotated[
        str | None, _key("Name of the field for people, in place of its own.", "Serial number")
    ] = None
    example: Annotated[
        str | None, _key("Value that people see as an example of the form.", "SN000123")
    ] = None
    error: Annotated[
        str | None,
        _key(
            "Sentence for people who gave a wrong value, in place of the rule.",
            "Scan the label on the back.",
        ),
    ] = None
    secret: Annotated[
        bool,
        _key(
            "`true`: the value is not shown where it is typed, and is masked in every output.", True
        ),
    ] = False

    @property
    def is_required(self) -> bool:
        """True if a value must be given: the field has no default and may not be null."""
        return self.required and self.default is UNSET

    @property
    def absent(self) -> Json:
        """The value if none is given: the default, or null."""
        return None if self.default is UNSET else json_values.deep_copy(self.default)


class SocketField(InputField, frozen=True, kw_only=True):
    """Serial number of a unit of a panel; if none is typed, the socket of the unit is empty."""

    is_socket: ClassVar[bool] = True


def value_of_text(field: InputField, text: str) -> Json:
    """Convert a text, such as a line that was typed, to the value of a field.

    Args:
        field: The field.
        text: The text. For all types but `string`, white space around it does not count, and for
            numbers the unit of the field may follow the number.

    Raises:
        ValueError: The text violates a rule; the message is the rule, such as ``should be a whole
            number``.
    """
    if field.type == "string":
        return value_of_json(field, text)
    text = text.strip()
    if field.type == "json":
        return value_of_json(field, _parsed(text))
    if field.type == "boolean":
        if text.lower() not in _BOOLEANS:
            raise ValueError("should be true or false, or yes or no")
        return _BOOLEANS[text.lower()]
    if field.unit:
        text = text.removesuffix(field.unit).rstrip()
    if re.fullmatch(_INTEGER, text):
        return value_of_json(field, int(text))
    if field.type == "number" and re.fullmatch(_NUMBER, text):
        return value_of_json(field, float(text))
    raise ValueError(f"should be {_kind(field)}")


def value_of_line(field: InputField, line: str) -> Json:
    """Convert a line that a person typed into a form to the value of a field.

    Args:
        field: The field.
        line: The line; white space around it does not count, and an empty one is no answer, but
            for a socket, which is then empty.

    Raises:
        ValueError: The field needs a value, or the text violates a rule; the message is the rule.
    """
    text = line.strip()
    if text:
        return value_of_text(field, text)
    if field.is_socket:
        return ""
    if field.is_required:
        raise ValueError(EMPTY)
    return field.absent


def value_of_json(field: InputField, value: object) -> Json:
    """Check a JSON value, such as that of a YAML file, as the value of a field.

    Args:
        field: The field.
        value: The value. It is not converted, except that an `integer` may be ``3.0``, and that
            null is allowed where the field is not required.

    Raises:
        ValueError: The value violates a rule; the message is the rule.
    """
    if value is None and not field.required and field.type != "json":
        return None
    checked = _of_type(field, value)
    if field.choices is not None and checked not in field.choices:
        raise ValueError(f"should be {_alternatives(field.choices)}")
    if isinstance(checked, str) and not _matches(field.pattern, checked):
        raise ValueError(f"should match {field.pattern}")
    if isinstance(checked, int | float) and not isinstance(checked, bool):
        _check_range(field, checked)
    return checked


def rule_of(field: InputField) -> str:
    """Return the rule of a field in one phrase, such as ``a number, 0 to 30 V``."""
    if field.choices is not None:
        return _alternatives(field.choices)
    words = _kind(field)
    if field.pattern is not None:
        words = f"{words} that matches {field.pattern}"
    if field.min is None and field.max is None:
        return f"{words} in {field.unit}" if field.unit else words
    return f"{words}, {_range(field)}"


def hint_of(field: InputField) -> str:
    """Return the text beside a field of a form: its description, its rule, its default."""
    description = f"{field.description.rstrip('.')}; " if field.description else ""
    rule = rule_of(field)
    if field.example is not None:
        # A person understands an example, but no pattern.
        known = rule_of(structs.replace(field, pattern=None))
        rule = (
            f"such as {field.example}"
            if known == _kind(field)
            else f"{known}, such as {field.example}"
        )
    if field.is_required or field.is_socket:
        return f"{description}{rule}"
    if field.absent in (None, ""):
        return f"{description}{rule} (may be empty)"
    is_text = isinstance(field.absent, str)
    shown = field.absent if is_text else json.dumps(field.absent, ensure_ascii=False)
    return f"{description}{rule} (empty: {'***' if field.secret else shown})"


def sentence_of(name: str, field: InputField, rule: str) -> str:
    """Return the sentence for a person who gave a wrong value.

    Args:
        name: The name of the field.
        field: The field.
        rule: The rule that the value violates, as `value_of_line` raises it.
    """
    return f"'{field.label or name}' {rule}" if rule == EMPTY or not field.error else field.error


def checks_of(field: InputField) -> dict[str, str]:
    """Return the rules that a form can check before it is sent, with the sentences of this module.

    Returns:
        The sentence by the name of the check: ``empty`` if a value must be given, empty for a
        socket, which comes next but may stay empty; ``kind`` for the form of a number, ``range``,
        and ``pattern`` for a text.
    """
    checks = {"empty": EMPTY} if field.is_required else {}
    checks |= {"empty": ""} if field.is_socket else {}
    if field.choices is not None:
        return checks
    if field.type in ("integer", "number"):
        checks["kind"] = f"should be {_kind(field)}"
        if field.min is not None or field.max is not None:
            checks["range"] = f"should be {_range(field)}"
    if field.pattern is not None:
        checks["pattern"] = f"should match {field.pattern}"
    return checks


def field_problems(field: InputField) -> Iterator[tuple[str, str]]:
    """Check that the keys of a field agree with each other.

    Args:
        field: The field; without its default if that has an expression, which is checked when it
            is evaluated.

    Yields:
        The key with the fault, and the fault as the end of a sentence: ``should be a number``
        for ``'choices[0]' should be a number``.
    """
    is_number = field.type in ("integer", "number")
    for key, value in (("min", field.min), ("max", field.max)):
        if value is not None and not is_number:
            yield key, f"belongs to type integer or number, and the type is {field.type}"
        elif value is not None and not math.isfinite(value):
            yield key, "should be a finite number"
    if field.pattern is not None and field.type != "string":
        yield "pattern", f"belongs to type string, and the type is {field.type}"
    bounds = [each for each in (field.min, field.max) if each is not None and math.isfinite(each)]
    if is_number and len(bounds) == 2 and violated(bounds[0], None, bounds[1]):
        yield "max", f"is less than 'min', which is {field.min:g}"
    yield from _choice_problems(field)
    if field.pattern is not None:
        try:
            _checked_pattern(field.pattern)
        except ValueError as error:
            yield "pattern", f"is {error}" if str(error).startswith("no ") else str(error)
            return
    if field.default is not UNSET:
        try:
            value_of_json(field, field.default)
        except ValueError as error:
            yield "default", str(error)


def _choice_problems(field: InputField) -> Iterator[tuple[str, str]]:
    if field.choices is None:
        return
    if field.type in ("boolean", "json"):
        yield "choices", f"belongs to type string, integer or number, and the type is {field.type}"
        return
    if not field.choices:
        yield "choices", "should have a value in it"
    for number, choice in enumerate(field.choices):
        try:
            _of_type(field, choice)
        except ValueError as error:
            yield f"choices[{number}]", str(error)
    texts = [json.dumps(choice, sort_keys=True) for choice in field.choices]
    for number, text in enumerate(texts):
        if text in texts[:number]:
            yield f"choices[{number}]", f"{text} occurs twice"


_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "json": "a JSON value",
}


def _kind(field: InputField) -> str:
    return _KINDS[field.type]


def _of_type(field: InputField, value: object) -> Json:
    """Return a value that has the type of the field.

    Raises:
        ValueError: It has another type.
    """
    if field.type == "json":
        return _json(value)
    if field.type == "string" and isinstance(value, str):
        return _checked_text(value)
    if field.type == "boolean" and isinstance(value, bool):
        return value
    if field.type == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and (field.type == "number" or (field.type, type(value)) == ("integer", int)):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("should be a finite number")
        return cast("Json", value)
    cure = ""
    if field.type == "string" and isinstance(value, bool | int | float):
        cure = ": put the value in quotes"
    raise ValueError(f"should be {_kind(field)}, not {json_values.kind(value)}{cure}")


def _json(value: object) -> Json:
    try:
        return json_values.json_copy(value)
    except json_values.NotJson as error:
        raise ValueError(f"should be a JSON value: {error}") from None


def _matches(pattern: str | None, text: str) -> bool:
    """Return True if a pattern matches the whole text.

    Raises:
        ValueError: The match did not end in time.
    """
    if pattern is None:
        return True
    if len(re.findall(_CHOICE, pattern)) < 2 or len(text) <= _SHORT:
        return compile_pattern(pattern).fullmatch(text) is not None
    compiled: Any = interruptible_pattern(pattern)  # it may take years
    try:
        return compiled.fullmatch(text, timeout=_LONGEST) is not None
    except TimeoutError:
        seconds = f"{_LONGEST:g} s"
        raise ValueError(f"could not be compared with {pattern} within {seconds}") from None


def _checked_text(text: str) -> str:
    if len(text) > MAX_CHARS:
        raise ValueError(f"should have at most {MAX_CHARS:,} characters")
    if "\0" in text:
        raise ValueError("should have no NUL in it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("should be text in UTF-8") from None
    return text


def _parsed(text: str) -> object:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, character {error.colno}"
        raise ValueError(f"should be a JSON value: {error.msg} ({at})") from None
    except RecursionError:
        raise ValueError("should be a JSON value that is nested less deeply") from None
    except ValueError as error:
        raise ValueError(f"should be a JSON value: {error}") from None


def _check_range(field: InputField, number: float) -> None:
    if violated(number, field.min, field.max):
        raise ValueError(f"should be {_range(field)}")


def _range(field: InputField) -> str:
    low, high, unit = field.min, field.max, f" {field.unit}" if field.unit else ""
    if low is None:
        return f"at most {_number(high)}{unit}"
    if high is None:
        return f"at least {_number(low)}{unit}"
    return f"{_number(low)} to {_number(high)}{unit}"


def _number(number: float | None) -> str:
    return repr(number).removesuffix(".0")


def _alternatives(choices: tuple[Any, ...]) -> str:
    *most, last = [each if isinstance(each, str) and each else json.dumps(each) for each in choices]
    return f"{', '.join(most)} or {last}" if most else last
