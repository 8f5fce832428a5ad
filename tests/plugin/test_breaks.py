"""Holds before steps at a real terminal: look, change, try again, skip, and end."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tests.plugin.conftest import Project
from tests.plugin.terminal_session import Screen

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no terminal to hold at")

_TEN = {f"s{number}": "" for number in range(1, 7)}
_MEASURE = "module: bench, function: measure, type: python, params: {volts: 5}"
_AFTER = {f"s{number}": "" for number in range(8, 11)}
_WRONG = """
def measure(ctx, volts):
    with open("tries.txt", "a") as file:
        file.write("x")
    ctx.set("volts", volts)
    ctx.append("all", volts)
    ctx.set("only.wrong", 1)
    assert volts == 4
"""
_RIGHT = """
def measure(ctx, volts):
    ctx.set("volts", volts)
    ctx.append("all", volts)
    return {"status": "ok"}
"""


def _journal(project: Project) -> list[dict[str, Any]]:
    journal = max(project.path.glob(".orchestrator/runs/*/journal.jsonl"), key=os.path.getmtime)
    whole, _, _ = journal.read_text().rpartition("\n")  # the last line may be written right now
    return [json.loads(line) for line in whole.splitlines()]


def _values(project: Project) -> dict[str, Any]:
    """Return the Context that the last run left."""
    file = max(project.path.glob(".orchestrator/runs/*/context.json"), key=os.path.getmtime)
    values: dict[str, Any] = json.loads(file.read_text())["values"]
    return values


def _past(project: Project) -> dict[str, str]:
    """Return the verdict of each recipe in the history of the last run."""
    file = max(project.path.glob(".orchestrator/history/*/*.json"), key=os.path.getmtime)
    return {one["key"]: one["verdict"] for one in json.loads(file.read_text())["recipes"]}


def _plain(shown: Screen) -> str:
    """Return all that was shown, without colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", shown.seen).replace("\r\n", "\n")


def _commands(project: Project) -> list[str]:
    held = [one for one in _journal(project) if one["event"] == "step_held"]
    return [one.get("command", "") for one in held]


@pytest.mark.parametrize("jobs", [(), ("--recipe-jobs=2",)])
def test_a_step_is_tried_again_until_the_script_is_right_and_others_ran_once(
    project: Project, screen: Callable[..., Screen], jobs: tuple[str, ...]
) -> None:
    project.write("bench.py", _WRONG)
    project.recipe("x", {**_TEN, "measure": _MEASURE, **_AFTER})
    shown = screen("-v", "--recipe-break=measure", *jobs)
    shown.reads("orchestrator: holds before measure (recipes/x.yaml:8)")
    shown.reads("measure> ")
    shown.types("redo\n")
    shown.reads("assert 5 == 4")
    shown.reads("measure> ")
    project.write("bench.py", _RIGHT)
    shown.types("redo\n")
    shown.reads("run it again? [y/N] ")
    shown.types("y\n")

    assert shown.status() == 0, shown.seen
    assert project.ran == [*_TEN, *_AFTER]
    assert (project.path / "tries.txt").read_text() == "x"
    after_redo = _values(project)
    assert _commands(project) == ["", "redo", "redo"]
    project.forget()
    project.run()
    assert _values(project) == after_redo


def test_after_set_or_skip_the_recipe_is_by_hand_and_a_resumed_run_repeats_the_step(
    project: Project, screen: Callable[..., Screen]
) -> None:
    project.recipe("x", {"a": "", "b": "", "c": ""})
    project.recipe("y", {"d": "", "e": ""})
    shown = screen(
        "-v", "--recipe-break=b", "--recipe-break=recipes/y.yaml::d", "-o", "recipe_table=all"
    )
    shown.reads("b> ")
    shown.types("set gain 2.50\n")
    shown.reads("b> ")
    shown.types("continue\n")
    shown.reads("d> ")
    shown.types("skip\n")

    assert shown.status() == 1, shown.seen
    assert project.ran == ["a", "b", "c", "e"]
    assert _values(project)["gain"] == 2.5
    states = _states(project)
    assert states == {"a": "passed", "b": "passed", "c": "passed", "d": "not run", "e": "passed"}
    assert _past(project) == {"recipes/x.yaml": "by hand", "recipes/y.yaml": "by hand"}
    assert "1 not run" in shown.seen
    assert "passed (set)" in _plain(shown)
    project.forget()
    resumed = project.blocks("--recipe-resume")
    assert project.ran == ["b", "c", "d", "e"]
    assert {name: one["step"]["state"] for name, one in resumed.items()}["a"] == "restored"
    assert "gain" not in _values(project)


