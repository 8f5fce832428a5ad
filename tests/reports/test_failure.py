"""Failure text of a step: position, failed and passed checks, logs, commands to run it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec import UNSET

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import (
    Attempt,
    Element,
    Ended,
    Failure,
    Kind,
    Process,
    Resources,
    StepResult,
    Stream,
    Verdict,
    Where,
)
from pytest_orchestrator.recipe import load
from pytest_orchestrator.reports.failure import place_of, text

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.core.events import Change
    from pytest_orchestrator.recipe import Recipe

ALONE = "env GAIN=2 scriptlets/ripple.sh 3"


def ended(alone: str = ALONE, **usage: Any) -> Ended:
    figures: dict[str, Any] = {"seconds": 4.019, "cpu_user_seconds": 0.3, "max_rss": 41_300_000}
    figures["source"] = {}
    return Ended(
        usage=Resources(**(figures | usage)), process=Process(argv=("x",), cwd="/", alone=alone)
    )


def verdict(recipe: Recipe, index: int, unmet: str | None = None) -> Verdict:
    criterion = recipe.step("ripple").success[index]
    return Verdict(
        name=criterion.name, expected=criterion.expected, place=criterion.place, unmet=unmet
    )


def failed(failure: Failure, **more: Any) -> StepResult:
    return StepResult(step="ripple", outcome="failed", failure=failure, **more)


def lines_of(recipe: Recipe, result: StepResult, here: Path | None = None) -> list[str]:
    root = recipe.path.parent.parent
    return text(recipe, recipe.step("ripple"), result, root, here or root).splitlines()


def test_a_step_that_fails_for_another_reason_shows_its_wrong_artifacts(recipe: Recipe) -> None:
    wrong = "'artifacts[0]' is a list, should be text"
    warnings = (f"artifacts: {wrong}", "artifacts: no is not there")
    crashed = failed(Failure(kind="crash", reason="gone"), warnings=warnings)
    same = failed(Failure(kind="validation", reason=wrong), warnings=warnings[:1])
    many = failed(Failure(kind="crash", reason="gone"), warnings=warnings[1:] * 20)

    assert [one for one in lines_of(recipe, crashed) if "warning" in one] == [
        f"    warning: artifacts: {wrong}",
        "    warning: artifacts: no is not there",
    ]
    assert not any("warning" in one for one in lines_of(recipe, same))
    shown = [one for one in lines_of(recipe, many) if "warning" in one]
    assert shown[-1] == f"    {21 - len(shown)} more warnings"


def test_the_failure_text_lists_failed_and_passed_checks(recipe: Recipe) -> None:
    context = Context()
    changes: list[Change] = []
    bound = context.bound("ripple", changes.append)
    bound.set("dut.state_v1", "idle")
    bound.set("dut.state_v1", "loaded")
    bound.append("log", {"ü": [1]})
    bound.pop("log")
    bound.delete("dut.state_v1")
    unmet = verdict(recipe, 2, "the context has no key 'ripple.unit_v1'; it has none at all")
    result = failed(
        Failure(kind="criterion", reason="one", place=unmet.place),
        verdicts=(verdict(recipe, 0), verdict(recipe, 1), unmet, verdict(recipe, 3, "not there")),
        changes=tuple(changes),
        ended=ended(),
    )
    assert lines_of(recipe, result) == [
        "recipes/psu.yaml:25:11: 2 of 4 checks failed after step 'ripple'",
        "",
        "  15 |   - name: ripple",
        "   … |",
        "  22 |       exit_code: [0, 4]",
        "  23 |       ctx_has_keys:",
        "  24 |         - ripple.mv_v1",
        "  25 |         - ripple.unit_v1",
        "     |           ^^^^^^^^^^^^^^",
        "E   ctx_has_keys: the context has no key 'ripple.unit_v1'; it has none at all  (line 25)",
        "E   files_exist: not there  (line 26)",
        "    also checked, OK: exit_code [0, 4]; ctx_has_keys ripple.mv_v1",
        "context keys written",
        '  + dut.state_v1  "idle"',
        '  ~ dut.state_v1  "idle" -> "loaded"',
        '  + log[0]        {"ü": [1]}',
        '  - log[0]        {"ü": [1]}',
        '  - dut.state_v1  "loaded"',
        "resources  4.02 s, CPU 0.30 s, peak 41.3 MB",
        "rerun      pytest recipes/psu.yaml::ripple",
        "command    env GAIN=2 scriptlets/ripple.sh 3",
    ]


@pytest.mark.parametrize("kind", ["criterion", "validation"])
def test_a_failure_without_unmet_criteria_shows_its_reason(recipe: Recipe, kind: Kind) -> None:
    failure = Failure(kind=kind, reason="until: `false` is false", place=Place(20, 14, 3))
    lines = lines_of(recipe, failed(failure, verdicts=(verdict(recipe, 0),)))
    assert lines[0] == "recipes/psu.yaml:20:14: step 'ripple': until: `false` is false"
    assert lines[-3:] == [
        "E   until: `false` is false",
        "    also checked, OK: exit_code [0, 4]",
        "rerun      pytest recipes/psu.yaml::ripple",
    ]


def test_criteria_without_a_value_are_listed_with_failed_ones(recipe: Recipe) -> None:
    wrong = msgspec.structs.replace(verdict(recipe, 2, "`1/0`: ZeroDivisionError"), errs=True)
    failure = Failure(kind="validation", reason="one (and 1 more)", place=wrong.place)
    lines = lines_of(recipe, failed(failure, verdicts=(wrong, verdict(recipe, 3, "not there"))))
    assert lines[0] == "recipes/psu.yaml:25:11: 2 of 2 checks failed after step 'ripple'"
    assert lines[-3:-1] == [
        "E   ctx_has_keys: `1/0`: ZeroDivisionError  (line 25)",
        "E   files_exist: not there  (line 26)",
    ]


def test_one_failed_check_is_named_in_the_singular(recipe: Recipe) -> None:
    unmet = verdict(recipe, 3, "out/ripple.csv is not there")
    result = failed(Failure(kind="criterion", reason="one", place=unmet.place), verdicts=(unmet,))
    assert lines_of(recipe, result)[0] == (
        "recipes/psu.yaml:26:21: a check failed after step 'ripple'"
    )


def test_failed_step_code_is_described_by_reason_and_detail(recipe: Recipe) -> None:
    failure = Failure(
        kind="protocol",
        reason="stdout is no JSON, at byte 0",
        detail=("b'noise'", "  ^"),
    )
    result = failed(failure, ended=ended(cpu_user_seconds=UNSET, max_rss=UNSET))
    assert lines_of(recipe, result) == [
        "recipes/psu.yaml:18:10: step 'ripple': stdout is no JSON, at byte 0",
        "",
        "  15 |   - name: ripple",
        "  16 |     description: Measures the ripple.",
        "  17 |     type: shell",
        "  18 |     cmd: scriptlets/ripple.sh 3",
        "     |          ^^^^^^^^^^^^^^^^^^^^^^",
        "E   stdout is no JSON, at byte 0",
        "    b'noise'",
        "      ^",
        "resources  4.02 s",
        "rerun      pytest recipes/psu.yaml::ripple",
        "command    env GAIN=2 scriptlets/ripple.sh 3",
    ]


def test_a_step_that_never_ran_has_no_resources_line(recipe: Recipe) -> None:
    result = failed(Failure(kind="exception", reason="no bench"))
    assert lines_of(recipe, result)[-2:] == [
        "E   no bench",
        "rerun      pytest recipes/psu.yaml::ripple",
    ]


def test_a_failure_text_has_at_most_forty_lines(recipe: Recipe) -> None:
    changes: list[Change] = []
    bound = Context().bound("ripple", changes.append)
    for number in range(100):
        bound.set(f"key{number}", "x\n" * 1000)
    unmet = tuple(verdict(recipe, 1, f"unmet {number}") for number in range(100))
    held = tuple(verdict(recipe, 2) for _ in range(100))
    result = failed(
        Failure(kind="criterion", reason="many", place=Place(26, 1), detail=("one", "two")),
        verdicts=unmet + held,
        changes=tuple(changes),
        ended=ended(),
    )
    rows = lines_of(recipe, result)
    assert len(rows) <= 40
    assert "E   … and 88 more failed, the JSON report has all" in rows
    assert (
        f"    also checked, OK: {'; '.join(['ctx_has_keys ripple.unit_v1'] * 6)}; 94 more" in rows
    )
    assert "  … and 94 more changes" in rows
    long = "x\\n" * 40
    assert f'  + key0  "{long[:98]}…' in rows


def test_twenty_failed_checks_are_all_listed(recipe: Recipe) -> None:
    unmet = tuple(verdict(recipe, 1, f"unmet {number}") for number in range(20))
    result = failed(Failure(kind="criterion", reason="many"), verdicts=unmet, ended=ended())
    rows = [row for row in lines_of(recipe, result) if row.startswith("E ")]
    assert rows == [f"E   ctx_has_keys: unmet {number}  (line 24)" for number in range(20)]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("\x1b[31m\x9b", '"\\u001b[31m\\u009b"'),
        ({"ü": "\x7f"}, '{"\\u00fc": "\\u007f"}'),
        ("grün", '"grün"'),
        (None, "null"),
    ],
)
def test_a_value_is_shown_as_json_without_control_characters(
    recipe: Recipe, value: object, shown: str
) -> None:
    changes: list[Change] = []
    Context().bound("ripple", changes.append).set("key", value)
    result = failed(Failure(kind="status", reason="off"), changes=tuple(changes))
    assert f"  + key  {shown}" in lines_of(recipe, result)


@pytest.mark.parametrize("alone", ["echo 'a\nb'", "x" * 301, "echo '\x1b[2J'"])
def test_a_command_that_cannot_be_pasted_is_omitted(recipe: Recipe, alone: str) -> None:
    result = failed(Failure(kind="status", reason="off"), ended=ended(alone))
    assert lines_of(recipe, result)[-1] == "rerun      pytest recipes/psu.yaml::ripple"


@pytest.mark.parametrize(
    ("here", "path"), [("recipes", "psu.yaml"), ("docs/deep", "../../recipes/psu.yaml")]
)
def test_the_rerun_command_is_relative_to_the_start_folder(
    recipe: Recipe, here: str, path: str
) -> None:
    root = recipe.path.parent.parent
    result = failed(Failure(kind="status", reason="off"))
    assert lines_of(recipe, result, root / here)[-1] == f"rerun      pytest {path}::ripple"


def test_an_id_with_a_space_is_quoted(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "my recipes.yaml"
    path.write_text(recipe.text)
    result = failed(Failure(kind="status", reason="off"))
    assert lines_of(load(path, root=tmp_path), result)[-1] == (
        "rerun      pytest 'my recipes.yaml::ripple'"
    )


@pytest.mark.parametrize(
    ("name", "place"), [("flash", Place(13, 12, 5)), ("ripple", Place(18, 10, 22))]
)
def test_the_default_position_of_a_failure_is_the_step_code(
    recipe: Recipe, name: str, place: Place
) -> None:
    result = StepResult(step=name, outcome="failed", failure=Failure(kind="status", reason="off"))
    assert place_of(recipe.step(name), result) == place


def test_the_position_of_the_failure_takes_precedence(recipe: Recipe) -> None:
    failure = Failure(kind="timeout", reason="late", place=Place(20, 14, 3))
    assert place_of(recipe.step("ripple"), failed(failure)) == Place(20, 14, 3)


def test_the_failed_attempt_and_earlier_reasons_are_named(tmp_path: Path) -> None:
    path = tmp_path / "recipes" / "x.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "steps: [{name: ripple, type: shell, cmd: x, retry: {attempts: 9}, "
        "success: {files_exist: [out]}}]"
    )
    recipe = load(path, root=tmp_path)
    failed_attempts = tuple(
        Attempt(
            number=number,
            failure=Failure(kind="status", reason=f"busy {number}"),
            ended=ended(),
            started=0.0,
        )
        for number in range(1, 9)
    )
    result = failed(Failure(kind="status", reason="off"), attempt=9, attempts=failed_attempts)
    lines = lines_of(recipe, result)
    assert lines[0] == "recipes/x.yaml:1:42: step 'ripple' (attempt 9 of 9): off"
    assert lines[4:] == [
        "E   off",
        *(f"    attempt {number}: busy {number}" for number in range(1, 7)),
        "    … and 2 more attempts",
        "rerun      pytest recipes/x.yaml::ripple",
    ]
    unmet = Verdict(name="files_exist", expected="out", place=Place(1, 42), unmet="no out")
    result = failed(
        Failure(kind="criterion", reason="no out"),
        attempt=2,
        verdicts=(unmet,),
        attempts=failed_attempts[:1],
    )
    assert lines_of(recipe, result)[0] == (
        "recipes/x.yaml:1:42: a check failed after step 'ripple' (attempt 2 of 9)"
    )


def test_a_memory_peak_that_is_an_upper_bound_is_marked(recipe: Recipe) -> None:
    source = {"memory": "wait4, an upper bound"}
    usage = Resources(seconds=1.0, max_rss=9_031_680, source=source)
    rows = lines_of(recipe, failed(Failure(kind="status", reason="off"), ended=Ended(usage=usage)))
    assert "resources  1.00 s, peak ≤ 9.0 MB" in rows


def logged(recipe: Recipe, stderr: Stream) -> list[str]:
    """Return the failure text of a step with stderr, from the line of stderr on."""
    process = Process(argv=("x",), cwd="/", alone="", stderr=stderr)
    usage = Resources(
        seconds=1.0,
        cpu_user_seconds=0.25,
        cpu_system_seconds=0.125,
        max_rss=41_300_000,
        processes=3,
        read_bytes=1_200_000,
        write_bytes=0,
        source={},
    )
    failure = Failure(kind="status", reason="off")
    rows = lines_of(recipe, failed(failure, ended=Ended(usage=usage, process=process)))
    return rows[rows.index("E   off") + 1 :]


def log(recipe: Recipe) -> str:
    return str(recipe.path.parent.parent / ".orchestrator/runs/1/logs/psu/ripple.1.stderr")


def test_the_last_lines_of_stderr_follow_the_path_of_the_log(recipe: Recipe) -> None:
    text = "".join(f"{number}\n" for number in range(41))
    figures = "1.00 s, CPU 0.38 s (user 0.25, system 0.12), peak 41.3 MB, 3 processes, read 1.2 MB"
    assert logged(recipe, Stream(text, len(text), log(recipe))) == [
        "stderr, last 10 of 41 lines   (all: .orchestrator/runs/1/logs/psu/ripple.1.stderr)",
        *(f"  {number}" for number in range(31, 41)),
        f"resources  {figures}",
        "rerun      pytest recipes/psu.yaml::ripple",
    ]


def test_a_stream_with_a_bounded_excerpt_shows_its_size(recipe: Recipe) -> None:
    rows = logged(recipe, Stream("a\n… cut …\n" + "x" * 400, 10_000_000, log(recipe), cut=True))
    where = "(truncated: .orchestrator/runs/1/logs/psu/ripple.1.stderr)"
    assert rows[:4] == [
        f"stderr, last 3 lines of 10,000,000 bytes   {where}",
        "  a",
        "  … cut …",
        f"  {'x' * 299}…",
    ]
    assert logged(recipe, Stream("one\n", 4))[:2] == ["stderr, 1 line", "  one"]


def test_implicit_checks_are_listed_with_explicit_ones(recipe: Recipe) -> None:
    unmet = verdict(recipe, 3, "not there")
    good = msgspec.structs.replace(
        ended(),
        value={"status": "ok"},
        process=Process(argv=("x",), cwd="/", alone="", exit_code=0),
    )
    failure = Failure(kind="criterion", reason="one", place=unmet.place)
    assert "    also checked, OK: exit code 0; status ok" in lines_of(
        recipe, failed(failure, verdicts=(unmet,), ended=good)
    )
    assert "    also checked, OK: status ok; exit_code [0, 4]" in lines_of(
        recipe, failed(failure, verdicts=(verdict(recipe, 0), unmet), ended=good)
    )


def test_the_failure_text_names_the_worker_of_the_step(recipe: Recipe) -> None:
    good = ended()
    away = Ended(usage=good.usage, process=good.process, where=Where("bench-3", "lab-a"))
    failure = Failure(kind="status", reason="off")
    here, there = (lines_of(recipe, failed(failure, ended=one)) for one in (good, away))

    assert [line for line in there if line not in here] == ["worker     bench-3 of lab-a"]
    assert len(there) == len(here) + 1


def test_the_elements_that_were_interrupted_are_not_counted_as_failed(recipe: Recipe) -> None:
    cut = failed(Failure(kind="interrupted", reason="interrupted after 1.0 s: Ctrl-C"))
    bad = failed(Failure(kind="crash", reason="exit code 3"))
    rest = StepResult(step="ripple", outcome="blocked", reason="the run was interrupted")
    good = StepResult(step="ripple", outcome="passed")

    def heads(*results: StepResult) -> list[str]:
        elements = tuple(Element(index=at, item=at, result=one) for at, one in enumerate(results))
        failure = Failure(kind="interrupted", reason="interrupted after 2.0 s: Ctrl-C")
        lines = lines_of(recipe, failed(failure, elements=elements))
        return [line for line in lines if line.startswith("elements")]

    assert heads(good, cut, rest, rest) == ["elements   1 of 4 interrupted, 2 not run"]
    assert heads(bad, cut, rest) == ["elements   1 of 3 failed, 1 interrupted, 1 not run"]
