"""What the block of a step may hold, as types: the JSON Schema that is shipped is made of them.

`json_report` makes blocks as plain data; all blocks of this project's own tests are held
against these types. A field may be added while the major version of the format stays.
"""

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from pytest_orchestrator.core.events import Op
from pytest_orchestrator.core.result import Kind

T = TypeVar("T")
Maybe: TypeAlias = T | UnsetType

Sha256: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="SHA-256, hex")]
Moment: TypeAlias = Annotated[
    str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$", description="ISO 8601, UTC")
]
Line: TypeAlias = Annotated[int, Meta(ge=1, description="line of the recipe, from 1")]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, description="seconds")]
Bytes: TypeAlias = Annotated[int, Meta(ge=0, description="bytes")]
State: TypeAlias = Literal[
    "passed", "failed", "skipped", "blocked", "xfailed", "xpassed", "error", "restored"
]


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping that has these fields and no other."""


class Run(_Part, frozen=True):
    """The run: name of its folder, and the pytest process that ran the step."""

    id: str
    worker: str
    resumed_from: Maybe[str | None] = UNSET


class Var(_Part, frozen=True):
    """The value of a var, and where it came from."""

    value: Any
    origin: str


class Recipe(_Part, frozen=True):
    """The recipe of the step."""

    name: str
    path: str
    sha256: Sha256
    test_meta: dict[str, Any]
    vars: Maybe[dict[str, Var]] = UNSET
    cell: Maybe[str] = UNSET
    matrix: Maybe[dict[str, Any]] = UNSET
    description: Maybe[str] = UNSET


class Place(_Part, frozen=True):
    """Where the cause of a failure stands."""

    path: str
    line: Line
    column: Count


class Step(_Part, frozen=True):
    """The step, and what became of it."""

    name: str
    node: str
    index: Count
    type: str
    line: Line
    needs: list[str]
    tags: list[str]
    state: State
    attempt: Maybe[Annotated[int, Meta(ge=1)]] = UNSET
    after: Maybe[list[str]] = UNSET
    description: Maybe[str] = UNSET
    background: Maybe[Literal[True]] = UNSET
    continue_on_error: Maybe[Literal[True]] = UNSET
    final: Maybe[Literal[True]] = UNSET
    idempotent: Maybe[Literal[True]] = UNSET
    kind: Maybe[Kind] = UNSET
    reason: Maybe[str] = UNSET
    blocked_by: Maybe[str] = UNSET
    place: Maybe[Place] = UNSET


class Criterion(_Part, frozen=True):
    """A criterion that was checked."""

    name: str
    line: Line
    held: bool
    wanted: Any
    measured: Maybe[Any] = UNSET
    unit: Maybe[str] = UNSET
    distance: Maybe[float] = UNSET
    reason: Maybe[str] = UNSET


class Measurement(_Part, frozen=True):
    """A measurement with its limits; what is absent was not asked or not measured."""

    name: str
    line: Line
    verdict: Literal["pass", "fail", "unset"]
    value: Maybe[Any] = UNSET
    unit: Maybe[str] = UNSET
    low: Maybe[float] = UNSET
    high: Maybe[float] = UNSET
    equals: Maybe[Any] = UNSET
    margin: Maybe[float] = UNSET
    allow_fail: Maybe[Literal[True]] = UNSET


class Write(_Part, frozen=True):
    """A change of the Context; `index` of append and pop alone."""

    key: str
    ts: Moment
    who: str
    op: Op
    old: Any
    new: Any
    index: Maybe[Count] = UNSET
    masked: Maybe[Literal[True]] = UNSET


class Context(_Part, frozen=True):
    """The changes that the step made, in order."""

    writes: list[Write]


class Time(_Part, frozen=True):
    """When the last try ran; `waited_seconds` for locks, in all tries."""

    start: Moment
    stop: Moment
    seconds: Seconds
    waited_seconds: Seconds


class Resources(_Part, frozen=True):
    """What the last try used; a figure that was not measured is absent."""

    seconds: Seconds
    source: dict[str, str]
    cpu_user_seconds: Maybe[Seconds] = UNSET
    cpu_system_seconds: Maybe[Seconds] = UNSET
    rss_delta: Maybe[Annotated[int, Meta(description="bytes")]] = UNSET
    max_rss: Maybe[Bytes] = UNSET
    largest_rss: Maybe[Bytes] = UNSET
    heap_current: Maybe[Bytes] = UNSET
    heap_peak: Maybe[Bytes] = UNSET
    read_bytes: Maybe[Bytes] = UNSET
    write_bytes: Maybe[Bytes] = UNSET
    processes: Maybe[Count] = UNSET
    samples: Maybe[str] = UNSET


class Where(_Part, frozen=True):
    """The worker that ran the body, where that was not beside pytest: its name and its machine."""

    worker: str
    host: str


class Process(_Part, frozen=True):
    """The process of the step."""

    argv: list[str]
    cwd: str
    stdout_bytes: Bytes
    stderr_bytes: Bytes
    exit_code: Maybe[int] = UNSET
    signal: Maybe[str] = UNSET
    leftovers: Maybe[list[str]] = UNSET
    masked: Maybe[list[str]] = UNSET


class Log(_Part, frozen=True):
    """The file that has all of a stream, or its beginning where it was cut."""

    path: str
    bytes: Bytes
    cut: bool


class Logs(_Part, frozen=True):
    """The streams on which anything came."""

    stdout: Maybe[Log] = UNSET
    stderr: Maybe[Log] = UNSET


class Artifact(_Part, frozen=True):
    """A file that was copied into the folder of the run."""

    path: str
    type: str
    bytes: Bytes


class Attempt(_Part, frozen=True):
    """A try that failed, and after which there was another one."""

    attempt: Annotated[int, Meta(ge=1)]
    kind: Kind
    reason: str
    start: Moment
    seconds: Seconds
    resources: Resources
    where: Maybe[Where] = UNSET
    logs: Maybe[Logs] = UNSET


class Block(_Part, frozen=True):
    """All that reports tell of one step. Seconds and bytes throughout."""

    schema_version: Annotated[str, Meta(pattern=r"^1\.\d+$")]
    run: Run
    recipe: Recipe
    step: Step
    criteria: list[Criterion]
    context: Context
    time: Maybe[Time] = UNSET
    resources: Maybe[Resources] = UNSET
    where: Maybe[Where] = UNSET
    process: Maybe[Process] = UNSET
    logs: Maybe[Logs] = UNSET
    given: Maybe[dict[str, Any]] = UNSET
    measurements: Maybe[list[Measurement]] = UNSET
    attempts: Maybe[list[Attempt]] = UNSET
    artifacts: Maybe[list[Artifact]] = UNSET
    warnings: Maybe[list[str]] = UNSET


class WholeRun(_Part, frozen=True):
    """The run: name of its folder, and the run that it goes on from."""

    id: str
    resumed_from: Maybe[str] = UNSET


class OfRecipe(_Part, frozen=True):
    """What became of a recipe: its verdict, and the number of its steps by their state."""

    recipe: str
    verdict: Literal["passed", "failed", "skipped"]
    steps: dict[str, Count]


class Summary(_Part, frozen=True):
    """What a JSON report tells of the whole run."""

    schema_version: Annotated[str, Meta(pattern=r"^1\.\d+$")]
    recipes: list[OfRecipe]
    steps: dict[str, Count]
    run: Maybe[WholeRun] = UNSET
    flaky: Maybe[list[str]] = UNSET
