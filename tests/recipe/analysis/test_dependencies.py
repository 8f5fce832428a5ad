"""Dependencies of steps: files of the project, and modules from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_orchestrator.recipe import load
from pytest_orchestrator.recipe.analysis.dependencies import dependencies_of, mentions
from pytest_orchestrator.recipe.analysis.source_files import Sources

if TYPE_CHECKING:
    from pathlib import Path

_STEPS = """
import json
import lab.limits
import open_folder.deep
import strange_one.inner
from typing import TYPE_CHECKING
from strange_two import thing
from . import near
from pytest_orchestrator import Context

if TYPE_CHECKING:
    import for_a_checker
else:
    import strange_three

try:
    import not_everywhere
except ImportError:
    pass


def run(ctx, params):
    import strange_four
"""


def test_dependencies_are_the_files_of_steps_and_their_imports(tmp_path: Path) -> None:
    for name, text in {
        "recipes/a.yaml": (
            "steps:\n"
            "  - {name: py, type: python, module: bench_steps, function: run}\n"
            "  - {name: used, use: recipes/_part.yaml}\n"
            "  - {name: other, type: python, module: strange_five.x, function: run}\n"
            "  - {name: misspelt, type: python, module: bench_steps.inner, function: run}\n"
            "  - {name: left_out, type: shell, cmd: ./left_out.sh}\n"
        ),
        "recipes/_part.yaml": "steps: [{name: sh, type: shell, cmd: 'scripts/run.sh --fast'}]\n",
        "bench_steps.py": _STEPS,
        "lab/__init__.py": "",
        "lab/limits.py": "import strange_six\n",
        "open_folder/deep.py": "",
        "scripts/run.sh": "#!/bin/sh\n",
        "left_out.sh": "#!/bin/sh\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    recipe = load(tmp_path / "recipes/a.yaml", root=tmp_path)
    selected = [step for step in recipe.steps if step.name != "left_out"]

    found = dependencies_of([(recipe, selected)], Sources(tmp_path))

    assert found.files == (
        "bench_steps.py",
        "lab/__init__.py",
        "lab/limits.py",
        "open_folder/deep.py",
        "recipes/_part.yaml",
        "recipes/a.yaml",
        "scripts/run.sh",
    )
    numbers = ("five", "four", "one", "six", "three", "two")
    assert found.modules == tuple(f"strange_{number}" for number in numbers)


def test_scriptlets_of_a_file_that_is_relative_to_its_user_are_listed(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    user = tmp_path / "recipes" / "x.yaml"
    user.write_text("steps: [{name: a, use: ./_part.yaml}]\n")
    (tmp_path / "recipes" / "_part.yaml").write_text(
        "steps: [{name: s, type: python, module: bench.psu, function: on}]\n"
    )
    called, unread = mentions([user], tmp_path)
    assert ([one.module for one in called], unread) == (["", "bench.psu"], [])
