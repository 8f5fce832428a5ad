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
from pytest_orchestrator.core.result import Ended, Failure, Kind, Process, Verdict, lasted
from pytest_orchestrator.execution import outcome
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.lanes.context_access import lane_waiter, mask_printed_token
from pytest_orchestrator.execution.lanes.messages import (
    CommandRequest,
    CommandResult,
    LaneLost,
    cut_off,
    ended_process,
    lost_failure,
)
from pytest_orchestrator.execution.steps import command as step_command
from pytest_orchestrator.execution.steps.command import (
    SHELL,
    FailingLine,
    Launch,
    Launcher,
    ScriptFiles,
    environment_of,
    is_shell,
    last_message,
)
from pytest_orchestrator.execution.steps.json_output import Parse, objects_with_status, parsed
from pytest_orchestrator.recipe.model.step import Criterion, ShellStep, SshStep


def launcher_of(step: ShellStep, attempt: AttemptContext) -> Launcher:
    """Return the launcher for the machine on which a shell step runs.

    Args:
        step: The step.
        attempt: The context of the attempt.
    """
    if not isinstance(step, SshStep):
        return Launcher(step, attempt)
    from pytest_orchestrator.execution.steps.ssh import SshLauncher

    return SshLauncher(step, attempt)


def process_of(step: ShellStep, attempt: AttemptContext) -> Process:
    """Return the `Process` record of a shell step whose program has not started.

    Args:
        step: The step.
        attempt: The context of the attempt.
    """
    return launcher_of(step, attempt).process()


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
    launcher = launcher_of(step, attempt)
    launch = launcher.launch()
    if isinstance(launch, Failure):
        return Ended(failure=launch)
    step, started = launcher.step, time.monotonic()
    base = private_path()
    result_file, script = f"{base}.json", ScriptFiles(step, base)
    try:
        try:
            exited = _start(launcher, launch, result_file, script)
        except LaneLost as lost:
            failure = lost_failure(lost, step, attempt.seconds_for(step.timeout))
            return Ended(usage=lasted(time.monotonic() - started), failure=failure)
        except OSError as error:
            return _not_started(step, error, launch.process, attempt)
        raw = _read_result(result_file, attempt.config.max_result)
        ends = script.ends()
    finally:
        script.remove()
        with contextlib.suppress(OSError):
            os.unlink(result_file)
    return _Evaluation(launcher, exited, launch.process, ends).ended(raw)


def _start(
    launcher: Launcher, launch: Launch, result_file: str, script: ScriptFiles
) -> CommandResult:
    step, attempt = launcher.step, launcher.attempt
    variables = launch.variables | {RESULT: result_file}
    attempt.config.secrets.add_environment(variables)
    if not step.args.keys() & attempt.context_variables.keys():  # args may name another server
        variables |= attempt.context_variables
    argv = launch.process.argv
    if launcher.is_here:  # else the input has the script
        argv, variables = script.prepare(argv, variables)
    with contextlib.ExitStack() as stack:
        stdin = None
        if launch.stdin is not None:
            file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="orchestrator-"))
            file.write(launch.stdin)
            file.flush()
            stdin = file.name
        request = CommandRequest(
            argv=argv,
            env=variables,
            cwd=launch.process.cwd,
            stdin=stdin,
            timeout=attempt.seconds_for(step.timeout),
            stdout_log=attempt.log(step.name, "stdout"),
            stderr_log=attempt.log(step.name, "stderr"),
            samples=launcher.samples,
            max_log=attempt.config.max_log,
            end_signal=step.stop_number,
            secrets=attempt.config.masked_forms,
        )
        try:
            return _run(request, attempt)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without an interpreter in its first line is run by sh, as shells do.
            script_path = shutil.which(argv[0], path=variables.get("PATH"))
            argv = (SHELL, script_path or argv[0], *argv[1:])
            return _run(msgspec.structs.replace(request, argv=argv), attempt)


def _run(request: CommandRequest, attempt: AttemptContext) -> CommandResult:
    exited = attempt.required_slot.shell.run(
        request,
        live=attempt.live_now(),
        kept=attempt.lock_files,
        meanwhile=lane_waiter(attempt.callbacks.on_idle, attempt.config.context_access),
    )
    mask_printed_token(exited, attempt.config.context_access)
    return exited


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


