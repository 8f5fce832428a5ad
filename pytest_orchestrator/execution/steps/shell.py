"""Shell step: start of the command, wait, and evaluation of its output."""

import contextlib
import errno
import os
import shutil
import signal
import stat
import tempfile
import time
from typing import Final

import msgspec

from pytest_orchestrator.core import suggestions
from pytest_orchestrator.core.files import private_path
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Ended, Failure, Kind, Process, Stream, Usage, Verdict
from pytest_orchestrator.execution import outcome
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.lanes.context_access import lane_waiter, mask_printed_token
from pytest_orchestrator.execution.lanes.messages import (
    CommandRequest,
    CommandResult,
    LaneLost,
    cut_off,
    elsewhere,
    ended_process,
    lost_failure,
    stream,
    usage,
)
from pytest_orchestrator.execution.steps import command as step_command
from pytest_orchestrator.execution.steps.command import (
    SHELL,
    alone,
    argv_of,
    environment_of,
    far_argv_of,
    is_shell,
    stdin_of,
)
from pytest_orchestrator.execution.steps.json_output import Parse, objects_with_status, parsed
from pytest_orchestrator.execution.steps.script import (
    MISSING,
    FailingLine,
    ScriptFiles,
    last_message,
    without_record,
)
from pytest_orchestrator.recipe.model.step import Criterion, ShellStep, SshStep


class Launch(msgspec.Struct, frozen=True):
    """Program, environment variables and input with which a shell step is started.

    Attributes:
        process: The program and its arguments.
        variables: Its environment.
        stdin: Its input; None if it has none.
    """

    process: Process
    variables: dict[str, str]
    stdin: bytes | None


def _launch(step: ShellStep, attempt: AttemptContext) -> Launch | Failure:
    """Prepare the start of a shell step; for an `ssh` step connect to its host.

    Args:
        step: The step.
        attempt: The context of the attempt.
    """
    if not isinstance(step, SshStep):
        variables = environment_of(step.args, attempt.variables())
        return Launch(_process_of(step, attempt), variables, stdin_of(step.stdin))
    socket = attempt.required_slot.ssh_connections.to(step.host)
    if isinstance(socket, Failure):
        return msgspec.structs.replace(socket, place=step.at["host"])
    from pytest_orchestrator.execution.steps import ssh

    process = _process_of(step, attempt, ssh.argv_of(step, socket))
    return Launch(process, attempt.variables(), ssh.input_of(step, ssh.new_mark()))


def process_of(step: ShellStep, attempt: AttemptContext) -> Process:
    """Return the `Process` record of a shell step whose program has not started.

    Args:
        step: The step.
        attempt: The context of the attempt.
    """
    return _process_of(_at_its_host(step, attempt), attempt)


def _at_its_host(step: ShellStep, attempt: AttemptContext) -> ShellStep:
    """Return an `ssh` step with the host that the station has for the name in its ``host``."""
    if not isinstance(step, SshStep) or step.host not in attempt.config.hosts:
        return step
    return msgspec.structs.replace(step, host=attempt.config.hosts[step.host])


def _process_of(
    step: ShellStep, attempt: AttemptContext, argv: tuple[str, ...] | None = None
) -> Process:
    masked = _secret_args(step, attempt)
    if isinstance(step, SshStep):
        from pytest_orchestrator.execution.steps import ssh

        argv = argv or ssh.argv_of(step, None)
        return Process(
            argv=argv, cwd=str(attempt.config.root), alone=ssh.alone(step), masked=masked
        )
    return Process(
        argv=argv_of(step.cmd, attempt.config.root, step.shell),
        cwd=os.path.normpath(os.path.join(attempt.config.root, step.cwd or ".")),
        alone=alone(step.cmd, step.args, step.cwd, step.stdin, step.shell),
        masked=masked,
    )


