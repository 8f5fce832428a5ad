"""Messages between a session and its workers, and steps as JSON.

A worker sends requests and the session replies. The protocol is that of the Context, with the
additional operations in this module.
"""

import pickle
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from pytest_orchestrator.context.rpc.protocol import Reply, Request, refusal
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Artifact, Ended, Verdict
from pytest_orchestrator.execution.criteria.inputs import Before
from pytest_orchestrator.execution.run_config import PythonSettings, RecordStyle
from pytest_orchestrator.recipe.model.step import Criterion, Step

CLAIM: Final = "claim"
CHUNK: Final = "chunk"
OUTCOME: Final = "outcome"
FOLLOW_UP: Final = "follow_up"
FOLLOW_UP_REPLY: Final = "follow_up_reply"
HEARTBEAT: Final = "heartbeat"
NUMBERED: Final = "numbered"

MAX_REQUEST: Final = 256 << 20
"""Maximum bytes of a request: an outcome contains the result of a step, at worst twice."""
HEARTBEAT_SECONDS: Final = 0.5
"""Seconds between two heartbeats; the reply to a heartbeat carries cancellations."""
PATIENCE: Final = 20.0
"""Seconds without a reply of a session after which a worker ends all its attempts."""
SILENCE: Final = 30.0
"""Seconds without a heartbeat after which a worker is lost; it has ended its attempts by then."""

STREAMS: Final = ("stdout", "stderr")
LOGS: Final = (*STREAMS, "log")
"""The log files of an attempt that are sent while they grow."""
COPY_PREFIX: Final = "artifacts/"
"""Prefix of streams that carry copies of files; the path of the file follows."""

T = TypeVar("T")


class AttemptRef(msgspec.Struct, frozen=True):
    """Address and tokens for one attempt: the only arguments of its task in the scheduler.

    Attributes:
        session: Id of the session.
        attempt_id: Id of the attempt.
        address: Address at which the session listens.
        token: Token with which the worker claims the attempt.
        heartbeat_token: Token for the heartbeats of all workers.
        is_encrypted: True if the session expects connections with the TLS settings of Dask.
    """

    session: str
    attempt_id: str
    address: str
    token: str
    heartbeat_token: str
    is_encrypted: bool = False


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


class ClaimRequest(msgspec.Struct, frozen=True):
    """Request of a worker to run an attempt.

    Attributes:
        worker: Name of the worker.
        host: Name of its machine.
        agent_id: Id of the agent of the worker process.
        last_heartbeat: Number of the last heartbeat before the claim; only later heartbeats list
            the attempt.
    """

    worker: str
    host: str
    agent_id: str
    last_heartbeat: int = 0


