"""Messages about one attempt between a session and the worker that runs it.

The worker sends requests, and the session replies.
"""

import os
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Artifact, Ended, Verdict
from pytest_orchestrator.execution.criteria.simple import Before
from pytest_orchestrator.execution.run_config import PythonSettings, RecordStyle
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
