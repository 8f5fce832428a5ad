"""Messages between a session and its workers, and steps as JSON.

A worker asks, the session answers; both by the protocol of the Context, with these operations
beside its own.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from pytest_orchestrator.context.rpc.protocol import Reply, Request, refusal
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Artifact, Ended, Verdict
from pytest_orchestrator.execution.criteria.evidence import Before
from pytest_orchestrator.execution.environment import Manner
from pytest_orchestrator.execution.lanes.messages import packed, unpacked
from pytest_orchestrator.recipe.model.step import Criterion, PythonStep, ShellStep, Step

CLAIM: Final = "claim"
PIECE: Final = "piece"
DONE: Final = "done"
NEXT: Final = "next"
DID: Final = "did"
BEAT: Final = "beat"
ONCE: Final = "once"

LONGEST: Final = 256 << 20
"""Bytes of a request: an outcome has all that a step printed as its result, twice at worst."""
LONG_POLL: Final = 0.5
"""Seconds for which the session holds a beat back where it has nothing to say."""
PATIENCE: Final = 20.0
"""Seconds without the session after which a worker ends what runs for it."""
SILENCE: Final = 30.0
"""Seconds without a worker after which the session takes it for lost: it has ended all by then."""

STREAMS: Final = ("stdout", "stderr")
COPIES: Final = "artifacts/"
"""What the streams are called that carry copies of files; their paths follow."""

T = TypeVar("T")


class AttemptRef(msgspec.Struct, frozen=True):
    """Where a worker claims one try of a step; no more goes through a scheduler.

    Attributes:
        session: What the session is known by.
        ticket: What the try is known by.
        address: Where the session listens.
        token: What lets the worker claim it.
        is_encrypted: It listens for connections that are encrypted as Dask's are.
    """

    session: str
    ticket: str
    address: str
    token: str
    is_encrypted: bool = False


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What all tries of a session have in common.

    Attributes:
        session: What the session is known by; another one for each.
        run: Id of the run.
        root: The rootdir of the session.
        manner: How Python steps find the process that asks for them.
        flags: Arguments of the interpreter of a lane for Python steps.
        hello: What such a lane is told first.
        timeout: Seconds for a step that names no timeout of its own.
        stretch: What all timeouts are multiplied by.
        max_log: Bytes after which a log is cut.
        max_artifact: Bytes that a copied file has at most.
        capacity: Largest stdout that is read as a result.
        secret_names: Patterns of names of variables whose values are secret.
    """

    session: str
    run: str
    root: str
    manner: Manner
    flags: tuple[str, ...]
    hello: dict[str, Any]
    timeout: float | None
    stretch: float
    max_log: int
    max_artifact: int
    capacity: int
    secret_names: tuple[str, ...]


class ClaimRequest(msgspec.Struct, frozen=True):
    """Who is about to run a try.

    Attributes:
        worker: Name of the worker.
        host: Name of its machine.
        stay: What its process is known by in this session.
        key: Another one for each that claims.
        beats: Number of its process's last beat that cannot have told of it.
    """

    worker: str
    host: str
    stay: str
    key: str
    beats: int = 0


class ClaimReply(msgspec.Struct, frozen=True, kw_only=True):
    """A try, to whom has claimed it: nobody else gets it.

    Attributes:
        step: The step; see `carried`.
        attempt: Number of the try.
        recipe: Path of the recipe.
        variables: What its environment has beside that of the worker.
        handed: What opens the Context to its programs; the worker knows its address.
        secrets: What is masked in what it prints.
        logs: Its logs are wanted.
        samples: Samples of memory and CPU time are.
        stays: Files are asked for after the body.
        pulse: The token for the beats of this process.
        terms: The terms of the session, to a process that is new to it.
    """

    step: dict[str, Any]
    attempt: int
    recipe: str
    variables: dict[str, str]
    handed: dict[str, str]
    secrets: tuple[str, ...]
    logs: bool
    samples: bool
    stays: bool
    pulse: str
    terms: SessionConfig | None


class Chunk(msgspec.Struct, frozen=True):
    """Some bytes of a file that grows.

    Attributes:
        ticket: Whose it is.
        stream: ``stdout``, ``stderr``, ``samples``, or a path below ``artifacts/``.
        at: Where they begin.
        data: The bytes.
    """

    ticket: str
    stream: str
    at: int
    data: bytes


class Heartbeat(msgspec.Struct, frozen=True):
    """A sign of life of a worker's process.

    Attributes:
        number: From 1; each that is sent anew has another one.
        running: The tries that it has.
        pieces: What was printed meanwhile.
    """

    number: int = 0
    running: tuple[str, ...] = ()
    pieces: tuple[Chunk, ...] = ()


class HeartbeatReply(msgspec.Struct, frozen=True):
    """What a worker's process is told after a beat.

    Attributes:
        end: The tries to end; true is at once.
        is_over: The session is over.
    """

    end: dict[str, bool] = {}
    is_over: bool = False


