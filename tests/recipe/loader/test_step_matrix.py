"""A step with a matrix becomes one step for each cell, with its own needs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.execution.expression_scope import collected
from pytest_orchestrator.recipe import Recipe, RecipeError, cells, load
from pytest_orchestrator.recipe.loader import include
from pytest_orchestrator.recipe.model.recipe import node_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_orchestrator.recipe import Step

    Files = Callable[..., list[Recipe]]

FIRST = "{name: first, type: shell, cmd: x}"
SHELL = "type: shell, cmd: x"


@pytest.fixture
def expand(tmp_path: Path) -> Files:
    """Write recipes by their names, and return the first with its cells."""

    def expand(**texts: str) -> list[Recipe]:
        for name, text in texts.items():
            path = tmp_path / "recipes" / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        recipe = load(tmp_path / "recipes" / f"{next(iter(texts))}.yaml", root=tmp_path)
        return cells(recipe, collected(recipe, {}))

    return expand


def steps_of(recipe: Recipe) -> tuple[Step, ...]:
    return (*recipe.steps, *recipe.final)


def needs_of(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    return {step.name: step.needs for step in steps_of(recipe)}


def errors_of(expand: Files, **texts: str) -> list[str]:
    """Return the problems of the recipes as `path line:column sentence`."""
    with pytest.raises(RecipeError) as caught:
        expand(**texts)
    error = caught.value
    return [
        f"{error.path} {one.place.line}:{one.place.column} {one.text}" for one in error.problems
    ]


def test_a_cell_has_the_needs_of_its_step_and_the_next_step_needs_all_cells(expand: Files) -> None:
    [recipe] = expand(
        x=f"""
steps:
  - {FIRST}
  - {{name: m, {SHELL}, matrix: {{channel: [1, 2], load: [a]}}}}
  - {{name: all, {SHELL}}}
  - {{name: named, {SHELL}, needs: [m]}}
  - {{name: one, {SHELL}, needs: ["m[channel:2,load:a]"]}}
  - {{name: both, {SHELL}, needs: [m, "m[channel:2,load:a]"], after: ["m[channel:1,load:a]"]}}
  - {{name: n, {SHELL}, matrix: {{k: [7]}}, needs: ["m[channel:1,load:a]", first]}}
finally:
  - {{name: off, {SHELL}, matrix: {{channel: [1, 2]}}}}
"""
    )

    one, two = "m[channel:1,load:a]", "m[channel:2,load:a]"
    assert needs_of(recipe) == {
        "first": (),
        one: ("first",),
        two: ("first",),
        "all": (one, two),
        "named": (one, two),
        "one": (two,),
        "both": (one, two),
        "n[k:7]": (one, "first"),
        "off[channel:1]": (),
        "off[channel:2]": (),
    }
    assert recipe.step("both").after == (one,)
    assert [step.index for step in steps_of(recipe)] == [*range(1, 11)]
    cell = recipe.step(two).cell
    assert cell is not None
    assert cell.values == {"channel": 2, "load": "a"}
    assert [step.is_final for step in recipe.final] == [True, True]


def test_the_ids_of_a_step_join_those_of_the_matrix_of_the_recipe(expand: Files) -> None:
    recipes = expand(
        x=f"matrix: {{gain: [1, 2]}}\nsteps: [{{name: m, {SHELL}, matrix: {{channel: [3]}}}}]"
    )

    assert [recipe.node(step.name) for recipe in recipes for step in recipe.steps] == [
        "recipes/x.yaml::m[gain:1,channel:3]",
        "recipes/x.yaml::m[gain:2,channel:3]",
    ]
    assert node_of("recipes/x.yaml[gain:2]", "m[channel:3]") == recipes[1].node("m[channel:3]")
    assert node_of("recipes/x.yml", "m[channel:3]") == "recipes/x.yml::m[channel:3]"
    assert [recipe.steps[0].name for recipe in recipes] == ["m[channel:3]", "m[channel:3]"]


def test_lists_of_a_step_follow_the_rules_of_a_recipe_matrix(
    expand: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADS", "p q")
    [recipe] = expand(
        x=f"""
vars: {{channels: [1, 2]}}
steps:
  - name: m
    {SHELL.replace(", ", chr(10) + "    ")}
    matrix:
      channel: ${{{{ vars.channels }}}}
      load: ${{{{ env.LOADS.split() }}}}
      exclude: [{{channel: 1, load: q}}]
      include: [{{channel: 2, gain: 9}}, {{channel: 5}}]