class ClaimReply(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt, sent to the one worker that has claimed it.

    Attributes:
        step: The step; see `packed`.
        attempt: Number of the attempt.
        recipe: Path of the recipe.
        variables: Environment variables in addition to those of the worker.
        context_variables: Environment variables with which the programs of the step use the
            Context; the worker adds the address.
        secrets: Secrets that are masked in the output of the step.
        logs: True if the session wants the logs of the attempt.
        samples: True if the session wants samples of memory and CPU time.
        has_follow_ups: True if the session requests files after the step code has ended, or if
            another element of ``foreach`` may follow.
    """

    step: bytes
    attempt: int
    recipe: str
    variables: dict[str, str]
    context_variables: dict[str, str]
    secrets: tuple[str, ...]
    logs: bool
    samples: bool
    has_follow_ups: bool


class Chunk(msgspec.Struct, frozen=True):
    """Bytes of a growing file.

    Attributes:
        attempt_id: Id of the attempt.
        stream: ``stdout``, ``stderr``, ``log``, ``samples``, or a path below ``artifacts/``.
        at: Offset of the bytes in the file.
        data: The bytes.
    """

    attempt_id: str
    stream: str
    at: int
    data: bytes


class Heartbeat(msgspec.Struct, frozen=True):
    """Heartbeat of a worker process.

    Attributes:
        agent_id: Id of the agent of the process.
        number: Number from 1; a repeated heartbeat has a new one.
        running: Ids of the attempts that the process runs or is about to claim.
        chunks: Chunks of logs since the last heartbeat.
        needs_config: True if the process does not have the settings of the session yet.
    """

    agent_id: str
    number: int = 0
    running: tuple[str, ...] = ()
    chunks: tuple[Chunk, ...] = ()
    needs_config: bool = False


class HeartbeatReply(msgspec.Struct, frozen=True):
    """Reply to the heartbeat of a worker process.

    Attributes:
        end: Ids of the attempts to end; the value true means without a grace period.
        is_over: True if the session has ended.
        session_config: The settings of the session, if the process needs them.
    """

    end: dict[str, bool] = {}
    is_over: bool = False
    session_config: SessionConfig | None = None


class NumberedRequest(msgspec.Struct, frozen=True):
    """Request of a worker for an attempt, sent again if the reply was lost; it is executed once.

    Attributes:
        client_id: Unique id of the client that has numbered it.
        number: Number from 1, in the order of the requests of the client.
        request: The request: an operation of the attempt, or of the Context.
    """

    client_id: str
    number: int
    request: Request


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
        chunks: The last chunks of the logs, if they are small.
    """

    ended: Ended
    report: dict[str, Any] | None = None
    events: tuple[dict[str, Any], ...] = ()
    stop: tuple[str, int | None] | None = None
    new_secrets: tuple[str, ...] = ()
    files_before: Before = {}
    started_at: float = 0.0
    start_delay: float = 0.0
    chunks: tuple[Chunk, ...] = ()


class FollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """Request of the session to a worker after the step code.

    The worker checks a criterion, copies files, or goes on with another attempt of the same step.

    Attributes:
        criterion: A criterion on files; None if files are to be copied.
        patterns: Globs of files to copy.
        attempt: The next attempt, for the next element of ``foreach``; None for other requests.
    """

    criterion: Criterion | None = None
    patterns: tuple[Any, ...] = ()
    attempt: AttemptRef | None = None


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


def replied(request: Request, function: Callable[[Any], Any]) -> Reply:
    """Call a function with the value of a request; return its result or error as a reply."""
    try:
        value = function(request.value)
    except Exception as error:  # noqa: BLE001  # no request of a worker may end the server
        return refusal(error, request.id)
    return Reply(ok=True, value=value, id=request.id)


def plain(value: msgspec.Struct) -> Any:
    """Convert a message into JSON types: mappings, lists, texts and numbers."""
    return msgspec.to_builtins(value)


def read(value: Any, kind: type[T]) -> T:
    """Convert JSON types into a message of the type ``kind``.

    Raises:
        msgspec.ValidationError: The JSON is not such a message.
    """
    return msgspec.convert(value, kind)


def packed(step: Step) -> bytes:
    """Pickle the values of a step that a worker needs to run the step.

    The Struct of a step cannot be read from JSON: its fields accept only what users may write in a
    recipe, and a loaded step has other values too, such as the name of a step of a used file.
    """
    needed = msgspec.structs.replace(
        step,
        if_=None,
        retry=None,
        outputs=(),
        measurements={},
        templates=(),
        file_use=None,
        success=tuple(each for each in step.success if _is_needed(each)),
    )
    return pickle.dumps(needed)


def unpacked(data: bytes) -> Step:
    """Return the step that `packed` has pickled.

    Pickled data can run any code; the session may run any code on this worker anyway.
    """
    step: Step = pickle.loads(data)  # noqa: S301
    return step


def _is_needed(criterion: Criterion) -> bool:
    """Return True for the criterion `exit_code`, and for `files` with ``fresh: true``."""
    if criterion.name == "files":
        return isinstance(criterion.expected, dict) and bool(criterion.expected.get("fresh"))
    return criterion.name == "exit_code"


MAX_CHUNK: Final = 1 << 20
"""Maximum bytes of a chunk, which must fit into a request as JSON."""
