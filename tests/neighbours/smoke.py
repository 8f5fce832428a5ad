"""The project that each neighbour meets: recipes with every outcome, and tests by hand."""

from pathlib import Path

FILES = {
    "pytest.ini": """\
[pytest]
addopts = -p no:cacheprovider
pythonpath = .
""",
    "scriptlets/steps.py": '''\
"""Scriptlets of the bench."""


class Measure:
    def run(self, ctx, params):
        print("measuring at", params["volts"])
        ctx.set("psu.ripple_v1", 41.5, who="measure")
        return {"status": "ok"}


def refuse(ctx, params):
    assert ctx.get("psu.ripple_v1") == 40, "the bench is <off>"


def amplify(ctx, params):
    ctx.set("bench.gain_v1", params["gain"], who="amplify")
    return {"status": "ok"}
''',
    "recipes/bench.yaml": """\
version: 1
test_meta: {test_id: SMOKE-1, tester: A. Tester, dut: {serial_number: A17}}
tags: [nightly]
steps:
  - name: measure
    type: python
    module: scriptlets.steps
    class: Measure
    params: {volts: 12}
    measurements:
      ripple: {value: ctx.psu.ripple_v1, unit: mV, high: 50}
  - name: report
    type: shell
    cmd: echo reporting >&2; echo '{"status":"ok","rows":10}'
  - name: refuse
    type: python
    module: scriptlets.steps
    function: refuse
  - name: judge
    type: shell
    cmd: "true"
    parse: text
  - name: expected
    type: shell
    cmd: exit 3
    parse: text
    needs: []
    xfail: the supply is on its way
finally:
  - name: power_off
    type: shell
    cmd: echo off > off.txt
    parse: text
""",
    "recipes/gains.yaml": """\
version: 1
matrix: {gain: [1, 10]}
steps:
  - name: amplify
    type: python
    module: scriptlets.steps
    function: amplify
    params: {gain: "${{ matrix.gain }}"}
    success: {ctx_has_keys: [bench.gain_v1]}
""",
    "test_hand.py": """\
import pytest


@pytest.mark.recipe("recipes/gains.yaml", matrix={"gain": 10})
def test_the_gain_is_what_the_recipe_set(ctx):
    assert ctx.get("bench.gain_v1") == 10


def test_by_hand(ctx):
    ctx.set("hand.seen_v1", True, who="hand")
""",
}

COUNTS = {"passed": 7, "failed": 1, "skipped": 1, "xfailed": 1}


def write(folder: Path, more: dict[str, str]) -> None:
    """Write the project, and the files that a neighbour adds to it."""
    for name, text in (FILES | more).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
