"""Values of other steps in expressions: output, kind, attempts and measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.result import Ended, Process, StepResult, Stream, lasted
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.execution.step_values import TAIL, FieldsRead, step_value, with_logs
from tests.execution.conftest import outcomes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.execution.conftest import Bench

RECIPE = """
steps:
  - name: a
    type: shell
    parse: text
    cmd: "echo try >> tries; echo out; echo err >&2; test $(wc -l < tries) = 2"
    retry: {attempts: 3}
    measurements: {ripple: {value: 7, high: 8}, bad: {value: 9, high: 8, allow_fail: true}}
  - {name: b, type: shell, parse: text, cmd: exit 3, needs: []}
  - {name: off, type: shell, parse: text, cmd: "true", needs: [], if: false}
  - {name: late, type: shell, parse: text, cmd: "true", after: [a, b, off], success: {assert: []}}
"""


def late(bench: Bench, *expressions: str, trim: bool = True) -> RecipeRun:
    listed = ", ".join(f'"{one}"' for one in expressions)
    text = RECIPE.replace("assert: []", f"assert: [{listed}]")
    run = RecipeRun(bench.recipe(text), bench.context, bench.attempt)
    assert outcomes(run, "a", "b", "off") == ["passed", "failed", "skipped"]
    for name in ("a", "b", "off") if trim else ():
        run.trim_result(run.recipe.step(name))
    run.result(run.recipe.step("late"))
    return run


def reason_of(run: RecipeRun) -> str:
    failure = run.results["late"].failure
    return failure.reason if failure else ""


@pytest.mark.parametrize("trim", [True, False])
def test_values_of_other_steps_can_be_read(bench: Bench, trim: bool) -> None:
    run = late(
        bench,
        "steps.a.stdout == 'out\\\\n' and steps['a'].stderr == 'err\\\\n'",
        "steps.a.attempts == 2 and steps.b.attempts == 1 and steps.off.attempts == 0",
        "steps.a.kind is none and steps.b.kind == 'exit_code' and steps.off.kind is none",
        "steps.a.measurements.ripple.value == 7 and steps.a.measurements.bad.verdict == 'fail'",
        "steps.off.stdout == '' and steps.off.measurements == {}",
        trim=trim,
    )
    assert reason_of(run) == ""


def test_only_values_that_expressions_read_are_kept(bench: Bench) -> None:
    run = late(bench, "steps.a.stdout == 'out\\\\n'", "steps.b.outcome == 'failed'")
    assert run.scope.fields_read("a") == {"stdout"}
    a, b = run.results["a"].ended, run.results["b"].ended
    assert a is not None
    assert a.process is not None
    assert (a.process.stdout.size, a.process.stdout.text, a.process.stderr) == (4, "", Stream())
    assert run.results["a"].measurements == ()
    assert b is not None
    assert b.process is not None
    assert b.process.stdout == Stream()


@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        ("steps.a.outcome", ("", "")),
        ("steps.a.stderr", ("stderr", "")),
        ("steps.a.measurements.x.value", ("measurements", "")),
        ("steps.a", ("measurements stderr stdout", "")),
        ("steps[vars.n].stdout", ("stdout", "stdout")),
        ("steps", ("measurements stderr stdout",) * 2),
    ],
)
def test_values_that_an_expression_may_read_are_known(
    bench: Bench, expression: str, fields: tuple[str, str]
) -> None:
    recipe = bench.recipe(
        "vars: {n: a}\n" + RECIPE.replace("assert: []", f"assert: ['{expression}', 'attempt == 1']")
    )
    read = FieldsRead(recipe)
    assert tuple(" ".join(sorted(read.of(name))) for name in ("a", "b")) == fields


def test_a_value_that_a_used_file_reads_is_that_of_its_own_step(bench: Bench) -> None:
    bench.write(
        "recipes/_part.yaml",
        """
        vars: {x: 1}
        steps:
          - {name: a, type: shell, cmd: x}
          - {name: b, type: shell, cmd: x, success: {assert: [steps.a.stdout]}}
        """,
    )
    recipe = bench.recipe(
        """
        steps:
          - {name: a, type: shell, cmd: x}
          - {name: u, use: recipes/_part.yaml, with: {x: "${{ steps.a.stderr }}"}}
        """
    )
    read = FieldsRead(recipe)
    assert [*read.of("a"), *read.of("u.a")] == ["stderr", "stdout"]


def result_with(stream: Stream, restored: str | None = None) -> StepResult:
    process = Process(argv=(), cwd="", alone="", exit_code=0, stdout=stream)
    ended = Ended(usage=lasted(1.0), process=process)
    return StepResult(step="a", outcome="passed", ended=ended, restored=restored)


def stdout_of(stream: Stream) -> object:
    return step_value(result_with(stream), frozenset({"stdout"}))["stdout"]


def test_the_tail_of_a_long_output_begins_with_a_whole_character(tmp_path: Path) -> None:
    log = tmp_path / "a.1.stdout"
    log.write_text("ä" * TAIL + "z")
    size = log.stat().st_size
    assert stdout_of(Stream(size=size, log=str(log), kept=size)) == "ä" * (TAIL // 2 - 1) + "z"


def test_the_tail_of_an_output_whose_log_was_cut_is_its_kept_end(tmp_path: Path) -> None:
    log = tmp_path / "a.1.stdout"
    log.write_bytes(b"begin")
    stream = Stream(size=100, log=str(log), cut=True, kept=5, edges=(b"begin", b"the end"))
    assert stdout_of(stream) == "the end"
    short = Stream(size=12, edges=(b"begin", b"the end"))
    assert stdout_of(short) == "beginthe end"


def test_secrets_are_restored_in_the_tail(tmp_path: Path) -> None:
    log = tmp_path / "a.1.stdout"
    log.write_bytes(b"x" * TAIL + b"pin ***\n")
    size = log.stat().st_size
    replaced = ((TAIL + 4, b"123"),)
    value = stdout_of(Stream(size=size, log=str(log), kept=size, replaced=replaced))
    assert str(value).endswith("pin 123\n")


def test_an_output_that_is_gone_is_an_error_where_it_is_used(bench: Bench) -> None:
    run = late(bench, "steps.a.stdout", trim=False)
    assert reason_of(run) == ""
    (bench.root / "logs" / "a.2.stdout").unlink()
    run.result(run.recipe.step("late"), again=True)
    assert reason_of(run) == (
        "assert: `steps.a.stdout`: the stdout of step 'a' cannot be read: No such file or directory"
    )
    run.results["a"] = result_with(Stream(size=4), restored="run-1")
    run.result(run.recipe.step("late"), again=True)
    assert reason_of(run) == (
        "assert: `steps.a.stdout`: the stdout of step 'a' was not kept in run run-1"
    )
    run.results["a"] = with_logs(result_with(Stream(size=4), restored="run-1"), bench.root)
    bench.write("a.1.stdout", "back\n")
    run.results["a"] = with_logs(result_with(Stream(size=5), restored="run-1"), bench.root)
    run.result(run.recipe.step("late"), again=True)
    assert reason_of(run) == ""