def _lost_connection(step: ShellStep, attempt: AttemptContext, code: int | None) -> Failure | None:
    """Return the failure of an `ssh` step whose connection was lost, or None."""
    if (
        not isinstance(step, SshStep)
        or code != 255
        or code in _wanted(step)
        or not attempt.required_slot.ssh_connections.is_lost(step.host)
    ):
        return None
    return Failure(kind="crash", reason=f"the connection to {step.host} was lost")


def _secret_args(step: ShellStep, attempt: AttemptContext) -> tuple[str, ...]:
    """Return the names of the step's ``args`` whose values contain secrets."""
    if not step.args:
        return ()
    variables = environment_of(step.args, {})
    attempt.config.secrets.add_environment(variables)
    return tuple(
        name for name, value in variables.items() if attempt.config.secrets.text(value) != value
    )


RESULT = "ORCHESTRATOR_RESULT"
"""Name of the variable with the path of the file to which a script may write its result."""

_NOT_FOUND = {126: "may not be run", 127: "was not found"}
_NONZERO: Final = "nonzero"


def run(step: ShellStep, attempt: AttemptContext) -> Ended:
    """Run the command of a shell step, and evaluate its output.

    Args:
        step: The step.
        attempt: The context of the attempt.

    Returns:
        The end of the command; no failure of the command is raised as an exception.
    """
    step = _at_its_host(step, attempt)
    launch = _launch(step, attempt)
    if isinstance(launch, Failure):
        return Ended(usage=Usage(seconds=0.0), failure=launch)
    process, started = launch.process, time.monotonic()
    base = private_path()
    result_file, script = f"{base}.json", ScriptFiles(step, base)
    try:
        try:
            exited = _start(step, attempt, launch, result_file, script)
        except LaneLost as lost:
            failure = lost_failure(lost, step, attempt.seconds_for(step.timeout))
            return Ended(usage=Usage(seconds=time.monotonic() - started), failure=failure)
        except OSError as error:
            return _not_started(step, error, process, attempt)
        raw = _read_result(result_file, attempt.config.max_result)
        ends = script.ends()
    finally:
        script.remove()
        with contextlib.suppress(OSError):
            os.unlink(result_file)
    return _ended(step, attempt, exited, process, raw, ends)


def _start(
    step: ShellStep, attempt: AttemptContext, launch: Launch, result_file: str, script: ScriptFiles
) -> CommandResult:
    process, text = launch.process, launch.stdin
    variables = launch.variables | {RESULT: result_file}
    attempt.config.secrets.add_environment(variables)
    if not step.args.keys() & attempt.context_variables.keys():  # args may name another server
        variables |= attempt.context_variables
    argv, variables = script.prepare(process.argv, variables)
    with contextlib.ExitStack() as stack:
        stdin = None
        if text is not None:
            file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="orchestrator-"))
            file.write(text)
            file.flush()
            stdin = file.name

        def started(command: tuple[str, ...]) -> CommandResult:
            exited = attempt.required_slot.shell.run(
                _request(step, attempt, command, process.cwd, variables, stdin),
                live=attempt.live_now(),
                kept=attempt.lock_files,
                meanwhile=lane_waiter(attempt.callbacks.on_idle, attempt.config.context_access),
            )
            mask_printed_token(exited, attempt.config.context_access)
            return exited

        try:
            return started(argv)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without an interpreter in its first line is run by sh, as shells do.
            script_path = shutil.which(argv[0], path=variables.get("PATH"))
            return started((SHELL, script_path or argv[0], *argv[1:]))


def _request(
    step: ShellStep,
    attempt: AttemptContext,
    argv: tuple[str, ...],
    cwd: str,
    variables: dict[str, str],
    stdin: str | None,
) -> CommandRequest:
    return CommandRequest(
        argv=argv,
        env=variables,
        cwd=cwd,
        stdin=stdin,
        timeout=attempt.seconds_for(step.timeout),
        stdout_log=attempt.log(step.name, "stdout"),
        stderr_log=attempt.log(step.name, "stderr"),
        samples=None if isinstance(step, SshStep) else attempt.samples(step.name),
        max_log=attempt.config.max_log,
        end_signal=step.stop_number,
        secrets=attempt.config.masked_forms,
    )


