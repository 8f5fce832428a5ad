"""Expressions in the spelling of other tools: `{{ vars.x }}`, `${vars.x}` and `$vars.x`."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_orchestrator.recipe import BUILT_IN, Recipe, RecipeError, cells, load
from pytest_orchestrator.recipe.expressions.expression import OPENING
from pytest_orchestrator.recipe.fields.silent_slips import shell_variables
from pytest_orchestrator.step_types.prompt import Prompt
from pytest_orchestrator.step_types.scpi import Scpi

Read = Callable[[str], Recipe]
Problems = Callable[[str], list[str]]

CURE = "; where the text itself is meant, say 'literal_braces: true')"
HEAD = "vars: {volts: 5}\nsteps:\n"
STEP = HEAD + "  - {name: b, type: shell, parse: text, cmd: x, %s}\n"
LINE = HEAD + "  - {name: b, type: shell, parse: text, cmd: '%s'}\n"


def said(written: str, right: str) -> str:
    return f"'{written}' is plain text, no expression (write {right}{CURE}"


SPELLINGS = {
    "{{ vars.volts }}": "vars.volts",
    "{{vars.volts}}": "vars.volts",
    "{{ vars.volts | int + 1 }}": "vars.volts | int + 1",
    "{{ vars.volts": "vars.volts",
    "{{ vars. }}": "vars.",
    "${vars.volts}": "vars.volts",
    "${env.HOME:-/tmp}": "env.HOME",
    **{
        f"{{{{ {name}.x }}}}": f"{name}.x"
        for name in ("env", "ctx", "steps", "matrix", "item", "unit", "run", "recipe", "result")
    },
    **{f"${{{name}.x}}": f"{name}.x" for name in ("ctx", "matrix", "item", "unit", "index")},
}


@pytest.mark.parametrize("written", SPELLINGS)
@pytest.mark.parametrize("before", ["", "{", "$ ", "$${{ x }} "])
def test_the_braces_of_another_tool_are_an_error_with_the_right_spelling(
    problems: Problems, written: str, before: str
) -> None:
    at = len('  - {name: b, type: shell, parse: text, cmd: "') + len("echo ") + len(before) + 1
    right = f"${{{{ {SPELLINGS[written]} }}}}"
    assert problems(LINE % f"echo {before}{written}") == [f"3:{at} {said(written, right)}"]


VOLTS = said("{{ vars.volts }}", "${{ vars.volts }}")
DOLLAR = said("${vars.volts}", "${{ vars.volts }}")
BRACES = '"{{ vars.volts }}"'


@pytest.mark.parametrize(
    "keys",
    [
        f"env: {{LEVEL: {BRACES}}}",
        f"stdin: {{list: [1, {BRACES}]}}",
        f"cwd: {BRACES}",
        f"locks: [{BRACES}]",
        f"foreach: [1, {BRACES}]",
        f"matrix: {{channel: [1, {BRACES}]}}",
        f"outputs: {{a_v1: {BRACES}}}",
        f"measurements: {{m: {{value: 1, equals: {BRACES}}}}}",
        f"success: {{stdout_contains: [{BRACES}]}}",
        f"xfail: {BRACES}",
        f"artifacts: [{BRACES}]",
        f"env: {{message: {BRACES}}}",
        f"measurements: {{m: {{value: 1, unit: {BRACES}}}}}",
    ],
)
def test_the_values_of_all_keys_of_a_step_are_checked(problems: Problems, keys: str) -> None:
    at = (STEP % keys).splitlines()[2].index("{{ vars") + 1
    assert problems(STEP % keys) == [f"3:{at} {VOLTS}"]


@pytest.mark.parametrize(
    "root",
    [
        f"test_meta: {{dut: {BRACES}}}",
        f"env: {{LEVEL: {BRACES}}}",
        f"defaults: {{env: {{LEVEL: {BRACES}}}}}",
        f"matrix: {{channel: [1, {BRACES}]}}",
        f"inputs: {{serial: {{default: {BRACES}}}}}",
        f"locks: [{BRACES}]",
        f"sampling: {{case: {{cmd: {BRACES}}}}}",
    ],
)
def test_the_values_of_all_keys_at_the_root_are_checked(problems: Problems, root: str) -> None:
    at = root.index("{{ vars") + 1
    assert problems(f"{STEP % 'needs: []'}{root}\n") == [f"4:{at} {VOLTS}"]


def test_steps_of_finally_python_steps_and_uses_are_checked(problems: Problems) -> None:
    text = """\
