"""Steps of type `prompt`: a person looks, decides, or types values."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from pytest_orchestrator.extending import (
    InputField,
    KeyProblem,
    Project,
    Question,
    StepEnvironment,
    StepFailure,
    StepSpec,
    StepType,
    Unevaluated,
    WrittenStep,
    field_problems,
)

RESULT_KEYS = ("status", "reason", "button")
"""Keys of the result that no field may have as its name."""

_FORMS: tuple[tuple[str, ...], ...] = (("pass", "fail"), ("continue",))


class Field(InputField, frozen=True, kw_only=True):
    """Keys of a field of a prompt."""

    dut: Annotated[
        str | None,
        Meta(
            description="Key of the unit under test that has the value from then on.",
            examples=["serial_number"],
        ),
    ] = None


def _field_schema() -> dict[str, Any]:
    """Return the JSON Schema of a field, for editors; any value may be an expression."""
    properties = msgspec.json.schema(Field)["$defs"]["Field"]["properties"]
    expression = {"type": "string", "pattern": r"\$\{\{"}
    return {
        "type": "object",
        "properties": {
            name: {"description": one["description"], "anyOf": [one, expression]}
            for name, one in properties.items()
        },
        "additionalProperties": False,
    }


class Prompt(StepType):
    """Ask a person to look, to decide, or to type values."""

    name = "prompt"
    asks = True
    background = False

    class Keys(Struct, frozen=True, kw_only=True):
        """Keys of a prompt."""

        message: Annotated[
            str,
            Meta(
                description="The question, in Markdown.",
                examples=["Is the **power** LED green?"],
                min_length=1,
            ),
        ]
        image: Annotated[
            str | None,
            Meta(
                description="Path of a picture below the rootdir, shown with the question.",
                examples=["docs/board.png"],
            ),
        ] = None
        fields: Annotated[
            dict[str, dict[str, Any]],
            Meta(
                description="Values that the person types, by name. Each has a `type` and rules.",
                examples=[{"serial": {"pattern": r"SN\d{6}", "description": "On the label."}}],
                extra_json_schema={"additionalProperties": _field_schema()},
            ),
        ] = {}
        buttons: Annotated[
            tuple[Literal["pass", "fail", "continue"], ...],
            Meta(
                description="`[pass, fail]`: the person decides; `[continue]`, the default: the "
                "person only confirms.",
                examples=[["pass", "fail"]],
            ),
        ] = ("continue",)

    def run(self, keys: "Prompt.Keys", ctx: object, env: StepEnvironment) -> Mapping[str, Any]:
        """Ask the question; return the values of the fields and the button."""
        del ctx
        try:
            question = _question(keys)
        except ValueError as error:  # an expression has a value of another type
            raise StepFailure(str(error), "validation") from None
        answer = env.ask(question)
        env.log.info("answered by %s (%s): %s", answer.who, answer.where, answer.button)
        result = {"button": answer.button, **answer.values}
        if answer.button != "fail":
            return {"status": "ok", **result}
        where = {"terminal": "at the terminal", "page": "on the operator page"}
        reason = f"{answer.who} chose fail {where.get(answer.where, 'before the run')}"
        return {"status": "fail", "reason": reason, **result}

    @classmethod
    def questions(cls, step: StepSpec) -> Iterable[Question]:
        """Return the question of a step, if its fields and buttons are known."""
        try:
            keys = msgspec.convert(_without_unevaluated(step.keys), cls.Keys)
            return (_question(keys),)
        except ValueError:  # an expression stands where its value has another type
            return ()

    @classmethod
    def check(cls, step: WrittenStep, project: Project) -> Iterator[KeyProblem]:
        """Check the picture, the buttons, and the keys of each field."""
        yield from _image_problems(step.keys.get("image"), project.root)
        buttons = step.keys.get("buttons")
        is_known = isinstance(buttons, list | tuple) and not _has_unevaluated(buttons)
        if is_known and tuple(buttons or ()) not in _FORMS:
            yield KeyProblem(("buttons",), "should be [pass, fail] or [continue]")
        fields = step.keys.get("fields")
        if isinstance(fields, Mapping):
            for name, field in fields.items():
                yield from _field_problems(name, field)


def _question(keys: Prompt.Keys) -> Question:
    """Return the question of a prompt.

    Raises:
        ValueError: A field has a key of the wrong type; the message is a sentence.
    """
    fields, dut = {}, {}
    for name, field in keys.fields.items():
        try:
            read = msgspec.convert(field, Field)
        except msgspec.ValidationError as error:
            key, message = _type_error(error)
            raise ValueError(f"'fields.{name}.{key}' {message}") from None
        known = {key: getattr(read, key) for key in InputField.__struct_fields__}
        fields[name] = InputField(**known)
        if read.dut is not None:
            dut[name] = read.dut
    return Question(
        message=keys.message,
        image=keys.image,
        fields=fields,
        buttons=keys.buttons,
        dut=dut,
    )


def _image_problems(image: object, root: Path) -> Iterator[KeyProblem]:
    if not isinstance(image, str):
        return
    path = (root / image).resolve()
    if not path.is_relative_to(root.resolve()):
        yield KeyProblem(("image",), "should be a file below the rootdir")
    elif not path.is_file():
        yield KeyProblem(("image",), f"names no file: {image}")


_FIELD_KEYS = tuple(field.encode_name for field in msgspec.structs.fields(Field))
_TYPES = ("string", "integer", "number", "boolean", "json")


def _field_problems(name: str, field: object) -> Iterator[KeyProblem]:
    """Yield the mistakes in one field of a prompt."""
    if not (name.isidentifier() and name.isascii()):
        yield KeyProblem(("fields", name), "should be a name of letters, digits and _")
    elif name in RESULT_KEYS:
        yield KeyProblem(("fields", name), "should have another name, which the result has itself")
    if not isinstance(field, Mapping):
        return
    unknown = [key for key in field if key not in _FIELD_KEYS]
    for key in unknown:
        near = difflib.get_close_matches(key, _FIELD_KEYS, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"its keys are {', '.join(_FIELD_KEYS)}"
        yield KeyProblem(("fields", name, key), "is no key of a field", hint)
    if unknown:
        return
    known = {key: value for key, value in field.items() if not _has_unevaluated(value)}
    try:
        given = msgspec.convert(known, Field)
    except msgspec.ValidationError as error:
        key, message = _type_error(error)
        yield KeyProblem(("fields", name, key), message)
        return
    if given.dut is not None and (given.type != "string" or given.secret):
        yield KeyProblem(("fields", name, "dut"), "belongs to a field of type string, not secret")
    if given.dut is not None and not re.fullmatch(r"[A-Za-z_]\w*", given.dut):
        hint = "write dut: serial_number"
        yield KeyProblem(("fields", name, "dut"), "should be a key of the unit under test", hint)
    for path, message in field_problems(given):
        key, _, index = path.rstrip("]").partition("[")
        yield KeyProblem(("fields", name, key, *([int(index)] if index else [])), message)


_WORDS = {
    "str": "text",
    "str | null": "text",
    "bool": "true or false",
    "float | null": "a number",
    "array | null": "a list",
}


def _type_error(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return the key of a field that has a value of the wrong type, and what it should be."""
    text, _, path = str(error).partition(" - at `$")
    key = path.strip("`.")
    if key == "type":
        return key, f"should be {', '.join(_TYPES[:-1])} or {_TYPES[-1]}"
    expected = text.removeprefix("Expected `").partition("`")[0]
    return key, f"should be {_WORDS.get(expected, expected)}"


def _has_unevaluated(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_unevaluated, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_unevaluated, value))
    return isinstance(value, Unevaluated)


def _without_unevaluated(value: Any) -> Any:
    """Return a value in which each value that is not evaluated is its text."""
    if isinstance(value, Mapping):
        return {name: _without_unevaluated(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_unevaluated(each) for each in value]
    return value.text if isinstance(value, Unevaluated) else value
