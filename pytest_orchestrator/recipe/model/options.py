"""Keys of the nested mappings of a step, and of commands.

The mappings are success, retry, ready and outputs. `defaults` and the root of a
recipe have some of the keys of commands too.
"""

from __future__ import annotations  # few recipes have these keys: read at their first use

from functools import partial
from typing import Annotated, Literal

from msgspec import Struct, field

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.typed_fields import InputField, value_of_json, value_of_text
from pytest_orchestrator.recipe.expressions.expression import Expression, Template
from pytest_orchestrator.recipe.expressions.names import AFTER, BEFORE, EARLY, TRIED
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.key_types import (
    ContextPath,
    EnvName,
    EnvValue,
    FilePath,
    Json,
    Pattern,
    Sha256,
    Text,
    WantedCode,
    Word,
    key,
)

OF_SHELL = frozenset({"exit_code"})
"""Criteria that only steps with a command can have."""

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
"""Criteria that only steps with a process of their own can have."""

_key = partial(key, names=AFTER)

_TEXTS = {"written": str | tuple[Text, ...], "rule": key_types.texts}
_KEYS = {"written": tuple[ContextPath, ...], "rule": key_types.some_keys}
_PATHS = {"written": tuple[FilePath, ...], "rule": key_types.some_paths}
_NUMBER = {"written": int | float, "rule": key_types.positive}
_PATTERNS = {"written": str | tuple[Pattern, ...], "rule": key_types.patterns}


class FileRules(Struct, frozen=True, kw_only=True):
    """Keys of an entry of ``files``."""

    path: Annotated[
        FilePath,
        _key("The file, or a glob; every file that matches is checked.", "out/report.csv"),
    ]
    contains: Annotated[
        Json, _key("One or more texts that the file must contain.", "mean", **_TEXTS)
    ] = None
    not_contains: Annotated[
        Json, _key("One or more texts that the file must not contain.", "nan", **_TEXTS)
    ] = None
    matches: Annotated[
        Json,
        _key(
            "One or more regular expressions that must each match somewhere in the file.",
            r"^mean,\d+",
            **_PATTERNS,
        ),
    ] = None
    sha256: Annotated[
        Sha256 | None, _key("SHA-256 digest of the file, in hexadecimal.", "0" * 64)
    ] = None
    min_bytes: Annotated[
        int | None, _key("Smallest size of the file, in bytes.", 1, rule=key_types.not_negative)
    ] = None
    max_bytes: Annotated[
        int | None,
        _key("Largest size of the file, in bytes.", 1_000_000, rule=key_types.not_negative),
    ] = None
    fresh: Annotated[bool, _key("`true`: the file must have been written by this step.", True)] = (
        False
    )


class Success(Struct, frozen=True, kw_only=True):
    """Keys of ``success``."""

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
            "Files that must exist: paths or globs, relative to the rootdir.",
            ["out/report.csv", "out/*.json"],
            **_PATHS,
        ),
    ] = None
    files_absent: Annotated[
        Json,
        _key("Files that must not exist: paths or globs.", ["out/*.tmp"], **_PATHS),
    ] = None
    files: Annotated[
        Json,
        key(
            "Checks of files: their content, their size, and that this step has written them.",
            [{"path": "out/report.csv", "contains": "mean", "fresh": True}],
            own=True,
        ),
    ] = None
    exit_code: Annotated[
        Json,
        key(
            "The expected exit code of a shell step, a list of accepted exit codes, or `nonzero`: "
            "an error that the program itself reports. The default is 0.",
            0,
            names=BEFORE,
            written=int | Literal["nonzero"] | tuple[WantedCode, ...],
            rule=key_types.exit_codes,
        ),
    ] = None
    stdout_contains: Annotated[
        Json, _key("One or more texts that stdout must contain.", "PASS", **_TEXTS)
    ] = None
    stdout_not_contains: Annotated[
        Json, _key("One or more texts that stdout must not contain.", "ERROR", **_TEXTS)
    ] = None
    stdout_matches: Annotated[
        Json,
        _key(
            "One or more regular expressions that must each match somewhere in stdout; `^` and "
            "`$` match at every line.",
            r"^ripple: \d+ mV$",
            **_PATTERNS,
        ),
    ] = None
    stderr_contains: Annotated[
        Json, _key("One or more texts that stderr must contain.", "done", **_TEXTS)
    ] = None
    stderr_not_contains: Annotated[
        Json, _key("One or more texts that stderr must not contain.", ["Traceback"], **_TEXTS)
    ] = None
    stderr_matches: Annotated[
        Json, _key("As `stdout_matches`, for stderr.", "^done in", **_PATTERNS)
    ] = None
    result_schema: Annotated[
        Json,
        _key(
            "A JSON Schema that the result must match: the object that the step returned or "
            "printed.",
            {"properties": {"ripple": {"type": "number", "maximum": 50}}},
            own=True,
        ),
    ] = None
    max_seconds: Annotated[
        Json,
        _key("Longest duration of the step code of one attempt, in seconds.", 3, **_NUMBER),
    ] = None
    max_cpu_seconds: Annotated[
        Json,
        _key("Most CPU time of all processes of the step together, in seconds.", 1.5, **_NUMBER),
    ] = None
    max_rss_mb: Annotated[
        Json,
        _key(
            "Most memory of all processes of the step at the same time, in MB (1,000,000 bytes).",
            200,
            **_NUMBER,
        ),
    ] = None
    leftover_processes: Annotated[
        Json,
        _key(
            "Most processes that the step may leave running; they are ended in any case.",
            0,
            written=int,
            rule=key_types.not_negative,
        ),
    ] = None


