"""Variables of a run are evaluated once; each step reports a var that has no value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.location import Place

if TYPE_CHECKING:
    from tests.execution.conftest import Bench


@pytest.mark.parametrize("cmd", ["echo ${{ vars.n }}", "true"])
def test_a_var_that_has_no_value_fails_each_step_at_its_own_line(bench: Bench, cmd: str) -> None:
    recipe = bench.recipe(
        "vars:\n  n: 1\n  e: ${{ env.NOTTHERE }}\n"
        f"steps:\n  - {{name: a, type: shell, cmd: '{cmd}'}}\n"
    )
    loop = bench.retry_loop(recipe.step("a"))

    for _ in range(2):
        result = loop.prepare()
        assert result is not None
        assert result.failure is not None
        assert result.failure.kind == "validation"
        assert result.failure.reason.startswith("`env.NOTTHERE`: there is no 'NOTTHERE'")
        assert result.failure.place == Place(3, 6, 19)


def test_a_step_without_expressions_passes_after_the_vars_were_evaluated(bench: Bench) -> None:
    recipe = bench.recipe(
        "vars: {n: 1}\nsteps:\n  - {name: a, type: shell, cmd: 'true', parse: text}\n"
    )
    first, second = (bench.retry_loop(recipe.step("a")) for _ in range(2))

    assert first.prepare() is None
    assert second.prepare() is None
    result = second.run()
    assert result is not None
    assert result.outcome == "passed"
