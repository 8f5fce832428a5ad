"""Nested keys of a step: success, retry, ready, measurements, outputs."""

from functools import partial
from typing import Annotated, Literal

from msgspec import Struct, field

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions.expression import Expression
from pytest_orchestrator.recipe.expressions.names import AFTER, BEFORE, TRIED
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.key_types import (
    ContextPath,
    ExitCode,
    FilePath,
    Json,
    Pattern,
    Sha256,
    Text,
    key,
)

OF_SHELL = frozenset({"exit_code"})
"""Criteria that only a step with a command can be asked for."""

OF_A_PROCESS = frozenset(
    {
        *OF_SHELL,
        "stdout_contains",
        "stdout_not_contains",
        "stdout_matches",
        "stderr_contains",
        "stderr_not_contains",
        "stderr_matches",
        "max_cpu_seconds",
        "max_rss_mb",
        "leftover_processes",
    }
)
"""Criteria that only a step with a process of its own can be asked for."""

_key = partial(key, names=AFTER)

_TEXTS = {"written": str | tuple[Text, ...], "rule": key_types.texts}
_KEYS = {"written": tuple[ContextPath, ...], "rule": key_types.some_keys}
_PATHS = {"written": tuple[FilePath, ...], "rule": key_types.some_paths}
_NUMBER = {"written": int | float, "rule": key_types.positive}
_PATTERNS = {"written": str | tuple[Pattern, ...], "rule": key_types.patterns}


class FileRules(Struct, frozen=True, kw_only=True):
    """The keys that an entry of ``files`` may have."""

    path: Annotated[
        FilePath,
        _key("The file, or a glob; each file that matches is checked.", "out/report.csv"),
    ]
    contains: Annotated[Json, _key("A text, or several, that is in it.", "mean", **_TEXTS)] = None
    not_contains: Annotated[
        Json, _key("A text, or several, that is not in it.", "nan", **_TEXTS)
    ] = None
    matches: Annotated[
        Json, _key("Regular expressions, each found in it.", r"^mean,\d+", **_PATTERNS)
    ] = None
    sha256: Annotated[Sha256 | None, _key("The digest of its bytes, in hexadecimal.", "0" * 64)] = (
        None
    )
    min_bytes: Annotated[
        int | None, _key("The least that it has.", 1, rule=key_types.not_negative)
    ] = None
    max_bytes: Annotated[
        int | None, _key("The most that it has.", 1_000_000, rule=key_types.not_negative)
    ] = None
    fresh: Annotated[bool, _key("`true`: this step has written it.", True)] = False


class Success(Struct, frozen=True, kw_only=True):
    """The keys that ``success`` may have."""

    ctx_has_keys: Annotated[
        Json,
        _key("Keys that the Context must have.", ["sample.message_v1"], **_KEYS),
    ] = None
    ctx_lacks_keys: Annotated[
        Json,
        _key("Keys that the Context must not have.", ["session.token_v1"], **_KEYS),
    ] = None
    assert_: Annotated[
        tuple[Expression, ...],
        _key(
            "Expressions that must be true.",
            ["result.mean > 2.5"],
            rule=key_types.some_expressions,
        ),
    ] = field(default=(), name="assert")
    files_exist: Annotated[
        Json,
        _key(
            "Files that must be there: paths or globs, relative to the rootdir.",
            ["out/report.csv", "out/*.json"],
            **_PATHS,
        ),
    ] = None
    files_absent: Annotated[
        Json,
        _key("Files that must not be there: paths or globs.", ["out/*.tmp"], **_PATHS),
    ] = None
    files: Annotated[
        Json,
        key(
            "What is in files, how large they are, and whether this step has written them.",
            [{"path": "out/report.csv", "contains": "mean", "fresh": True}],
            own=True,
        ),
    ] = None
    exit_code: Annotated[
        Json,
        key(
            "The exit code of a shell step, a list of those that are as good, or `nonzero`. "
            "The default is 0.",
            0,
            names=BEFORE,
            written=int | Literal["nonzero"] | tuple[ExitCode, ...],
            rule=key_types.exit_codes,
        ),
    ] = None
    stdout_contains: Annotated[
        Json, _key("A text, or several, that the step must print.", "PASS", **_TEXTS)
    ] = None
    stdout_not_contains: Annotated[
        Json, _key("A text, or several, that the step must not print.", "ERROR", **_TEXTS)
    ] = None
    stdout_matches: Annotated[
        Json,
        _key(
            "Regular expressions, each found somewhere in what the step prints; `^` and `$` "
            "stand at lines.",
            r"^ripple: \d+ mV$",
            **_PATTERNS,
        ),
    ] = None
    stderr_contains: Annotated[Json, _key("As of stdout.", "done", **_TEXTS)] = None
    stderr_not_contains: Annotated[Json, _key("As of stdout.", ["Traceback"], **_TEXTS)] = None
    stderr_matches: Annotated[Json, _key("As of stdout.", "^done in", **_PATTERNS)] = None
    result_schema: Annotated[
        Json,
        _key(
            "A JSON Schema that the result keeps: what the step returned, or the object that "
            "it printed.",
            {"properties": {"ripple": {"type": "number", "maximum": 50}}},
            own=True,
        ),
    ] = None
    max_seconds: Annotated[
        Json,
        _key("The longest time that the body of the try may take.", 3, **_NUMBER),
    ] = None
    max_cpu_seconds: Annotated[
        Json,
        _key("The most CPU time that the processes of the step may use.", 1.5, **_NUMBER),
    ] = None
    max_rss_mb: Annotated[
        Json,
        _key(
            "The most memory that the processes of the step may have at once, in MB "
            "(1,000,000 bytes).",
            200,
            **_NUMBER,
        ),
    ] = None
    leftover_processes: Annotated[
        Json,
        _key(
            "How many processes the step may leave running; they are ended.",
            0,
            written=int,
            rule=key_types.not_negative,
        ),
    ] = None