def _states(project: Project) -> dict[str, str]:
    ended = [one for one in _journal(project) if one["event"] == "step_finished"]
    return {one["step"]: one["block"]["step"]["state"] for one in ended}


@pytest.mark.parametrize("jobs", [(), ("--recipe-jobs=2",)])
@pytest.mark.parametrize("end", ["abort\n", "\x03"])
def test_the_end_at_a_prompt_runs_finally_and_leaves_the_step_not_run(
    project: Project, screen: Callable[..., Screen], end: str, jobs: tuple[str, ...]
) -> None:
    project.recipe("x", {"a": "", "b": "", "c": ""}, {"off": ""})
    shown = screen("--recipe-break=b", *jobs)
    shown.reads("b> ")
    # A signal that comes just before the prompt waits for a key is seen at the next key.
    shown.types(end.rstrip("\n") + "\n")

    assert shown.status() == 2, shown.seen
    assert project.ran == ["a", "off"]
    assert _states(project) == {"a": "passed", "off": "passed", "b": "not run", "c": "not run"}
    ended = _journal(project)[-1]
    assert ended["reason"] == ("Ctrl-C" if end == "\x03" else "abort at the prompt before b")


def test_a_resumed_run_begins_at_the_step_before_which_pytest_was_killed(
    project: Project, screen: Callable[..., Screen]
) -> None:
    project.recipe("x", {**_TEN, "s7": "", **_AFTER})
    shown = screen("--recipe-break=s7")
    shown.reads("s7> ")
    shown.process.send_signal(signal.SIGKILL)
    assert shown.status() == -signal.SIGKILL
    assert project.ran == [*_TEN]

    project.forget()
    resumed = screen("--recipe-resume")
    assert resumed.status() == 0, resumed.seen
    assert project.ran == ["s7", *_AFTER]


_FAST = "sampling: {amps: {cmd: echo 1, every: 20ms, high: 5}}\ntimeout: 1s"


def test_at_the_prompt_the_clock_of_the_recipe_stands_still_and_sampling_goes_on(
    project: Project, screen: Callable[..., Screen]
) -> None:
    project.recipe("x", {"a": "", "b": "", "c": ""}, head=_FAST)
    shown = screen("--recipe-break=b")
    shown.reads("b> ")
    held = time.time()
    while not (moments := _moments(project)) or moments[-1] < held + 1.2:
        time.sleep(0.01)  # more than the whole time of the recipe
    shown.types("continue\n")

    assert shown.status() == 0, shown.seen
    assert project.ran == ["a", "b", "c"]
    gaps = [after - before for before, after in pairwise(_moments(project))]
    assert max(gaps) < 1.2


def _moments(project: Project) -> list[float]:
    """Return the times of the samples of the last run."""
    return [one["moment"] for one in _journal(project) if one["event"] == "sample_taken"]


@pytest.mark.parametrize("jobs", [(), ("--recipe-jobs=2",)])
def test_a_violation_that_aborts_ends_the_hold_and_runs_finally(
    project: Project, screen: Callable[..., Screen], jobs: tuple[str, ...]
) -> None:
    project.write("amps.txt", "1\n")
    amps = "sampling: {amps: {cmd: cat amps.txt, every: 20ms, high: 5, abort: true}}"
    project.recipe("x", {"a": "", "b": "", "c": ""}, {"off": ""}, head=amps)
    shown = screen("--recipe-break=b", *jobs)
    shown.reads("b> ")
    shown.types("conti")
    project.write("amps.txt", "9\n")

    assert shown.status() == 1, shown.seen
    assert "the hold is over" in shown.seen
    assert project.ran == ["a", "off"]
    assert _states(project)["b"] == "blocked"


