"""A loaded recipe as plain data."""

import json
from pathlib import Path

import pytest

from pytest_orchestrator.recipe import BUILT_IN, load
from pytest_orchestrator.recipe.analysis.dependencies import plain_recipe

ROOT = Path(__file__).parents[3]
TEXT = """
needs: [recipes/other.yaml]
defaults: {timeout: 30s, args: {PORT: 5025}}
vars: {limit: 50}
steps:
  - name: measure
    type: shell
    cmd: psu read
    if: vars.limit > 3
    args: {GAIN: '${{ vars.limit }}'}
    retry: {attempts: 2, until: result.ok}
    outputs: {psu.state: {from: stdout, regex: 'on|off'}}
    measurements: {ripple: {value: result.mv, high: '${{ vars.limit }}', unit: mV}}
    success: {files_exist: [a.csv], max_seconds: 3}
finally:
  - {name: off, type: shell, cmd: psu off}
"""


def test_plain_data_has_all_keys_with_defaults_and_expressions(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "other.yaml").write_text(
        TEXT.replace("needs: [recipes/other.yaml]", "")
    )
    path = tmp_path / "recipes" / "psu.yaml"
    path.write_text(TEXT)

    data = plain_recipe(load(path, root=tmp_path))
    assert data["needs"] == ["recipes/other.yaml"]
    (step,) = data["steps"]
    assert step == {
        "name": "measure",
        "type": "shell",
        "line": 6,
        "timeout": 30.0,
        "args": {"PORT": 5025, "GAIN": "${{ vars.limit }}"},
        "cmd": "psu read",
        "if": "vars.limit > 3",
        "retry": {"attempts": 2, "until": "result.ok"},
        "outputs": [{"psu.state": {"from": "stdout", "regex": "on|off"}}],
        "measurements": {
            "ripple": {"value": "result.mv", "high": "${{ vars.limit }}", "unit": "mV"}
        },
        "success": [{"files_exist": "a.csv", "line": 14}, {"max_seconds": 3, "line": 14}],
    }
    assert data["finally"][0]["cmd"] == "psu off"


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("recipes/[!_]*.yaml")), ids=lambda path: path.stem
)
def test_plain_data_of_every_sample_is_json(path: Path) -> None:
    data = plain_recipe(load(path, root=ROOT, known=BUILT_IN.with_instruments(["psu"])))

    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert "Place(" not in json.dumps(data)
