"""Data-flow check: keys that are read before they are written."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_orchestrator.recipe import BUILT_IN, Recipe, RecipeError, load
from pytest_orchestrator.recipe.analysis.dataflow import Dataflow, Finding
from pytest_orchestrator.recipe.analysis.source_files import Sources

ROOT = Path(__file__).parents[3]
SAMPLES = sorted({*ROOT.glob("recipes/*.yaml")} - {*ROOT.glob("recipes/*.answers.yaml")})
Check = Callable[..., list[str]]

SCRIPTLETS = """
def write(ctx, params):
    ctx.set("psu.volts_v1", 12)
    return {"status": "ok"}


def read(ctx, params):
    return {"status": "ok", "x": ctx.get("psu.volts_v1") + 1}


def count(ctx, params):
    ctx.increment("psu.polls_v1")
    return {"status": "ok"}


def hand_on(ctx, params):
    return params.imported(ctx)


def nothing(ctx, params):
    return {"status": "ok", **params}
"""


PSU = BUILT_IN.with_instruments(["psu"])


def checked(path: Path, root: Path) -> list[Finding]:
    def recipe_at(other: Path) -> Recipe | None:
        try:
            return load(other, root=root, known=PSU)
        except (RecipeError, OSError):
            return None

    recipe = load(path, root=root, known=PSU)
    return Dataflow(Sources(root), recipe_at).findings(recipe)


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Check a recipe of steps, each in flow style, with its default `type: python`."""
    (tmp_path / "steps.py").write_text(SCRIPTLETS)

    def check(*steps: str, head: str = "", final: str = "", **files: str) -> list[str]:
        for name, text in files.items():
            (tmp_path / name.replace("__", ".")).write_text(textwrap.dedent(text))
        lines = [head, "steps:", *map(line, steps)]
        lines += ["finally:", line(final)] if final else []
        path = tmp_path / "recipes" / "x.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(filter(None, lines)) + "\n")
        return [
            f"{one.problem.place.line} {one.severity}: {one.problem.text}"
            for one in checked(path, tmp_path)
        ]

    return check


def line(step: str) -> str:
    kind = "" if "type:" in step or "use:" in step else ", type: python, module: steps"
    return f"  - {{{step}{kind}}}"


WRITE = "name: w, function: write"
READ = "name: r, function: read"
VALUE = "name: v, function: nothing, params: {x: '${{ ctx.psu.volts_v1 }}'}"
SHELL = "type: shell, cmd: 'true', parse: text"


def test_a_key_that_was_written_before_is_not_reported(check: Check) -> None:
    assert check(WRITE, READ, VALUE) == []
    assert check(WRITE, f"{READ}, needs: []", f"{VALUE}, after: [w]")[1:] == []
    output = f"name: o, {SHELL}, outputs: {{psu.volts_v1: 3}}"
    assert check(output, READ, VALUE) == []
    promise = f"name: p, {SHELL}, success: {{ctx_has_keys: [psu.volts_v1]}}"
    assert check(promise, READ, VALUE) == []


def test_a_read_path_matches_written_keys_above_and_below_it(check: Check) -> None:
    for key in ("psu", "psu.volts_v1.max", "psu.volts_v1"):
        value = f"name: v, function: nothing, params: {{x: '${{{{ ctx.{key} }}}}'}}"
        assert check(WRITE, value) == []


def test_a_key_that_nothing_writes_is_reported_with_a_similar_key(check: Check) -> None:
    assert check(WRITE, VALUE.replace("volts", "vlts")) == [
        (
            "3 error: step 'v' reads ctx.psu.vlts_v1, which nothing writes "
            "(did you mean 'psu.volts_v1'?)"
        )
    ]
    assert check(f"name: n, {SHELL}", READ) == [
        (
            "3 warning: step 'r' reads 'psu.volts_v1' (steps.py:8), which nothing writes "
            "(steps.py does, and no step of this recipe calls it)"
        )
    ]


def test_no_key_is_proposed_that_is_the_one_that_was_written(check: Check) -> None:
    keys = "measurements: {m: {value: ctx.psu.volt_v1}}, success: {ctx_has_keys: [psu.volt_v1]}"
    assert check(f"name: n, type: shell, cmd: 'true', parse: text, {keys}") == [
        "2 error: step 'n' reads ctx.psu.volt_v1, which nothing writes"
    ]


def test_a_promised_key_that_nothing_writes_is_reported(check: Check) -> None:
    promise = "name: n, function: nothing, success: {ctx_has_keys: [psu.volt_v1]}"
    assert check(WRITE, promise) == [
        (
            "3 error: step 'n' is to leave 'psu.volt_v1', which nothing writes "
            "(did you mean 'psu.volts_v1'?)"
        )
    ]


