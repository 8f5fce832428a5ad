"""Parameters that receive the values of `params` by name, in a process and inline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_SOURCE = """
def measure(ctx, volts, load=1, **rest):
    ctx.set("amps", volts / load, who="measure")
    return {"status": "ok", "volts": volts, "load": load, "rest": rest}

def of_rig(rig, volts):
    return {"status": "ok", "at": rig + volts}

class Supply:
    def validate(self, low):
        assert low >= 0

    def run(self, low, *, high):
        return {"status": "ok", "range": high - low}
"""
_RECIPE = """
vars: {bench: {volts: 5, tags: [a, b]}}
steps:
  - name: measure
    type: python
    module: psu
    function: measure
    params: {volts: "${{ vars.bench.volts }}", load: 2, tags: "${{ vars.bench.tags }}"}
    success:
      assert: ["result.volts == 5", "result.rest == {'tags': ['a', 'b']}", "ctx.amps == 2.5"]
    isolation: ISOLATION
  - name: supply
    type: python
    module: psu
    class: Supply
    params: "${{ {'low': 1, 'high': vars.bench.volts} }}"
    success: {assert: ["result.range == 4"]}
    isolation: ISOLATION
"""


@pytest.mark.parametrize("isolation", ["process", "inline"])
def test_a_step_receives_its_params_by_name(project: Project, isolation: str) -> None:
    project.write("psu.py", _SOURCE)
    project.write("recipes/x.yaml", _RECIPE.replace("ISOLATION", isolation))

    project.run().assert_outcomes(passed=2)


def test_a_step_receives_fixtures_and_values_of_params_together(project: Project) -> None:
    project.write("psu.py", _SOURCE)
    project.write("conftest.py", "import pytest\n@pytest.fixture\ndef rig(): return 3\n")
    keys = "function: of_rig, fixtures: [rig], params: {volts: 4}"
    success = "success: {assert: [result.at == 7]}"
    project.recipe("x", {"a": f"type: python, module: psu, {keys}, {success}"})

    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize("isolation", ["process", "inline"])
def test_params_that_do_not_fit_are_shown_at_their_line(project: Project, isolation: str) -> None:
    project.write("psu.py", _SOURCE)
    project.write(
        "recipes/x.yaml",
        f"""steps:
  - name: a
    type: python
    module: psu
    function: of_rig
    isolation: {isolation}
    params:
      rig: 1
      voltz: 4
""",
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    message = "params has 'voltz' (did you mean 'volts'?), which of_rig(rig, volts) does not take"
    result.stdout.fnmatch_lines(
        [
            f"recipes/x.yaml:9:7: step 'a': {message}",
            "   9 |       voltz: 4",
            "     |       ^^^^^",
            f"E   {message}",
        ]
    )
    assert "Traceback" not in result.stdout.str()
