"""Warnings for scalars whose text YAML changes before a program gets it."""

from pathlib import Path

import pytest

from pytest_orchestrator.execution.steps.command import environment_of
from pytest_orchestrator.recipe import BUILT_IN, load
from pytest_orchestrator.recipe.analysis.plain_scalars import changed_scalars
from pytest_orchestrator.recipe.model.step import ShellStep

ROOT = Path(__file__).parents[3]
SAMPLES = sorted({*ROOT.glob("recipes/*.yaml")} - {*ROOT.glob("recipes/*.answers.yaml")})


def warnings(folder: Path, text: str, **parts: str) -> list[str]:
    for name, part in parts.items():
        (folder / f"{name}.yaml").write_text(part)
    path = folder / "x.yaml"
    path.write_text(text)
    return [
        f"{source.id}:{one.place.line}:{one.place.column} {one.text}"
        for source, one in changed_scalars(load(path, root=folder))
    ]


def shell(keys: str) -> str:
    return f"steps: [{{name: a, type: shell, cmd: x, parse: text, {keys}}}]\n"


@pytest.mark.parametrize(
    ("written", "passed"),
    [
        ("1.10", "1.1"),
        ("012", "12"),
        ("-012", "-12"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("1e3", "1000.0"),
        ("1E-3", "0.001"),
        ("+5", "5"),
        (".5", "0.5"),
        ("5.", "5.0"),
        ("True", "true"),
        ("FALSE", "false"),
    ],
)
def test_a_scalar_whose_text_changes_before_a_program_gets_it_is_reported(
    tmp_path: Path, written: str, passed: str
) -> None:
    text = shell(f"args: {{VERSION: {written}}}")

    (warning,) = warnings(tmp_path, text)
    assert warning == (
        f"x.yaml:1:{text.index(written) + 1} 'args.VERSION' is {written}, and the program gets "
        f"{passed} (quote it to have it as it is: '{written}')"
    )
    step = load(tmp_path / "x.yaml", root=tmp_path).steps[0]
    assert isinstance(step, ShellStep)
    assert environment_of(step.args, {}) == {"VERSION": passed}


@pytest.mark.parametrize(
    "written",
    [
        *("1.5", "10", "0", "-3", "0.5", "1.0", "true", "false", "null", "~"),
        *("1_000", "yes", "on", "22:30", "2024-01-01", "0b1", "1.2.3", "'1.10'", "!!str 012"),
    ],
)
def test_a_scalar_that_a_program_gets_as_written_is_not_reported(
    tmp_path: Path, written: str
) -> None:
    assert warnings(tmp_path, shell(f"args: {{VERSION: {written}}}, stdin: {written}")) == []


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("defaults: {args: {V: 1.10}}\n" + shell("needs: []"), ["1:22 'defaults.args.V'"]),
        (shell("stdin: 1.10"), ["1:60 'stdin'"]),
        (shell("stdin: {v: 1.10, w: 012}"), ["1:73 'stdin.w'"]),
        (shell("args: {V: [1.10, 012]}"), ["1:70 'args.V[1]'"]),
        ("vars: {v: 1.10}\n" + shell("args: {V: '${{ vars.v }}'}"), ["1:11 'vars.v'"]),
        ("vars: {v: 1.10}\n" + shell("args: {V: 'a ${{ vars.v }}'}"), ["1:11 'vars.v'"]),
        ("vars: {v: 1.10, w: 'v${{ vars.v }}'}\n" + shell("args: {V: '${{ vars.w }}'}"), ["1:11"]),
        (
            "vars: {v: 1.10}\nsteps: [{name: a, type: shell, parse: text, cmd: 'x ${{ vars.v }}'}]",
            ["1:11 'vars.v'"],
        ),
        (
            "matrix: {v: [1, 1.10]}\n" + shell("args: {V: '${{ matrix.v }}'}"),
            ["1:17 'matrix.v[1]'"],
        ),
        (
            (
                "matrix: {v: [1.10]}\n"
                "steps: [{name: a, type: shell, parse: text, cmd: 'x ${{ matrix.v }}'}]"
            ),
            ["1:14 'matrix.v[0]'"],
        ),
        (
            "matrix: {v: [2.5], include: [{v: 1.10, u: 1.20}], exclude: [{v: 1.30}]}\n"
            + shell("stdin: 'a ${{ matrix.v }}'"),
            ["1:34 'matrix.include[0].v'"],
        ),
        (
            "matrix: {v: [1.10]}\nvars: {w: '${{ matrix.v }}'}\n"
            + shell("args: {V: '${{ vars.w }}'}"),
            ["1:14 'matrix.v[0]'"],
        ),
        ("matrix: {v: [1.10]}\n" + shell("stdin: {v: '${{ matrix.v }}'}"), []),
        ("matrix: {v: [1.10]}\n" + shell("if: matrix.v > 1"), []),
        ("matrix: {v: [012]}\n" + shell("needs: []"), ["1:14 'matrix.v[0]'"]),
        ("matrix: {v: '${{ [1.10] }}'}\n" + shell("args: {V: '${{ matrix.v }}'}"), []),
        ("vars: {v: 1.10}\n" + shell("stdin: {v: '${{ vars.v }}'}"), []),
        ("vars: {v: 1.10}\n" + shell("if: vars.v > 1"), []),
        ("vars: {v: 012}\n" + shell("needs: []"), ["1:11 'vars.v'"]),
        ("steps: [{name: a, type: python, module: m, function: f, params: {v: 1.10}}]", []),
        (
            "steps: [{name: a, type: python, module: m, function: f, params: {v: [{w: 012}]}}]",
            ["1:74 'params.v[0].w'"],
        ),
    ],
)
def test_scalars_are_reported_if_a_program_gets_them_or_they_begin_with_a_zero(
    tmp_path: Path, text: str, starts: list[str]
) -> None:
    reported = warnings(tmp_path, text)

    assert len(reported) == len(starts)
    for warning, start in zip(reported, starts, strict=True):
        assert warning.startswith(f"x.yaml:{start}")


