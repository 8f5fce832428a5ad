"""Loading a file gives a recipe with all values of the file and their places."""

import gc
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe import Criterion, PythonStep, Recipe, RecipeError, ShellStep, load

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]

TEXT = """\
version: 1
name: PSU
description: Burns in.
test_meta: {test_id: PSU-7, dut: {serial: 17}}
tags: [nightly]
fixtures: [bench]
x-note: [anything, {at: all}]
steps:
  - idx: 1
    name: flash
    description: Writes it.
    tags: [slow]
    fixtures: [usb]
    type: python
    module: scriptlets.flash
    class: Flash
    params: {image: a.bin, tries: [1, 2.5, null, true]}
    implicit: false
    xfail: BUG-1
  - idx: 2
    name: burn_in
    type: shell
    cmd: [burn, -v]
    args: {LOAD: 3}
    stdin: {a: 1}
    parse: last-line
    cwd: bench
    timeout: 2m
    needs: [flash]
    success:
      exit_code: [0, 3]
      ctx_has_keys: [burn.ok_v1]
finally:
  - name: off
    type: python
    module: scriptlets.off
    function: off
"""


def test_the_recipe_has_all_values_of_the_file(read: Read, tmp_path: Path) -> None:
    recipe = read(TEXT)
    assert recipe == Recipe(
        id="recipes/x.yaml",
        path=tmp_path / "recipes" / "x.yaml",
        text=TEXT,
        sha256=hashlib.sha256(TEXT.encode()).hexdigest(),
        version=1,
        name="PSU",
        description="Burns in.",
        test_meta={"test_id": "PSU-7", "dut": {"serial": 17}},
        tags=("nightly",),
        fixtures=("bench",),
        at={
            "version": Place(1, 10, 1),
            "name": Place(2, 7, 3),
            "description": Place(3, 14, 9),
            "test_meta": Place(4, 12, 35),
            "tags": Place(5, 7, 9),
            "fixtures": Place(6, 11, 7),
            "steps": Place(9, 3, 1),
            "finally": Place(34, 3, 1),
        },
        steps=(
            PythonStep(
                name="flash",
                idx=1,
                description="Writes it.",
                tags=("slow",),
                fixtures=("usb",),
                module="scriptlets.flash",
                class_="Flash",
                params={"image": "a.bin", "tries": [1, 2.5, None, True]},
                implicit=False,
                xfail="BUG-1",
                index=1,
                at={
                    "": Place(9, 5, 3),
                    "idx": Place(9, 10, 1),
                    "name": Place(10, 11, 5),
                    "description": Place(11, 18, 10),
                    "tags": Place(12, 11, 6),
                    "fixtures": Place(13, 15, 5),
                    "type": Place(14, 11, 6),
                    "module": Place(15, 13, 16),
                    "class": Place(16, 12, 5),
                    "params": Place(17, 13, 43),
                    "params.image": Place(17, 14, 5),
                    "params.tries": Place(17, 28, 5),
                    "implicit": Place(18, 15, 5),
                    "xfail": Place(19, 12, 5),
                },
            ),
            ShellStep(
                name="burn_in",
                idx=2,
                cmd=("burn", "-v"),
                args={"LOAD": 3},
                stdin={"a": 1},
                parse="last-line",
                cwd="bench",
                timeout=120.0,
                needs=("flash",),
                success=(
                    Criterion("exit_code", [0, 3], Place(31, 18, 6)),
                    Criterion("ctx_has_keys", "burn.ok_v1", Place(32, 22, 10)),
                ),
                index=2,
                at={
                    "": Place(20, 5, 3),
                    "idx": Place(20, 10, 1),
                    "name": Place(21, 11, 7),
                    "type": Place(22, 11, 5),
                    "cmd": Place(23, 10, 10),
                    "args": Place(24, 11, 9),
                    "stdin": Place(25, 12, 6),
                    "parse": Place(26, 12, 9),
                    "cwd": Place(27, 10, 5),
                    "timeout": Place(28, 14, 2),
                    "needs": Place(29, 12, 7),
                    "success": Place(31, 7, 9),
                },
            ),
        ),
        final=(
            PythonStep(
                name="off",
                module="scriptlets.off",
                function="off",
                index=3,
                is_final=True,
                at={
                    "": Place(34, 5, 4),
                    "name": Place(34, 11, 3),
                    "type": Place(35, 11, 6),
                    "module": Place(36, 13, 14),
                    "function": Place(37, 15, 3),
                },
            ),
        ),
    )
    assert [step.line for step in recipe.steps + recipe.final] == [9, 20, 34]
    assert [step.type for step in recipe.steps + recipe.final] == ["python", "shell", "python"]


