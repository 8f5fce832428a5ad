"""Summary of the recipes below the tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_RUN = re.compile(r"run \.orchestrator/runs/\d{8}T\d{6}Z-[0-9a-f]{12}")
_FAIL = "type: shell, cmd: exit 3, parse: text"
_SHELL = "type: shell, cmd: 'true', parse: text"
_MEASURE = """\
matrix: {load: [10, 20, 60]}
steps:
  - name: measure
    type: shell
    cmd: |
      echo "{\\"v\\": ${{ matrix.load }}}"
    parse: data
    measurements:
      ripple: {value: result.v, unit: mV, high: 50, marginal: {high: 15}}
  - {name: off, type: shell, cmd: 'true', parse: text}
"""


@pytest.fixture
def bench(project: Project) -> Project:
    """A project with a recipe that passes, one that fails, and one with a matrix."""
    project.by_shell = True
    project.recipe("good", {"one": "", "two": ""})
    project.recipe("bad", {"one": "", "two": _FAIL, "three": "", "four": ""}, {"off": ""})
    project.write("recipes/cells.yaml", _MEASURE)
    return project


def _summary(result: pytest.RunResult) -> list[str]:
    """Return the lines of the summary without times; the first one is the path of the run."""
    lines = result.outlines
    end = next((at for at, line in enumerate(lines) if _RUN.fullmatch(line)), None)
    if end is None:
        return []
    first = next(
        (at for at in range(end, -1, -1) if re.match(r"-+ recipes -+|$|.*%\]$", lines[at])), -1
    )
    assert sum(line.startswith("run ") for line in lines) == 1
    return [re.sub(r" +\d+\.\d\d s", "  #", line) for line in lines[first + 1 : end]]


def _narrow(line: str) -> str:
    """Return a line with two spaces between its columns."""
    return re.sub(r"(?<=\S)  +", "  ", line)


_OVERVIEW = [
    "recipes/bad.yaml    failed  5 steps  #  1 failed, 2 blocked",
    "  two  failed  #  blocks 2 steps; exit code 3, expected 0",
    (
        "recipes/cells.yaml  failed  6 steps  #  3 cells, 1 failed; "
        "3 measurements, 1 failed, 1 marginal"
    ),
    "  [load:60]     failed  2 steps  #  measure failed; blocks 1 step",
    "  2 more cells  passed  4 steps  #",
    "  measure    state                ripple",
    "  limits                          ≤ 50 mV",
    "  [load:20]  passed (1 marginal)  20 (margin 30)",
    "  [load:60]  failed               60 (10 above)",
    "recipes/good.yaml   passed  2 steps  #",
]
_FAILED = [*_OVERVIEW[:4], *_OVERVIEW[5:7], _OVERVIEW[8], *_OVERVIEW[10:]]
_TOTALS = [
    (
        "3 recipes: 1 passed, 2 failed; 13 steps: 8 passed, 2 failed, 3 blocked; "
        "3 measurements, 1 failed, 1 marginal"
    )
]


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        ((), _OVERVIEW),
        (("--recipe-jobs=2", "-o", "recipe_table=auto"), _OVERVIEW),
        (("--recipe-table=failed",), _FAILED),
        (("-o", "recipe_table=failed", "-v"), _FAILED),
        (("--recipe-table=none",), []),
        (("-q",), _TOTALS),
        (("-q", "-o", "recipe_table=all"), _TOTALS),
        (("-q", "--recipe-table=failed"), _FAILED),
    ],
)
def test_the_summary_is_as_the_option_and_the_verbosity_say(
    bench: Project, args: tuple[str, ...], shown: list[str]
) -> None:
    result = bench.run("--tb=no", *args)

    assert list(map(_narrow, _summary(result))) == list(map(_narrow, shown))


def test_with_v_the_summary_has_only_steps_of_which_it_says_more_than_passed(
    bench: Project,
) -> None:
    write = """type: shell, cmd: 'true', parse: text, outputs: {k: 1}"""
    again = "type: shell, cmd: 'test -d made || (mkdir made && false)', parse: text, "
    again += "retry: {attempts: 2, delay: 0s}"
    bench.recipe(
        "more", {"plain": "", "write": write, "again": again, "each": f"{_SHELL}, foreach: [a]"}
    )

    lines = bench.run("--tb=no", "-v").outlines
    whole = bench.run("--tb=no", "-vv").outlines

    def steps(shown: list[str], recipe: str) -> list[str]:
        """Return the first columns of the table of a recipe."""
        first = next(at for at, one in enumerate(shown) if one.strip("-").startswith(f" {recipe}:"))
        rest = shown[first + 1 :]
        last = next(at for at, one in enumerate(rest) if not one.startswith(" "))
        return [re.sub(r"  +(\d|≤|-|seconds).*", "", one).strip() for one in rest[:last]]

    assert steps(lines, "recipes/bad.yaml") == [
        "step   state",
        "two    failed",
        "three  blocked",
        "four   blocked",
        "… 2 more steps passed (-vv shows all)",
    ]
    assert steps(lines, "recipes/good.yaml") == ["… 2 more steps passed (-vv shows all)"]
    assert [one.partition(" ")[0] for one in steps(lines, "recipes/more.yaml")] == [
        *("step", "write", "again", "each", "[0]", "…")
    ]
    assert [one.partition(" ")[0] for one in steps(whole, "recipes/more.yaml")] == [
        *("step", "plain", "write", "again", "each", "[0]")
    ]


def test_with_vv_the_summary_has_the_figures_of_every_step(bench: Project) -> None:
    result = bench.run("--tb=no", "-vv")

    result.stdout.fnmatch_lines(
        [
            "-* recipes/bad.yaml: failed -*",
            " step * seconds * peak MB *",
            " one    passed *",
            " four   blocked *",
            "-* recipes/cells.yaml[[]load:10]: passed -*",
            " measure  passed *",
            "    ripple  10 mV  ≤ 50 mV  margin 40 mV",
            "-* recipes/cells.yaml: 3 cells of measure -*",
            "   [[]load:10]  passed               10",
            "run .orchestrator/*",
        ],
    )


def test_with_qq_there_is_no_summary(bench: Project) -> None:
    output = bench.run("--tb=no", "-qq", "--recipe-table=all").stdout.str()
    assert ".orchestrator/runs" not in output
    assert "measurement" not in output


def test_the_summary_is_the_same_with_xdist(bench: Project) -> None:
    lines = _summary(bench.spawn("--tb=no", "-n", "2", "--dist=loadfile"))
    assert sorted(map(_narrow, lines)) == sorted(map(_narrow, _OVERVIEW))


def test_the_summary_after_a_resumed_run_counts_restored_steps(bench: Project) -> None:
    bench.run("--tb=no")
    lines = _summary(bench.run("--tb=no", "--recipe-resume"))

    assert lines[0].endswith("1 failed, 2 blocked, 1 restored")
    assert _narrow(lines[-1]) == "recipes/good.yaml  passed  2 steps  2 restored"


def test_steps_with_one_blocker_are_one_line_of_the_short_test_summary(bench: Project) -> None:
    result = bench.run("--tb=no", "-rs", "-k", "not measure")
    assert [line for line in result.outlines if line.startswith("SKIPPED")] == [
        "SKIPPED [2] recipes/bad.yaml:3: blocked by recipes/bad.yaml::two",
    ]


@pytest.mark.counted
@pytest.mark.parametrize(
    ("args", "error"),
    [
        (
            ("--recipe-table=fail",),
            "--recipe-table: 'fail' is no table (did you mean 'failed'?)",
        ),
        (("-o", "recipe_table=AL"), "ini key recipe_table: 'AL' is no table (did you mean 'all'?)"),
        (("--recipe-table=",), "--recipe-table: '' is no table"),
    ],
)
def test_a_wrong_table_is_a_usage_error(bench: Project, args: tuple[str, ...], error: str) -> None:
    result = bench.run(*args, "--collect-only", "-v")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {error}; write auto, all, failed or none" in result.errlines


@pytest.mark.parametrize("args", [(), ("-n1",)])
def test_each_of_many_steps_has_a_dot(project: Project, args: tuple[str, ...]) -> None:
    names = {f"s{number}": f"{_SHELL}, if: false" for number in range(48)}
    project.recipe("large", {"first": _SHELL, **names}, head="matrix: {n: [1, 2, 3, 4, 5]}")

    result = project.spawn(*args) if args else project.run()

    assert result.parseoutcomes() == {"passed": 5, "skipped": 240}
    rows = (re.match(r"(?:\S+ )?([.s]+) *\[ *\d+%\]$", line) for line in result.outlines)
    assert len("".join(row[1] for row in rows if row)) == 245


@pytest.mark.parametrize(
    ("args", "titles"),
    [((), 0), (("-rP",), 1), (("-rP", "--recipe-table=failed"), 0)],
)
def test_a_title_separates_the_summary_from_texts_of_tests(
    project: Project, args: tuple[str, ...], titles: int
) -> None:
    project.recipe("x", {"one": "type: shell, cmd: echo said, parse: text"})

    lines = project.run(*args).outlines

    assert sum(bool(re.fullmatch(r"-+ recipes -+", line)) for line in lines) == titles


def test_a_pipeline_without_a_terminal_shows_whole_reasons(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    asked = "'a relay of the second output' == 'a relay that opens in the time of its data sheet'"
    project.write(
        "recipes/x.yaml",
        f"""
        steps:
          - name: check
            type: shell
            cmd: 'true'
            parse: text
            success: {{assert: ["{asked}"]}}
        """,
    )

    shown = project.run().outlines

    (row,) = [line for line in shown if line.startswith("  check  failed")]
    assert row.endswith(f" s  assert: `{asked}` is false")