def test_a_with_of_a_step_called_matrix_is_no_matrix_value(tmp_path: Path) -> None:
    text = (
        "matrix: {v: [1.5]}\nsteps: [{name: matrix, use: part.yaml, with: {v: 1.10}}, "
        "{name: a, type: shell, parse: text, cmd: 'x ${{ matrix.v }}'}]\n"
    )
    part = "vars: {v: 1}\n" + shell("if: vars.v > 1")

    assert warnings(tmp_path, text, part=part) == []


def test_a_number_for_python_code_is_reported_as_a_number(tmp_path: Path) -> None:
    text = "steps: [{name: a, type: python, module: m, function: f, params: {serial: 0012}}]"

    (warning,) = warnings(tmp_path, text)
    assert warning == (
        "x.yaml:1:74 'params.serial' is 0012, and it is the number 12 "
        "(quote it to have it as it is: '0012')"
    )


def test_a_scalar_that_a_used_file_passes_to_a_program_is_reported_at_its_own_place(
    tmp_path: Path,
) -> None:
    part = "vars: {v: 1.10, w: 1.20, u: 1.30}\n" + shell(
        "args: {V: '${{ vars.v }}', W: '${{ vars.w }}'}"
    )
    middle = "vars: {m: 2.10}\nsteps: [{name: in, use: part.yaml, with: {w: '${{ vars.m }}'}}]\n"
    text = (
        "vars: {z: 3.10, y: 3.20}\n"
        "steps: [{name: out, use: middle.yaml, with: {m: '${{ vars.z }}'}}, "
        "{name: one, use: part.yaml, with: {v: 4.10, u: 4.20}}]\n"
    )

    reported = [one.partition(",")[0] for one in warnings(tmp_path, text, part=part, middle=middle)]

    assert reported == [
        "x.yaml:1:11 'vars.z' is 3.10",
        "x.yaml:2:106 'with.v' is 4.10",
        "part.yaml:1:11 'vars.v' is 1.10",
        "part.yaml:1:20 'vars.w' is 1.20",
    ]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_the_sample_recipes_contain_no_changed_scalar(path: Path) -> None:
    known = BUILT_IN.with_instruments(["psu"])

    assert list(changed_scalars(load(path, root=ROOT, known=known))) == []