class _Evaluation:
    """Evaluation of a command that has ended.

    Args:
        launcher: The launcher of the command.
        exited: The command, with its output.
        process: The record of the program before its start.
        ends: The lines that the trap of `bash` wrote on this machine.
    """

    def __init__(
        self, launcher: Launcher, exited: CommandResult, process: Process, ends: str
    ) -> None:
        self._launcher = launcher
        self._step = launcher.step
        self._attempt = launcher.attempt
        self._exited = exited
        self._stderr, far_ends = launcher.stderr(exited)
        self._ends = ends or far_ends
        shown = launcher.attempt.live is not None
        self._process = ended_process(process, exited, self._stderr, shown=shown)
        self._criterion = _criterion(self._step)
        self._wanted = _wanted(self._criterion)

    def ended(self, raw: bytes | Failure) -> Ended:
        """Return the end of the step.

        Args:
            raw: The content of the result file, or the failure of reading it.
        """
        step, exited = self._step, self._exited
        value = self._value(raw)
        verdict = self._verdict()
        verdicts = (verdict,) if self._criterion and exited.code is not None else ()
        result = None if isinstance(value, Failure) else value
        failure, skipped = self._cut_off(), None
        if failure is None and exited.code in step.skip_exit_code:
            verdicts = ()
            skipped = outcome.skip_of(result) or self._with_last_line(f"exit code {exited.code}")
        elif failure is None:
            failure = self._failure(value, verdict)
            # With `parse: data` a key `status` has no meaning for the step.
            skipped = None if failure or step.parse == "data" else outcome.skip_of(result)
        if step.parse != "data":
            result = outcome.with_clipped_reason(result)
        return Ended(
            usage=self._launcher.usage(exited),
            failure=failure,
            skipped=skipped,
            **outcome.values_of(result),
            process=self._process,
            verdicts=verdicts,
            began=exited.began,
        )

    def _value(self, raw: bytes | Failure) -> Json | Failure:
        step, config = self._step, self._attempt.config
        if step.parse == "text":
            return parsed(b"", "text")
        if isinstance(raw, Failure):
            return raw
        if raw.strip():
            kind: Parse = "data" if step.parse == "data" else "json"
            value = parsed(raw, kind, f"${RESULT}", config.secrets.data)
            conflict = None if kind == "data" else _conflict(value, self._exited, config.max_result)
            return value if conflict is None else conflict
        printed = self._exited.stdout.whole(config.max_result)
        if printed is None:
            return _too_large("stdout", config.max_result)
        return parsed(printed, step.parse, mask=config.secrets.data)

    def _cut_off(self) -> Failure | None:
        """Return the failure of a command that did not end by itself; None for others."""
        step, exited = self._step, self._exited
        found = cut_off(exited, step, self._attempt.seconds_for(step.timeout))
        if found is None and exited.status is None:
            return Failure(kind="crash", reason=exited.wrong or "", place=step.at["cmd"])
        return found or self._launcher.loss(exited, self._wanted, self._stderr)

    def _failure(self, value: Json | Failure, verdict: Verdict) -> Failure | None:
        """Return the most important failure of an ended command, or None if it succeeded.

        The order is: signal, reported status, exit code, unreadable result, missing status.
        """
        step, name = self._step, self._exited.signal
        if name:
            return Failure(kind="signal", reason=f"ended by {name}", place=step.at["cmd"])
        reported = None
        if not isinstance(value, Failure) and step.parse in ("json", "last-line"):
            reported = outcome.failure_of(value, "the object")
            if reported and isinstance(value, dict) and "status" in value:
                return reported
        if verdict.unmet:
            return self._wrong_code(verdict)
        return value if isinstance(value, Failure) else reported

    def _wrong_code(self, verdict: Verdict) -> Failure:
        code = self._exited.code
        line = FailingLine(self._step, code, self._stderr.text, self._ends)
        kind: Kind = "exit_code"
        reason, place = verdict.unmet or "", verdict.place
        if code in _NOT_FOUND and (not self._criterion or _NONZERO in self._wanted):
            kind, place = "not_found", self._step.at["cmd"]
            reason = self._with_last_line(f"exit code {code}: a program {_NOT_FOUND[code]}")
        reason = "; ".join(filter(None, [reason, line.text]))
        detail = (*line.detail, *_cure(self._wanted, code))
        return Failure(kind=kind, reason=reason, place=place, detail=detail)

    def _with_last_line(self, reason: str) -> str:
        last = last_message(self._step, self._stderr.text)
        last = self._attempt.config.secrets.text(last)[:300]
        return f"{reason}: {last}" if last else reason

    def _verdict(self) -> Verdict:
        code, criterion, wanted, unmet = self._exited.code, self._criterion, self._wanted, None
        held = code in wanted or (_NONZERO in wanted and self._is_own_error(code))
        if not held and code is not None:
            nonzero = "an error code of the program itself" if code else "a code that is not 0"
            words = " or ".join(nonzero if one == _NONZERO else str(one) for one in wanted)
            unmet = f"exit code {code}{_by_signal(code)}, expected {words}"
        return Verdict(
            name="exit_code",
            expected=criterion.expected if criterion else 0,
            place=criterion.place if criterion else self._step.at["cmd"],
            measured=code,
            unmet=unmet,
        )

    def _is_own_error(self, code: int | None) -> bool:
        """Return True if a program reported an error by an exit code of its own."""
        if not code or code in _NOT_FOUND:
            return False
        is_of_signal = code - 128 in range(1, signal.NSIG)
        # On another machine a shell starts the program.
        return not is_of_signal or (self._launcher.is_here and not is_shell(self._process))


def _criterion(step: ShellStep) -> Criterion | None:
    return next((one for one in step.success if one.name == "exit_code"), None)


def _wanted(criterion: Criterion | None) -> list[Json]:
    """Return the accepted exit codes of a step; one of them may be ``nonzero``."""
    wanted: Json = criterion.expected if criterion else 0
    return wanted if isinstance(wanted, list) else [wanted]


def _cure(wanted: list[Json], code: int | None) -> tuple[str, ...]:
    """Return the line for a failure by an exit code that `nonzero` does not accept."""
    if not code or _NONZERO not in wanted:
        return ()
    meant = (
        "a program that cannot be run" if code in _NOT_FOUND else "a program that a signal ended"
    )
    return (f"'nonzero' does not accept {meant}: write {code} if the step expects it.",)


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
        return Ended(failure=too_large, process=process)
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
    criterion = _criterion(step)
    wanted = _wanted(criterion)
    wants = criterion is not None and code in wanted
    passes = skips or (wants and not of_shell)
    detail = _cure(wanted, code)
    failure = Failure(kind="not_found", reason=reason, place=step.at[place], detail=detail)
    return Ended(
        failure=None if passes else failure,
        skipped=reason if skips else None,
        process=msgspec.structs.replace(process, exit_code=code),
    )
