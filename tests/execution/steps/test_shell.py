"""Shell step: input, output, exit code, and the failure that is reported of several."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Failure, Process, Stream
from pytest_orchestrator.core.text import clipped
from pytest_orchestrator.execution.steps import shell

if TYPE_CHECKING:
    from pytest_orchestrator.execution.lanes.messages import CommandResult
    from tests.execution.conftest import Bench

OK = """echo '{"status": "ok"}'"""
_TIMEOUTS = {True: "200ms", False: "60s"}
"""Timeouts of steps that must exceed them, and of steps that must not."""
_TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"))


def kind_and_reason(ended: Ended) -> tuple[str, str]:
    assert ended.failure is not None
    return ended.failure.kind, ended.failure.reason


def process(ended: Ended) -> Process:
    assert ended.process is not None
    return ended.process


def test_exit_code_0_and_status_ok_pass(bench: Bench) -> None:
    ended = bench.shell("""echo '{"status":"ok","v":1}'; echo log >&2""")
    assert (ended.failure, ended.skipped, ended.value) == (None, None, {"status": "ok", "v": 1})
    assert msgspec.structs.replace(process(ended), rss_bound=None) == Process(
        argv=("/bin/sh", "-e", "-c", """echo '{"status":"ok","v":1}'; echo log >&2"""),
        cwd=str(bench.root),
        alone=shlex.join(("/bin/sh", "-e", "-c", """echo '{"status":"ok","v":1}'; echo log >&2""")),
        exit_code=0,
        stdout=Stream('{"status":"ok","v":1}\n', 22, str(bench.root / "logs/s.1.stdout"), kept=22),
        stderr=Stream("log\n", 4, str(bench.root / "logs/s.1.stderr"), kept=4),
    )


@pytest.mark.parametrize(
    ("cmd", "keys", "reason"),
    [
        ("exit 77", {"skip_exit_code": 77}, "exit code 77"),
        ("echo no PSU >&2; exit 80", {"skip_exit_code": [77, 80]}, "exit code 80: no PSU"),
        ("echo {; exit 77", {"skip_exit_code": 77, "success": {"exit_code": 0}}, "exit code 77"),
        ("""echo '{"status":"skip","reason":"cold"}'; exit 77""", {"skip_exit_code": 77}, "cold"),
        ("""echo '{"status":"failed"}'; exit 77""", {"skip_exit_code": 77}, "exit code 77"),
        ("exit 127", {"skip_exit_code": 127}, "exit code 127"),
        ("bin/none", {"skip_exit_code": 127}, "program bin/none was not found"),
    ],
)
def test_skip_exit_code_skips_the_step(
    bench: Bench, cmd: str, keys: dict[str, Any], reason: str
) -> None:
    ended = bench.shell(cmd, **keys)
    assert (ended.failure, ended.skipped, ended.verdicts) == (None, reason, ())


def test_another_exit_code_does_not_skip(bench: Bench) -> None:
    ended = bench.shell("exit 3", skip_exit_code=77)
    assert ended.skipped is None
    assert kind_and_reason(ended) == ("exit_code", "exit code 3, expected 0")


def test_a_timeout_is_reported_before_an_exit_code_that_skips(bench: Bench) -> None:
    ended = bench.shell("trap 'exit 77' TERM; sleep 600 & wait", skip_exit_code=77, timeout=0.3)
    assert ended.skipped is None
    assert kind_and_reason(ended)[0] == "timeout"


def test_the_status_skip_skips_with_its_reason(bench: Bench) -> None:
    ended = bench.shell("""echo '{"status":"skip","reason":"no PSU"}'""")
    assert (ended.failure, ended.skipped) == (None, "no PSU")


@pytest.mark.parametrize("status", ["skip", "fail"])
def test_a_status_in_data_has_no_meaning(bench: Bench, status: str) -> None:
    ended = bench.shell(f"""echo '{{"status":"{status}"}}'""", parse="data")
    assert (ended.failure, ended.skipped, ended.value) == (None, None, {"status": status})


@pytest.mark.parametrize("parse", ["json", "last-line", "data"])
def test_the_result_may_be_written_to_a_file(bench: Bench, parse: str) -> None:
    ended = bench.shell(f'echo noise; {OK} > "$ORCHESTRATOR_RESULT"', parse=parse)
    assert (ended.failure, ended.value) == (None, {"status": "ok"})


ERROR = """echo '{"status": "error", "reason": "no link"}'"""
SKIP = """echo '{"status": "skip", "reason": "no PSU"}'"""
FILE = '> "$ORCHESTRATOR_RESULT"'
THREE = "a status that is 3, no reason given"


@pytest.mark.parametrize("parse", ["json", "last-line"])
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            f"{OK} {FILE}; {ERROR}",
            "$ORCHESTRATOR_RESULT has status 'ok', but stdout has status 'error': no link",
        ),
        (
            f"{OK} {FILE}; echo noise; {ERROR}; echo",
            "$ORCHESTRATOR_RESULT has status 'ok', but stdout has status 'error': no link",
        ),
        (
            f"{ERROR} {FILE}; {OK}",
            "$ORCHESTRATOR_RESULT has status 'error': no link, but stdout has status 'ok'",
        ),
        (
            f"{SKIP} {FILE}; {OK}",
            "$ORCHESTRATOR_RESULT has status 'skip', but stdout has status 'ok'",
        ),
        (
            f"{OK} {FILE}; echo '{{'; echo '\"status\": 3}}'",
            f"$ORCHESTRATOR_RESULT has status 'ok', but stdout has {THREE}",
        ),
        *(
            (
                f"{OK} {FILE}; echo noise; echo '{line}'",
                "$ORCHESTRATOR_RESULT has status 'ok', but stdout has status 'error': no link",
            )
            for line in (
                '{"a": 1} {"status": "ok"}\t{"status": "error", "reason": "no link"}',
                '{"status": "error", "reason": "no link", "volts": NaN}',
                '{"status": "error", "reason": "no link"} at once',
            )
        ),
        (
            f"{OK} {FILE}; echo '{{'; echo '\"status\": null, \"volts\": NaN}}'",
            f"$ORCHESTRATOR_RESULT has status 'ok', but stdout has {THREE.replace('3', 'null')}",
        ),
    ],
)
def test_a_result_file_and_a_stdout_that_disagree_fail_the_step(
    bench: Bench, parse: str, script: str, reason: str
) -> None:
    ended = bench.shell(script, parse=parse)
    assert kind_and_reason(ended) == ("protocol", reason)
    assert ended.value is None
    assert ended.failure is not None
    assert ended.failure.detail == (
        "Print the object, or write it to $ORCHESTRATOR_RESULT, not both.",
    )


@pytest.mark.parametrize(
    "script",
    [
        f'{OK} {FILE}; echo \'{{"status": "success"}}\'',
        f"{OK} {FILE}; {ERROR}; echo noise",
        f"{OK} {FILE}; {ERROR}; {OK}",
        f"{OK} {FILE}; echo noise '{{\"status\": 3}}'",
        f"{OK} {FILE}; head -c 50000 /dev/zero | tr '\\0' '['",
        f"{OK} {FILE}; echo '{{\"code\": 3}}'",
        f"{OK} {FILE}; echo '[1]'",
        f"{OK} {FILE}; printf '\\377'",
    ],
)
def test_a_stdout_that_agrees_with_the_result_file_is_ignored(bench: Bench, script: str) -> None:
    ended = bench.shell(script)
    assert (ended.failure, ended.value) == (None, {"status": "ok"})


@pytest.mark.parametrize("parse", ["json", "data"])
def test_a_long_reason_on_stdout_is_cut_unless_it_is_data(bench: Bench, parse: str) -> None:
    script = """printf '{"status": "error", "reason": "%02000000d"}' 7"""
    value: Any = bench.shell(script, parse=parse).value
    assert len(value["reason"]) == (2_000_000 if parse == "data" else len(clipped("0" * 2_000_000)))


@pytest.mark.parametrize("parse", ["data", "text"])
def test_a_status_in_data_or_text_is_not_compared_with_the_file(bench: Bench, parse: str) -> None:
    assert bench.shell(f"{OK} {FILE}; {ERROR}", parse=parse).failure is None


def test_the_end_of_a_long_stdout_is_compared_with_the_file(bench: Bench) -> None:
    bench.configure(max_result=1 << 16)
    ended = bench.shell(f"{OK} {FILE}; head -c 100000 /dev/zero; echo; {ERROR}")
    assert kind_and_reason(ended)[1].endswith("but stdout has status 'error': no link")


def test_an_unwanted_exit_code_is_reported_before_a_disagreement(bench: Bench) -> None:
    ended = bench.shell(f"{OK} {FILE}; {ERROR}; exit 3")
    assert kind_and_reason(ended) == ("exit_code", "exit code 3, expected 0")


def test_the_result_file_is_read_after_the_last_process_has_ended(bench: Bench) -> None:
    # The child writes when it receives TERM, which is after the end of the script.
    late = f"#!/bin/sh\nwrite() {{ {ERROR} {FILE}; exit; }}\ntrap write TERM\n: > there\n"
    bench.write("late", f"{late}sleep 60 & wait\n", mode=0o755)
    ended = bench.shell(f"./late & until [ -e there ]; do :; done; {OK} {FILE}")
    assert kind_and_reason(ended) == ("status", "status 'error': no link")


def test_an_error_in_the_result_file_names_the_variable(bench: Bench) -> None:
    assert kind_and_reason(bench.shell('printf "{}x" > "$ORCHESTRATOR_RESULT"')) == (
        "protocol",
        "$ORCHESTRATOR_RESULT has text after its JSON object, at byte 2",
    )


@pytest.mark.parametrize("command", ["mkdir", "mkfifo", "ln -s /dev/zero"])
def test_a_result_path_that_is_no_file_is_reported(bench: Bench, command: str) -> None:
    ended = bench.shell(f'{command} "$ORCHESTRATOR_RESULT"; {OK}')
    assert kind_and_reason(ended) == ("protocol", "what $ORCHESTRATOR_RESULT names is not a file")


def test_other_users_cannot_read_the_result_file_with_any_umask(bench: Bench) -> None:
    looks = 'stat -c "%a %u" "${ORCHESTRATOR_RESULT%/*}" >&2'
    folders = 'echo "${ORCHESTRATOR_RESULT%/*}" >&2'
    ended = bench.shell(f'umask 0; {OK} > "$ORCHESTRATOR_RESULT"; {looks}; {folders}')

    rights, folder = process(ended).stderr.text.splitlines()
    assert rights == f"700 {os.geteuid()}"
    assert process(bench.shell(f"{OK}; {folders}")).stderr.text.strip() == folder
    Path(folder).chmod(0o755)
    fresh = process(bench.shell(f"{OK}; {looks}; {folders}")).stderr.text.splitlines()
    assert fresh[0] == rights
    assert fresh[1] != folder
    shutil.rmtree(folder)


def test_the_folder_of_result_files_is_removed_by_its_process_and_not_by_a_fork() -> None:
    script = (
        "import os, sys; from pytest_orchestrator.core.files import private_path\n"
        "folder = os.path.dirname(private_path())\n"
        "if not os.fork(): sys.exit()\n"
        "os.wait()\n"
        "print(folder, os.path.isdir(folder))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    folder, was_there = run.stdout.split()
    assert was_there == "True"
    assert not Path(folder).exists()


def test_the_result_file_is_removed(bench: Bench) -> None:
    ended = bench.shell(f'{OK} > "$ORCHESTRATOR_RESULT"; echo "$ORCHESTRATOR_RESULT" >&2')
    assert ended.failure is None
    assert not Path(process(ended).stderr.text.strip()).exists()


@pytest.mark.parametrize(
    ("target", "what"), [("", "stdout"), ('> "$ORCHESTRATOR_RESULT"', "$ORCHESTRATOR_RESULT")]
)
def test_a_result_above_the_limit_is_refused(bench: Bench, target: str, what: str) -> None:
    bench.configure(max_result=1 << 20)
    ended = bench.shell(f"head -c 1048577 /dev/zero {target}")
    assert kind_and_reason(ended) == ("protocol", f"{what} is above 1 MiB; a result is smaller")


def test_parse_text_needs_no_json_and_has_no_limit(bench: Bench) -> None:
    bench.configure(max_result=10)
    ended = bench.shell("echo more than ten bytes", parse="text")
    assert (ended.failure, ended.value) == (None, {"status": "ok"})


@pytest.mark.parametrize(
    ("cmd", "kind", "reason"),
    [
        (
            f"{OK}; sleep 600",
            "timeout",
            "timeout: still running after 0.2 s; its whole process tree was ended",
        ),
        (f"{OK}; kill -SEGV $$", "signal", "ended by SIGSEGV"),
        ("""echo '{"status":"fail","reason":"hot"}'; exit 3""", "status", "status 'fail': hot"),
        (f"{OK}; exit 3", "exit_code", "exit code 3, expected 0"),
        ("echo '{}'; exit 3", "exit_code", "exit code 3, expected 0"),
        ("echo '['; exit 3", "exit_code", "exit code 3, expected 0"),
        ("exit 137", "exit_code", "exit code 137 (SIGKILL in a child), expected 0"),
        ("echo hi", "protocol", "stdout is text; one JSON object is expected"),
        (
            "echo '{}'",
            "status",
            "the object has no status (its keys: none); ok, success or skip is expected",
        ),
        ("true", "protocol", "stdout is empty; one JSON object is expected"),
    ],
)
def test_the_first_of_several_failures_is_reported(
    bench: Bench, cmd: str, kind: str, reason: str
) -> None:
    assert kind_and_reason(bench.shell(cmd, timeout=_TIMEOUTS[kind == "timeout"])) == (kind, reason)


@pytest.mark.parametrize(
    ("cmd", "place"),
    [
        ("sleep 600", Place(5, 14, 7)),
        ("kill -9 $$", Place(4, 10, 12)),
        ("exit 3", Place(6, 28, 1)),
        ("/no/such", Place(4, 10, 10)),
    ],
)
def test_the_place_of_a_failure_is_its_key(bench: Bench, cmd: str, place: Place) -> None:
    timeout = _TIMEOUTS[cmd == "sleep 600"]
    failure = bench.shell(cmd, timeout=timeout, success={"exit_code": 4}).failure
    assert failure is not None
    assert failure.place == place


def test_the_failure_of_a_lost_lane_has_its_time_and_place(bench: Bench) -> None:
    ended = bench.shell("sleep 0.1; kill -KILL $PPID; sleep 600")
    assert ended.failure is not None
    assert (ended.failure.kind, ended.failure.place) == ("crash", Place(4, 10, 40))
    assert 0.1 <= ended.usage.seconds < 60

    ended = bench.shell("kill -STOP $PPID; sleep 600", timeout="100ms")
    assert ended.failure is not None
    assert (ended.failure.kind, ended.failure.place) == ("timeout", Place(5, 14, 7))
    assert 0.1 <= ended.usage.seconds < 60


def test_the_place_of_a_wrong_exit_code_is_the_command(bench: Bench) -> None:
    assert bench.shell("echo one >&2; exit 3").failure == Failure(
        kind="exit_code", reason="exit code 3, expected 0", place=Place(4, 10, 22)
    )


@pytest.mark.parametrize(
    ("wanted", "code", "unmet"),
    [
        (3, 3, None),
        (3, 0, "exit code 0, expected 3"),
        ([0, 3], 3, None),
        ([0, 3], 4, "exit code 4, expected 0 or 3"),
        ("nonzero", 9, None),
        ("nonzero", 0, "exit code 0, expected a code that is not 0"),
        (["nonzero"], 9, None),
        (["nonzero"], 0, "exit code 0, expected a code that is not 0"),
        ([0, "nonzero"], 0, None),
        ("nonzero", 128, None),
        ("nonzero", 255, None),
        (
            "nonzero",
            139,
            "exit code 139 (SIGSEGV in a child), expected an error code of the program itself",
        ),
        (["nonzero", 139], 139, None),
        (127, 127, None),
    ],
)
def test_a_recipe_may_expect_another_exit_code(
    bench: Bench, wanted: object, code: int, unmet: str | None
) -> None:
    ended = bench.shell(f"{OK}; exit {code}", success={"exit_code": wanted})
    assert (ended.failure and kind_and_reason(ended)) == (unmet and ("exit_code", unmet))
    assert [(one.name, one.measured, one.unmet) for one in ended.verdicts] == [
        ("exit_code", code, unmet)
    ]


@pytest.mark.parametrize(
    ("cmd", "is_met"),
    [
        ("sh -c 'kill -SEGV $$'", False),
        (["sh", "-c", "sh -c 'kill -SEGV $$'; exit $?"], False),
        ("./script", False),
        ("./without_interpreter", False),
        ("./program", True),
        (["./program"], True),
    ],
)
def test_nonzero_accepts_a_code_above_128_only_of_a_program_that_is_no_shell(
    bench: Bench, cmd: str | list[str], is_met: bool
) -> None:
    dies = "sh -c 'kill -SEGV $$'\nexit $?\n"
    bench.write("script", f"#!/usr/bin/env bash\n{dies}", mode=0o755)
    bench.write("without_interpreter", dies, mode=0o755)
    bench.write("program", f"#!{sys.executable}\nraise SystemExit(139)\n", mode=0o755)
    failure = bench.shell(cmd, parse="text", success={"exit_code": "nonzero"}).failure
    cure = "'nonzero' does not accept a program that a signal ended: write 139 if the step expects"
    assert (failure and failure.detail) == (None if is_met else (f"{cure} it.",))


def test_nonzero_is_not_met_by_a_program_that_a_signal_ended(bench: Bench) -> None:
    ended = bench.shell(["sh", "-c", "kill -9 $$"], success={"exit_code": ["nonzero", 137]})
    assert kind_and_reason(ended) == ("signal", "ended by SIGKILL")


def test_timeouts_can_be_switched_off(bench: Bench) -> None:
    bench.configure(timeout_factor=0.0)
    assert bench.shell("sleep 0.1", parse="text", timeout="10ms").failure is None


def test_a_step_without_a_timeout_has_the_timeout_of_the_run(bench: Bench) -> None:
    bench.configure(timeout=0.1)
    failure = bench.shell("sleep 600").failure
    assert failure is not None
    assert (failure.kind, failure.place) == ("timeout", None)


@pytest.mark.parametrize(
    ("stdin", "read"),
    [
        ("text ü", b"text \xc3\xbc"),
        ("a\n", b"a\n"),
        ({"a": [1, None]}, b'{"a":[1,null]}'),
        (7, b"7"),
        (None, b""),
    ],
)
def test_stdin_receives_unchanged_text_or_json(bench: Bench, stdin: object, read: bytes) -> None:
    bench.shell("cat > read", parse="text", stdin=stdin)
    assert (bench.root / "read").read_bytes() == read


def test_an_unread_large_stdin_is_no_failure(bench: Bench) -> None:
    assert bench.shell("true", parse="text", stdin="x" * 500_000).failure is None


@given(_TEXT)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_text_arrives_byte_for_byte(bench: Bench, text: str) -> None:
    step = bench.shell_step('printf %s "$T" > shown', parse="text")
    ended = shell.run(msgspec.structs.replace(step, args={"T": text}), bench.attempt)
    assert ended.failure is None
    assert (bench.root / "shown").read_bytes() == text.encode()


def test_args_are_text_json_or_unset(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONE", "here")
    monkeypatch.setenv("KEPT", "kept")
    args = {"T": "a  b", "N": 1.5, "B": True, "J": {"l": [1, "ü"]}, "GONE": None}
    cmd = 'printf "%s|" "$T" "$N" "$B" "$J" "${GONE-unset}" "$KEPT" > shown'
    bench.shell(cmd, parse="text", args=args)
    assert (bench.root / "shown").read_text() == 'a  b|1.5|true|{"l":[1,"ü"]}|unset|kept|'


@pytest.mark.parametrize(
    ("cwd", "expected"), [(".", ""), ("sub", "sub"), ("sub/../sub/deep", "sub/deep")]
)
def test_a_command_runs_in_its_cwd_and_its_program_is_relative_to_the_rootdir(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, cwd: str, expected: str
) -> None:
    monkeypatch.chdir("/")
    (bench.root / "sub/deep").mkdir(parents=True)
    bench.write("bin/where", "#!/bin/sh\npwd\n", 0o755)
    ended = process(bench.shell(["bin/where"], parse="text", cwd=cwd))
    assert (ended.stdout.text, ended.cwd) == (
        f"{bench.root.resolve() / expected}\n",
        str(bench.root / expected),
    )


def test_a_script_without_an_interpreter_is_run_by_sh(bench: Bench) -> None:
    bench.write("bin/bare", """echo "{\\"status\\": \\"ok\\", \\"word\\": \\"$1\\"}"\n""", 0o755)
    for program in ("bin/bare", "bare"):
        ended = bench.shell([program, "a b"], args={"PATH": f"{bench.root}/bin"})
        assert (ended.failure, ended.value) == (None, {"status": "ok", "word": "a b"})


def test_a_step_does_not_change_the_environment_of_pytest(bench: Bench) -> None:
    before = dict(os.environ)
    bench.shell("export A=1; cd /", parse="text", args={"PATH": None})
    assert dict(os.environ) == before


def test_leftover_processes_are_reported_and_are_no_failure(bench: Bench) -> None:
    ended = bench.shell(f"sleep 30 & {OK}")
    assert ended.failure is None
    assert len(process(ended).leftovers) == 1


@pytest.mark.parametrize("cmd", ["bin/show", ["bin/show"], "bin/show; exit 3"])
def test_the_repeating_line_has_the_same_output_and_exit_code(
    bench: Bench, cmd: str | list[str]
) -> None:
    script = """printf '%s|%s|%s|%s' "$PWD" "$V" "${HOME-unset}" "$(cat)"\n"""
    bench.write("bin/show", f"#!/bin/sh\n{script}", 0o755)
    bench.write("sub/bin/show", f"#!/bin/sh\n{script}", 0o755)
    args = {"V": [1, "it's"], "HOME": None}
    ended = process(bench.shell(cmd, args=args, stdin={"a": "$x"}, cwd="sub", parse="text"))
    again = subprocess.run(
        ended.alone, shell=True, cwd=bench.root, capture_output=True, text=True, check=False
    )
    assert again.stdout == ended.stdout.text
    assert again.stdout == f"""{bench.root}/sub|[1,"it's"]|unset|{{"a":"$x"}}"""
    assert again.returncode == ended.exit_code


@pytest.mark.parametrize(
    "keys",
    [{}, {"parse": "text"}, {"parse": "data"}, {"success": {"exit_code": "nonzero"}}],
)
def test_a_command_with_an_unknown_exit_status_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]
) -> None:
    def without_a_status(*args: Any, **options: Any) -> CommandResult:
        return msgspec.structs.replace(run(*args, **options), status=None)

    run = bench.attempt.required_slot.shell.run
    monkeypatch.setattr(bench.attempt.required_slot.shell, "run", without_a_status)

    ended = bench.shell(OK, skip_exit_code=3, **keys)

    assert kind_and_reason(ended) == ("crash", "the exit status of its process is not known")
    assert ended.skipped is None
