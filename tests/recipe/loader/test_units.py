"""Steps of a recipe with units run for each unit, once for all, or together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.execution.expression_scope import collected
from pytest_orchestrator.recipe import Recipe, RecipeError, cells, load
from pytest_orchestrator.recipe.fields.extensions import BUILT_IN
from pytest_orchestrator.recipe.variables import ExternalValue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Expand = Callable[..., Recipe]

SHELL = "type: shell, cmd: x"
SCPI = 'type: scpi, instrument: psu, commands: ["VOLT 5"]'
TWO = "units: {names: [A, B]}\n"


@pytest.fixture
def expand(tmp_path: Path) -> Expand:
    """Write a recipe and used files, and return the recipe with the steps of its units."""

    def expand(
        text: str, *, shared: bool = False, serials: dict[str, str] | None = None, **used: str
    ) -> Recipe:
        for name, content in {"x": text, **used}.items():
            (tmp_path / f"{name}.yaml").write_text(content)
        known = BUILT_IN.with_instruments(["psu"], frozenset(["psu"] if shared else []))
        recipe = load(tmp_path / "x.yaml", root=tmp_path, known=known)
        given = {
            f"serial.{name}": ExternalValue(serial, "--recipe-var", serial)
            for name, serial in (serials or {}).items()
        }
        [found] = cells(recipe, collected(recipe, given))
        return found

    return expand


def needs_of(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    return {step.name: step.needs for step in (*recipe.steps, *recipe.final)}


def errors_of(expand: Expand, text: str, **used: str) -> list[str]:
    """Return the problems of a recipe as `line:column sentence`."""
    with pytest.raises(RecipeError) as caught:
        expand(text, **used)
    return [f"{one.place.line}:{one.place.column} {one.text}" for one in caught.value.problems]


def test_steps_come_step_by_step_and_within_a_step_unit_by_unit(expand: Expand) -> None:
    recipe = expand(TWO + f"steps: [{{name: a, {SHELL}}}, {{name: b, {SHELL}}}]")

    assert needs_of(recipe) == {
        "a[unit:A]": (),
        "a[unit:B]": (),
        "b[unit:A]": ("a[unit:A]",),
        "b[unit:B]": ("a[unit:B]",),
    }
    assert recipe.context == "recipe"
    assert [recipe.node(step.name) for step in recipe.steps][1] == "x.yaml::a[unit:B]"


def test_a_step_after_a_step_that_runs_once_needs_what_its_own_unit_did(expand: Expand) -> None:
    steps = f"[{{name: a, {SHELL}}}, {{name: heat, scope: once, {SHELL}}}, {{name: b, {SHELL}}}]"

    assert needs_of(expand(f"units: {{count: 2}}\nsteps: {steps}")) == {
        "a[unit:1]": (),
        "a[unit:2]": (),
        "heat": ("a[unit:1]", "a[unit:2]"),
        "b[unit:1]": ("heat", "a[unit:1]"),
        "b[unit:2]": ("heat", "a[unit:2]"),
    }


def test_the_unit_comes_first_in_joined_ids_and_the_steps_of_a_used_file_have_it(
    expand: Expand,
) -> None:
    text = TWO + "steps:\n  - {name: u, use: part.yaml, with: {sn: '${{ unit.name }}'}}\n"
    text += f"  - {{name: m, {SHELL}, matrix: {{channel: [1]}}}}\n"
    recipe = expand(text, part=f"vars: {{sn: 1}}\nsteps: [{{name: in, {SHELL}}}]")

    names = [step.name for step in recipe.steps]
    assert names == ["u.in[unit:A]", "u.in[unit:B]", *(f"m[unit:{one},channel:1]" for one in "AB")]
    assert recipe.steps[0].file_use is not recipe.steps[1].file_use
    assert recipe.steps[2].needs == ("u.in[unit:A]",)


def test_steps_of_finally_run_once_unless_they_say_each(expand: Expand) -> None:
    final = f"[{{name: off, scope: each, {SHELL}}}, {{name: down, {SHELL}}}]"
    recipe = expand(TWO + f"steps: [{{name: a, {SHELL}}}]\nfinally: {final}")

    assert [step.name for step in recipe.final] == ["off[unit:A]", "off[unit:B]", "down"]


def test_an_empty_serial_number_leaves_the_socket_out(expand: Expand) -> None:
    text = f'units: {{count: 3, serial: {{pattern: "SN."}}}}\nsteps: [{{name: a, {SHELL}}}]'

    recipe = expand(text, serials={"1": "SN1", "2": "", "3": "SN3"})

    assert [step.name for step in recipe.steps] == ["a[unit:1]", "a[unit:3]"]
    assert recipe.steps[1].cell is not None
    assert recipe.steps[1].cell.unit == {"name": "3", "index": 2}
    assert recipe.units is not None
    assert (recipe.units.empty, recipe.units.present) == (("2",), ("1", "3"))


@pytest.mark.parametrize(
    ("serials", "problem"),
    [
        ({"A": "", "B": ""}, "all sockets are empty: no unit has a serial number"),
        (
            {"A": "SN1", "B": "SN1"},
            "units 'A' and 'B' have the same serial number, SN1",
        ),
    ],
)
def test_units_without_or_with_the_same_serial_number_are_refused(
    expand: Expand, serials: dict[str, str], problem: str
) -> None:
    text = f"units: {{names: [A, B], serial: {{}}}}\nsteps: [{{name: a, {SHELL}}}]"
    with pytest.raises(RecipeError) as caught:
        expand(text, serials=serials)
    assert [one.text for one in caught.value.problems] == [problem]


@pytest.mark.parametrize(
    ("units", "problem"),
    [
        (
            "{count: 2, names: [A]}",
            "1:8 'units' has 'count' and 'names' (write {count: 4}, or {names: [A, B]})",
        ),
        (
            "{}",
            "1:8 'units' has no 'count' and no 'names' (write {count: 4}, or {names: [A, B]})",
        ),
        ("{count: 0}", "1:16 'units.count' is 0, should be 1 to 64"),
        ("{names: [A, A]}", "1:16 'units.names' has 'A' twice"),
        (
            "{names: [A.1]}",
            "1:17 'units.names[0]' is 'A.1', should be at most 32 letters, digits, _ and -",
        ),
        ("{cuont: 2}", "1:9 unknown key 'cuont' in 'units' (did you mean 'count'?)"),
        (
            "{count: 1, serial: {default: SN1}}",
            (
                "1:28 'units.serial.default' is no key of serial numbers, which are texts that "
                "reports show"
            ),
        ),
    ],
)
def test_wrong_units_are_refused(expand: Expand, units: str, problem: str) -> None:
    assert problem in errors_of(expand, f"units: {units}\nsteps: [{{name: a, {SHELL}}}]")


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (
            f"scope: once, {SHELL}",
            (
                "'scope' in step 'b' stands in a recipe without 'units' (units: {count: 4} at the "
                "root, or leave it out)"
            ),
        ),
        (
            f"turn: t, {SHELL}",
            (
                "'turn' in step 'b' stands in a recipe without 'units' (units: {count: 4} at the "
                "root, or leave it out)"
            ),
        ),
        (
            f"{SHELL}, env: {{A: '${{{{ unit.name }}}}'}}",
            (
                "'unit' in shell step 'b' is known only in steps of one unit: `units` at the root, "
                "and `scope: each`"
            ),
        ),
    ],
)
def test_keys_of_units_are_refused_without_units(expand: Expand, step: str, problem: str) -> None:
    [found] = errors_of(expand, f"steps:\n  - {{name: b, {step}}}\n")
    assert found.partition(" ")[2] == problem


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (
            f"scope: once, {SHELL}, if: unit.index == 0",
            (
                "'unit' in shell step 'b' is known only in steps of one unit: `units` at the root, "
                "and `scope: each`"
            ),
        ),
        (
            f"scope: once, {SHELL}, if: steps.a.outcome == 'passed'",
            (
                "steps.a is a list in step 'b', because step 'a' runs for each unit "
                "(steps.a | map(attribute='outcome') | list)"
            ),
        ),
        (
            f"scope: once, turn: t, {SHELL}",
            "'turn' in step 'b' is for steps of units, and this step runs once",
        ),
        (
            f"scope: together, locks: [l], {SHELL}",
            (
                "'locks' in step 'b' stands beside 'scope: together': units that start at once "
                "cannot wait for it (write scope: each)"
            ),
        ),
        (
            f"scope: together, {SCPI}",
            (
                "'instrument' in step 'b' stands beside 'scope: together': units that start at "
                "once cannot wait for it (write scope: each)"
            ),
        ),
        (
            "scope: together, type: prompt, message: m",
            (
                "'type' in step 'b' is 'prompt', and one question is asked at a time "
                "(write scope: each, or once)"
            ),
        ),
    ],
)
def test_steps_that_no_unit_can_run_are_refused(expand: Expand, step: str, problem: str) -> None:
    text = TWO + f"steps:\n  - {{name: a, {SHELL}}}\n  - {{name: b, {step}}}\n"
    assert problem in [one.partition(" ")[2] for one in errors_of(expand, text)]


def test_two_steps_of_a_unit_with_one_instrument_need_a_common_turn(expand: Expand) -> None:
    text = TWO + f"steps:\n  - {{name: set, {SCPI}}}\n  - {{name: ask, {SCPI}}}\n"

    assert errors_of(expand, text) == [
        (
            "4:41 steps 'set' and 'ask' use instrument 'psu', and another unit may use it in "
            "between (give both the same turn, as turn: psu; or shared: true in the station file)"
        )
    ]
    assert len(expand(text, shared=True).steps) == 4
    assert len(expand(text.replace(f", {SCPI}", f", turn: psu, {SCPI}")).steps) == 4
    assert len(expand(text.replace("{name: ask", "{scope: once, name: ask")).steps) == 3


def test_a_turn_that_would_wait_for_another_unit_is_refused(expand: Expand) -> None:
    def problem(middle: str, more: str = "") -> list[str]:
        steps = f"  - {{name: a, turn: t, {SHELL}}}\n  - {{name: m, {middle}, {SHELL}}}\n"
        return errors_of(expand, TWO + f"steps:\n{steps}{more}  - {{name: z, turn: t, {SHELL}}}\n")

    for scope in ("once", "together"):
        assert problem(f"scope: {scope}") == [
            (
                "5:21 'turn' in step 'z' is 't', and 'm', which runs within it, waits for all "
                f"units ('{scope}') (end the turn before 'm')"
            )
        ]
    assert problem("turn: other", f"  - {{name: n, turn: other, {SHELL}}}\n") == [
        (
            "6:21 'turn' in step 'z' is 't', and 'm', which runs within it, has the turn 'other', "
            "which waits for this one too (give both one turn)"
        )
    ]


def test_units_stand_neither_beside_a_matrix_nor_in_a_used_file(expand: Expand) -> None:
    step = f"steps: [{{name: a, {SHELL}}}]"
    assert errors_of(expand, f"{TWO}matrix: {{n: [1]}}\n{step}") == [
        (
            "2:1 'matrix' stands beside 'units' "
            "(give the steps a matrix, or write a recipe for each cell)"
        )
    ]
    [found] = errors_of(expand, "steps: [{name: u, use: part.yaml}]", part=f"{TWO}{step}")
    assert found == "1:24 part.yaml has 'units', which a file that is used cannot have"
