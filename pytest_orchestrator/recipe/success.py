"""The keys that `success` of a step may have."""

from functools import partial
from typing import Annotated, Literal

from msgspec import Struct, field

from pytest_orchestrator.recipe import rules
from pytest_orchestrator.recipe.expressions import Expression
from pytest_orchestrator.recipe.kinds import (
    ContextPath,
    ExitCode,
    FilePath,
    Json,
    Pattern,
    Sha256,
    Text,
    key,
)
from pytest_orchestrator.recipe.names import AFTER, BEFORE

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

_TEXTS = {"written": str | tuple[Text, ...], "rule": rules.texts}
_KEYS = {"written": tuple[ContextPath, ...], "rule": rules.some_keys}
_PATHS = {"written": tuple[FilePath, ...], "rule": rules.some_paths}
_NUMBER = {"written": int | float, "rule": rules.positive}
_PATTERNS = {"written": str | tuple[Pattern, ...], "rule": rules.patterns}


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
    min_bytes: Annotated[int | None, _key("The least that it has.", 1, rule=rules.not_negative)] = (
        None
    )
    max_bytes: Annotated[
        int | None, _key("The most that it has.", 1_000_000, rule=rules.not_negative)
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
            rule=rules.some_expressions,
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
            rule=rules.exit_codes,
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
            rule=rules.not_negative,
        ),
    ] = None