def test_redo_reads_the_recipe_again_also_for_the_steps_that_follow(
    project: Project, screen: Callable[..., Screen]
) -> None:
    say = "type: shell, parse: text, cmd: 'echo {} >> ran.txt'"
    project.recipe("x", {"a": say.format("a"), "b": say.format("wrong"), "c": say.format("old")})
    shown = screen("--recipe-break=b")
    shown.reads("b> ")
    new = {
        "a": f"description: More, {say.format('a')}",
        "b": say.format("b"),
        "c": "function: boom",
    }
    project.recipe("x", new, head="name: bench\n#\n#")
    shown.types("redo\n")

    assert shown.status() == 1, shown.seen
    assert project.ran == ["a", "b", "c"]
    text = _plain(shown)
    assert ">   - {name: c, type: python" in text
    assert "recipes/x.yaml:7: \n" in text
    assert "  b  passed (redo)  0.0" in text
    project.forget()
    project.run("--recipe-resume")
    assert project.ran == ["c"]


_TWO = """\
steps:
  - {name: a, type: shell, parse: text, cmd: echo 1}
  - {name: b, type: shell, parse: text, cmd: echo}
"""
_EDITS = {
    "steps: [": "recipes/x.yaml:2:1: invalid YAML",
    _TWO.replace("echo 1", "echo 2"): "step 'a', which has run, is not what it was",
    f"vars: {{x: 1}}\n{_TWO}": "'vars' at its root is not what it was",
    _TWO.replace("name: b", "name: c"): "the list of its steps is not what it was",
}


def test_redo_refuses_edits_by_which_the_run_would_be_none_of_the_recipe(
    project: Project, screen: Callable[..., Screen]
) -> None:
    path = project.write("recipes/x.yaml", _TWO)
    shown = screen("--recipe-break=b")
    for edit, answer in _EDITS.items():
        shown.reads("b> ")
        path.write_text(edit)
        shown.types("redo\n")
        shown.reads(answer)
    shown.reads("b> ")
    path.write_text(_TWO)
    shown.types("redo\n")
    assert shown.status() == 0, shown.seen