def test_a_missing_key_has_its_default(read: Read) -> None:
    recipe = read("steps: [{name: a, type: shell, cmd: x}]")
    assert (recipe.version, recipe.name, recipe.test_meta, recipe.final) == (1, None, {}, ())
    step = recipe.steps[0]
    assert isinstance(step, ShellStep)
    assert (step.needs, step.implicit, step.timeout, step.success) == ((), True, None, ())
    assert (step.args, step.stdin, step.parse, step.cwd, step.idx) == ({}, None, "json", None, None)


def test_lines_may_have_windows_line_endings(read: Read) -> None:
    recipe = read(TEXT.replace("\n", "\r\n"))
    assert recipe.step("burn_in") == read(TEXT).step("burn_in")


NO_STEPS = "(a recipe has a list of 'steps')"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"1:1 the file is empty {NO_STEPS}"),
        ("\n# only this\n", f"1:1 the file is empty {NO_STEPS}"),
        ("---\n", f"1:1 the file is empty {NO_STEPS}"),
        ("\ufeff", f"1:1 the file is empty {NO_STEPS}"),
        ("- name: a\n", f"1:1 the file is a list, should be a mapping {NO_STEPS}"),
        ("\nhello\n", f"2:1 the file is one text or number, should be a mapping {NO_STEPS}"),
        ("{}", f"1:1 missing 'steps' {NO_STEPS}"),
        ("x-a: 1\nname: a\n", f"1:1 missing 'steps' {NO_STEPS}"),
        ("steps:\n", "1:7 'steps' is empty, should be a list of steps"),
        ("steps: []\n", "1:8 'steps' has no step in it"),
        ("steps: {a: b}\n", "1:8 'steps' is a mapping, should be a list of steps"),
        ("steps: go\n", "1:8 'steps' is text, should be a list of steps"),
        ("step:\n  - {}\n", "1:1 unknown key 'step' in the recipe (did you mean 'steps'?)"),
    ],
)
def test_a_file_without_steps_is_reported(text: str, message: str, problems: Problems) -> None:
    assert problems(text) == [message]


@pytest.mark.parametrize("value", ["", "x", "{}"])
def test_finally_is_a_list_and_may_be_empty(value: str, problems: Problems, read: Read) -> None:
    steps = "steps: [{name: a, type: shell, cmd: x}]\nfinally: "
    message = problems(steps + value)
    assert [each.partition(", ")[2] for each in message] == ["should be a list of steps"]
    assert read(steps + "[]").final == ()


def test_messages_name_steps_of_finally_as_final_steps(problems: Problems) -> None:
    assert problems("steps: [{name: a, type: shell, cmd: x}]\nfinally: [{}, x]") == [
        (
            "2:11 missing 'type' in final step 1 "
            "(a step has a type: python, shell, ssh, http, prompt, scpi or serial)"
        ),
        "2:11 missing 'name' in final step 1",
        "2:15 final step 2 is text, should be a mapping of its keys",
    ]


def test_a_file_outside_the_rootdir_has_its_absolute_path_as_id(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("steps: [{name: a, type: shell, cmd: x}]")
    assert load(path, root=tmp_path / "root").id == path.as_posix()
    path.write_text("")
    with pytest.raises(RecipeError) as caught:
        load(path, root=tmp_path / "root")
    assert caught.value.path == path.as_posix()


def test_loading_runs_and_imports_nothing(read: Read, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    read(
        f"steps:\n- {{name: a, type: shell, cmd: 'touch {marker}'}}\n"
        "- {name: b, type: python, module: antigravity, function: f}\n"
    )
    assert not marker.exists()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["recipes", "x.yaml"]


def test_the_garbage_collector_does_not_run_while_a_file_is_read(read: Read) -> None:
    text = "steps:\n" + "".join(f"- {{name: s{n}, type: shell, cmd: x}}\n" for n in range(3000))
    runs: list[str] = []

    def count(phase: str, _info: dict[str, int]) -> None:
        runs.append(phase)

    gc.callbacks.append(count)
    try:
        read(text)
    finally:
        gc.callbacks.remove(count)
    assert len(runs) <= 4  # one collection may come before and one after it


def test_the_size_limit_of_a_file_is_one_mebibyte_by_default(
    read: Read, problems: Problems
) -> None:
    text = "steps: [{name: a, type: shell, cmd: x}]\n#"
    full = text + "x" * (1_048_576 - len(text))
    assert read(full).steps
    assert problems(full + "x") == [
        (
            "1:1 the file has 1,048,577 bytes, above the limit of 1,048,576 "
            "(the ini key recipe_max_size sets it)"
        )
    ]


@pytest.mark.parametrize("was_enabled", [True, False])
@pytest.mark.parametrize("text", ["steps: [{name: a, type: shell, cmd: x}]", "steps: ["])
def test_loading_restores_the_state_of_the_garbage_collector(
    was_enabled: bool, text: str, read: Read
) -> None:
    if not was_enabled:
        gc.disable()
    try:
        if text.endswith("["):
            with pytest.raises(RecipeError):
                read(text)
        else:
            read(text)
        assert gc.isenabled() is was_enabled
    finally:
        gc.enable()
