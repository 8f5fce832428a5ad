"""Recognition of recipes among the YAML files of a folder."""

from pathlib import Path

import pytest

from pytest_orchestrator.recipe import looks_like_recipe


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("name: a\nsteps:\n- x\n", True),
        ("test_meta: {}\n", True),
        ("'steps': [", True),
        ('"steps" : []', True),
        ("steps:\n\t- broken", True),
        ("\ufeffsteps: []\n", True),
        ("{name: a, steps: []}", True),
        ('{"name": "a",\n "test_meta": {}}', True),
        ("  name: a\n  steps: []\n", True),
        ("", False),
        ("jobs:\n  build:\n    steps:\n    - run: x\n", False),
        ("on: push\njobs: {a: {steps: []}}\n", False),
        ("a: |\n  steps: x\n", False),
        ("# steps:\na: b\n", False),
        ("steps:x", False),
        ("next_steps: []\n", False),
        ("- steps: []\n", False),
        ("{steps: [", False),
        ("services: {web: {}}\n", False),
        ("a: 1\n---\nb: {steps: 1}\n", False),
    ],
)
def test_a_file_with_steps_or_test_meta_looks_like_a_recipe(
    text: str, is_one: bool, tmp_path: Path
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert looks_like_recipe(text.removeprefix("\ufeff")) is is_one
    assert looks_like_recipe(text.encode()) is is_one
    assert looks_like_recipe(path) is is_one


def test_a_file_that_cannot_be_read_does_not_look_like_a_recipe(tmp_path: Path) -> None:
    assert not looks_like_recipe(tmp_path)
    assert not looks_like_recipe(tmp_path / "nope.yaml")
    assert not looks_like_recipe(b"\xff\xfes\0t\0e\0p\0s\0:\0")
