"""Attempts on other machines: interfaces that an addon provides, and the session's half of each.

The session's half is the step for the worker, its Context and its files.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import RequestRefused, serve
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Artifact, Ended, Verdict, Where
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.criteria.simple import Before
from pytest_orchestrator.execution.run_config import PythonSettings, RecordStyle
from pytest_orchestrator.execution.scheduling.placement import Offer
from pytest_orchestrator.execution.steps import artifacts
from pytest_orchestrator.recipe.model.step import Criterion, Step

CONTEXT: Final = "context"
CHUNK: Final = "chunk"
OUTCOME: Final = "outcome"
FOLLOW_UP: Final = "follow_up"
"""Request with the reply to the last follow-up, or None; the reply is the next, or None."""

PATIENCE: Final = 20.0
"""Seconds without a reply of a session after which a worker ends all its attempts."""
STREAMS: Final = ("stdout", "stderr")
LOGS: Final = (*STREAMS, "log")
"""The log files of an attempt that are sent while they grow."""
COPY_PREFIX: Final = "artifacts/"
"""Prefix of streams that carry copies of files; the path of the file follows."""
MAX_CHUNK: Final = 1 << 20
"""Maximum bytes of a chunk, so that no process keeps a whole file in memory."""


ROOT: Final = "ORCHESTRATOR_ROOT"
"""The environment variable with the path of the project on a worker."""


def root_of_worker(root: str) -> str:
    """Return the path of the project on a worker.

    Args:
        root: Path of the project in pytest's process.
    """
    return os.environ.get(ROOT) or root


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that all attempts of a session share.

    Attributes:
        session: Id of the session; unique.
        run: Id of the run.
        root: The rootdir of the session.
        python_settings: Working directory, search path and log level of Python steps.
        flags: Arguments of the interpreter of a lane for Python steps.
        hello: First message to a lane for Python steps.
        timeout: Seconds for a step without a timeout of its own.
        timeout_factor: Factor for all timeouts.
        max_log: Bytes after which a log is cut.
        record_style: Level and format of the log records in a log.
        max_artifact: Maximum bytes of a copied file.
        max_result: Maximum bytes of a stdout that is read as a result.
        secret_names: Patterns for names of variables whose values are secret.
    """

    session: str
    run: str
    root: str
    python_settings: PythonSettings
    flags: tuple[str, ...]
    hello: dict[str, Any]
    timeout: float | None
    timeout_factor: float
    max_log: int
    record_style: RecordStyle = RecordStyle()
    max_artifact: int
    max_result: int
    secret_names: tuple[str, ...]