_LONGEST = 86_400.0


class Retry(Struct, frozen=True, kw_only=True):
    """Number of attempts of a step, and the delays between them."""

    attempts: Annotated[
        int,
        key("Most attempts of the step, including the first one.", 3, rule=key_types.tries),
    ]
    delay: Annotated[
        float,
        key(
            "Delay before the second attempt: seconds, or a text such as `500ms`, `2s`, `1m`. "
            "The default is 0.",
            "2s",
            written=int | float | str,
            rule=key_types.pause,
        ),
    ] = 0.0
    backoff: Annotated[
        float,
        key(
            "Factor by which each further delay is longer than the one before.",
            2,
            rule=key_types.factor,
        ),
    ] = 1.0

    until: Annotated[
        Expression | None,
        key("An expression; an attempt also fails if it is false.", "result.ready", names=TRIED),
    ] = None
    abort_if: Annotated[
        Expression | None,
        key(
            "An expression that is evaluated after a failed attempt; if it is true, no further "
            "attempt is made.",
            "kind == 'timeout'",
            names=TRIED,
        ),
    ] = None

    def pause(self, attempt: int) -> float:
        """Return the delay after a failed attempt, in seconds; at most a day.

        Args:
            attempt: Number of the attempt, from 1.
        """
        try:
            return min(self.delay * self.backoff ** (attempt - 1), _LONGEST)
        except OverflowError:
            return _LONGEST if self.delay else 0.0


class Ready(Struct, frozen=True, kw_only=True):
    """Conditions under which a service is ready; all of them must hold."""

    file: Annotated[
        FilePath | None,
        key("A file that the service writes after its start.", "out/server.pid", names=BEFORE),
    ] = None
    port: Annotated[
        int | None,
        key(
            "A TCP port of this machine that accepts connections.",
            8080,
            names=BEFORE,
            rule=key_types.port,
        ),
    ] = None
    http: Annotated[
        str | dict[str, Json] | None,
        key(
            "An address that answers a GET request with a 2xx code; or `url` and the `code`, such "
            "as 401 or `4xx`, or a list of codes.",
            "http://127.0.0.1:8080/health",
            written=str | dict[str, Json],
            names=BEFORE,
            rule=key_types.http_probe,
        ),
    ] = None
    stdout_matches: Annotated[
        str | None,
        key(
            "A regular expression that must match somewhere in stdout; `^` and `$` match at "
            "every line.",
            "^listening on",
            names=BEFORE,
            rule=key_types.pattern,
        ),
    ] = None
    timeout: Annotated[
        float,
        key(
            "Longest time until the service is ready: seconds, or a text such as `500ms`, `10s`, "
            "`1m`. The default is 30 s.",
            "10s",
            names=BEFORE,
            written=int | float | str,
            rule=key_types.seconds,
        ),
    ] = 30.0


