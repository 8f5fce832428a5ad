"""Declarations of a recipe that it uses hardware."""

from pathlib import Path

import pytest

from pytest_orchestrator.recipe import BUILT_IN, load
from pytest_orchestrator.recipe.analysis.hardware_use import hardware_use

STEP = "steps:\n  - name: go\n    type: shell\n    cmd: echo hi\n"
PYTHON = "steps:\n  - name: go\n    type: python\n    module: a\n    function: b\n"
SCPI = "steps:\n  - name: go\n    type: scpi\n    instrument: psu\n    commands: ['*RST']\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STEP, "None"),
        (f"locks: [bench]\n{STEP}", "a.yaml:2:8: the recipe has locks"),
        (f"{STEP}    locks: [psu]\n", "a.yaml:6:12: step 'go' has locks"),
        (f"{STEP}    implicit: false\n", "a.yaml:6:15: step 'go' has `implicit: false`"),
        (f"fixtures: [instrument]\n{PYTHON}", "a.yaml:2:11: the recipe has fixture 'instrument'"),
        (
            f"{PYTHON}    fixtures: [instrument]\n",
            "a.yaml:7:15: step 'go' has fixture 'instrument'",
        ),
        (SCPI, "a.yaml:5:17: step 'go' has an instrument"),
        (
            f"{STEP}sampling:\n  volts: {{instrument: psu, query: 'MEAS?', every: 1s}}\n",
            "a.yaml:7:23: step 'volts' has instrument 'psu'",
        ),
        (
            f"{STEP}finally:\n  - {{name: off, type: shell, cmd: echo off, locks: [psu]}}\n",
            "a.yaml:7:52: step 'off' has locks",
        ),
    ],
)
def test_first_declaration_is_found_with_its_place(
    text: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"version: 1\n{text}")
    recipe = load(path, root=tmp_path, known=BUILT_IN.with_instruments(["psu"]))

    assert str(hardware_use(recipe)) == expected


def test_lock_of_a_used_file_is_found_in_that_file(tmp_path: Path) -> None:
    (tmp_path / "_part.yaml").write_text(f"version: 1\n{STEP}    locks: [psu]\n")
    path = tmp_path / "a.yaml"
    path.write_text("version: 1\nsteps:\n  - {name: part, use: _part.yaml}\n")

    assert str(hardware_use(load(path, root=tmp_path))) == (
        "_part.yaml:6:12: step 'part.go' has locks"
    )