def _ended(
    step: ShellStep,
    attempt: AttemptContext,
    exited: CommandResult,
    process: Process,
    raw: bytes | Failure,
    ends: str,
) -> Ended:
    stderr, shown = _stderr(step, exited)[0], attempt.live is not None
    process = ended_process(process, exited, stderr=stderr, shown=shown)
    value = _value(step, exited, raw, attempt)
    verdict = _exit_verdict(step, exited.code, process)
    verdicts = (verdict,) if _criterion(step) and exited.code is not None else ()
    result = None if isinstance(value, Failure) else value
    failure, skipped = (
        _cut_off(step, attempt, exited) or _lost_connection(step, attempt, exited.code),
        None,
    )
    failure = failure or _no_shell(step, attempt, exited)
    if failure is None and exited.code in step.skip_exit_code:
        verdicts = ()
        skipped = outcome.skip_of(result) or _with_last_line(
            f"exit code {exited.code}", _last_line(step, exited, attempt)
        )
    elif failure is None:
        failure = _failure(step, attempt, exited, value, verdict, ends)
        # With `parse: data` a key `status` has no meaning for the step.
        skipped = None if failure or step.parse == "data" else outcome.skip_of(result)
    if step.parse != "data":
        result = outcome.with_clipped_reason(result)
    return Ended(
        usage=elsewhere(exited)
        if isinstance(step, SshStep)
        else usage(exited, attempt.samples(step.name)),
        failure=failure,
        skipped=skipped,
        **outcome.values_of(result),
        process=process,
        verdicts=verdicts,
        began=exited.began,
    )


def _read_result(path: str, max_bytes: int) -> bytes | Failure:
    """Return the content of a script's result file, empty if it is missing, or a failure."""
    try:
        mode = os.stat(path).st_mode
    except OSError:  # most scripts print their result
        return b""
    if not stat.S_ISREG(mode):
        return Failure(kind="protocol", reason=f"what ${RESULT} names is not a file")
    with open(path, "rb") as file:
        raw = file.read(max_bytes + 1)
    return raw if len(raw) <= max_bytes else _too_large(f"${RESULT}", max_bytes)


def _too_large(what: str, max_bytes: int) -> Failure:
    reason = f"{what} is above {max_bytes >> 20} MiB; a result is smaller"
    return Failure(kind="protocol", reason=reason)


def _value(
    step: ShellStep, exited: CommandResult, raw: bytes | Failure, attempt: AttemptContext
) -> Json | Failure:
    if step.parse == "text":
        return parsed(b"", "text")
    if isinstance(raw, Failure):
        return raw
    if raw.strip():
        kind: Parse = "data" if step.parse == "data" else "json"
        value = parsed(raw, kind, f"${RESULT}", attempt.config.secrets.data)
        conflict = None if kind == "data" else _conflict(value, exited, attempt.config.max_result)
        return value if conflict is None else conflict
    printed = exited.stdout.whole(attempt.config.max_result)
    if printed is None:
        return _too_large("stdout", attempt.config.max_result)
    return parsed(printed, step.parse, mask=attempt.config.secrets.data)


def _conflict(value: Json | Failure, exited: CommandResult, max_bytes: int) -> Failure | None:
    """Return the failure if a step's result file and stdout report different outcomes, else None.

    Args:
        value: The value that the result file holds.
        exited: The command that ended, with its output.
        max_bytes: Largest stdout in bytes that is read whole; of a larger one only the end is read.
    """
    if not isinstance(value, dict) or "status" not in value:
        return None
    whole = exited.stdout.whole(max_bytes)
    objects = objects_with_status(exited.stdout.tail if whole is None else whole)
    kind, status = _reported(value)
    printed = next((words for other, words in map(_reported, objects) if other != kind), None)
    if printed is None:
        return None
    return Failure(
        kind="protocol",
        reason=f"${RESULT} has {status}, but stdout has {printed}",
        detail=(f"Print the object, or write it to ${RESULT}, not both.",),
    )


