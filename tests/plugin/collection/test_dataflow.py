"""The ini key `recipe_validate`."""

import pytest

from tests.plugin.conftest import Project

RECIPE = {"a": "", "b": "if: ctx.dnoe.a", "c": "type: shell, cmd: no_such"}


def test_data_flow_is_not_checked_by_default(project: Project) -> None:
    project.recipe("x", RECIPE)
    assert len(project.items()) == 3


@pytest.mark.counted
def test_data_flow_problems_are_collection_errors(project: Project) -> None:
    project.ini("recipe_validate = true")
    project.write("steps.py", "def note(ctx, params):\n    ctx.set('done.a', 1)\n")
    project.recipe("x", RECIPE)
    result = project.run("--collect-only", "-q")
    assert result.ret == 2
    text = result.stdout.str()
    assert "recipes/x.yaml:3:" in text
    assert "step 'b' reads ctx.dnoe.a, which nothing writes (did you mean 'done.a'?)" in text
    assert "no_such" not in text.partition("ERROR")[2]


@pytest.mark.counted
def test_a_recipe_without_data_flow_problems_is_collected(project: Project) -> None:
    project.ini("recipe_validate = true")
    project.recipe("x", {"a": "", "b": ""})
    assert len(project.items()) == 2