"""
    )

    assert [step.name for step in recipe.steps] == [
        "m[channel:1,load:p]",
        "m[channel:2,load:p,gain:9]",
        "m[channel:2,load:q,gain:9]",
        "m[channel:5]",
    ]


USED = f"""
vars: {{c: 0, loads: ["${{{{ vars.c }}}}", 9]}}
steps:
  - {{name: set, {SHELL}, outputs: {{"psu.c${{{{ vars.c }}}}_v1": 1}}}}
  - {{name: m, {SHELL}, matrix: {{load: "${{{{ vars.loads }}}}"}}}}
  - {{name: end, {SHELL}, needs: ["m[load:9]"]}}
finally:
  - {{name: off, {SHELL}}}
"""


def test_each_cell_of_a_use_runs_all_steps_of_its_file(expand: Files) -> None:
    [recipe] = expand(
        x=f"""
steps:
  - {FIRST}
  - name: ch
    use: recipes/_u.yaml
    with: {{c: "${{{{ matrix.channel }}}}"}}
    matrix: {{channel: [4, 5]}}
  - {{name: all, {SHELL}}}
  - {{name: one, {SHELL}, needs: ["ch[channel:5]"]}}
""",
        _u=USED,
    )

    def of(number: int) -> dict[str, tuple[str, ...]]:
        cell = f"channel:{number}"
        return {
            f"ch.set[{cell}]": ("first",),
            f"ch.m[{cell},load:{number}]": (f"ch.set[{cell}]",),
            f"ch.m[{cell},load:9]": (f"ch.set[{cell}]",),
            f"ch.end[{cell}]": (f"ch.m[{cell},load:9]",),
        }

    # Nothing needs the cell `m[load:4]`, but the file as a whole has it as one of its ends.
    ends = {n: (f"ch.end[channel:{n}]",) for n in (4, 5)}
    assert needs_of(recipe) == {
        "first": (),
        **of(4),
        **of(5),
        "all": (*ends[4], *ends[5]),
        "one": ends[5],
        "ch.off[channel:4]": (),
        "ch.off[channel:5]": (),
    }
    assert [one.key for step in recipe.steps for one in step.outputs] == ["psu.c4_v1", "psu.c5_v1"]
    uses = [step.file_use for step in recipe.steps if step.file_use]
    assert {use.name for use in uses} == {"ch[channel:4]", "ch[channel:5]"}
    assert len({id(use) for use in uses}) == 2


def test_a_matrix_of_a_use_within_a_use_joins_the_outer_cells(expand: Files) -> None:
    [recipe] = expand(
        x="steps: [{name: a, use: recipes/_m.yaml, matrix: {i: [1, 2]}}]",
        _m="steps: [{name: b, use: recipes/_n.yaml, matrix: {j: [3]}}, "
        f"{{name: z, {SHELL}, needs: ['b[j:3]']}}]",
        _n=f"steps: [{{name: c, {SHELL}, matrix: {{k: [4]}}}}, {{name: d, {SHELL}}}]",
    )

    assert needs_of(recipe) == {
        "a.b.c[i:1,j:3,k:4]": (),
        "a.b.d[i:1,j:3]": ("a.b.c[i:1,j:3,k:4]",),
        "a.z[i:1]": ("a.b.d[i:1,j:3]",),
        "a.b.c[i:2,j:3,k:4]": (),
        "a.b.d[i:2,j:3]": ("a.b.c[i:2,j:3,k:4]",),
        "a.z[i:2]": ("a.b.d[i:2,j:3]",),
    }
    use = recipe.steps[0].file_use
    assert use is not None
    assert (use.name, use.outer.name) == ("a.b[i:1,j:3]", "a[i:1]")


def test_a_key_of_outputs_may_read_vars_and_matrix_values(expand: Files) -> None:
    [recipe] = expand(
        x=f"""
vars: {{who: psu}}
steps:
  - name: m
    type: shell
    cmd: x
    matrix: {{channel: [1, 2]}}
    outputs: {{"${{{{ vars.who }}}}.ch${{{{ matrix.channel }}}}_v1": 1}}
  - {{name: n, {SHELL}, outputs: {{"${{{{ vars.who }}}}.n_v1": "${{{{ result }}}}"}}}}