def _reported(value: dict[str, Json]) -> tuple[str, str]:
    """Return the outcome that an object reports, such as ``failed``, and its status in words."""
    failed, skipped = outcome.failure_of(value, "the object"), outcome.skip_of(value)
    if failed is not None:
        return "failed", failed.reason
    words = f"status {value['status']!r}"
    return ("passed", words) if skipped is None else ("skipped", words)


def _cut_off(step: ShellStep, attempt: AttemptContext, exited: CommandResult) -> Failure | None:
    """Return the failure of a command that was timed out, cancelled or lost; None for others."""
    found = cut_off(exited, step, attempt.seconds_for(step.timeout))
    if found is None and exited.status is None:
        return Failure(kind="crash", reason=exited.wrong or "", place=step.at["cmd"])
    return found


def _no_shell(step: ShellStep, attempt: AttemptContext, exited: CommandResult) -> Failure | None:
    """Return the failure if the shell of an `ssh` step is missing on its host, else None."""
    if not isinstance(step, SshStep) or step.shell is None or exited.code != 127:
        return None
    shell = far_argv_of(step.cmd, step.shell)[0]
    if _last_line(step, exited, attempt) != MISSING.format(shell):
        return None
    reason = f"shell {shell} was not found on {step.host}"
    return Failure(kind="not_found", reason=reason, place=step.at.get("shell", step.at["cmd"]))


def _failure(
    step: ShellStep,
    attempt: AttemptContext,
    exited: CommandResult,
    value: Json | Failure,
    verdict: Verdict,
    ends: str,
) -> Failure | None:
    """Return the most important failure of an ended command, or None if it succeeded.

    The order is: signal, reported status, exit code, unreadable result, missing status.
    """
    if exited.signal:
        return Failure(kind="signal", reason=f"ended by {exited.signal}", place=step.at["cmd"])
    if not isinstance(value, Failure) and step.parse in ("json", "last-line"):
        reported = outcome.failure_of(value, "the object")
        if reported and isinstance(value, dict) and "status" in value:
            return reported
    if verdict.unmet:
        return _wrong_code(step, attempt, exited, verdict, ends)
    if isinstance(value, Failure):
        return value
    return outcome.failure_of(value, "the object") if step.parse in ("json", "last-line") else None


def _wrong_code(
    step: ShellStep,
    attempt: AttemptContext,
    exited: CommandResult,
    verdict: Verdict,
    ends: str,
) -> Failure:
    stderr, far_ends = _stderr(step, exited)
    line = FailingLine(step, exited.code, stderr.text, ends or far_ends)
    kind: Kind = "exit_code"
    reason, place = verdict.unmet or "", verdict.place
    if exited.code in _NOT_FOUND and (not _criterion(step) or _NONZERO in _wanted(step)):
        reason = f"exit code {exited.code}: a program {_NOT_FOUND[exited.code]}"
        kind, place = "not_found", step.at["cmd"]
        reason = _with_last_line(reason, _last_line(step, exited, attempt))
    reason = "; ".join(filter(None, [reason, line.text]))
    detail = (*line.detail, *_cure(step, exited.code))
    return Failure(kind=kind, reason=reason, place=place, detail=detail)


def _last_line(step: ShellStep, exited: CommandResult, attempt: AttemptContext) -> str:
    return attempt.config.secrets.text(last_message(step, _stderr(step, exited)[0].text))[:300]


