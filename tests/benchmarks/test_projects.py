"""Generated projects have exactly the requested steps and files."""

import re
from pathlib import Path

import pytest

from benchmarks.projects import KINDS, project, write


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_has_the_requested_number_of_steps(kind: str) -> None:
    text = "\n".join(project(kind, steps=12).values())

    assert re.findall(r"s000\d\d", text) == [f"s{n:05}" for n in range(1, 13)]


@pytest.mark.parametrize("kind", KINDS)
def test_project_has_the_requested_number_of_files(kind: str) -> None:
    one, four = (project(kind, steps=1, files=files) for files in (1, 4))

    assert len(four) == len(one) + 3


@pytest.mark.parametrize("kind", KINDS)
def test_python_files_compile(kind: str) -> None:
    for name, text in project(kind, steps=2).items():
        if name.endswith(".py"):
            compile(text, name, "exec")


def test_recipe_has_a_line_for_each_step() -> None:
    assert project("recipe-shell", steps=2)["recipes/f0000.yaml"] == (
        "version: 1\n"
        "steps:\n"
        "  - {name: s00001, type: shell, cmd: ./noop.sh}\n"
        "  - {name: s00002, type: shell, cmd: ./noop.sh}\n"
    )


@pytest.mark.parametrize("kind", ["recipe-python", "recipe-shell"])
def test_recipe_of_ten_thousand_steps_is_below_the_size_limit(kind: str) -> None:
    assert len(project(kind, steps=10_000)["recipes/f0000.yaml"]) < 1 << 20


def test_shell_scripts_are_executable(tmp_path: Path) -> None:
    write(project("subprocess", steps=1), tmp_path)

    assert (tmp_path / "noop.sh").stat().st_mode & 0o111
    assert not (tmp_path / "test_f0000.py").stat().st_mode & 0o111
