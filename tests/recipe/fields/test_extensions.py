"""Step types and criteria of plugins, as the loader reads them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from jsonschema import Draft7Validator
from msgspec import Meta, Struct

from pytest_orchestrator.extending import Criterion, StepEnvironment, StepType
from pytest_orchestrator.recipe import (
    BUILT_IN,
    CustomStep,
    Extensions,
    RecipeError,
    editor_schema,
    load,
)
from pytest_orchestrator.recipe.fields.readers import keys_of
from pytest_orchestrator.recipe.fields.resolve import evaluate_late_expressions

Url = Annotated[str, Meta(description="The address.", examples=["http://x"], pattern="^http")]


class Login(Struct):
    user: str
    retries: int = 1


class Http(StepType):
    """Asks a server.

    More of it.
    """

    name = "http"

    class Keys(Struct):
        url: Url
        status: Annotated[int, Meta(description="What is wanted.", examples=[200], le=599)] = 200
        headers: Annotated[dict[str, str], Meta(description="Headers.", examples=[{}])] = {}
        also: Annotated[list[int] | None, Meta(description="As good.", examples=[[204]])] = None
        login: Annotated[Login | None, Meta(description="Who asks.", examples=[{}])] = None
        line: Annotated[str, Meta(description="A name of ours, too.", examples=["x"])] = ""

        def __post_init__(self) -> None:
            if self.line == "none":
                raise ValueError("a line is wanted where there is none")

    def run(self, keys: Any, ctx: Any, env: StepEnvironment) -> Mapping[str, Any]:
        return {"status": "ok"}


class Named(Http):
    """Has another name."""

    name = "named"


def criterion(**changes: Any) -> Criterion:
    arguments: dict[str, Any] = {"name": "codes", "type": list[int], "description": "Codes."}
    arguments |= {"example": [1], "check": lambda wanted, evidence: None}
    return Criterion(**arguments | changes)


KNOWN = BUILT_IN.with_type(Http).with_criterion(criterion())
Problems = Callable[[str], list[str]]


@pytest.fixture
def problems(tmp_path: Path) -> Problems:
    def problems(step: str) -> list[str]:
        path = tmp_path / "x.yaml"
        path.write_text(f"steps:\n  - {{name: a, {step}}}\n")
        with pytest.raises(RecipeError) as caught:
            load(path, root=tmp_path, known=KNOWN)
        return [one.text for one in caught.value.problems]

    return problems


def read(folder: Path, text: str, known: Extensions = KNOWN) -> CustomStep:
    path = folder / "x.yaml"
    path.write_text(text)
    step = load(path, root=folder, known=known).steps[0]
    assert isinstance(step, CustomStep)
    return step


def test_a_step_has_the_keys_of_all_steps_and_of_its_type(tmp_path: Path) -> None:
    step = read(
        tmp_path,
        "steps:\n"
        "  - {name: a, type: http, url: http://x, line: l, also: [1, 2], tags: [nightly],\n"
        "     isolation: inline, login: {user: me}}\n",
    )

    assert (step.type, step.name, step.tags, step.line) == ("http", "a", ("nightly",), 2)
    assert step.isolation == "inline"
    assert step.own == {"url": "http://x", "line": "l", "also": [1, 2], "login": {"user": "me"}}


def test_keys_of_a_plugin_type_are_described_like_other_keys() -> None:
    keys = keys_of(KNOWN.step_types["http"])

    assert keys["url"].is_required
    assert not keys["status"].is_required
    assert (keys["url"].meta.description, keys["url"].meta.examples) == (
        "The address.",
        ["http://x"],
    )


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("type: htp, url: http://x", "unknown type 'htp' in step 'a' (did you mean 'http'?)"),
        ("type: http", "missing 'url' in http step 'a'"),
        ("url: http://x", "missing 'type' in step 'a' (its 'url' says: type: http)"),
        (
            "type: http, url: http://x, statu: 1",
            "unknown key 'statu' in http step 'a' (did you mean 'status'?)",
        ),
        (
            "type: http, url: x",
            "'url' in http step 'a' is 'x', should be text matching regex '^http'",
        ),
        (
            "type: http, url: http://x, status: 600",
            "'status' in http step 'a' is 600, should be a whole number <= 599",
        ),
        (
            "type: http, url: http://x, also: [x]",
            "'also[0]' in http step 'a' is text, should be a whole number",
        ),
        (
            "type: http, url: http://x, headers: {a: 1}",
            "'headers.a' in http step 'a' is a number, should be text (quote it: '1')",
        ),
        (
            "type: http, url: http://x, login: {retries: 2}",
            "'login' in http step 'a' is a mapping, object missing required field user",
        ),
        (
            "type: http, url: http://x, login: {user: me, retries: x}",
            "'login' in http step 'a' is a mapping, should be a whole number, got text at retries",
        ),
        (
            "type: http, url: http://x, line: none",
            "a line is wanted where there is none in http step 'a'",
        ),
        (
            "type: http, url: http://x, cmd: x",
            "'cmd' belongs to shell steps, and this is http step 'a'",
        ),
        (
            "type: shell, cmd: x, headers: {}",
            "'headers' belongs to http steps, and this is shell step 'a'",
        ),
        (
            "type: http, url: '${{ res }}'",
            (
                "unknown name 'res' in http step 'a' (there is attempt, ctx, env, fixtures, "
                "matrix, recipe, run, steps, vars)"
            ),
        ),
        (
            "type: http, url: http://x, success: {code: [1]}",
            "unknown criterion 'code' in http step 'a' (did you mean 'codes'?)",
        ),
        (
            "type: shell, cmd: x, success: {codes: [x]}",
            "'success.codes[0]' in shell step 'a' is text, should be a whole number",
        ),
        (
            "type: http, url: http://x, success: {exit_code: 1}",
            "'exit_code' belongs to shell steps, and this is http step 'a'",
        ),
        (
            "type: http, url: http://x, isolation: inline, success: {max_rss_mb: 1}",
            (
                "'max_rss_mb' needs a process of its own, and step 'a' runs inside pytest "
                "(it says 'isolation: inline')"
            ),
        ),
    ],
)
def test_mistakes_in_plugin_keys_are_reported_like_those_of_any_step(
    problems: Problems, step: str, message: str
) -> None:
    assert problems(step) == [message]


def test_a_list_for_a_plugin_criterion_is_one_criterion(tmp_path: Path) -> None:
    step = read(
        tmp_path, "steps:\n  - {name: a, type: http, url: http://x, success: {codes: [1, 2]}}\n"
    )

    assert [(one.name, one.expected) for one in step.success] == [("codes", [1, 2])]


def test_defaults_for_other_types_do_not_apply_to_a_plugin_type(tmp_path: Path) -> None:
    class Shell(Http):
        """Has keys of shell steps."""

        name = "mine"

        class Keys(Struct):
            args: Annotated[dict[str, str], Meta(description="Mine.", examples=[{}])] = {}

    step = read(
        tmp_path,
        "defaults: {timeout: 3, args: {A: 1}}\nsteps:\n  - {name: a, type: mine, args: {b: c}}\n",
        BUILT_IN.with_type(Shell),
    )

    assert step.timeout == 3
    assert step.own == {"args": {"b": "c"}}


def test_plugin_keys_are_unknown_without_the_plugin(tmp_path: Path) -> None:
    known = BUILT_IN.with_type(Named)
    text = "steps:\n  - {name: a, type: named, url: http://x}\n"

    assert read(tmp_path, text, known).type == "named"
    with pytest.raises(RecipeError, match="unknown type 'named'"):
        read(tmp_path, text, BUILT_IN)


@pytest.mark.parametrize(
    ("step", "is_good"),
    [
        ({"type": "http", "url": "http://x", "also": [1], "isolation": "inline"}, True),
        ({"type": "http", "url": "${{ vars.x }}", "status": "${{ vars.y }}"}, True),
        ({"type": "http", "url": "http://x", "success": {"codes": [1, 2]}}, True),
        ({"type": "shell", "cmd": "x", "success": {"codes": [1]}}, True),
        ({"type": "http"}, False),
        ({"type": "http", "url": "ftp://x"}, False),
        ({"type": "http", "url": "http://x", "status": 600}, False),
        ({"type": "http", "url": "http://x", "headers": {"a": 1}}, False),
        ({"type": "http", "url": "http://x", "cmd": "x"}, False),
        ({"type": "http", "url": "http://x", "success": {"codes": ["x"]}}, False),
        ({"type": "http", "url": "http://x", "success": {"exit_code": 1}}, False),
        ({"type": "htp", "url": "http://x"}, False),
    ],
)
def test_the_json_schema_includes_plugin_types_and_criteria(
    step: dict[str, Any], is_good: bool
) -> None:
    rules = Draft7Validator(editor_schema.recipe_schema(KNOWN))

    assert rules.is_valid({"steps": [{"name": "a", **step}]}) == is_good


def kind(name: object = "mine", doc: str | None = "Does.", **fields: Any) -> type[StepType]:
    keys = msgspec.defstruct("Keys", list(fields.items()))
    return type("Mine", (Http,), {"name": name, "Keys": keys, "__doc__": doc})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (kind("a b"), "has no good name: 'a b'; write letters, digits and _"),
        (kind("shell"), "has the name 'shell', which another type of steps has"),
        (kind("ssh"), "has the name 'ssh', which another type of steps has"),
        (kind(doc=None), "has no docstring; its first line says what steps of it do"),
        (kind(timeout=Url), "has a key 'timeout', which steps of all types have"),
        (
            kind(url=str),
            (
                "has a key 'url' without description and example; write Annotated[str, "
                "msgspec.Meta(description='...', examples=['...'])]"
            ),
        ),
        (
            kind(list="list[str]"),
            (
                "has 'Keys' that msgspec cannot read: 'member_descriptor' object is not "
                "subscriptable; an annotation uses a name that a field has, too: rename the field, "
                "and name its key with msgspec.field(name='...')"
            ),
        ),
        (
            type("Mine", (Http,), {"name": "mine", "Keys": dict, "__doc__": "Does."}),
            "has no 'Keys'; they are a class of their own, derived from Struct",
        ),
    ],
)
def test_an_invalid_step_type_is_refused(given: type[StepType], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared
        BUILT_IN.with_type(given)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (criterion(name="no-name"), "has no good name: 'no-name'; write letters, digits and _"),
        (criterion(name="files"), "has the name 'files', which another criterion has"),
        (criterion(description=""), "has no description"),
        (
            criterion(example=1),
            "has an example that is none of its type: Expected `array`, got `int`",
        ),
    ],
)
def test_an_invalid_criterion_is_refused(given: Criterion, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared
        BUILT_IN.with_criterion(given)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ("'${{ vars.x }}'", "'codes' is \"three\", should be a list, got text"),
        (
            "[1, '${{ vars.x }}']",
            "'codes' is [1, \"three\"], should be a whole number, got text at [1]",
        ),
    ],
)
def test_a_plugin_criterion_refuses_a_value_of_another_type(
    codes: str, message: str, tmp_path: Path
) -> None:
    step = "{name: a, type: shell, cmd: 'true'"
    text = f"vars: {{x: 1}}\nsteps:\n- {step}, success: {{codes: {codes}}}}}\n"
    path = tmp_path / "x.yaml"
    path.write_text(text)
    step_ = load(path, root=tmp_path, known=KNOWN).steps[0]
    found, errors = evaluate_late_expressions(step_, {"vars": {"x": "three"}})

    (error,) = errors.values()
    assert (str(error), error.place) == (message, step_.templates[0].place)
    assert len(found.success) == 1
    good, errors = evaluate_late_expressions(step_, {"vars": {"x": 3 if "[" in codes else [3]}})
    assert errors == {}
    assert good.success[0].expected in ([3], [1, 3])