def _stderr(step: ShellStep, exited: CommandResult) -> tuple[Stream, str]:
    """Return the stderr of a command, and the lines in it that the trap of `bash` wrote."""
    whole = stream(exited.stderr)
    if not isinstance(step, SshStep) or step.shell != "bash" or not exited.code:
        return whole, ""
    text, ends = without_record(whole.text)
    return (msgspec.structs.replace(whole, text=text) if ends else whole), ends


def _with_last_line(reason: str, last: str) -> str:
    return f"{reason}: {last}" if last else reason


def _criterion(step: ShellStep) -> Criterion | None:
    return next((one for one in step.success if one.name == "exit_code"), None)


def _wanted(step: ShellStep) -> list[Json]:
    """Return the accepted exit codes of a step; one of them may be ``nonzero``."""
    criterion = _criterion(step)
    wanted: Json = criterion.expected if criterion else 0
    return wanted if isinstance(wanted, list) else [wanted]


def _cure(step: ShellStep, code: int | None) -> tuple[str, ...]:
    """Return the line for a failure by an exit code that `nonzero` does not accept."""
    if not code or _NONZERO not in _wanted(step):
        return ()
    meant = (
        "a program that cannot be run" if code in _NOT_FOUND else "a program that a signal ended"
    )
    return (f"'nonzero' does not accept {meant}: write {code} if the step expects it.",)


def _exit_verdict(step: ShellStep, code: int | None, process: Process) -> Verdict:
    criterion, wanted, unmet = _criterion(step), _wanted(step), None
    held = code in wanted or (_NONZERO in wanted and _is_own_error(step, code, process))
    if not held and code is not None:
        nonzero = "an error code of the program itself" if code else "a code that is not 0"
        words = " or ".join(nonzero if one == _NONZERO else str(one) for one in wanted)
        unmet = f"exit code {code}{_by_signal(code)}, expected {words}"
    return Verdict(
        name="exit_code",
        expected=criterion.expected if criterion else 0,
        place=criterion.place if criterion else step.at["cmd"],
        measured=code,
        unmet=unmet,
    )


def _is_own_error(step: ShellStep, code: int | None, process: Process) -> bool:
    """Return True if a program reported an error by an exit code of its own."""
    if not code or code in _NOT_FOUND:
        return False
    is_of_signal = code - 128 in range(1, signal.NSIG)
    return not (is_of_signal and (isinstance(step, SshStep) or is_shell(process)))


def _by_signal(code: int) -> str:
    """Return a note on the signal that an exit code above 128 stands for; empty if none does."""
    try:
        return f" ({signal.Signals(code - 128).name} in a child)" if code > 128 else ""
    except ValueError:
        return ""


def _not_started(
    step: ShellStep, error: OSError, process: Process, attempt: AttemptContext
) -> Ended:
    variables = environment_of(step.args, attempt.variables())
    if error.errno == errno.E2BIG:
        too_large = step_command.failure(step, process.argv, variables)
        return Ended(usage=Usage(seconds=0.0), failure=too_large, process=process)
    folders = os.get_exec_path(variables)
    code, reason, place = suggestions.missing_program(
        process.argv[0], process.cwd, error, attempt.config.root, folders
    )
    of_shell = step.shell is not None and isinstance(step.cmd, str)
    if of_shell and place == "cmd":
        reason = f"shell {reason.removeprefix('program ')}"
        place = "shell" if "shell" in step.at else "cmd"
    # The code of a missing shell is not that of the script: it is neither wanted nor a skip.
    skips = code in step.skip_exit_code and not of_shell
    wants = _criterion(step) is not None and code in _wanted(step)
    passes = skips or (wants and not of_shell)
    detail = _cure(step, code)
    failure = Failure(kind="not_found", reason=reason, place=step.at[place], detail=detail)
    return Ended(
        usage=Usage(seconds=0.0),
        failure=None if passes else failure,
        skipped=reason if skips else None,
        process=msgspec.structs.replace(process, exit_code=code),
    )