def test_the_prompt_shows_the_run_completes_names_and_hides_secrets(
    project: Project, screen: Callable[..., Screen], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_PIN", "hunter2")
    project.recipe(
        "x",
        {
            "a": "type: shell, cmd: 'echo $DATA', env: {DATA: {status: ok, volts: 5}}, "
            "outputs: {rail.volts: '${{ result.volts }}'}",
            "b": "",
        },
        head="vars: {gain: 2, pin: '${{ env.BENCH_PIN }}'}\nsecrets: [env.BENCH_PIN, ctx.door]",
    )
    shown = screen("--recipe-break=b")
    for typed, answer in {
        "help": "set KEY VALUE",
        "ctx": "rail.volts = 5",
        "ctx rail.vols": "(did you mean 'rail.volts'?)",
        "vars": "gain = 2",
        "vars pin": "***",
        "steps": 'a = "passed"',
        "steps a": '"volts": 5',
        "set ra\t 6": "rail.volts = 6",
        "ctx rail": '"volts": 6',
        "set x": "write: set KEY VALUE",
        "set door s3sam3": 'door = "***"',
        "set bad..key 1": "bad..key",
        "query psu": "write: query NAME CMD?",
        "query psu VOLT?": "there is no station file",
        "contineu": "there is no command 'contineu' (did you mean 'continue'?)",
    }.items():
        shown.reads("b> ")
        shown.types(f"{typed}\n")
        shown.reads(answer)
    shown.reads("b> ")
    shown.types("\x10\x10\n")  # the line before the last one, by the history
    shown.reads("there is no station file")
    shown.types("abort\n")

    assert shown.status() == 2, shown.seen
    assert "hunter2" not in shown.seen
    for path in project.path.glob(".orchestrator/**/*"):
        assert not path.is_file() or b"s3sam3" not in path.read_bytes(), path
    assert _commands(project)[:4] == ["", "help", "ctx", "ctx rail.vols"]
    assert "set rail.volts" in _commands(project)


def test_a_matrix_cell_and_a_condition_select_the_step(
    project: Project, screen: Callable[..., Screen]
) -> None:
    cells = "matrix: {n: [1, 2, 3]}, needs: [], params: {name: 'm${{ matrix.n }}'}"
    project.recipe("x", {"m": f"type: python, module: steps, function: note, {cells}", "z": ""})
    shown = screen(
        "--recipe-break=m[n:2]", "--recipe-break=z if ctx.done.m3", "--recipe-break=z if vars.no"
    )
    shown.reads("holds before m[n:2] ")
    shown.types("continue\n")
    shown.reads("holds before z (recipes/x.yaml:3), as ctx.done.m3 is true")
    assert project.ran == ["m1", "m2", "m3"]
    shown.types("continue\n")
    assert shown.status() == 0, shown.seen

    shown = screen("--recipe-break=m if matrix.n == 3", "--recipe-break=z if ctx.done.m4")
    shown.reads("holds before m[n:3] ")
    shown.types("continue\n")
    shown.reads("holds before z (recipes/x.yaml:3), as ctx.done.m4 has no value: ")
    shown.types("continue\n")
    assert shown.status() == 0, shown.seen

    shown = screen("--recipe-break=m[n:4]")
    assert shown.status() == pytest.ExitCode.USAGE_ERROR
    assert "no collected step is 'm[n:4]' (did you mean 'm[n:" in _plain(shown)


def test_a_unit_that_is_held_delays_barriers_and_turns_and_others_go_on(
    project: Project, screen: Callable[..., Screen]
) -> None:
    unit = "params: {name: '${{ unit.name }}"
    step = "type: python, module: steps, function: note, " + unit
    project.recipe(
        "x",
        {
            "first": step + "1'}, turn: t",
            "second": step + "2'}, turn: t",
            "both": step + "3'}, scope: together",
        },
        head="units: {names: [A, B]}",
    )
    shown = screen("-v", "--recipe-break=second[unit:A]", "--recipe-break=both[unit:A]")
    shown.reads("second[unit:A]> ")
    assert project.ran == ["A1"]  # B waits for its turn
    shown.types("continue\n")
    shown.reads("both[unit:A]> ")
    assert project.ran[:4] == ["A1", "A2", "B1", "B2"]
    shown.types("continue\n")

    assert shown.status() == 0, shown.seen
    assert sorted(project.ran[4:]) == ["A3", "B3"]


_INLINE = "type: python, module: bench, function: {}, isolation: inline"


def test_redo_imports_the_module_of_an_inline_step_anew(
    project: Project, screen: Callable[..., Screen]
) -> None:
    project.write("bench.py", "def a(ctx):\n    return {'status': 'ok'}\n\ndef b(ctx):\n    boom\n")
    project.recipe("x", {"a": _INLINE.format("a"), "b": _INLINE.format("b")})
    shown = screen("--recipe-break=b")
    shown.reads("b> ")
    shown.types("redo\n")
    shown.reads("name 'boom' is not defined")
    shown.reads("b> ")
    project.write("bench.py", "def b(ctx):\n    ctx.set('new', 1)\n    return {'status': 'ok'}\n")
    shown.types("redo\n")
    shown.reads("[y/N] ")
    shown.types("n\n")
    shown.reads("b> ")
    shown.types("redo\n")
    shown.reads("[y/N] ")
    shown.types("y\n")
    assert shown.status() == 0, shown.seen
    assert _values(project) == {"new": 1}


def test_loops_needed_steps_and_steps_of_finally_are_held_too(
    project: Project, screen: Callable[..., Screen]
) -> None:
    loop = "foreach: [1, 2], idempotent: true, params: {name: '${{ item }}'}"
    noted = "type: python, module: steps, function: {}, "
    project.recipe("x", {"a": noted.format("boom") + loop, "b": ""}, {"off": ""})
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.recipe("recipes/x.yaml")
        def test_it():
            pass
        """,
    )
    shown = screen("test_it.py", "--recipe-break=a", "--recipe-break=off")
    shown.reads("a> ")
    shown.types("redo\n")
    shown.reads("AssertionError: the bench is off")
    shown.reads("a> ")
    project.recipe("x", {"a": noted.format("note") + loop, "b": ""}, {"off": ""})
    shown.types("redo\n")
    shown.reads("off> ")
    assert project.ran == ["1", "2", "1", "2", "b"]
    shown.types("continue\n")
    assert shown.status() == 0, shown.seen
    assert project.ran[-1] == "off"


def test_set_alone_makes_the_exit_status_1(project: Project, screen: Callable[..., Screen]) -> None:
    project.recipe("x", {"a": ""})
    shown = screen("--recipe-break=a")
    shown.reads("a> ")
    shown.types("set gain 2\n")
    shown.reads("a> ")
    shown.types("continue\n")
    assert shown.status() == 1, shown.seen
    assert _past(project) == {"recipes/x.yaml": "by hand"}
