"""Steps of a used file become steps of the using file; problems are reported in both files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_orchestrator.recipe import Recipe, RecipeError, load

PART = """
vars: {volts: 5}
required: [channel]
tags: [psu]
locks: [bench]
steps:
  - {name: set, type: shell, cmd: x, tags: [slow]}
  - {name: check, type: shell, cmd: x}
finally:
  - {name: off, type: shell, cmd: x}
"""
Files = Callable[..., Recipe]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Write recipes by their names, and load the first."""

    def files(**texts: str) -> Recipe:
        for name, text in texts.items():
            path = tmp_path / "recipes" / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return load(tmp_path / "recipes" / f"{next(iter(texts))}.yaml", root=tmp_path)

    return files


def problems_of(files: Files, **texts: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        files(**texts)
    return [f"{one.place.line}:{one.place.column} {one.text}" for one in caught.value.problems]


def test_used_steps_replace_the_step_that_uses_the_file(files: Files) -> None:
    recipe = files(
        x="""
steps:
  - {name: start, type: shell, cmd: x}
  - {name: low, use: recipes/_psu.yaml, with: {channel: 1}, tags: [low]}
  - {name: end, type: shell, cmd: x}
finally:
  - {name: last, type: shell, cmd: x}
""",
        _psu=PART,
    )

    needs = {step.name: step.needs for step in recipe.steps}
    assert needs == {
        "start": (),
        "low.set": ("start",),
        "low.check": ("low.set",),
        "end": ("low.check",),
    }
    assert [(step.name, step.index, step.is_final) for step in recipe.final] == [
        ("low.off", 5, True),
        ("last", 6, True),
    ]
    used = recipe.step("low.set")
    assert used.tags == ("low", "psu", "slow")
    assert used.locks == ("bench",)
    assert recipe.source(used).id == "recipes/_psu.yaml"
    assert (used.line, recipe.step("end").line) == (7, 5)


def test_a_file_may_be_used_twice_and_by_another_used_file(files: Files) -> None:
    recipe = files(
        x="""
steps:
  - {name: a, use: recipes/_two.yaml, with: {n: 1}}
  - {name: b, use: recipes/_two.yaml, with: {n: 2}}
""",
        _two="""
required: [n]
steps:
  - {name: low, use: recipes/_psu.yaml, with: {channel: "${{ vars.n }}"}}
  - {name: high, use: recipes/_psu.yaml, with: {channel: 2}}
""",
        _psu=PART,
    )

    assert [step.name for step in recipe.steps] == [
        f"{two}.{psu}.{step}"
        for two in "ab"
        for psu in ("low", "high")
        for step in ("set", "check")
    ]
    part = recipe.step("b.high.check").file_use
    assert part is not None
    assert (part.name, part.outer.name) == ("b.high", "b")
    assert recipe.step("b.low.set").needs == ("a.high.check",)


PSU = "recipes/_psu.yaml"
CURE = f"({PSU} requires it: with: {{channel: ...}})"


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (
            "use: recipes/_spu.yaml",
            "20 there is no file recipes/_spu.yaml (did you mean 'recipes/_psu.yaml'?)",
        ),
        ("use: nowhere/a.yaml", "20 there is no file nowhere/a.yaml; nowhere is no folder"),
        (f"use: {PSU}", f"20 step 'a' does not give 'channel' {CURE}"),
        (
            f"use: {PSU}, with: {{channel: 1, vlots: 2}}",
            f"58 {PSU} has no var 'vlots' (did you mean 'volts'?)",
        ),
        (
            f"use: {PSU}, with: {{channel: 1}}, timeout: 3",
            "59 'timeout' belongs to the steps of the file that is used, in use step 'a'",
        ),
        (
            f"use: {PSU}, type: shell, with: {{channel: 1}}",
            "39 'type' beside 'use' in step 'a' (the used steps have types)",
        ),
        ("type: shell, cmd: x, with: {channel: 1}", "36 'with' without 'use' in shell step 'a'"),
        (
            "use: recipes/_in.yaml",
            "20 step 'a' does not give 'n' (recipes/_in.yaml requires it: with: {n: ...})",
        ),
        (
            "use: recipes/_in.yaml, with: {n: 4}",
            "45 recipes/_in.yaml: input 'n' is 4, should be at most 3",
        ),
        (
            "use: recipes/_m.yaml",
            "20 recipes/_m.yaml has 'matrix', which a file that is used cannot have",
        ),
        (
            "use: recipes/_t.yaml",
            "20 recipes/_t.yaml has 'timeout', which a file that is used cannot have",
        ),
        (
            "use: recipes/_i.yaml",
            "20 recipes/_i.yaml has 'if', which a file that is used cannot have",
        ),
        (
            "use: recipes/x.yaml",
            "20 files use each other in a circle: recipes/x.yaml -> recipes/x.yaml",
        ),
        (
            "use: _psu.yaml",
            (
                "20 there is no file _psu.yaml "
                "(paths are relative to the rootdir: write recipes/_psu.yaml)"
            ),
        ),
        ("use: _spu.yaml", "20 there is no file _spu.yaml (did you mean 'recipes/_psu.yaml'?)"),
        ("use: recipes/quite_another.yaml", "20 there is no file recipes/quite_another.yaml"),
        ("use: recipes/_bad.yaml", "20 'recipes/_bad.yaml' has errors"),
    ],
)
def test_problems_of_a_use_are_reported(files: Files, step: str, problem: str) -> None:
    texts = {
        "x": f"steps:\n  - {{name: a, {step}}}\n",
        "_psu": PART,
        "_m": "matrix: {a: [1]}\nsteps: [{name: s, type: shell, cmd: x}]\n",
        "_in": "inputs: {n: {type: integer, max: 3}}\nsteps: [{name: s, type: shell, cmd: x}]\n",
        "_t": "timeout: 3\nsteps: [{name: s, type: shell, cmd: x}]\n",
        "_i": "if: false\nsteps: [{name: s, type: shell, cmd: x}]\n",
        "_bad": "steps: [{nmae: s, type: shell, cmd: x}]\n",
    }
    assert problems_of(files, **texts) == [f"2:{problem}"]