_LONGEST = 86_400.0


class Retry(Struct, frozen=True, kw_only=True):
    """How often a step is tried, and the wait between two tries."""

    attempts: Annotated[
        int,
        key(
            "How often the step is tried in all, the first try among them.", 3, rule=key_types.tries
        ),
    ]
    delay: Annotated[
        float,
        key(
            "The wait before the second try: seconds, or a text such as `500ms`, `2s`, `1m`. "
            "The default is none.",
            "2s",
            written=int | float | str,
            rule=key_types.pause,
        ),
    ] = 0.0
    backoff: Annotated[
        float,
        key("What each further wait is longer by, as a factor.", 2, rule=key_types.factor),
    ] = 1.0

    until: Annotated[
        Expression | None,
        key("An expression: a try also fails where it is false.", "result.ready", names=TRIED),
    ] = None
    abort_if: Annotated[
        Expression | None,
        key(
            "An expression, asked after a try that failed: where it is true there is no other.",
            "kind == 'timeout'",
            names=TRIED,
        ),
    ] = None

    def pause(self, tried: int) -> float:
        """Return the seconds to wait after a try that failed; a day at most.

        Args:
            tried: Number of the try, from 1.
        """
        try:
            return min(self.delay * self.backoff ** (tried - 1), _LONGEST)
        except OverflowError:
            return _LONGEST if self.delay else 0.0


class Ready(Struct, frozen=True, kw_only=True):
    """When a service is ready; all that is asked for must hold."""

    file: Annotated[
        FilePath | None,
        key(
            "A file that the service writes, newer than its start.", "out/server.pid", names=BEFORE
        ),
    ] = None
    port: Annotated[
        int | None,
        key(
            "A TCP port of this machine that takes connections.",
            8080,
            names=BEFORE,
            rule=key_types.port,
        ),
    ] = None
    stdout_matches: Annotated[
        str | None,
        key(
            "A regular expression that is searched in what was printed so far; `^` and `$` at "
            "lines.",
            "^listening on",
            names=BEFORE,
            rule=key_types.pattern,
        ),
    ] = None
    timeout: Annotated[
        float,
        key(
            "The longest that it may take: seconds, or a text such as `500ms`, `10s`, `1m`. The "
            "default is 30 s.",
            "10s",
            names=BEFORE,
            written=int | float | str,
            rule=key_types.seconds,
        ),
    ] = 30.0


class Within(Struct, frozen=True, kw_only=True):
    """A range around a value, as a share of that."""

    of: Annotated[float, key("The middle of the range.", 12.0, names=AFTER, written=int | float)]
    percent: Annotated[
        float,
        key(
            "How far from it, in percent of its absolute value.",
            5,
            names=AFTER,
            written=int | float,
            rule=key_types.percent,
        ),
    ]


class Measurement(Struct, frozen=True, kw_only=True):
    """A value that is recorded, and its limits.

    Attributes:
        at: Where the value of each key that was given stands; below ``""`` the measurement.
    """

    value: Annotated[
        Expression, key("An expression: what was measured.", "result.ripple_mv", names=AFTER)
    ]
    unit: Annotated[Text | None, key("The unit of value and limits.", "mV", names=AFTER)] = None
    low: Annotated[
        float | None,
        key("The smallest that is good.", 0, names=AFTER, written=int | float),
    ] = None
    high: Annotated[
        float | None,
        key("The largest that is good.", 50, names=AFTER, written=int | float),
    ] = None
    equals: Annotated[
        Json,
        key("What the value must be: a number, text, `true` or `false`.", "ready", names=AFTER),
    ] = None
    within: Annotated[
        Within | None,
        key("A range around a value.", {"of": 12.0, "percent": 5}, own=True),
    ] = None
    allow_fail: Annotated[
        bool, key("`true`: record the verdict, and let it fail nothing.", True, names=AFTER)
    ] = False

    at: dict[str, Place] = field(default_factory=dict)


class Search(Struct, frozen=True, kw_only=True):
    """A value that is searched in what a step printed.

    Attributes:
        at: Where the value of each key that was given stands; below ``""`` the output.
    """

    from_: Annotated[Literal["stdout", "stderr"], key("What is searched.", "stdout")] = field(
        name="from"
    )
    regex: Annotated[
        str,
        key(
            "A regular expression: its first group is the value, or all of it without one.",
            r"serial (\w+)",
            rule=key_types.pattern,
            names=AFTER,
        ),
    ]
    default: Annotated[
        Json,
        key("The value where nothing is found; without it the step fails.", "none", names=AFTER),
    ] = None

    at: dict[str, Place] = field(default_factory=dict)


class Output(Struct, frozen=True, kw_only=True):
    """A key of the Context that a step writes once its body did as wanted.

    Attributes:
        key: The key.
        value: The value, or how it is found.
        place: Where that stands.
    """

    key: str
    value: Json | Search
    place: Place