def test_promises_of_a_program_that_cannot_be_analysed_are_trusted(check: Check) -> None:
    assert check(f"name: n, {SHELL}, success: {{ctx_has_keys: [psu.volt_v1]}}") == []


def test_a_read_without_waiting_for_the_writer_is_reported(check: Check) -> None:
    assert check(WRITE, f"{VALUE}, needs: []", f"{READ}, needs: []") == [
        (
            "3 error: step 'v' reads ctx.psu.volts_v1, and does not wait for step 'w', which "
            "writes it (needs: [w])"
        ),
        (
            "4 warning: step 'r' reads 'psu.volts_v1' (steps.py:8), and does not wait for step "
            "'w', which writes it (needs: [w])"
        ),
    ]


def test_a_read_before_the_writer_is_reported(check: Check) -> None:
    assert check(VALUE, WRITE) == [
        "2 error: step 'v' reads ctx.psu.volts_v1, which step 'w' writes only later"
    ]


def test_two_concurrent_writers_are_reported(check: Check) -> None:
    other = "name: o, function: write, needs: []"
    assert check(WRITE, other) == [
        (
            "3 warning: steps 'w' and 'o' both write 'psu.volts_v1', and may run at the same time "
            "(after: [w])"
        )
    ]
    assert check(WRITE, "name: o, function: write") == []
    assert check(f"{WRITE}, locks: [psu]", f"{other}, locks: [psu]") == []
    assert check(f"{WRITE}, if: env.A", f"{other}, if: not env.A") == []
    assert check("name: w, function: count", "name: o, function: count, needs: []") == []


def test_cells_of_a_step_that_write_one_key_are_reported(check: Check) -> None:
    matrix = "matrix: {channel: [1, 2]}"
    assert check(f"{WRITE}, {matrix}") == [
        (
            "2 warning: all cells of step 'w' write 'psu.volts_v1', and may run at the same time "
            "(write a key for each cell)"
        )
    ]
    assert check(f"{WRITE}, {matrix}, locks: [psu]") == []
    assert check(f"name: w, function: count, {matrix}") == []


def test_a_key_of_outputs_with_a_matrix_value_may_create_any_matching_key(check: Check) -> None:
    write = "name: m, type: shell, cmd: 'true', parse: text, matrix: {channel: [1]}, outputs: "
    read = "name: v, function: nothing, params: {x: '${{ ctx.psu.ch1_v1 }}'}"
    assert check(f"{write}{{'psu.ch${{{{ matrix.channel }}}}_v1': 1}}", read) == []
    assert check(f"{write}{{'dut.ch${{{{ matrix.channel }}}}_v1': 1}}", read) == [
        "3 error: step 'v' reads ctx.psu.ch1_v1, which nothing writes"
    ]


def test_success_may_read_keys_that_the_step_writes_but_if_may_not(check: Check) -> None:
    own = "name: w, function: write, success: {assert: ['ctx.psu.volts_v1 > 3']}"
    assert check(own) == []
    assert check(
        own.replace("success: {assert: ['ctx.psu.volts_v1 > 3']}", "if: ctx.psu.volts_v1")
    ) == ["2 error: step 'w' reads ctx.psu.volts_v1, which it writes only afterwards"]


def test_a_key_whose_existence_is_tested_may_be_missing(check: Check) -> None:
    for condition in ("ctx.a is defined and ctx.a > 3", "ctx.a | default(3) > 3"):
        assert check(f"name: v, {SHELL}, if: {condition}") == []


def test_no_key_is_reported_after_code_that_cannot_be_analysed(check: Check) -> None:
    assert check("name: h, function: hand_on", VALUE) == []
    assert check("name: h, function: hand_on", VALUE, WRITE) == []
    assert check("name: h, type: shell, cmd: './update_state.sh set $KEY 3'", VALUE) == []
    assert check(VALUE, head="fixtures: [of_a_plugin]") == []


_GONE = "name: g, function: far, type: python, module: away.farther"


def test_a_missing_module_hides_no_other_problem(check: Check) -> None:
    value = VALUE.replace("volts_v1", "far")
    missing = "error: there is no module 'away.farther'"
    unwritten = "error: step 'v' reads ctx.psu.far, which nothing writes"

    assert check(value, _GONE) == [f"2 {unwritten}", f"3 {missing}"]
    assert check(_GONE, value) == [f"2 {missing}", f"3 {unwritten}"]
    assert check(f"{_GONE}, success: {{ctx_has_keys: [psu.far]}}", value) == [f"2 {missing}"]