def test_the_problems_of_a_used_file_are_shown_with_their_own_lines(files: Files) -> None:
    with pytest.raises(RecipeError) as caught:
        files(
            x="steps:\n  - {name: a, use: recipes/_bad.yaml}\n",
            _bad="steps: [{nmae: s, type: shell, cmd: x}]\n",
        )

    shown = """\
recipes/x.yaml:2:20: 'recipes/_bad.yaml' has errors

   1 | steps:
   2 |   - {name: a, use: recipes/_bad.yaml}
     |                    ^^^^^^^^^^^^^^^^^
recipes/_bad.yaml:1:10: unknown key 'nmae' in shell step 1 (did you mean 'name'?)

   1 | steps: [{nmae: s, type: shell, cmd: x}]
     |          ^^^^"""
    assert caught.value.render() == shown


@pytest.mark.unmeasured
def test_uses_that_grow_exponentially_are_refused(files: Files) -> None:
    texts = {"x": "steps: [{name: a, use: recipes/_1.yaml}, {name: b, use: recipes/_1.yaml}]"}
    for n in range(1, 19):
        texts[f"_{n}"] = texts["x"].replace("_1.", f"_{n + 1}.")
    texts["_19"] = "steps: [{name: s, type: shell, cmd: x}]"

    with pytest.raises(RecipeError, match="more than 20,000 steps"):
        files(**texts)


def test_a_key_of_params_in_a_used_file_may_not_be_a_fixture_of_the_using_one(files: Files) -> None:
    inner = "steps: [{name: a, type: python, module: m, function: f, params: {rig: 1}}]"

    found = problems_of(
        files,
        x="steps:\n- {name: low, use: recipes/y.yaml}",
        y="steps:\n- {name: mid, fixtures: [rig], use: recipes/z.yaml}",
        z=inner,
    )
    shared = problems_of(
        files,
        x="fixtures: [rig]\nsteps:\n- {name: low, use: recipes/y.yaml}",
        y="steps:\n- {name: mid, use: recipes/z.yaml}",
    )

    assert found == ["2:20 'recipes/y.yaml' has errors"]
    assert shared == [
        (
            "3:3 'rig' is a fixture and a key of params in step 'low.mid.a' (call one of them by "
            "another name)"
        )
    ]


def test_a_path_with_a_dot_is_relative_to_the_file_that_says_so(tmp_path: Path) -> None:
    step = "steps: [{name: s, type: shell, cmd: x}]\n"
    texts = {
        "recipes/psu/x.yaml": "steps:\n"
        "  - {name: a, use: ./_part.yaml}\n"
        "  - {name: b, use: ../_other.yaml}\n"
        "  - {name: c, use: recipes/_other.yaml}\n",
        "recipes/psu/_part.yaml": "steps: [{name: deep, use: ./more/_deep.yaml}]\n",
        "recipes/psu/more/_deep.yaml": "steps: [{name: up, use: ../../_other.yaml}]\n",
        "recipes/_other.yaml": step,
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    recipe = load(tmp_path / "recipes/psu/x.yaml", root=tmp_path)
    assert {step.name: recipe.source(step).id for step in recipe.steps} == {
        "a.deep.up.s": "recipes/_other.yaml",
        "b.s": "recipes/_other.yaml",
        "c.s": "recipes/_other.yaml",
    }


def test_a_missing_file_that_is_relative_to_its_user_is_an_error(files: Files) -> None:
    assert problems_of(
        files,
        x="steps:\n  - {name: a, use: ./_pat.yaml}\n  - {name: b, use: ./x.yaml}\n",
        _part="steps: [{name: s, type: shell, cmd: x}]\n",
    ) == [
        "2:20 there is no file ./_pat.yaml (did you mean './_part.yaml'?)",
        "3:20 files use each other in a circle: recipes/x.yaml -> recipes/x.yaml",
    ]