class NumberedRequest(msgspec.Struct, frozen=True):
    """An operation on the Context, which may be asked for again where its answer was lost.

    Attributes:
        number: From 1, in the order of the operations of a try.
        request: The operation.
    """

    number: int
    request: Request


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a body ended on a worker.

    Attributes:
        ended: How; the paths in it are the worker's.
        shown: The report of what it raised.
        heard: Its log records and warnings.
        stop: The words and the exit status of a step that ends the whole run.
        learnt: What turned out to be secret there.
        before: The files that there were before it.
        began: When it began, by the worker's clock, in seconds since the epoch.
        after: Seconds from the claim until then.
        pieces: The last bytes of its logs, where they are few.
    """

    ended: Ended
    shown: dict[str, Any] | None = None
    heard: tuple[dict[str, Any], ...] = ()
    stop: tuple[str, int | None] | None = None
    learnt: tuple[str, ...] = ()
    before: Before = {}
    began: float = 0.0
    after: float = 0.0
    pieces: tuple[Chunk, ...] = ()


class FollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a worker after a body; nothing where it may go.

    Attributes:
        name: A criterion on files.
        wanted: What it asks for.
        place: Where it stands.
        at: Where its parts stand.
        patterns: Globs of files to copy.
    """

    name: str | None = None
    wanted: Any = None
    place: Place = Place(1, 1)
    at: dict[str, Place] = {}
    patterns: tuple[Any, ...] | None = None


class FollowUpReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker answers to an order.

    Attributes:
        verdicts: Those of the criterion.
        artifacts: Copies that it has sent, with paths below those of the step.
        modified: When they were changed last, in nanoseconds since the epoch, likewise.
        warnings: What was left out, and why.
        error: Why there is nothing of it.
        late: Where the pattern stands that was still searched when the time of the step was over.
    """

    verdicts: tuple[Verdict, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    modified: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""
    late: Place | None = None


def replied(request: Request, work: Callable[[Any], Any]) -> Reply:
    """Answer a request with what is done for its value; nothing that is asked ends the server."""
    try:
        value = work(request.value)
    except Exception as error:  # noqa: BLE001  # it is the worker's to know
        return refusal(error, request.id)
    return Reply(ok=True, value=value, id=request.id)


def plain(value: msgspec.Struct) -> Any:
    """Return a value as JSON has it."""
    return msgspec.to_builtins(value)


def read(value: Any, kind: type[T]) -> T:
    """Return what `plain` was given.

    Raises:
        msgspec.ValidationError: It is something else.
    """
    return msgspec.convert(value, kind)


_OF_A_COMMAND: Final = ("name", "cmd", "shell", "args", "stdin", "parse", "skip_exit_code", "cwd")
_OF_EACH: Final = ("timeout", "stop_signal")


def carried(step: Step) -> dict[str, Any]:
    """Return what a body needs of its step, as JSON carries it.

    Args:
        step: A Python step or a shell step.
    """
    if isinstance(step, PythonStep):
        return {"type": "python"} | packed(step) | {"fresh": _fresh(step)}
    told = {name: getattr(step, name) for name in (*_OF_A_COMMAND, *_OF_EACH)}
    codes = [_of_criterion(one) for one in step.success if one.name == "exit_code"]
    at = {key: msgspec.structs.astuple(place) for key, place in step.at.items()}
    return {"type": "shell"} | told | {"at": at, "success": codes, "fresh": _fresh(step)}


def uncarried(told: Mapping[str, Any]) -> tuple[Step, tuple[Criterion, ...]]:
    """Return the step that `carried` was given, as far as a body needs it.

    Returns:
        The step, and its criteria on what it writes afresh.
    """
    rest = dict(told)
    kind, fresh = rest.pop("type"), tuple(map(_criterion, rest.pop("fresh")))
    if kind == "python":
        return unpacked(rest), fresh
    rest["at"] = {key: Place(*place) for key, place in rest["at"].items()}
    rest["success"] = tuple(map(_criterion, rest["success"]))
    for name in ("cmd", "shell", "skip_exit_code"):
        rest[name] = tuple(rest[name]) if isinstance(rest[name], list) else rest[name]
    return ShellStep(**rest), fresh


def follow_up_of(criterion: Criterion) -> FollowUp:
    """Return the order to check a criterion on files."""
    return FollowUp(
        name=criterion.name, wanted=criterion.wanted, place=criterion.place, at=criterion.at
    )


def criterion_of(order: FollowUp) -> Criterion:
    """Return the criterion that an order asks for."""
    return Criterion(order.name or "", order.wanted, order.place, order.at)


def _fresh(step: Step) -> list[Any]:
    return [
        _of_criterion(one)
        for one in step.success
        if one.name == "files" and isinstance(one.wanted, dict) and one.wanted.get("fresh")
    ]


def _of_criterion(criterion: Criterion) -> Any:
    return plain(follow_up_of(criterion))


def _criterion(told: Any) -> Criterion:
    return criterion_of(read(told, FollowUp))


LARGEST: Final = 1 << 20
"""Bytes of a piece, at most: as JSON it has to go into a request."""
