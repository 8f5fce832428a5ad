"""Hooks of step types: `check`, `secrets` and `locks`, and the values that they receive."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, Struct

from pytest_orchestrator.extending import (
    KeyProblem,
    Place,
    Project,
    StepEnvironment,
    StepSpec,
    StepType,
    Unevaluated,
    WrittenStep,
)
from pytest_orchestrator.recipe import BUILT_IN, CustomStep, RecipeError, load
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.fields import type_hooks
from pytest_orchestrator.recipe.fields.resolve import evaluate_step

Text = Annotated[str, Meta(description="A text.", examples=["x"])]
Texts = Annotated[dict[str, Any], Meta(description="Texts by name.", examples=[{"a": "x"}])]
Numbers = Annotated[list[int], Meta(description="Numbers.", examples=[[1]])]


class Keys(Struct):
    port: Text
    more: Texts = {}
    channels: Numbers = msgspec.field(default_factory=lambda: [7])


class Psu(StepType):
    """Switches a supply."""

    name = "psu"
    Keys = Keys

    def run(self, keys: Any, ctx: Any, env: StepEnvironment) -> Mapping[str, Any]:
        return {"status": "ok"}


Read = Callable[..., CustomStep]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(kind: type[StepType], keys: str, head: str = "") -> CustomStep:
        path = tmp_path / "x.yaml"
        path.write_text(f"{head}\nsteps:\n  - name: a\n    type: psu\n{keys}")
        known = BUILT_IN.with_type(kind, plugin="bench").with_instruments(["load", "psu"])
        step = load(path, root=tmp_path, known=known).steps[0]
        assert isinstance(step, CustomStep)
        return step

    return read


def kind_with(**hooks: Any) -> type[StepType]:
    """Return the type `psu` with functions as its class methods."""
    own: dict[str, Any] = {name: classmethod(function) for name, function in hooks.items()}
    return type("Psu2", (Psu,), {"__doc__": "Switches.", **own})


def text_of(read: Read, kind: type[StepType], keys: str) -> str:
    with pytest.raises(RecipeError) as caught:
        read(kind, keys)
    return str(caught.value)


def test_check_receives_the_step_as_it_is_written(read: Read, tmp_path: Path) -> None:
    seen: list[tuple[WrittenStep, Project]] = []

    def check(_: Any, step: WrittenStep, project: Project) -> list[KeyProblem]:
        seen.append((step, project))
        return []

    read(
        kind_with(check=check),
        "    port: /dev/${{ vars.tty }}\n"
        "    more: {a: 1, b: [x, '${{ vars.tty }}']}\n"
        "    success: {assert: ['${{ vars.tty }}', 1 == 1]}\n",
        "vars: {tty: s0}\ndefaults: {timeout: 5s}",
    )

    [(step, project)] = seen
    assert (step.step, step.recipe) == ("a", str(tmp_path / "x.yaml"))
    assert project.root == tmp_path
    assert step.keys == {
        "port": Unevaluated("/dev/${{ vars.tty }}"),
        "more": {"a": 1, "b": ["x", Unevaluated("${{ vars.tty }}")]},
        "channels": [7],
    }
    assert step.common == {
        "name": "a",
        "type": "psu",
        "timeout": "5s",
        "success": {"assert": [Unevaluated("${{ vars.tty }}"), "1 == 1"]},
    }
    assert step.places["port",] == Place(6, 11, 20)
    assert step.places["more", "b", 1] == Place(7, 25, 17)
    assert step.places[()] == Place(4, 5, 4)
    assert ("channels",) not in step.places


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            KeyProblem(("port",), "names no device", "plug it in"),
            (
                "x.yaml:5:11: 'port' in psu step 'a' names no device (plug it in)\n\n"
                "   3 |   - name: a\n   4 |     type: psu\n   5 |     port: x\n"
                "     |           ^"
            ),
        ),
        (
            KeyProblem(("more", "b", 1), "is odd"),
            (
                "x.yaml:6:19: 'more.b[1]' in psu step 'a' is odd\n\n"
                "   4 |     type: psu\n   5 |     port: x\n   6 |     more: {b: [1, 3]}\n"
                "     |                   ^"
            ),
        ),
        (  # the innermost value that the recipe has
            KeyProblem(("more", "c", 1), "is missing"),
            (
                "x.yaml:6:11: 'more.c[1]' in psu step 'a' is missing\n\n"
                "   4 |     type: psu\n   5 |     port: x\n   6 |     more: {b: [1, 3]}\n"
                "     |           ^^^^^^^^^^^"
            ),
        ),
        (
            KeyProblem((), "needs a bench"),
            (
                "x.yaml:3:5: psu step 'a' needs a bench\n\n"
                "   1 | \n   2 | steps:\n   3 |   - name: a\n     |     ^^^^"
            ),
        ),
        (  # a text in the place of a path is the name of a key, and no colour reaches a terminal
            KeyProblem("port", "is \x1b[31mred\x1b[0m"),
            (
                "x.yaml:5:11: 'port' in psu step 'a' is red\n\n"
                "   3 |   - name: a\n   4 |     type: psu\n   5 |     port: x\n"
                "     |           ^"
            ),
        ),
        (
            KeyProblem(("channels",), "is not wired"),
            (
                "x.yaml:3:5: 'channels' in psu step 'a' is not wired\n\n"
                "   1 | \n   2 | steps:\n   3 |   - name: a\n     |     ^^^^"
            ),
        ),
    ],
)
def test_a_problem_of_check_is_an_error_of_the_recipe(
    read: Read, problem: KeyProblem, text: str
) -> None:
    kind = kind_with(check=lambda *_: [problem])

    assert text_of(read, kind, "    port: x\n    more: {b: [1, 3]}\n") == text


def test_check_is_not_called_for_a_step_with_other_problems(read: Read) -> None:
    kind = kind_with(check=lambda *_: [KeyProblem((), "is checked")])

    assert "is checked" not in text_of(read, kind, "    port: 3\n")
    assert "is checked" not in text_of(read, kind, "    port: x\n    timeout: never\n")


def raises(*_: Any) -> Any:
    raise KeyError("volts")


def as_text(*_: Any) -> Any:
    return "psu"


@pytest.mark.parametrize(
    ("hook", "function", "text"),
    [
        ("check", raises, "check of step type 'psu' raised KeyError: 'volts'"),
        ("check", as_text, "check of step type 'psu' returned a value of type str, no list"),
        ("check", lambda *_: None, "check of step type 'psu' returned None, no list"),
        (
            "check",
            lambda *_: [3],
            (
                "check of step type 'psu' returned a list with a value of type int in it, "
                "no KeyProblem"
            ),
        ),
        ("secrets", raises, "secrets of step type 'psu' raised KeyError: 'volts'"),
        ("secrets", as_text, "secrets of step type 'psu' returned a value of type str, no list"),
    ],
)
def test_a_broken_hook_is_reported_with_the_name_of_its_plugin(
    read: Read, hook: str, function: Any, text: str
) -> None:
    shown = text_of(read, kind_with(**{hook: function}), "    port: x\n")

    assert shown == (
        f"x.yaml:4:11: plugin 'bench': {text} in psu step 'a'\n\n"
        "   2 | steps:\n   3 |   - name: a\n   4 |     type: psu\n     |           ^^^"
    )


def test_secrets_without_an_unevaluated_value_are_known_at_once(read: Read) -> None:
    def secrets(_: Any, step: StepSpec) -> list[Any]:
        return [step.keys["port"], step.keys["more"]]

    step = read(
        kind_with(secrets=secrets),
        "    port: ${{ vars.pin }}\n    more: {a: hunter2, b: '${{ vars.pin }}'}\n",
        "vars: {pin: '1234'}",
    )

    assert type_hooks.call("secrets", step, "x.yaml") == [None, {"a": "hunter2", "b": None}]
    ready = evaluate_step(step, {"vars": {"pin": "1234"}})
    assert type_hooks.call("secrets", ready, "x.yaml") == [
        "1234",
        {"a": "hunter2", "b": "1234"},
    ]


def test_locks_of_the_type_are_added_to_those_of_the_step(read: Read) -> None:
    def locks(_: Any, step: StepSpec) -> list[str]:
        return [f"channel{each}" for each in step.keys["channels"]] + ["psu"]

    step = read(kind_with(locks=locks), "    port: x\n    locks: [psu, rack]\n")

    assert type_hooks.with_locks(step, "x.yaml").locks == ("psu", "rack", "channel7")


def test_locks_of_keys_with_vars_are_known_before_any_step_runs(read: Read) -> None:
    # In a text, a value that is not known yet would be a lock of another name.
    kind = kind_with(locks=lambda _, step: [f"{step.keys['port']}"])
    early = read(kind, "    port: p${{ vars.n }}\n", "vars: {n: 1}")
    late = read(kind, "    port: p${{ ctx.n }}\n")

    known = {"vars": {"n": 1}}
    assert type_hooks.call("locks", early, "x.yaml", known, before_steps=True) == ["p1"]
    assert type_hooks.call("locks", late, "x.yaml", known, before_steps=True) == []


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (raises, "plugin 'bench': locks of step type 'psu' raised KeyError: 'volts'"),
        (
            lambda *_: [3],
            "plugin 'bench': locks of step type 'psu': 'locks[0]' is 3, should be text",
        ),
    ],
)
def test_broken_locks_name_the_plugin(read: Read, function: Any, text: str) -> None:
    step = read(kind_with(locks=function), "    port: x\n")

    with pytest.raises(ExpressionError) as caught:
        type_hooks.with_locks(step, "x.yaml")

    assert (str(caught.value), caught.value.place) == (text, Place(4, 11, 3))


def test_a_type_with_run_alone_has_no_hooks(read: Read) -> None:
    step = read(Psu, "    port: x\n")

    assert not any(type_hooks.defines(Psu, hook) for hook in type_hooks.HOOKS)
    assert type_hooks.uncalled(Psu) == []
    assert type_hooks.with_locks(step, "x.yaml") is step
    assert type_hooks.call("secrets", step, "x.yaml") == []


def test_an_ordinary_method_with_the_name_of_a_hook_is_not_called(read: Read) -> None:
    class Old(Psu):
        """Has a helper that is older than the hook."""

        def check(self, volts: int) -> bool:  # type: ignore[override]
            return volts > 3

    assert type_hooks.uncalled(Old) == ["check"]
    assert read(Old, "    port: x\n").own == {"port": "x"}


def test_a_type_of_a_plugin_can_say_that_its_steps_are_no_services(read: Read) -> None:
    kind = type("Psu2", (Psu,), {"__doc__": "Switches.", "background": False})
    keys = "    port: A\n    background: true\n"

    assert read(Psu, keys).background
    assert text_of(read, kind, keys).startswith(
        "x.yaml:6:17: 'background' in psu step 'a' is for services, which run until they are "
        "ended; this type ends by itself (leave it out)\n"
    )


def test_errors_of_a_file_show_none_of_the_values_that_a_type_calls_secret(read: Read) -> None:
    def secrets(cls: object, step: StepSpec) -> list[object]:
        return [step.keys["port"], step.keys["channels"]]

    keys = "    prot: 1\n    more: {a: hidden-77}\n    port: hidden-77\n    mode: hidden-77\n"
    shown = text_of(read, kind_with(secrets=secrets), keys)

    assert "unknown key 'prot'" in shown
    assert "   6 |     ***\n   7 |     ***\n   8 |     ***\n" in shown
    assert "hidden" not in shown


def test_errors_of_a_file_mask_by_names_if_a_type_cannot_name_its_secrets(read: Read) -> None:
    def secrets(cls: object, step: StepSpec) -> list[object]:
        raise ValueError(f"no {step.keys['more']['token']}")

    shown = text_of(read, kind_with(secrets=secrets), "    port: A\n    more: {token: hidden-77}\n")

    assert shown == (
        "x.yaml:4:11: plugin 'bench': secrets of step type 'psu' raised ValueError: no *** "
        "in psu step 'a'\n\n"
        "   2 | steps:\n"
        "   3 |   - name: a\n"
        "   4 |     type: psu\n"
        "     |           ^^^"
    )


def test_instruments_of_a_step_are_known_as_far_as_they_have_values(read: Read) -> None:
    kind = kind_with(instruments=lambda _, step: [step.keys["port"], "psu", "psu"])

    assert type_hooks.call("instruments", read(kind, "    port: load\n"), "x.yaml") == [
        "load",
        "psu",
    ]
    late = read(kind, "    port: ${{ ctx.a }}\n")
    assert type_hooks.call("instruments", late, "x.yaml") == ["psu"]
    assert type_hooks.call("instruments", read(Psu, "    port: load\n"), "x.yaml") == []
    written = StepSpec(step="a", recipe="x.yaml", keys={"port": "p"})
    assert type_hooks.called(type(late), "instruments", written) == ["p", "psu"]
    wrong = kind_with(instruments=lambda _, step: [1, step])
    with pytest.raises(RecipeError) as refused:
        read(wrong, "    port: load\n")
    assert [one.text for one in refused.value.problems] == [
        (
            "plugin 'bench': instruments of step type 'psu' returned a list with a value of type "
            "int in it, no name in psu step 'a'"
        )
    ]