vars: {volts: 5}
steps:
  - {name: a, type: python, module: m, function: f, params: {volts: "{{ vars.volts }}"}}
  - {name: c, use: recipes/_c.yaml, with: {volts: "${vars.volts}"}}
finally:
  - {name: d, type: shell, cmd: [psu, "{{ vars.volts }}"]}
"""
    found = problems(text)
    assert [found[0], *found[2:]] == [f"3:70 {VOLTS}", f"4:52 {DOLLAR}", f"6:40 {VOLTS}"]
    assert found[1] == "4:20 there is no file recipes/_c.yaml (did you mean 'recipes/x.yaml'?)"


def test_all_texts_of_a_value_are_reported_each_at_its_place(problems: Problems) -> None:
    text = HEAD + (
        "  - name: b\n    type: shell\n    parse: text\n    cmd: |\n"
        "      echo ${{ vars.volts }} {{ vars.volts }} ${vars.volts}\n"
        "      echo {{ vars.volts }}\n"
    )
    assert problems(text) == [f"7:30 {VOLTS}", f"7:47 {DOLLAR}", f"8:12 {VOLTS}"]


def test_a_text_that_yaml_has_folded_is_marked_at_its_first_line(problems: Problems) -> None:
    text = STEP % 'env: {A: "{{\n      vars.volts }}"}'
    assert problems(text) == [f"3:59 {VOLTS}"]


def test_an_anchor_is_reported_where_it_is_written_and_once(problems: Problems) -> None:
    text = (
        f"x-env: &env {{LEVEL: {BRACES}}}\n"
        + HEAD
        + (
            "  - {name: a, type: shell, cmd: x, env: *env}\n"
            "  - {name: b, type: shell, cmd: x, env: {<<: *env, B: 1}}\n"
        )
    )
    assert problems(text) == [f"1:22 {VOLTS}"]


def test_a_used_file_is_checked_with_its_own_keys(tmp_path: Path) -> None:
    used = tmp_path / "recipes" / "_c.yaml"
    user = tmp_path / "recipes" / "x.yaml"
    used.parent.mkdir()
    used.write_text(LINE % "echo {{ vars.volts }}")
    user.write_text("literal_braces: true\nsteps: [{name: c, use: recipes/_c.yaml}]\n")
    with pytest.raises(RecipeError) as caught:
        load(user, root=tmp_path)
    assert VOLTS in str(caught.value)

    used.write_text("literal_braces: true\n" + LINE % "echo {{ vars.volts }} $vars.volts")
    recipe = load(user, root=tmp_path)
    assert recipe.step("c.b").literal_braces
    assert shell_variables(recipe) == {}


@pytest.mark.parametrize(
    "keys",
    [
        f"description: {BRACES}",
        'env: {A: "$${{ vars.volts }}"}',
        'env: {A: "$${{ a {{ vars.volts }} }}"}',
        "env: {A: \"${{ '{{ vars.volts }}' }}\"}",
        "env: {A: \"${{ '${vars.volts}' ~ vars.volts }}\"}",
        "if: \"'{{ vars.volts }}' != ctx.x\"",
        "foreach: \"['{{ vars.volts }}']\"",
        "retry: {attempts: 2, until: \"'{{ vars.volts }}' in stdout\"}",
        "success: {assert: [\"'{{ vars.volts }}' in stdout\"]}",
        "measurements: {m: {value: \"'{{ vars.volts }}'\", equals: a}}",
        *(
            f"env: {{A: {text!r}}}"
            for text in (
                "{{ .Names }}",
                "{{ variable.x }}",
                "{{ myvars.x }}",
                "{{ vars }}",
                "{{ vars['x'] }}",
                "${vars}",
                "${vars:-x}",
                "${ vars.x}",
                "$vars.x",
                "{ vars.x }",
                "{% vars.x %}",
                "%{vars.x}",
                "{{- vars.x }}",
                "{{ Vars.x }}",
            )
        ),
    ],
)
def test_expressions_prose_and_other_texts_are_no_problem(read: Read, keys: str) -> None:
    assert not read(STEP % keys).step("b").literal_braces


@pytest.mark.parametrize(
    "root",
    [
        f"description: {BRACES}",
        f"test_meta: {{description: {BRACES}}}",
        f"inputs: {{serial: {{default: a, description: {BRACES}}}}}",
        f"x-notes: [{BRACES}]",
        "defaults: {retry: {attempts: 2, until: \"'{{ vars.volts }}' in stdout\"}}",
        "if: \"'{{ vars.volts }}' != 'a'\"",
    ],
)
def test_prose_and_expressions_at_the_root_are_no_problem(read: Read, root: str) -> None:
    assert read(f"{STEP % 'needs: []'}{root}\n").steps


def test_the_message_and_the_descriptions_of_a_prompt_are_prose(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        f"steps:\n  - {{name: b, type: prompt, message: {BRACES}, "
        f"fields: {{serial: {{description: {BRACES}}}}}}}\n"
    )
    assert load(path, root=tmp_path, known=BUILT_IN.with_type(Prompt)).steps


def test_the_keys_of_a_plugin_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "steps: [{name: b, type: scpi, instrument: psu, commands: ['VOLT {{ vars.volts }}']}]\n"
    )
    with pytest.raises(RecipeError) as caught:
        load(path, root=tmp_path, known=BUILT_IN.with_type(Scpi).with_instruments(["psu"]))
    assert [one.text for one in caught.value.problems] == [VOLTS]


@pytest.mark.parametrize("shell", ["python", "[perl, -w]"])
def test_a_command_in_another_language_is_not_checked(
    read: Read, problems: Problems, shell: str
) -> None:
    step = f"shell: {shell}, env: {{A: %s}}"
    text = (STEP % step).replace("cmd: x", "cmd: 'print(f\"{{ vars.volts }} $vars.volts\")'")
    assert shell_variables(read(text % "1")) == {}
    at = (text % BRACES).splitlines()[2].rindex("{{ vars") + 1
    assert problems(text % BRACES) == [f"3:{at} {VOLTS}"]


def test_the_shell_of_the_project_and_of_defaults_counts(tmp_path: Path, read: Read) -> None:
    text = LINE % 'print(f"{{ vars.volts }}")'
    assert read(f"defaults: {{shell: python}}\n{text}").steps
    path = tmp_path / "x.yaml"
    path.write_text(f"{text}sampling: {{case: {{cmd: 'print(\"{{{{ run.x }}}}\")'}}}}\n")
    assert load(path, root=tmp_path, known=BUILT_IN.with_defaults("python")).steps


@pytest.mark.parametrize(
    "text",
    [
        STEP % f"env: {{A: {BRACES}}}, literal_braces: true",
        f"defaults: {{literal_braces: true}}\n{STEP % f'env: {{A: {BRACES}}}'}",
        f"defaults: {{literal_braces: true, env: {{A: {BRACES}}}}}\n{STEP % 'needs: []'}",
        f"literal_braces: true\ntest_meta: {{dut: {BRACES}}}\n{STEP % f'env: {{A: {BRACES}}}'}",
        f"literal_braces: true\ndefaults: {{env: {{A: {BRACES}}}}}\n{STEP % 'needs: []'}",
    ],
)
def test_literal_braces_says_that_the_text_is_meant(read: Read, text: str) -> None:
    recipe = read(text)
    assert "{{ vars.volts }}" in (recipe.step("b").args | recipe.test_meta).values()  # type: ignore[attr-defined]


def test_a_step_says_otherwise_than_the_defaults_and_these_than_the_root(
    problems: Problems,
) -> None:
    braces = f"env: {{A: {BRACES}}}"
    step = STEP % f"{braces}, literal_braces: false"
    at = step.splitlines()[2].index("{{ vars") + 1
    assert problems(f"literal_braces: true\n{step}") == [f"4:{at} {VOLTS}"]
    assert problems(f"defaults: {{literal_braces: true}}\n{step}") == [f"4:{at} {VOLTS}"]
    of_defaults = f"literal_braces: true\ndefaults: {{literal_braces: false}}\n{STEP % braces}"
    at = (STEP % braces).splitlines()[2].index("{{ vars") + 1
    assert problems(of_defaults) == [f"5:{at} {VOLTS}"]
    of_root = f"defaults: {{literal_braces: true}}\n{STEP % braces}test_meta: {{dut: {BRACES}}}\n"
    assert problems(of_root) == [f"5:19 {VOLTS}"]


VARIABLE = "'$vars.volts' is no expression (write ${{ vars.volts }}; for the shell's ${vars}.volts)"


@pytest.mark.parametrize(
    "cmd",
    [
        "echo $vars.volts",
        "echo \"$vars.volts $vars.volts\" '$ctx.x'",
        "echo ${{ vars.volts }}$vars.volts",
        "cat <<EOF\n$vars.volts\nEOF",
        "echo $(echo $vars.volts)",
    ],
)
def test_a_variable_of_the_shell_with_a_dot_is_a_warning(read: Read, cmd: object) -> None:
    recipe = read(HEAD + f"  - {{name: b, type: shell, parse: text, cmd: {json.dumps(cmd)}}}\n")
    ((problem, source),) = shell_variables(recipe).items()
    assert (source.id, problem.text) == ("recipes/x.yaml", VARIABLE)
    assert (problem.place.line, problem.place.column) == (3, 46)


@pytest.mark.parametrize(
    "cmd",
    [
        "echo '$vars.volts'",
        "echo \\$vars.volts",
        "cat <<'EOF'\n$vars.volts\nEOF",
        "cat <<'$vars.x'\na\n$vars.x",
        ["echo", "$vars.volts"],
        "echo $vars",
        "echo $env.x $item.x $varsx.y $vars_.x",
        "echo $${{ '$vars.volts' }}",
    ],
)
def test_other_texts_with_a_dollar_sign_are_no_warning(read: Read, cmd: object) -> None:
    recipe = read(HEAD + f"  - {{name: b, type: shell, parse: text, cmd: {json.dumps(cmd)}}}\n")
    assert shell_variables(recipe) == {}


def test_the_cells_of_a_matrix_have_one_warning(read: Read) -> None:
    recipe = read(STEP.replace("cmd: x", "cmd: echo $vars.volts") % "matrix: {a: [1, 2]}")
    (problem,) = shell_variables(cells(recipe, {})[0])
    assert problem.text == VARIABLE


def test_a_sampled_command_is_checked_for_variables_too(read: Read) -> None:
    recipe = read(STEP % "needs: []" + "sampling: {case: {cmd: psu $vars.volts}}\n")
    (problem,) = shell_variables(recipe)
    assert problem.text == VARIABLE
    assert (problem.place.line, problem.place.column) == (4, 24)


DECLARED = "vars: {BOARD: A1}\ninputs: {SN: {default: x}}\nmatrix: {VOLTS: [3.0]}\nsteps:\n"
SHELL = "  - {name: b, type: shell, parse: text, cmd: %s%s}\n"
HINT = "'$%s' is no expression (write ${{ %s }}; or set %s in 'env')"


@pytest.mark.parametrize(
    ("cmd", "name"),
    [
        ("echo $BOARD", "vars.BOARD"),
        ('echo "SN=$SN" > log', "vars.SN"),
        ("cat <<EOF\n$VOLTS\nEOF", "matrix.VOLTS"),
        ("echo BOARD=1 $BOARD", "vars.BOARD"),
    ],
)
def test_a_variable_of_the_shell_with_a_declared_name_is_a_warning(
    read: Read, cmd: str, name: str
) -> None:
    recipe = read(DECLARED + SHELL % (json.dumps(cmd), ""))
    last = name.partition(".")[2]
    assert [one.text for one in shell_variables(recipe)] == [HINT % (last, name, last)]


def test_a_braced_variable_of_the_shell_with_a_declared_name_is_a_warning(read: Read) -> None:
    (problem,) = shell_variables(read(DECLARED + SHELL % ("'psu ${SN}'", "")))
    assert problem.text == "'${SN}' is no expression (write ${{ vars.SN }}; or set SN in 'env')"


@pytest.mark.parametrize(
    ("cmd", "keys"),
    [
        ("echo '$BOARD' ${BOARD:-x} $BOARDS $SN_2 \\$SN", ""),
        ("echo $BOARD", ", env: {BOARD: x}"),
        ("echo $HOME", ""),
        ("BOARD=1\necho $BOARD", ""),
        ("x=1 SN=2; echo $SN", ""),
        ("export SN=2; echo $SN", ""),
        ("read -r SN < f; echo $SN", ""),
        ("for SN in a b; do echo $SN; done", ""),
        ("while read x SN; do echo $SN; done < f", ""),
        ("printf -v SN %s x; echo $SN", ""),
    ],
)
def test_a_variable_that_the_script_or_its_environment_sets_is_no_warning(
    read: Read, cmd: str, keys: str
) -> None:
    text = DECLARED.replace("BOARD: A1", "BOARD: A1, HOME: x") + SHELL % (json.dumps(cmd), keys)
    assert shell_variables(read(text)) == {}


def test_a_variable_of_the_shell_in_test_meta_is_a_warning(read: Read) -> None:
    recipe = read(
        DECLARED.replace("steps:", "test_meta: {dut: $SN, price: $5}\nsteps:") + SHELL % ("x", "")
    )
    assert [(one.place.line, one.text) for one in shell_variables(recipe)] == [
        (4, HINT % ("SN", "vars.SN", "SN"))
    ]


@pytest.mark.parametrize("name", ["vars.BOARD", "vars.SN", "matrix.VOLTS"])
def test_braces_around_a_declared_name_are_an_error(problems: Problems, name: str) -> None:
    bare = name.partition(".")[2]
    assert problems(DECLARED + SHELL % (f"'psu {{{{ {bare} }}}}'", "")) == [
        f"5:51 {said(f'{{{{ {bare} }}}}', f'${{{{ {name} }}}}')}"
    ]


def test_braces_around_another_name_are_text(read: Read) -> None:
    recipe = read(DECLARED + SHELL % ("'docker ps --format {{ID}}'", ""))
    assert recipe.step("b").name == "b"


@given(
    st.lists(
        st.sampled_from(
            [
                *("{{", "}}", "{", "}", "${", "$", " ", ".", "x", "'", '"', "\\", "\n", "|", "$$"),
                *("vars", "env", "ctx", "steps", "matrix", "item", "index", "result", "Vars"),
            ]
        ),
        max_size=12,
    ).map("".join)
)
@example("{{ vars .x }}")
def test_a_text_without_these_spellings_is_never_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    names = "vars|env|ctx|steps|matrix|item|unit|run|recipe|result|index"
    listed = re.search(rf"\{{\{{\s*({names})\.|\$\{{({names})\.", text) is not None
    path = tmp_path_factory.getbasetemp() / "x.yaml"
    path.write_text(
        json.dumps({"steps": [{"name": "a", "type": "shell", "cmd": "x", "env": {"A": text}}]})
    )
    try:
        load(path, root=path.parent)
    except RecipeError as error:
        refused = [one for one in error.problems if " is plain text" in one.text]
        assert not refused or listed
        assert refused or OPENING in text
    else:
        assert not listed or "$${{" in text or "${{" in text
