"""Each cell of a matrix has its own items, its own Context and its own reports."""

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


def test_a_report_block_contains_the_cell(matrix: Project) -> None:
    matrix.run("--json-report", "-k", "gain:2 and load:b")
    blocks = matrix.blocks("-k", "gain:2 and load:b")

    assert blocks["set"]["recipe"]["matrix"] == {"gain": 2, "load": "b"}
    assert blocks["set"]["step"]["node"] == "recipes/m.yaml::set[gain:2,load:b]"
    assert blocks["set"]["logs"]["stdout"]["path"] == "logs/m/gain=2,load=b/set.1.stdout"


@pytest.mark.counted
def test_a_marker_names_the_cell_that_its_test_uses(matrix: Project) -> None:
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
    cure = " (write matrix={'gain': 2, 'load': 'a'})"
    for found, gain, end in (("3 cells", 2, cure), ("no cell", 3, "")):
        message = f"matrix={{'gain': {gain}}} of this test means {found} of recipes/m.yaml"
        assert f"{message}; its cells are {cells}{end}" in result.outlines


def _benches(project: Project, cells: str = '[1, 2, "3-x.y"]') -> None:
    """Write a recipe with a failing cell and a used file, and another failing recipe."""
    project.write(
        "recipes/_part.yaml", "steps:\n- {name: in, type: shell, parse: text, cmd: ':'}\n"
    )
    project.write(
        "recipes/m.yaml",
        f"""
        matrix: {{g: {cells}, h: [a.b, c-d]}}
        steps:
        - name: a
          type: shell
          parse: text
          args: {{G: "${{{{ matrix.g }}}}"}}
          cmd: '[ "$G" != 2 ]'
        - {{name: part, use: recipes/_part.yaml, needs: []}}
        """,
    )
    project.recipe("z", {"alone": "function: refuse"})


_FAILED = [
    "recipes/m.yaml::a[g:2,h:a.b]",
    "recipes/m.yaml::a[g:2,h:c-d]",
    "recipes/z.yaml::alone",
]


@pytest.mark.parametrize("options", [[], ["-n", "2"]])
def test_last_failed_runs_only_the_failed_cells(project: Project, options: list[str]) -> None:
    _benches(project)
    project.run(*options)

    assert project.outcomes("--lf", *options) == dict.fromkeys(_FAILED, "failed")


def test_last_failed_works_if_only_cells_failed(project: Project) -> None:
    _benches(project)
    project.run("recipes/m.yaml")

    assert project.outcomes("--lf", "recipes/m.yaml") == dict.fromkeys(_FAILED[:2], "failed")


def test_failed_first_begins_with_the_failed_cells(project: Project) -> None:
    _benches(project)
    project.run()

    ran = list(project.outcomes("--ff"))

    assert ran[:5] == [
        _FAILED[0],
        _node("part.in", "g:2,h:a.b"),
        _FAILED[1],
        _node("part.in", "g:2,h:c-d"),
        _FAILED[2],
    ]
    assert len(ran) == 13


def _node(step: str, cell: str) -> str:
    return f"recipes/m.yaml::{step}[{cell}]"


def test_new_first_begins_with_the_new_cells(project: Project) -> None:
    _benches(project, cells="[1, 5]")
    project.run("recipes/m.yaml")
    _benches(project, cells="[1, 5, 4]")

    assert list(project.outcomes("--nf", "recipes/m.yaml"))[:4] == [
        _node(step, cell) for cell in ("g:4,h:a.b", "g:4,h:c-d") for step in ("a", "part.in")
    ]


def test_stepwise_continues_at_the_failed_cell(project: Project) -> None:
    _benches(project)
    assert _ran(project, "--sw")[-1] == _FAILED[0]
    project.run("--sw").assert_outcomes(failed=1, deselected=4)


def test_stepwise_skip_passes_over_the_first_failed_cell(project: Project) -> None:
    _benches(project)
    project.run("--sw")

    assert _ran(project, "--sw", "--sw-skip") == [
        _FAILED[0],
        _node("part.in", "g:2,h:a.b"),
        _FAILED[1],
    ]
    project.run("--sw").assert_outcomes(failed=1, deselected=6)


def _ran(project: Project, *options: str) -> list[str]:
    """Run a session without blocked steps; return the items that ran."""
    outcomes = project.outcomes(*options)
    return [node for node, outcome in outcomes.items() if outcome != "skipped"]