def test_a_missing_function_hides_no_other_problem(check: Check) -> None:
    value = VALUE.replace("volts_v1", "far")

    assert check("name: g, function: off", value) == [
        "2 error: module 'steps' has no function 'off'",
        "3 error: step 'v' reads ctx.psu.far, which nothing writes",
    ]


def test_a_mistyped_module_or_function_writes_the_keys_of_the_nearest(check: Check) -> None:
    assert check("name: w, function: write, type: python, module: stps", READ, VALUE) == [
        "2 error: there is no module 'stps' (did you mean 'steps'?)"
    ]
    assert check("name: w, function: wrte", READ, VALUE) == [
        "2 error: module 'steps' has no function 'wrte' (did you mean 'write'?)"
    ]


def test_a_module_on_a_path_that_conftest_adds_may_write_any_key(check: Check) -> None:
    conftest = "import sys\nsys.path.append('far')\n"

    assert check(_GONE, VALUE.replace("volts_v1", "far"), conftest__py=conftest) == []


def test_keys_that_a_script_writes_are_found(check: Check) -> None:
    script = "./update_state.sh set psu.volts_v1 12\n"
    assert check("name: s, type: shell, cmd: sh ./psu.sh, parse: text", VALUE, psu__sh=script) == []


def test_fixtures_of_a_conftest_write_before_all_steps(check: Check) -> None:
    conftest = """
        import pytest

        @pytest.fixture(autouse=True)
        def bench(ctx):
            ctx.set("psu.volts_v1", 12)
    """
    assert check(VALUE, conftest__py=conftest) == []


def test_a_key_that_tests_write_is_not_reported(check: Check) -> None:
    assert (
        check(
            VALUE.replace("volts", "far"),
            test_it__py="def test_it(ctx):\n    ctx.set('psu.far_v1', 1)\n",
        )
        == []
    )


def test_final_steps_may_read_keys_of_all_other_steps(check: Check) -> None:
    assert check(WRITE, final=VALUE) == []
    assert check(f"name: n, {SHELL}", final=VALUE)[0].startswith("4 error: step 'v' reads ")


def test_a_recipe_may_read_keys_of_a_needed_recipe(check: Check, tmp_path: Path) -> None:
    first = tmp_path / "first.yaml"
    first.write_text(f"steps:\n{line(WRITE)}\n")
    assert check(VALUE, head="needs: [first.yaml]") == []
    first.write_text(f"context: recipe\nsteps:\n{line(WRITE)}\n")
    assert len(check(VALUE, head="needs: [first.yaml]")) == 1


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_sample_recipes_have_no_findings(path: Path) -> None:
    assert checked(path, ROOT) == []


def test_a_finding_is_shown_with_its_line(check: Check, tmp_path: Path) -> None:
    check(f"name: n, {SHELL}", READ)
    (found,) = checked(tmp_path / "recipes" / "x.yaml", tmp_path)
    assert found.render() == (
        "recipes/x.yaml:3:25: warning: step 'r' reads 'psu.volts_v1' (steps.py:8), which nothing "
        "writes (steps.py does, and no step of this recipe calls it)\n"
        "\n"
        "   1 | steps:\n"
        "   2 |   - {name: n, type: shell, cmd: 'true', parse: text}\n"
        "   3 |   - {name: r, function: read, type: python, module: steps}\n"
        "     |                         ^^^^"
    )


PART = """
vars: {volts: 1}
steps:
  - {name: a, type: python, module: steps, function: write}
  - {name: b, type: shell, cmd: './${{ ctx.psu.vlts_v1 }}'}
"""


USE = "name: p, use: part.yaml"


def test_a_used_file_is_checked_as_part_of_the_using_recipe(check: Check, tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text(PART)
    value = "with: {volts: '${{ ctx.psu.volts_v1 }}'}"
    assert check(f"{USE}, if: ctx.on, {value}", READ) == [
        (
            "5 error: step 'p.b' reads ctx.psu.vlts_v1, which nothing writes "
            "(did you mean 'psu.volts_v1'?)"
        ),
        "2 error: step 'p' reads ctx.on, which nothing writes",
        "2 error: step 'p' reads ctx.psu.volts_v1, which it writes only afterwards",
    ]


def test_a_used_file_with_matching_keys_has_no_findings(check: Check, tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text(PART.replace("vlts", "volts"))
    assert check(USE, READ) == []
    assert check(WRITE, f"{USE}, if: ctx.psu.volts_v1 > 3", READ)[:-1] == []
