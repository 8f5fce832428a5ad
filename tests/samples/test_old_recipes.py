"""Recipes of an earlier version have the same outcomes.

`old_recipes.json` has recipes made of the examples of all keys that the version had before `env`,
`foreach` and `inputs` were added, and the samples of that version, with the outcomes of their steps
in that version. It was written once, and is not written again.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.plugin.conftest import project  # noqa: F401  # a fixture

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

ROOT = Path(__file__).parents[2]
RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("old_recipes.json").read_text())


@pytest.mark.parametrize("part", ["generated", pytest.param("samples", marks=pytest.mark.nightly)])
def test_a_recipe_of_an_earlier_version_has_the_same_outcomes(
    part: str,
    project: Project,  # noqa: F811
) -> None:
    shutil.copytree(
        ROOT / "scriptlets",
        project.path / "scriptlets",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "README.md", project.path)
    project.ini("markers =", "    nightly")
    for name, text in RECORDED[part]["recipes"].items():
        project.write(f"recipes/{name}.yaml", text)
    project.run("--json-report", "--json-report-file=r.json")
    report = json.loads((project.path / "r.json").read_text(encoding="utf-8"))
    steps = [test["metadata"]["orchestrator"]["step"] for test in report["tests"]]

    found = {
        one["node"]: " ".join([one["state"], *filter(None, [one.get("kind")])]) for one in steps
    }
    assert found == RECORDED[part]["outcomes"]
