"""The key `shell`: the program that runs a command line, its defaults, and invalid values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.recipe import BUILT_IN, Recipe, ShellStep, load
from pytest_orchestrator.recipe.analysis.fingerprint import FingerprintInputs, digests
from pytest_orchestrator.recipe.analysis.source_files import Sources
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.fields.resolve import evaluate_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Read = Callable[[str | bytes], Recipe]
    Problems = Callable[[str | bytes], list[str]]


def shell(recipe: Recipe, name: str = "a") -> str | tuple[str, ...] | None:
    step = recipe.step(name)
    assert isinstance(step, ShellStep)
    return step.shell


def steps(*keys: str, head: str = "") -> str:
    rows = [f"- {{name: {name}, {each}}}" for name, each in zip("abc", keys, strict=False)]
    return "\n".join([*([head] if head else []), "steps:", *rows])


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("sh", "sh"),
        ("bash", "bash"),
        ("python", "python"),
        ("[node]", ("node",)),
        ("[zsh, -e]", ("zsh", "-e")),
    ],
)
def test_a_step_names_its_shell(written: str, wanted: str | tuple[str, ...], read: Read) -> None:
    assert shell(read(steps(f"type: shell, cmd: x, shell: {written}"))) == wanted


def test_the_shell_of_a_step_precedes_defaults_and_those_the_project(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    own = steps(
        "type: shell, cmd: x, shell: sh", "type: ssh, host: h, cmd: y", "type: shell, cmd: [x]"
    )

    def shells(text: str) -> list[str | tuple[str, ...] | None]:
        path.write_text(text)
        recipe = load(path, root=tmp_path, known=BUILT_IN.with_defaults(("zsh",)))
        return [shell(recipe, name) for name in "abc"]

    assert shells(own) == ["sh", ("zsh",), None], "a list is executed as it is"
    assert shells(f"defaults: {{shell: bash}}\n{own}") == ["sh", "bash", None]


def test_a_used_file_has_the_shell_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text(steps("type: shell, cmd: x"))
    path = tmp_path / "x.yaml"
    path.write_text(
        "steps:\n- {name: a, use: part.yaml}\n- {name: b, type: python, module: m, function: f}"
    )

    recipe = load(path, root=tmp_path, known=BUILT_IN.with_defaults("bash"))
    assert shell(recipe, "a.a") == "bash"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "type: shell, cmd: x, shell: bsh",
            (
                "2:41 'shell' in shell step 'a' is 'bsh', should be sh, bash or python, "
                "or a list of words: [bsh] (did you mean 'bash'?)"
            ),
        ),
        (
            "type: shell, cmd: x, shell: pwsh -NoLogo",
            (
                "2:41 'shell' in shell step 'a' is 'pwsh -NoLogo', should be sh, bash or python, "
                "or a list of words: [pwsh, -NoLogo]"
            ),
        ),
        (
            "type: shell, cmd: x, shell: []",
            "2:41 'shell' in shell step 'a' is [], should begin with a program",
        ),
        (
            "type: shell, cmd: x, shell: true",
            ("2:41 'shell' in shell step 'a' is a boolean, should be text (quote it: 'true')"),
        ),
        (
            "type: shell, cmd: x, shell: '${{ vars.x }}'",
            "2:41 an expression cannot stand here (write the value itself; $${{ is plain text)",
        ),
        (
            "type: shell, cmd: [x], shell: bash",
            (
                "2:36 'shell' beside a 'cmd' that is a list in shell step 'a' "
                "(a list is executed as it is: leave 'shell' out, or write cmd as text)"
            ),
        ),
        (
            "type: python, module: m, function: f, shell: bash",
            "2:51 'shell' belongs to shell steps, and this is python step 'a'",
        ),
    ],
)
def test_an_invalid_shell_is_an_error_with_its_cure(
    keys: str, message: str, problems: Problems
) -> None:
    assert problems(steps(keys)) == [message]


@pytest.mark.parametrize(("written", "program"), [("python", "python"), ("[node, -x]", "node")])
def test_an_expression_in_the_code_of_another_language_is_an_error(
    written: str, program: str, problems: Problems
) -> None:
    message = (
        f"an expression in shell step 'a' is in a command line that {program} runs, where its "
        "value would be read as code: hand it over by 'env', as an environment variable"
    )
    keys = "type: shell, cmd: 'print(${{ vars.x }})'"
    text = f"vars: {{x: 1}}\n{steps(f'{keys}, shell: {written}')}"
    assert problems(text) == [f"3:31 {message}"]
    text = f"vars: {{x: 1}}\ndefaults: {{shell: {written}}}\n{steps(keys)}"
    assert problems(text)[0].startswith(f"4:31 {message}")


@pytest.mark.parametrize("named", ["sh", "bash"])
def test_an_expression_becomes_a_variable_of_a_named_shell(named: str, read: Read) -> None:
    text = steps(f"type: shell, shell: {named}, cmd: 'x ${{{{ vars.x }}}}'", head="vars: {x: 1}")
    step = read(text).step("a")
    assert isinstance(step, ShellStep)
    found = evaluate_step(step, {"vars": {"x": "a b"}})
    assert (found.cmd, found.args) == ('x "${RECIPE_VALUE_1}"', {"RECIPE_VALUE_1": "a b"})


def test_a_list_from_an_expression_is_executed_without_a_shell(read: Read) -> None:
    text = steps("type: shell, shell: bash, cmd: '${{ vars.x }}'", head="vars: {x: [a, b]}")
    step = read(text).step("a")
    assert isinstance(step, ShellStep)
    assert evaluate_step(step, {"vars": {"x": ["a", "b c"]}}).cmd == ("a", "b c")
    with pytest.raises(ExpressionError):
        evaluate_step(step, {"vars": {"x": "a b"}})


def test_another_shell_changes_the_digest(read: Read, tmp_path: Path) -> None:
    def digest(keys: str, head: str = "") -> str:
        recipe = read(steps(f"type: shell, cmd: x{keys}", head=head))
        return digests(recipe, recipe.step("a"), FingerprintInputs(Sources(tmp_path)))["step"]

    assert (
        len({digest(keys) for keys in ("", ", shell: sh", ", shell: bash", ", shell: [zsh]")}) == 4
    )
    assert digest(", shell: bash") == digest("", "defaults: {shell: bash}")
