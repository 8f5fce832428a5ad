"""Hand-written tests of the Context and files that the recipe cdu_poll writes."""

import csv
import json

import pytest

from pytest_orchestrator import Context


@pytest.mark.unmeasured
@pytest.mark.recipe("recipes/cdu_poll.yaml")
def test_ten_readings_are_in_the_context(ctx: Context) -> None:
    readings = ctx.get("cdu.readings_v1")

    assert [reading["poll"] for reading in readings] == list(range(1, 11))


@pytest.mark.recipe("recipes/cdu_poll.yaml")
def test_the_history_has_one_entry_for_each_reading(ctx: Context) -> None:
    appended = [c for c in ctx.get_history("cdu.readings_v1") if c["op"] == "append"]

    assert [change["index"] for change in appended] == list(range(10))
    assert {change["who"] for change in appended} == {"cdu_readings"}


@pytest.mark.recipe("recipes/cdu_poll.yaml")
def test_the_racks_warm_the_coolant_by_ten_kelvin(ctx: Context) -> None:
    assert ctx.get("cdu.delta_temperature_v1") == pytest.approx(10, abs=1)


@pytest.mark.recipe("recipes/cdu_poll.yaml")
def test_the_pressure_delta_is_that_of_the_means(ctx: Context) -> None:
    supply = ctx.get("cdu.mean_supply_pressure_v1")
    back = ctx.get("cdu.mean_return_pressure_v1")

    assert ctx.get("cdu.delta_pressure_v1") == pytest.approx(supply - back, abs=0.002)


@pytest.mark.recipe("recipes/cdu_poll.yaml")
def test_the_table_has_a_row_for_each_reading(ctx: Context, pytestconfig: pytest.Config) -> None:
    table = pytestconfig.rootpath / "out/cdu_poll/readings.csv"
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    assert [{name: float(text) for name, text in row.items()} for row in rows] == ctx.get(
        "cdu.readings_v1"
    )


@pytest.mark.recipe("recipes/cdu_poll.yaml")
def test_the_figures_file_agrees_with_the_context(
    ctx: Context, pytestconfig: pytest.Config
) -> None:
    figures = json.loads((pytestconfig.rootpath / "out/cdu_poll/figures.json").read_bytes())

    assert len(figures) == 6
    assert figures == {key: ctx.get(key) for key in figures}
