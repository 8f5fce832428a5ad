"""Each cell of a matrix has items of its own, a Context of its own, and its place in reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

MATRIX = """
vars: {loads: [a, b, c]}
matrix:
  gain: [1, 2]
  load: ${{ vars.loads }}
steps:
  - name: set
    type: shell
    parse: text
    cmd: [echo, "${{ matrix.gain }}", "${{ matrix.load }}"]
    outputs: {m.gain: "${{ matrix.gain }}"}
  - name: check
    type: shell
    parse: text
    cmd: "true"
    success: {assert: [ctx.m.gain == matrix.gain]}
"""
CELLS = [f"gain:{gain},load:{load}" for gain in (1, 2) for load in "abc"]


@pytest.fixture
def matrix(project: Project) -> Project:
    project.write("recipes/m.yaml", MATRIX)
    return project


def test_a_matrix_of_two_by_three_gives_six_runs(matrix: Project) -> None:
    result = matrix.run("--collect-only", "-q")

    assert result.outlines[:12] == [
        f"recipes/m.yaml::{step}[{cell}]" for cell in CELLS for step in ("set", "check")
    ]
    matrix.run().assert_outcomes(passed=12)


@pytest.mark.parametrize("cell", CELLS)
def test_each_cell_is_selected_alone(matrix: Project, cell: str) -> None:
    matrix.run(f"recipes/m.yaml::check[{cell}]").assert_outcomes(passed=1)


def test_cells_are_selected_by_their_values(matrix: Project) -> None:
    matrix.run("-k", "gain:1 and load:a").assert_outcomes(passed=2, deselected=10)


@pytest.mark.parametrize("options", [["-n", "2"], ["--recipe-jobs", "2"], ["-p", "randomly"]])
def test_cells_do_not_see_each_other(matrix: Project, options: list[str]) -> None:
    matrix.run(*options).assert_outcomes(passed=12)


def test_a_block_tells_the_cell(matrix: Project) -> None:
    matrix.run("--json-report", "-k", "gain:2 and load:b")
    blocks = matrix.blocks("-k", "gain:2 and load:b")

    assert blocks["set"]["recipe"]["matrix"] == {"gain": 2, "load": "b"}
    assert blocks["set"]["step"]["node"] == "recipes/m.yaml::set[gain:2,load:b]"
    assert blocks["set"]["logs"]["stdout"]["path"] == "logs/m/gain=2,load=b/set.1.stdout"


def test_a_test_names_the_cell_that_it_uses(matrix: Project) -> None:
    matrix.write(
        "test_m.py",
        """
        import pytest

        @pytest.mark.recipe("recipes/m.yaml", matrix={"gain": 2, "load": "b"})
        def test_gain(ctx):
            assert ctx.get("m.gain") == 2

        @pytest.mark.recipe("recipes/m.yaml", matrix={"gain": 2})
        def test_several(ctx):
            pass

        @pytest.mark.recipe("recipes/m.yaml", matrix={"gain": 3})
        def test_none(ctx):
            pass
        """,
    )
    result = matrix.run("test_m.py")

    result.assert_outcomes(passed=1, errors=2)
    cells = ", ".join(CELLS)
    for found, gain in (("3 cells", 2), ("no cell", 3)):
        told = f"matrix={{'gain': {gain}}} of this test means {found} of recipes/m.yaml"
        assert f"{told}; its cells are {cells}" in result.outlines