class ClaimReply(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt, sent to the one worker that has claimed it.

    Attributes:
        step: The step; see `needed_by_worker`.
        attempt: Number of the attempt.
        recipe: Path of the recipe.
        variables: Environment variables in addition to those of the worker.
        secrets: Secrets that are masked in the output of the step.
        logs: True if the session wants the logs of the attempt.
        samples: True if the session wants samples of memory and CPU time.
        has_follow_ups: True if the session requests files after the step code has ended, or if
            another element of ``foreach`` may follow.
    """

    step: Step
    attempt: int
    recipe: str
    variables: dict[str, str]
    secrets: tuple[str, ...]
    logs: bool
    samples: bool
    has_follow_ups: bool


class Chunk(msgspec.Struct, frozen=True):
    """Bytes of a file.

    Attributes:
        stream: ``stdout``, ``stderr``, ``log``, ``samples``, or a path below ``artifacts/``.
        at: Offset of the bytes in the file.
        data: The bytes.
    """

    stream: str
    at: int
    data: bytes


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of an attempt on a worker.

    Attributes:
        ended: End of the step code; the paths in it are those of the worker.
        report: Report of the exception that the step code raised.
        events: Log records and warnings of the step code.
        stop: Reason and exit status, if the step ends the whole run.
        new_secrets: Secrets that the worker has found and the session may not know.
        files_before: State of the files before the step code ran.
        started_at: Start of the step code by the clock of the worker, in seconds since the epoch.
        start_delay: Seconds from the claim to the start of the step code.
    """

    ended: Ended
    report: dict[str, Any] | None = None
    events: tuple[dict[str, Any], ...] = ()
    stop: tuple[str, int | None] | None = None
    new_secrets: tuple[str, ...] = ()
    files_before: Before = {}
    started_at: float = 0.0
    start_delay: float = 0.0


class FollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """Request of the session to a worker after the step code.

    The worker checks a criterion, copies files, or goes on with another attempt of the same step.

    Attributes:
        criterion: A criterion on files; None if files are to be copied.
        patterns: Globs of files to copy.
        attempt: Id of the next attempt, for the next element of ``foreach``; or None.
    """

    criterion: Criterion | None = None
    patterns: tuple[Any, ...] = ()
    attempt: str | None = None


class FollowUpReply(msgspec.Struct, frozen=True, kw_only=True):
    """Reply of a worker to a follow-up.

    Attributes:
        verdicts: Verdicts of the criterion.
        artifacts: Copies that were sent, with paths relative to the artifacts of the step.
        modified: Modification times of the copied files, in nanoseconds since the epoch.
        warnings: Files that were left out, and why.
        error: Why the follow-up failed.
        timed_out_at: Position of the pattern that was still searched at the timeout of the step.
    """

    verdicts: tuple[Verdict, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    modified: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""
    timed_out_at: Place | None = None


def needed_by_worker(step: Step) -> Step:
    """Return a step with only those values that a worker needs to run it."""
    return msgspec.structs.replace(
        step,
        if_=None,
        retry=None,
        outputs=(),
        measurements={},
        templates=(),
        file_use=None,
        success=tuple(each for each in step.success if _is_needed(each)),
    )


def _is_needed(criterion: Criterion) -> bool:
    """Return True for the criterion `exit_code`, and for `files` with ``fresh: true``."""
    if criterion.name == "files":
        return isinstance(criterion.expected, dict) and bool(criterion.expected.get("fresh"))
    return criterion.name == "exit_code"


class RemoteWork:
    """An attempt of a step for a worker.

    Args:
        step: The step, with expressions replaced by values.
        context: The step's handle to the Context.
        attempt_context: The context of the attempt.

    Attributes:
        step: The step.
    """

    def __init__(self, step: Step, context: Context, attempt_context: AttemptContext) -> None:
        self.step = step
        self._context, self._attempt_context = context, attempt_context

    def claim_reply(self) -> ClaimReply:
        """Return the attempt as its worker needs it."""
        attempt_context, step = self._attempt_context, self.step
        return ClaimReply(
            step=needed_by_worker(step),
            attempt=attempt_context.number,
            recipe=attempt_context.recipe,
            variables=_item_variables(attempt_context),
            secrets=tuple(attempt_context.config.secrets.values),
            logs=attempt_context.logs is not None,
            samples=attempt_context.resources is not None,
            has_follow_ups=attempt_context.element is not None
            or artifacts.wants_artifacts(step)
            or any(criterion.name in check.ON_FILES for criterion in step.success),
        )

    def answer(self, operation: str, value: Any) -> Any:
        """Execute a request of the worker: `CONTEXT` or `CHUNK`; return the reply.

        Raises:
            RequestRefused: The session does not accept the stream.
            OSError: A copy cannot be written.
        """
        return serve(value, self._context) if operation == CONTEXT else self._write(value)

    def _write(self, chunk: Chunk) -> None:
        """Write bytes of a log or of a copied file.

        Errors of writing a log, such as a full disk, are ignored so that the step can continue.
        """
        path, is_copy = self._path(chunk.stream), chunk.stream.startswith(COPY_PREFIX)
        with contextlib.suppress(*(() if is_copy else (OSError,))):
            if path is not None:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "r+b" if chunk.at else "wb") as file:
                    file.seek(chunk.at)
                    file.write(chunk.data)

    def _path(self, stream: str) -> str | None:
        if stream in LOGS:
            return self._attempt_context.log(self.step.name, stream)
        if stream == "samples":
            return self._attempt_context.samples(self.step.name)
        copy, folder = Path(stream.removeprefix(COPY_PREFIX)), self._attempt_context.artifacts
        if not stream.startswith(COPY_PREFIX) or copy.is_absolute() or ".." in copy.parts:
            raise RequestRefused(f"nothing is kept of {stream!r}")
        return None if folder is None else str(folder / copy)


def _item_variables(attempt_context: AttemptContext) -> dict[str, str]:
    """Return ``PYTEST_CURRENT_TEST`` of the run as a mapping; empty if the run does not set it."""
    name = "PYTEST_CURRENT_TEST"
    variables = attempt_context.variables()
    with contextlib.suppress(KeyError):
        return {name: variables[name]}
    return {}


class WorkerLost(Exception):
    """The worker of an attempt is lost, or no worker has claimed it."""


class RemoteAttempt(Protocol):
    """Attempt of a runner, from its submission to its outcome or loss."""

    @property
    def claimed_at(self) -> float:
        """Time at which a worker began with it, in seconds since the epoch; 0 before."""

    @property
    def worker(self) -> Where | None:
        """The worker that has begun with it."""

    @property
    def refusals(self) -> tuple[str, ...]:
        """A line for each other worker that was to run it too."""

    @property
    def outcome(self) -> Outcome | None:
        """Outcome of the step code; None until it is known."""

    @property
    def is_over(self) -> bool:
        """True if the step code cannot run any more; valid only after `wait` has ended."""

    @property
    def is_lost(self) -> bool:
        """True if the attempt was lost before its outcome arrived."""

    @property
    def is_cancelled(self) -> bool:
        """True if the attempt was cancelled."""

    @property
    def is_closed(self) -> bool:
        """True if its worker was released."""

    def wait(self) -> Outcome:
        """Wait for the outcome of the step code, and return it.

        Raises:
            WorkerLost: The attempt is lost.
            KeyboardInterrupt: The session is cut off from all workers.
        """

    def wait_until(self, moment: float) -> None:
        """Wait until the outcome has arrived, at most until a time of ``time.monotonic``.

        Raises:
            WorkerLost: The attempt is lost.
        """

    def end(self, *, at_once: bool) -> bool:
        """Cancel the attempt; return True if a worker has begun with it and must end it."""

    def withdraw(self) -> None:
        """Have no worker begin with it."""

    def lose(self, why: str) -> None:
        """Mark the attempt as lost; only the first reason counts."""

    def run_follow_up(self, follow_up: FollowUp) -> FollowUpReply:
        """Send a follow-up to the worker, and wait for its reply.

        Raises:
            WorkerLost: The worker is lost.
        """

    def hand_on(self, after: Any) -> None:
        """Send the worker to another attempt of the same runner, for the next element."""

    def close(self) -> None:
        """Release the worker, and refuse its further requests; wait for a request that runs."""


class WorkersError(Exception):
    """Error: workers cannot be used; the text is a message for the user."""


class Workers(Protocol):
    """Processes that run attempts, for any number of attempts at a time."""

    @property
    def offers(self) -> list[Offer]:
        """Names and resources of the workers that may be used."""

    @property
    def unused(self) -> str:
        """Lines about the workers that would not run the same; empty if there are none."""

    def start(self, root: str, files: Sequence[str], modules: Sequence[str]) -> None:
        """Connect to the workers.

        Args:
            root: The rootdir.
            files: Paths of files that steps need, relative to the rootdir; workers must have
                equal files.
            modules: Names of modules that steps need and that are not part of the project;
                workers must have the same versions.

        Raises:
            WorkersError: The workers cannot be used.
        """

    def close(self) -> None:
        """End the session for the workers, and disconnect from them."""

    def issue(self, work: RemoteWork) -> RemoteAttempt:
        """Return a new attempt, which no worker runs yet.

        Args:
            work: The step for the worker, and the answers to requests of its step code.
        """

    def submit(self, attempt: Any) -> None:
        """Have a worker run an attempt that was issued here."""