class Search(Struct, frozen=True, kw_only=True):
    """A value that is searched in the output of a step.

    Attributes:
        at: The place of the value of each key in the file; below ``""`` the place of the
            output.
    """

    from_: Annotated[Literal["stdout", "stderr"], key("The stream that is searched.", "stdout")] = (
        field(name="from")
    )
    regex: Annotated[
        str,
        key(
            "A regular expression; the value is its first group, or the whole match if it has no "
            "group.",
            r"serial (\w+)",
            rule=key_types.pattern,
            names=AFTER,
        ),
    ]
    type: Annotated[
        Literal["text", "integer", "number", "boolean", "json"],
        key(
            "The type of the value. A text that is not of this type fails the step.",
            "number",
        ),
    ] = "text"
    default: Annotated[
        Json,
        key(
            "The value if nothing matches; without `default` the step then fails.",
            "none",
            names=AFTER,
        ),
    ] = None

    at: dict[str, Place] = field(default_factory=dict)


class Output(Struct, frozen=True, kw_only=True):
    """A key of the Context that is written after the step code has succeeded.

    Attributes:
        key: The key; the text of its expressions until the cells of the recipe are known.
        value: The value, or the search for it.
        place: The place of the value in the file.
        key_template: The expressions in the key; None if it has none.
    """

    key: str
    value: Json | Search
    place: Place
    key_template: Template | None = None


OutputType = Literal["text", "integer", "number", "boolean", "json"]


def typed_output(kind: OutputType, text: str) -> Json:
    """Convert a text that was found in the output of a step to the type of the output.

    Args:
        kind: ``text``, ``integer``, ``number``, ``boolean`` or ``json``.
        text: The text.

    Raises:
        ValueError: The text is not of the type; the message is the rule, such as ``should be a
            whole number``.
    """
    return text if kind == "text" else value_of_text(_field(kind), text)


def checked_output(kind: OutputType, default: Json) -> Json:
    """Check the default of an output.

    Args:
        kind: As for `typed_output`. Any value is accepted for ``text``.
        default: The default; null is accepted for all types.

    Raises:
        ValueError: The default is not of the type; the message is the rule.
    """
    return default if kind == "text" or default is None else value_of_json(_field(kind), default)


def _field(kind: OutputType) -> InputField:
    return InputField(type="string" if kind == "text" else kind)


Env = Annotated[
    dict[EnvName, EnvValue],
    key(
        "Environment variables of the command, or of the process of a Python step. Text is passed "
        "as it is, other values as JSON; `null` removes the variable.",
        {"MESSAGE": "Hi"},
        names=BEFORE,
    ),
]

Args = Annotated[
    dict[EnvName, EnvValue],
    key(
        "The same as `env`, for steps that run a command.",
        {"MESSAGE": "Hi"},
        names=BEFORE,
    ),
]

Parse = Annotated[
    Literal["json", "last-line", "data", "text"],
    key(
        "Format of stdout. `json`: one JSON object with a `status`; `last-line`: such an object "
        "in the last line; `data`: any JSON; `text`: any text.",
        "last-line",
    ),
]

Shell = Annotated[
    str | tuple[str, ...] | None,
    key(
        "The interpreter of the command line: `sh` (`/bin/sh -e`), `bash` (`bash --noprofile "
        "--norc -eo pipefail`), `python`, or a list of words to which the path of the script is "
        "appended.",
        "bash",
        written=str | tuple[Word, ...],
        rule=key_types.shell,
    ),
]

WorkingDirectory = Annotated[
    FilePath | None,
    key(
        "Working directory of the command, relative to the rootdir. The default is the rootdir.",
        "firmware",
        names=BEFORE,
    ),
]

Host = Annotated[
    str,
    key(
        "The machine, by its name in the configuration of OpenSSH.",
        "bench-3",
        rule=key_types.host,
    ),
]

Query = Annotated[
    str,
    key(
        "The query that is sent to the instrument; its answer is one number.",
        "MEAS:CURR?",
        rule=key_types.scpi,
        names=EARLY,
    ),
]
