"""Values of ``--recipe-break``, and sessions in which no person can use its prompt."""

import pytest

from pytest_orchestrator.plugin.questions.breaks import break_of
from tests.plugin.conftest import Project


@pytest.mark.counted
@pytest.mark.parametrize(
    ("text", "target", "condition"),
    [
        ("ripple", "ripple", None),
        ("recipes/x.yaml::rail[unit:A]", "recipes/x.yaml::rail[unit:A]", None),
        ("ripple if ctx.volts > 5", "ripple", "ctx.volts > 5"),
        ("ripple if ${{ vars.a if vars.b else 1 }}", "ripple", "vars.a if vars.b else 1"),
    ],
)
def test_a_value_is_a_step_and_maybe_a_condition(
    text: str, target: str, condition: str | None
) -> None:
    found = break_of(text)
    assert found.target == target
    assert (found.condition and found.condition.text) == condition


_FORM = "{!r} is neither STEP nor 'STEP if EXPRESSION'"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", _FORM),
        ("ripple if ", _FORM),
        (" if true", _FORM),
        ("two words", _FORM),
        ("b if vars.", "no expression: expected name or number\n  {}\n       ^"),
        ("b if ctx.x = 5", "no expression: "),
        (
            "b if context.x",
            "unknown name 'context' (did you mean 'ctx'?)\n  {}\n       ^",
        ),
        ("b if result.x", "'result' is known only after the step code has run\n  {}\n       ^"),
    ],
)
def test_a_wrong_value_is_answered_with_its_place(text: str, error: str) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        break_of(text)
    assert str(caught.value).startswith(f"--recipe-break: {error.format(text)}")


_NONE = "--recipe-break holds for a person at a terminal; "


@pytest.mark.parametrize(
    ("options", "ci", "error"),
    [
        ([], "", f"{_NONE}standard input and output of pytest are none"),
        ([], "true", f"{_NONE}CI is set, so no person is asked"),
        (["-n2"], "", f"{_NONE}workers of pytest-xdist have none: add -n0 (--recipe-jobs works)"),
        (
            ["--recipe-batch=batch.json"],
            "",
            f"{_NONE}the page of a station has none: run pytest with the recipe",
        ),
    ],
)
def test_without_a_terminal_the_option_is_a_usage_error(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    ci: str,
    error: str,
) -> None:
    monkeypatch.setenv("CI", ci)
    project.write("batch.json", '{"operator": "", "inputs": {}, "recipe": "recipes/x.yaml"}')
    project.recipe("x", {"a": ""})
    result = project.run("--recipe-break=a", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert error in str(result.stderr)
    assert project.ran == []