"""
    )

    keys = [one.key for step in recipe.steps for one in step.outputs]
    assert keys == ["psu.ch1_v1", "psu.ch2_v1", "psu.n_v1"]
    assert recipe.steps[2].templates[0].path == ("outputs", 0, "value")


PART_WITH_INPUTS = f"""
inputs:
  n: {{type: integer, default: 1}}
  m: {{default: "${{{{ vars.n + 10 }}}}", type: integer}}
  late: {{default: "${{{{ run.id }}}}"}}
steps:
  - {{name: a, {SHELL}, outputs: {{"ch${{{{ vars.n }}}}.v${{{{ vars.m }}}}": 1}}}}
finally:
  - {{name: f, {SHELL}, outputs: {{"off.v${{{{ vars.n }}}}": 1}}}}
"""


def test_a_key_of_outputs_may_read_inputs_of_a_used_file(expand: Files) -> None:
    uses = """
steps:
  - {name: x, use: recipes/_p.yaml}
  - {name: y, use: recipes/_p.yaml, with: {n: 2, m: MMM}}
"""
    [recipe] = expand(r=uses.replace("MMM", "3"), _p=PART_WITH_INPUTS)
    assert [one.outputs[0].key for one in steps_of(recipe)] == [
        "ch1.v11",
        "ch2.v3",
        "off.v1",
        "off.v2",
    ]
    cells = expand(
        r="matrix: {z: [5, 6]}" + uses.replace("MMM", "'${{ matrix.z }}'"), _p=PART_WITH_INPUTS
    )
    assert [[one.outputs[0].key for one in cell.steps] for cell in cells] == [
        ["ch1.v11", "ch2.v5"],
        ["ch1.v11", "ch2.v6"],
    ]
    late = PART_WITH_INPUTS.replace("vars.m }}", "vars.late }}")
    head = "recipes/_p.yaml 7:46 a key of 'outputs' in step 'x.a' reads vars.late, which reads run"
    why = "such keys are evaluated at collection, before there is that"
    assert errors_of(expand, r=uses.replace(", m: MMM", ""), _p=late) == [f"{head} ({why})"]
    wrong = errors_of(expand, r=uses.replace("MMM", "'${{ env.PATH }}'"), _p=PART_WITH_INPUTS)
    assert "step 'y.a': input 'm' is " in wrong[0]


def one_step(keys: str, *more: str) -> str:
    return "\n".join(["steps:", f"- {{name: m, {SHELL}, {keys}}}", *more])


SAME = "which all cells of the matrix would write (write {})"
PROBLEMS: list[tuple[str, list[str]]] = [
    (
        one_step("matrix: [1]"),
        [
            (
                "2:42 'matrix' in shell step 'm' is a list, should be a mapping "
                "(write matrix: {gain: [1, 2]})"
            )
        ],
    ),
    (
        one_step("matrix: {g: 1}"),
        ["2:46 'matrix.g' in shell step 'm' is a number, should be a list (write [1])"],
    ),
    (
        one_step("matrix: {g: []}"),
        ["2:46 'matrix.g' in shell step 'm' is empty: no step would run"],
    ),
    (
        one_step("matrix: {g-h: [1]}"),
        [
            (
                "2:43 'matrix' in shell step 'm' has the key 'g-h', should be letters, digits and "
                "_, beginning with a letter or _"
            )
        ],
    ),
    (
        one_step("matrix: {g: ['${{ ctx.a }}']}"),
        [
            (
                "2:47 'ctx' in shell step 'm' cannot be used here "
                "(there is env, vars; an input is vars.NAME)"
            )
        ],
    ),
    (
        one_step("matrix: {g: [1], exclude: [{h: 1}]}"),
        ["2:60 step 'm': matrix.exclude names 'h', which the matrix does not have"],
    ),
    (
        one_step("matrix: {g: [1], exclude: [{g: 1}]}"),
        ["2:42 step 'm': the matrix has no cell: no step would run"],
    ),
    (
        one_step(f"matrix: {{g: {[*range(40)]}, h: {[*range(40)]}}}"),
        ["2:42 step 'm': the matrix has 1,600 cells; 1,000 are the most"],
    ),
    (
        "vars: {a: ['${{ run.id }}']}\n" + one_step("matrix: {g: '${{ vars.a }}'}"),
        [
            (
                "3:46 'matrix' in step 'm' reads vars.a, which reads run (cells exist at "
                "collection, before there is that)"
            )
        ],
    ),
    (
        "vars: {a: 1}\n" + one_step("matrix: {g: '${{ vars.a }}'}"),
        ["3:46 step 'm': matrix.g is no list"],
    ),
    (
        one_step("matrix: {g: '${{ env.NOT_SET }}'}"),
        ["2:46 step 'm': `env.NOT_SET`: there is no 'NOT_SET'"],
    ),
    (
        one_step("background: true, matrix: {g: [1]}"),
        [
            (
                "2:60 'matrix' in shell step 'm' runs the step once for each cell, and a service "
                "runs once (write a service for each value)"
            )
        ],
    ),
    (
        "matrix: {g: [1]}\n" + one_step("matrix: {g: [1]}"),
        [
            (
                "3:46 matrix.g in step 'm' is a name of the matrix of the recipe, too (call one of "
                "them by another name)"
            )
        ],
    ),
    (
        one_step("matrix: {g: [1]}, outputs: {dut.mv_v1: 1, plain: 1}"),
        [
            (
                f"2:62 'outputs' in shell step 'm' has the key 'dut.mv_v1', "
                f"{SAME.format('dut.mv_${{ matrix.g }}_v1')}"
            ),
            (
                f"2:76 'outputs' in shell step 'm' has the key 'plain', "
                f"{SAME.format('plain_${{ matrix.g }}')}"
            ),
        ],
    ),
    (
        one_step("matrix: {g: [1]}, outputs: 7"),
        [
            (
                "2:61 'outputs' in shell step 'm' is a number, should be a mapping "
                '(write outputs: {dut.serial_v1: "${{ result.serial }}"})'
            )
        ],
    ),
    (
        one_step("matrix: 7, outputs: {a: 1}"),
        [
            (
                "2:42 'matrix' in shell step 'm' is a number, should be a mapping "
                "(write matrix: {gain: [1, 2]})"
            ),
            (
                "2:55 'outputs' in shell step 'm' has the key 'a', which all cells of the matrix "
                "would write (write a_${{ matrix.name }})"
            ),
        ],
    ),
    (
        one_step("matrix: {g: [1, 2], h: [3, 4]}, outputs: {'a.x${{ matrix.g }}': 1}"),
        [
            (
                "2:76 cells 'm[g:1,h:3]' and 'm[g:1,h:4]' both write the output 'a.x1' (put all "
                "values of the matrix into the key)"
            )
        ],
    ),
    (
        one_step("matrix: {g: ['a b']}, outputs: {'a.${{ matrix.g }}..': 1}"),
        [
            (
                "2:66 'outputs' in step 'm' has the key 'a.a b..', should be a key of the Context "
                "such as dut.serial_v1"
            )
        ],
    ),
    (
        one_step("matrix: {g: [1]}, outputs: {'a.${{ matrix.h }}': 1}"),
        ["2:62 no name 'h' of the matrix in step 'm'; there is only 'g'"],
    ),
    (
        one_step("outputs: {'a.${{ result }}': 1}"),
        ["2:44 'result' in shell step 'm' is known only after the step code has run"],
    ),
    (
        "vars: {a: '${{ run.id }}'}\n" + one_step("outputs: {'a.${{ vars.a }}': 1}"),
        [
            (
                "3:44 a key of 'outputs' in step 'm' reads vars.a, which reads run (such keys are "
                "evaluated at collection, before there is that)"
            )
        ],
    ),
    (
        one_step("matrix: {g: [1, 2]}", f"- {{name: n, {SHELL}, needs: ['m[g:3]']}}"),
        ["3:42 step 'n' needs 'm[g:3]', and step 'm' has no such cell (did you mean 'm[g:2]'?)"],
    ),
    (
        one_step("matrix: {g: [1, 2]}", f"- {{name: n, {SHELL}, after: ['m[3]']}}"),
        [
            (
                "3:42 step 'n' comes after 'm[3]', and step 'm' has no such cell (did you mean "
                "'m[g:2]'?)"
            )
        ],
    ),
    (
        one_step("tags: []", f"- {{name: n, {SHELL}, needs: ['m[g:3]']}}"),
        ["3:42 step 'n' needs 'm[g:3]', and step 'm' has no matrix"],
    ),
    (
        one_step("matrix: {g: [1]}", f"- {{name: n, {SHELL}, needs: ['m[g:1']}}"),
        [
            (
                "3:42 'needs[0]' in shell step 'n' is 'm[g:1', should be the name of a step, or of "
                "a cell as in measure[channel:1]"
            )
        ],
    ),
    (
        one_step("matrix: {g: [1]}", f"- {{name: n, {SHELL}, if: steps.m.outcome == 'passed'}}"),
        [
            (
                "3:38 steps.m is a list in step 'n', because step 'm' has a matrix "
                "(steps.m | map(attribute='outcome') | list)"
            )
        ],
    ),
    (
        one_step("matrix: {g: [1]}", f"- {{name: n, {SHELL}, if: 'steps.m[0].value'}}"),
        [
            (
                "3:38 no 'value' in 'steps' in step 'n'; there is outcome, result, exit_code, "
                "seconds, kind, attempts, stdout, stderr"
            )
        ],
    ),
    (
        one_step("matrix: {g: [1]}", f"- {{name: n, {SHELL}, if: \"steps['m[g:1]'].value\"}}"),
        [
            (
                "3:38 no 'value' in 'steps' in step 'n'; there is outcome, result, exit_code, "
                "seconds, kind, attempts, stdout, stderr"
            )
        ],
    ),
]


@pytest.mark.parametrize(("text", "messages"), PROBLEMS)
def test_a_wrong_matrix_of_a_step_is_an_error_with_its_place(
    expand: Files, text: str, messages: list[str]
) -> None:
    assert errors_of(expand, x=text) == [f"recipes/x.yaml {one}" for one in messages]


@pytest.mark.parametrize(
    ("used", "messages"),
    [
        (
            f"steps: [{{name: m, {SHELL}, outputs: {{psu.volts_v1: 1}}}}]",
            [
                (
                    "recipes/x.yaml 3:13 cells 'ch.m[c:1]' and 'ch.m[c:2]' both write the output "
                    "'psu.volts_v1' (put a var into the key, and give it with: {c: ${{ matrix.c "
                    "}}})"
                )
            ],
        ),
        (
            f"steps: [{{name: m, {SHELL}, matrix: {{c: [1]}}}}]",
            [
                (
                    "recipes/x.yaml 2:5 matrix.c in step 'ch.m' is a name of the matrix of its "
                    "`use`, too (call one of them by another name)"
                )
            ],
        ),
        (
            f"vars: {{l: 0}}\nsteps: [{{name: m, {SHELL}, matrix: {{d: '${{{{ vars.l }}}}'}}}}]",
            [
                (
                    "recipes/_u.yaml 2:52 'matrix' in step 'ch.m' reads vars.l, which reads ctx "
                    "(cells exist at collection, before there is that)"
                )
            ],
        ),
    ],
)
def test_a_wrong_matrix_of_a_use_is_an_error_with_its_place(
    expand: Files, used: str, messages: list[str]
) -> None:
    given = "  with: {l: '${{ ctx.a }}'}\n" if "vars" in used else ""
    use = "steps:\n  - name: ch\n    matrix: {c: [1, 2]}\n    use: recipes/_u.yaml\n"
    assert errors_of(expand, x=f"{use}{'  ' + given if given else ''}", _u=used) == messages


def test_the_steps_of_all_cells_are_limited(expand: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    assert include.MOST == 20_000
    monkeypatch.setattr("pytest_orchestrator.recipe.loader.step_matrix.MOST", 20)
    matrix = f"matrix: {{g: {[*range(7)]}}}"
    text = "steps:\n" + "".join(f"- {{name: m{n}, {SHELL}, {matrix}}}\n" for n in range(3))

    assert errors_of(expand, x=text) == [
        "recipes/x.yaml 2:1 more than 20 steps, those of all cells counted"
    ]


def test_a_recipe_without_a_step_matrix_is_not_expanded(expand: Files) -> None:
    [recipe] = expand(x=f"steps: [{FIRST}]")

    assert (recipe.has_cells, recipe.steps[0].cell) == (False, None)


def test_needs_of_many_cells_share_one_tuple(expand: Files) -> None:
    matrix = f"matrix: {{g: {[*range(100)]}}}"
    [recipe] = expand(x=f"steps: [{{name: a, {SHELL}, {matrix}}}, {{name: b, {SHELL}, {matrix}}}]")

    needs = [step.needs for step in recipe.steps[100:]]
    assert needs[0] == tuple(step.name for step in recipe.steps[:100])
    assert all(one is needs[0] for one in needs)
