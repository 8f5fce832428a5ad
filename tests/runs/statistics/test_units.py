"""Units under test, and the runs of recipes that count for statistics."""

from typing import Any

import pytest
from msgspec import structs

from pytest_orchestrator.runs.statistics.figures import yield_of
from pytest_orchestrator.runs.statistics.units import Unit, counted, unit_of
from tests.runs.statistics.past import recipe, run, step


@pytest.mark.parametrize(
    ("meta", "unit"),
    [
        ({"dut": "A17"}, Unit("A17", "")),
        ({"dut": 17, "dut_type": "PSU"}, Unit("17", "PSU")),
        ({"dut": {"serial_number": "A17", "part_number": "PN-889"}}, Unit("A17", "PN-889")),
        ({"dut": {"sn": "A17", "hardware": "C2"}, "dut_type": "PSU"}, Unit("A17", "PSU")),
        ({"dut": {"hardware": "C2"}}, Unit("", "")),
        ({}, Unit("", "")),
    ],
)
def test_the_serial_number_and_the_type_come_from_test_meta(
    meta: dict[str, Any], unit: Unit
) -> None:
    assert unit_of(meta) == unit


def test_the_first_run_of_a_unit_and_recipe_is_the_first_pass_and_the_last_one_the_final() -> None:
    runs = [
        run(3, recipe()),
        run(2, recipe(dut="B2"), recipe(key="recipes/other.yaml")),
        run(1, recipe(verdict="failed")),
    ]
    found = counted(runs).runs

    assert [(one.run.id[-1], one.unit.serial, one.is_first, one.is_last) for one in found] == [
        ("1", "A17", True, False),
        ("2", "A17", True, True),
        ("2", "B2", True, True),
        ("3", "A17", False, True),
    ]


def test_one_serial_number_of_two_types_is_two_units() -> None:
    kinds = [{"serial_number": "001", "part_number": kind} for kind in ("P1", "P2")]
    found = counted([run(2, recipe(dut=kinds[1])), run(1, recipe(dut=kinds[0]))])

    assert [(one.is_first, one.is_last) for one in found.runs] == [(True, True)] * 2
    assert yield_of("", found.runs).units == 2


def test_an_error_before_any_step_ran_says_nothing_about_the_unit() -> None:
    refused = step("rail", "error", attempts=0, seconds=None)
    ran = recipe(step("rail", "restored", seconds=None), step("load", "error"), verdict="error")
    found = counted([run(2, ran), run(1, recipe(refused, verdict="error"))])

    assert ([one.run.id[-1] for one in found.runs], found.left_out) == (["2"], {"nothing ran": 1})


def test_runs_that_do_not_count_are_numbered_by_reason() -> None:
    runs = [
        run(6, recipe(dut=None)),
        run(5, recipe(selected=1)),
        run(4, recipe(verdict="interrupted")),
        run(3, recipe(verdict="skipped")),
        run(2, verdict="damaged", state="damaged"),
        run(1, recipe(dut={"hardware": "C2"}), recipe(verdict="failed")),
    ]
    found = counted(runs)

    assert [one.recipe.verdict for one in found.runs] == ["failed"]
    assert found.left_out == {
        "damaged": 1,
        "interrupted": 1,
        "no serial number": 2,
        "nothing ran": 1,
        "partly selected": 1,
    }


def test_an_interrupted_first_run_is_no_first_pass() -> None:
    found = counted([run(2, recipe()), run(1, recipe(verdict="interrupted"))]).runs

    assert [(one.run.id[-1], one.is_first) for one in found] == [("2", True)]


def test_a_selection_changes_no_first_run() -> None:
    runs = [run(2, recipe(), station="two"), run(1, recipe(verdict="failed"), station="one")]
    found = counted(runs, lambda one, _: one.station == "two").runs

    assert [(one.run.id[-1], one.is_first, one.is_last) for one in found] == [("2", False, True)]


def test_runs_outside_of_a_selection_have_no_reason() -> None:
    runs = [run(2, recipe(dut=None)), run(1, verdict="damaged", state="damaged")]

    assert counted(runs, lambda *_: False).left_out == {}


def test_simulated_runs_count_only_if_no_run_of_the_recipe_had_real_instruments() -> None:
    simulated = recipe(dut="B2", simulated=("psu",))
    other = recipe(key="recipes/other.yaml", simulated=("psu",))

    mixed = counted([run(2, recipe()), run(1, simulated, other)])
    alone = counted([run(1, simulated, other)])

    assert [one.unit.serial for one in mixed.runs] == ["A17", "A17"]
    assert mixed.left_out == {"simulated, beside runs with real instruments": 1}
    assert (mixed.simulated, alone.simulated, alone.left_out) == (1, 2, {})


def test_a_recipe_that_is_blocked_or_by_hand_does_not_count() -> None:
    redone = structs.replace(recipe(), remarks=("redo",))
    by_hand = recipe(verdict="by hand")
    found = counted([run(3, redone), run(2, recipe(verdict="blocked")), run(1, by_hand)])

    assert (found.runs, found.left_out) == ((), {"redo": 1, "by hand": 1, "nothing ran": 1})
    assert not redone.is_reference
