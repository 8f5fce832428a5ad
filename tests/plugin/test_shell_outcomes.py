"""Outcomes of shell steps by the exit code and the output of the command."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_OK = '{"status": "ok"}'


def _reasons(project: Project, steps: dict[str, str]) -> dict[str, str]:
    """Run independent steps; return the reason of each in the short summary."""
    project.recipe("x", {name: f"type: shell, needs: [], {keys}" for name, keys in steps.items()})
    return project.reasons()


def _scripts(project: Project, **bodies: str) -> dict[str, str]:
    for name, body in bodies.items():
        project.script(f"bin/{name}", f"#!/bin/sh\n{body}\n")
    return {name: f"cmd: bin/{name}" for name in bodies}


def _printed(*lines: str) -> str:
    return "cat <<'END'\n" + "\n".join(lines) + "\nEND"


def test_stdout_must_be_exactly_one_valid_json_object(project: Project) -> None:
    invalid = "stdout is not valid JSON: "

    assert _reasons(
        project,
        _scripts(
            project,
            good=_printed(_OK),
            spread=_printed('{"status":', '  "success"}', ""),
            before=_printed("starting", _OK),
            after=_printed(_OK, "done"),
            two=_printed(_OK, _OK),
            nothing="true",
            broken=_printed('{"status": ok}'),
            a_list=_printed("[1]"),
            nan=_printed('{"status": "ok", "volts": NaN}'),
            huge=_printed('{"status": "ok", "volts": 1e999}'),
            twice=_printed('{"status": "ok", "status": "ok"}'),
            bytes='printf \'{"status": "\\377"}\'',
            empty=_printed("{}"),
            off=_printed('{"status": "failed", "reason": "no supply"}'),
            cold=_printed('{"status": "skip", "reason": "still cold"}'),
        ),
    ) == {
        "before": "stdout has text before its JSON object, at byte 0",
        "after": "stdout has text after its JSON object, at byte 17",
        "two": "stdout has a second JSON value after its JSON object, at byte 17",
        "nothing": "stdout is empty; one JSON object is expected",
        "broken": f"{invalid}a JSON value is expected, at byte 11",
        "a_list": "stdout is a list, not a JSON object, at byte 0",
        "nan": f"{invalid}JSON has no NaN, at byte 26",
        "huge": f"{invalid}no number is as large as 1e999, at byte 26",
        "twice": f'{invalid}duplicate key "status", at byte 17',
        "bytes": "stdout is not UTF-8: byte 0xff, at byte 12",
        "empty": "the object has no status (its keys: none); ok, success or skip is expected",
        "off": "status 'failed': no supply",
        "cold": "skipped: still cold",
    }


def test_the_exit_code_counts_in_addition_to_the_status(project: Project) -> None:
    steps = _scripts(
        project,
        three=f"{_printed(_OK)}\necho 'no supply' >&2\nexit 3",
        refused=_printed('{"status": "off", "reason": "no supply"}') + "\nexit 3",
        silent="exit 3",
        signal="kill -KILL $$",
        child="sh -c 'kill -KILL $$'",
    )

    assert _reasons(project, steps) == {
        "three": "exit code 3, expected 0",
        "refused": "status 'off': no supply",
        "silent": "exit code 3, expected 0",
        "signal": "ended by SIGKILL",
        "child": "exit code 137 (SIGKILL in a child), expected 0",
    }
    kinds = {name: block["step"]["kind"] for name, block in project.blocks().items()}
    assert kinds == {
        "three": "exit_code",
        "refused": "status",
        "silent": "exit_code",
        "signal": "signal",
        "child": "exit_code",
    }


def test_another_exit_code_can_be_expected(project: Project) -> None:
    text = "parse: text, success: {exit_code: "

    assert _reasons(
        project,
        {
            "three": f"cmd: exit 3, {text}3}}",
            "some": f"cmd: exit 3, {text}[1, 3]}}",
            "any": f"cmd: exit 3, {text}nonzero}}",
            "none": f"cmd: no-such-program, {text}127}}",
            "not_three": f"cmd: exit 3, {text}[1, 2]}}",
            "not_any": f"cmd: exit 0, {text}nonzero}}",
        },
    ) == {
        "not_three": "exit code 3, expected 1 or 2",
        "not_any": "exit code 0, expected a code that is not 0",
    }


def test_a_program_that_cannot_run_is_not_found(project: Project) -> None:
    project.write("bin/plain", "#!/bin/sh\n")
    project.script("bin/strange", "#!/usr/bin/no-such-shell\n")
    project.script("bin/sample.sh", "#!/bin/sh\n")
    steps = {
        "bit": "cmd: bin/plain",
        "bit_by_shell": "cmd: bin/plain 2>&1",
        "interpreter": "cmd: bin/strange",
        "near": "cmd: bin/sampel.sh",
        "program": "cmd: no-such-program --help",
        "by_shell": "cmd: no-such-program 2>&1",
        "in_list": "cmd: [no-such-program, --help]",
        "folder": "cmd: ./bin",
        "cwd": "cmd: echo, cwd: nowhere",
    }

    assert _reasons(project, steps) == {
        "bit": "bin/plain may not be run; give it its run bit: chmod +x bin/plain",
        "bit_by_shell": "exit code 126: a program may not be run",
        "interpreter": "bin/strange names an interpreter that is not there: /usr/bin/no-such-shell",
        "near": "program bin/sampel.sh was not found (did you mean 'bin/sample.sh'?)",
        "program": "program no-such-program was not found",
        "by_shell": "exit code 127: a program was not found",
        "in_list": "program no-such-program was not found",
        "folder": "bin is a folder, not a program",
        "cwd": "the working directory nowhere is not there",
    }
    blocks = project.blocks()
    assert {block["step"]["kind"] for block in blocks.values()} == {"not_found"}
    assert {name: block["process"]["exit_code"] for name, block in blocks.items()} == {
        "bit": 126,
        "bit_by_shell": 126,
        "interpreter": 127,
        "near": 127,
        "program": 127,
        "by_shell": 127,
        "in_list": 127,
        "folder": 126,
        "cwd": 127,
    }


def test_a_script_without_an_interpreter_runs_in_the_shell(project: Project) -> None:
    project.script("bin/bare", f"echo '{_OK}'\n")

    assert _reasons(project, {"bare": "cmd: bin/bare"}) == {}


def test_a_result_can_be_passed_in_other_ways(project: Project) -> None:
    last = _scripts(
        project,
        last=_printed("starting", _OK, ""),
        worst=_printed(_OK, "done"),
        file=f"echo starting\necho '{_OK}' > $ORCHESTRATOR_RESULT",
        data=_printed('[{"status": "failed"}]'),
        no_data=_printed("12 V"),
        text=_printed("12 V"),
    )
    parse = {"last": "last-line", "worst": "last-line", "data": "data", "no_data": "data"}

    assert _reasons(
        project,
        {
            name: f"{keys}, parse: {parse.get(name, 'json' if name == 'file' else 'text')}"
            for name, keys in last.items()
        },
    ) == {
        "worst": "the last line of stdout is text; one JSON object is expected",
        "no_data": "stdout is text; one JSON value, such as 23.5 without a unit, is expected",
    }


def test_a_step_that_exceeds_its_timeout_is_ended(project: Project) -> None:
    project.ini("recipe_timeout = 200ms")
    said = "timeout: still running after {} s; its whole process tree was ended"

    assert _reasons(
        project,
        {
            "own": "cmd: sleep 60, timeout: 100ms",
            "default": "cmd: 'sleep 60; sleep 60'",
        },
    ) == {"own": said.format(0.1), "default": said.format(0.2)}
    assert {block["step"]["kind"] for block in project.blocks().values()} == {"timeout"}


def test_leftover_processes_are_ended_and_reported(project: Project) -> None:
    path = project.recipe("x", {"one": "type: shell, cmd: 'sleep 60 &', parse: text"})

    warned = project.run()
    refused = project.run("-W", "error")

    said = "step 'one' left running: * (pid *); ended"
    warned.stdout.fnmatch_lines([f"*{path}:2: LeftoverWarning: {said}"])
    assert warned.parseoutcomes() == {"passed": 1, "warnings": 1}
    refused.stdout.fnmatch_lines([f"FAILED {path}::one - *LeftoverWarning: {said}"])


def test_leftover_warnings_work_with_xdist_workers_and_warning_filters(project: Project) -> None:
    project.recipe("x", {"one": "type: shell, cmd: 'sleep 60 &', parse: text"})

    spread = project.run("-n", "1")
    ignored = project.run("-W", "ignore::pytest_orchestrator.LeftoverWarning")

    assert spread.parseoutcomes() == {"passed": 1, "warnings": 1}
    assert ignored.parseoutcomes() == {"passed": 1}


def test_a_leftover_process_hides_no_failure(project: Project) -> None:
    steps = {"one": "cmd: 'sleep 60 & exit 3'"}

    assert _reasons(project, steps) == {"one": "exit code 3, expected 0"}
    assert project.reasons("-W", "error") == {"one": "exit code 3, expected 0"}
    assert project.run().parseoutcomes() == {"failed": 1, "warnings": 1}


@pytest.mark.counted
@pytest.mark.parametrize("style", ["auto", "short", "line", "native"])
def test_a_leftover_error_is_shown_without_frames_of_the_plugin(
    project: Project, style: str
) -> None:
    project.recipe("x", {"one": "type: shell, cmd: 'sleep 60 &', parse: text"})

    project.run("-W", "error", f"--tb={style}").stdout.no_fnmatch_line("*.py:*")


def test_a_script_ends_at_the_first_failing_line(project: Project) -> None:
    project.write(
        "recipes/x.yaml",
        """
        steps:
          - name: flash
            type: shell
            parse: text
            cmd: |
              dfu-util -D fw.bin
              echo flashed
        """,
    )
    result = project.run()

    assert result.ret == 1
    said = "/bin/sh: 1: dfu-util: not found"
    shown = re.sub(r"runs/[^/]+", "runs/latest", project.shown(result, "flash")).splitlines()
    assert shown[:10] == [
        (
            "recipes/x.yaml:5:10: step 'flash': exit code 127: a program was not found: "
            f"{said}; line 1 of cmd: dfu-util -D fw.bin"
        ),
        "",
        "   2 |   - name: flash",
        "   3 |     type: shell",
        "   4 |     parse: text",
        "   5 |     cmd: |",
        "     |          ^",
        f"E   exit code 127: a program was not found: {said}; line 1 of cmd: dfu-util -D fw.bin",
        "    ended by -e at line 1: the lines after it did not run",
        "stderr, 1 line   (all: .orchestrator/runs/latest/logs/x/flash.1.stderr)",
    ]
    step = project.blocks()["flash"]
    assert (step["step"]["kind"], step["process"]["exit_code"]) == ("not_found", 127)
    assert step["process"]["argv"][:3] == ["/bin/sh", "-e", "-c"]


def test_each_step_runs_in_the_shell_that_it_names(project: Project) -> None:
    project.script("tool", "#!/bin/sh\ncat $1 >&2\nexit 5\n")
    text = "parse: text"

    assert _reasons(
        project,
        {
            "sh": f"{text}, shell: sh, cmd: 'false | true'",
            "bash": f'{text}, shell: bash, cmd: "[[ a ]]\\nfalse | true\\ntrue"',
            "python": f'{text}, shell: python, cmd: "x = 1\\nassert x == 2\\n"',
            "listed": f"{text}, shell: [./tool], cmd: x",
            "missing": f"{text}, shell: [no-such-shell], cmd: x, success: {{exit_code: nonzero}}",
        },
    ) == {
        "bash": "exit code 1, expected 0; line 2 of cmd: false | true",
        "python": "exit code 1, expected 0; line 2 of cmd: assert x == 2",
        "listed": "exit code 5, expected 0",
        "missing": "shell no-such-shell was not found",
    }
    argv = {name: block["process"]["argv"] for name, block in project.blocks().items()}
    assert argv["bash"][:-1] == ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
    assert argv["listed"] == ["tool", "{script}"]


def test_a_passed_step_runs_again_when_its_shell_changes(project: Project) -> None:
    def recipe(shell: str) -> None:
        one = f"type: shell, parse: text, {shell} cmd: 'echo one >> ran.txt'"
        project.recipe("x", {"one": one, "two": "type: shell, parse: text, cmd: test -e go"})

    recipe("")
    project.run()
    recipe("")
    project.run("--recipe-resume")
    assert project.ran == ["one"]
    recipe("shell: bash,")
    project.run("--recipe-resume")
    assert project.ran == ["one", "one"]


def test_a_missing_artifact_is_a_warning_of_pytest_and_hides_no_failure(project: Project) -> None:
    shoot = "type: shell, parse: text, artifacts: ['*.png']"
    path = project.recipe("x", {"shoot": f"{shoot}, cmd: 'true'"})

    warned, refused = project.run(), project.run("-W", "error")
    project.recipe("x", {"shoot": f"{shoot}, cmd: exit 3"})

    said = "step 'shoot': artifacts: no file matches [*].png"
    warned.stdout.fnmatch_lines([f"*{path}:2: PytestWarning: {said}*"])
    assert warned.parseoutcomes() == {"passed": 1, "warnings": 1}
    refused.stdout.fnmatch_lines([f"FAILED {path}::shoot - *PytestWarning: {said}*"])
    assert project.reasons("-W", "error") == {"shoot": "exit code 3, expected 0"}
