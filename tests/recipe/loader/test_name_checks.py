"""Names that expressions read must exist, and exist in time; problems are reported at load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.recipe import Recipe

    Read = Callable[[str], Recipe]
    Problems = Callable[[str], list[str]]

STEPS = "steps: [{name: a, type: shell, cmd: x}]\n"


DASH = "a name with a dash is written steps['my-step']"


def steps(condition: str, keys: str = "") -> str:
    return (
        "vars: {gain: 1, load: 2}\nrequired: [serial]\nmatrix: {g: [1], include: [{h: 2}]}\n"
        "fixtures: [bench]\n"
        "steps:\n"
        "  - {name: my-step, type: shell, cmd: x}\n"
        "  - {name: b, type: shell, cmd: x}\n"
        f'  - {{name: c, type: shell, cmd: x, {keys}if: "{condition}"}}\n'
        "finally: [{name: off, type: shell, cmd: x}]\n"
    )


@pytest.mark.parametrize(
    ("condition", "keys"),
    [
        ("vars.gain and vars['load'] and vars.serial", ""),
        ("matrix.g and matrix.h", ""),
        ("steps['my-step'].outcome == steps.b.exit_code", ""),
        ("steps['my-step'].result.x and steps.b.seconds", "needs: [b], "),
        ("steps.b.outcome", "after: [b], "),
        ("fixtures.bench and fixtures.dmm", "fixtures: [dmm], "),
        ("vars.nope is defined and vars.nope > 1", ""),
        ("steps.nope is defined or matrix.nope | default(1) or fixtures.nope is defined", ""),
        ("run.id and run.dir and run.port('x') and recipe.dir and recipe.name", ""),
        ("vars[env.NAME] and ctx.anything and env.ANYTHING", ""),
    ],
)
def test_names_that_exist_may_be_read(read: Read, condition: str, keys: str) -> None:
    assert read(steps(condition, keys)).steps


@pytest.mark.parametrize(
    ("condition", "keys", "message"),
    [
        ("vars.gian", "", "no var 'gian' in step 'c' (did you mean 'gain'?)"),
        ("gain > 1", "", "unknown name 'gain' in shell step 'c' (write `vars.gain`)"),
        ("g > 1", "", "unknown name 'g' in shell step 'c' (write `matrix.g`)"),
        ("serial", "", "unknown name 'serial' in shell step 'c' (write `vars.serial`)"),
        ("vars.zzz", "", "no var 'zzz' in step 'c'; there is gain, load, serial"),
        ("matrix.zzz", "", "no name 'zzz' of the matrix in step 'c'; there is g, h"),
        ("steps.bb.outcome", "", "no step 'bb' of this recipe (did you mean 'b'?)"),
        (
            "steps.b.outcom",
            "",
            "no 'outcom' in 'steps' in step 'c' (did you mean 'outcome'?)",
        ),
        ("run.prot('x')", "", "no 'prot' in 'run' in step 'c' (did you mean 'port'?)"),
        ("recipe.dri", "", "no 'dri' in 'recipe' in step 'c' (did you mean 'dir'?)"),
        (
            "steps.off.outcome",
            "",
            "step 'c' reads steps.off, and does not wait for it (needs: [off] or after: [off])",
        ),
        (
            "steps.b.outcome",
            "needs: [], ",
            "step 'c' reads steps.b, and does not wait for it (needs: [b] or after: [b])",
        ),
        (
            "steps.c.outcome",
            "",
            "step 'c' reads steps.c, and does not wait for it (needs: [c] or after: [c])",
        ),
        ("fixtures.dmm", "", "step 'c' does not name the fixture 'dmm' (fixtures: [dmm])"),
        (
            "steps.my-step.outcome",
            "",
            f"unknown name 'step' in shell step 'c' ({DASH})",
        ),
    ],
)
def test_a_missing_name_is_reported_once_with_a_cure(
    problems: Problems, condition: str, keys: str, message: str
) -> None:
    assert [one.partition(" ")[2] for one in problems(steps(condition, keys))] == [message]


def test_a_step_of_finally_may_read_all_earlier_steps(read: Read) -> None:
    text = (
        "steps: [{name: a, type: shell, cmd: x}, {name: b, type: shell, cmd: x}]\n"
        "finally:\n"
        "  - {name: c, type: shell, cmd: x, if: steps.a.outcome == steps.b.outcome}\n"
        "  - {name: d, type: shell, cmd: x, if: steps.c.outcome == 'passed'}\n"
    )
    assert len(read(text).final) == 2


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("vars.gian", "no var 'gian' in 'secrets' (did you mean 'gain'?)"),
        ("vars.zzz", "no var 'zzz' in 'secrets'; there is gain, serial"),
        (
            "'ctx.a b'",
            "'secrets[0]' is 'ctx.a b', should be a key of the Context such as ctx.dut.serial_v1",
        ),
    ],
)
def test_a_secret_that_does_not_exist_is_reported(
    problems: Problems, secret: str, message: str
) -> None:
    root = f"secrets: [{secret}]\nrequired: [serial]\nvars: {{gain: 1}}\n{STEPS}"
    assert problems(root) == [f"1:11 {message}"]


def test_a_secret_may_come_from_outside_or_be_unset(read: Read) -> None:
    secrets = "secrets: [vars.gain, vars.serial, env.NOT_SET, ctx.a.b-c]\n"
    assert read(f"{secrets}required: [serial]\nvars: {{gain: 1}}\n{STEPS}").secrets


ABOVE = "(a var may read those above it)"
COLLECTION = "(cells exist at collection, before there is that)"


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("vars: {a: '${{ vars.b }}', b: 1}", f"vars.a reads vars.b, which stands below it {ABOVE}"),
        ("vars: {a: '${{ vars.a }}'}", f"vars.a reads itself {ABOVE}"),
        (
            "vars: {a: ['${{ vars.b | default(1) }}'], b: '${{ vars.a }}'}",
            f"vars.a reads vars.b, which stands below it {ABOVE}",
        ),
        (
            "vars: {a: '${{ matrix.g }}'}\nmatrix: {g: '${{ vars.a }}'}",
            f"matrix.g reads vars.a, which reads matrix {COLLECTION}",
        ),
        (
            "vars: {a: '${{ matrix.g }}', b: 'x${{ vars.a }}'}\nmatrix: {g: ['${{ vars.b }}']}",
            f"matrix.g reads vars.b, which reads matrix {COLLECTION}",
        ),
        (
            "vars: {a: '${{ run.id }}'}\nmatrix: {include: [{g: '${{ vars.a }}'}]}",
            f"matrix.include reads vars.a, which reads run {COLLECTION}",
        ),
        ("vars: {a: '${{ vars.zz }}'}", "no var 'zz'; there is only 'a'"),
        (
            "test_meta: {a: '${{ vars.gian }}'}\nvars: {gain: 1}",
            "no var 'gian' (did you mean 'gain'?)",
        ),
    ],
)
def test_cyclic_reads_of_vars_and_matrix_are_reported(
    problems: Problems, root: str, message: str
) -> None:
    assert [one.partition(" ")[2] for one in problems(f"{root}\n{STEPS}")] == [message]


def test_vars_may_read_vars_above_them_and_values_from_outside(read: Read) -> None:
    root = "required: [s]\nvars: {a: '${{ vars.s }}', b: '${{ vars.a }}', c: '${{ matrix.g }}'}\n"
    assert read(f"{root}matrix: {{g: '${{{{ vars.b }}}}'}}\n{STEPS}").vars


NOWHERE = "an expression cannot stand here"
CURE = "(write the value itself; $${{ is plain text)"


@pytest.mark.parametrize("key", ["vars", "test_meta", "matrix", "tags", "name", "required"])
def test_the_names_in_a_recipe_are_known_before_a_run(problems: Problems, key: str) -> None:
    assert problems(f"{key}: '${{{{ env.X }}}}'\n{STEPS}") == [f"1:{len(key) + 3} {NOWHERE} {CURE}"]


@pytest.mark.parametrize(
    "keys",
    [
        "args: {'${{ env.X }}': 1}",
        "stdin: {a: {'x${{ env.X }}': 1}}",
        "measurements: {'${{ env.X }}': {value: 1}}",
    ],
)
def test_an_expression_in_a_key_is_an_error(problems: Problems, keys: str) -> None:
    found = problems(f"steps: [{{name: a, type: shell, cmd: x, {keys}}}]")

    assert [one.partition(" ")[2] for one in found] == [f"{NOWHERE} (it can in values)"]


@pytest.mark.parametrize("key", ["description", "xfail"])
def test_escaped_braces_are_allowed_everywhere(read: Read, key: str) -> None:
    recipe = read(f"steps: [{{name: a, type: shell, cmd: x, {key}: 'say $${{{{ x }}}}'}}]")

    assert getattr(recipe.steps[0], key) == "say ${{ x }}"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("true", "true"),
        ("False", "false"),
        ("1", "1"),
        ("0x10", "16"),
        ("010", "10"),
        ("1.50", "1.5"),
        ("'010'", None),
        ("'true'", "true"),
        ("${{ 1 > 2 }}", "1 > 2"),
    ],
)
def test_a_yaml_boolean_or_number_is_a_condition(
    read: Read, problems: Problems, written: str, expected: str | None
) -> None:
    text = f"steps:\n  - name: a\n    type: shell\n    cmd: x\n    if: {written}\n"
    if expected is None:
        assert "is no expression: unexpected '10'" in problems(text)[0]
        return
    condition = read(text).steps[0].if_

    assert condition is not None
    assert condition.text == expected


BRACED = '(write "${{ vars.x }}", in quotes, for an expression)'
COMMENT = "(` #` begins a comment in YAML: quote the text)"
QUOTE = "(quote the whole text; braces, commas and colons in quotes are text)"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "if: vars.x == ' # c'",
            f"5:9 'if' in shell step 'a' is no expression: unexpected char \"'\" at 10 {COMMENT}",
        ),
        (
            "stdin: a ${{ vars.x # c }}",
            f"5:12 an expression that is not closed by }}}} {COMMENT}",
        ),
        (
            "stdin: ${{ {'a': 1} }}",
            f"5:20 YAML reads a part of this expression as its own syntax {QUOTE}",
        ),
        (
            "args: {X: ${{ vars.x }}}",
            f"5:16 YAML reads a part of this expression as its own syntax {QUOTE}",
        ),
        (
            "locks: [${{ vars.x }}]",
            f"5:14 YAML reads a part of this expression as its own syntax {QUOTE}",
        ),
        (
            "stdin: {{ vars.x }}",
            f"5:13 a key is text, not a list or a mapping {BRACED}",
        ),
        (
            "args: {X: {{ vars.x }}}",
            f"5:16 a key is text, not a list or a mapping {BRACED}",
        ),
        ("if: 'x' in ctx", "5:13 a text continues after its closing quote (quote the whole text)"),
        (
            'stdin: "${{ vars.x }}" V',
            "5:28 a text continues after its closing quote (quote the whole text)",
        ),
        (
            "if: ${{ vars.x }} == 1",
            "5:9 'if' in shell step 'a' is a text with expressions in it, should be one expression",
        ),
        ("if: null", "5:9 unknown name 'null' in shell step 'a' (write `none`)"),
        ("if: ''", "5:9 'if' in shell step 'a' is empty, should be an expression"),
        ("if: [1]", "5:9 'if' in shell step 'a' is a list, should be an expression"),
    ],
)
def test_yaml_pitfalls_are_reported_with_their_cure(
    problems: Problems, keys: str, message: str
) -> None:
    text = f"vars: {{x: 1}}\nsteps:\n  - name: a\n    type: shell\n    {keys}\n    cmd: x\n"
    assert problems(text) == [message]


NO_SECRET = "list names in the matrix, and read the secret in the steps"
SHOWS = f"and the ids of its cells would show it ({NO_SECRET})"


@pytest.mark.parametrize(
    ("root", "matrix", "message"),
    [
        ("secrets: [vars.t]\nvars: {t: [a]}", "'${{ vars.t }}'", "vars.t, whose value is secret"),
        (
            "vars: {t: x, u: ['${{ vars.t }}']}\nsecrets: [vars.t]",
            "'${{ vars.u }}'",
            "vars.u, which reads vars.t, a secret",
        ),
        (
            "inputs: {t: {secret: true}}\nvars: {u: 1}",
            "['${{ vars.t }}', 2]",
            "vars.t, whose value is secret",
        ),
        ("secrets: [env.T]\nvars: {u: 1}", "['${{ env.T }}']", "env.T, whose value is secret"),
        ("secrets: [vars.t]\nvars: {t: x, u: [1]}", "'${{ vars.u }}'", ""),
    ],
)
def test_a_secret_in_a_matrix_is_refused(
    root: str, matrix: str, message: str, read: Callable[[str], Recipe], problems: Problems
) -> None:
    step = "{name: s, type: shell, cmd: x"
    for text in (
        f"{root}\nsteps: [{step}, matrix: {{c: {matrix}}}}}]",
        f"{root}\nmatrix: {{c: {matrix}}}\nsteps: [{step}}}]",
    ):
        if message:
            [found] = problems(text)
            assert found.startswith("3:" if "\n" in root else "2:")
            assert found.endswith(f" a matrix reads {message}, {SHOWS}")
        else:
            read(text)
