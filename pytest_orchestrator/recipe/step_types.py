"""The types of steps, each with the keys that it alone has."""

from typing import Annotated, ClassVar, Literal

from msgspec import Struct, field

from pytest_orchestrator.recipe import rules
from pytest_orchestrator.recipe.kinds import (
    Dotted,
    EnvName,
    EnvValue,
    ExitCode,
    FilePath,
    Identifier,
    Json,
    Word,
    key,
)
from pytest_orchestrator.recipe.names import BEFORE
from pytest_orchestrator.recipe.step_keys import Step

Isolation = Annotated[
    Literal["process", "inline"],
    key(
        "`process`: a supervised process of its own. `inline`: pytest's own process, as "
        "where the step has `fixtures` or a person debugs.",
        "inline",
    ),
]
Args = Annotated[
    dict[EnvName, EnvValue],
    key(
        "Environment variables of the command: text as it is, all else as JSON, `null` unsets.",
        {"MESSAGE": "Hi"},
        names=BEFORE,
    ),
]
Parse = Annotated[
    Literal["json", "last-line", "data", "text"],
    key(
        "What stdout is: `json` one object with a `status`, `last-line` such an object in "
        "its last line, `data` any JSON, `text` anything.",
        "last-line",
    ),
]
Shell = Annotated[
    str | tuple[str, ...] | None,
    key(
        "What runs a command line: `sh` (`/bin/sh -e`), `bash` (`bash --noprofile --norc -eo "
        "pipefail`), `python`, or a list of words that the path of the script is appended to.",
        "bash",
        written=str | tuple[Word, ...],
        rule=rules.shell,
    ),
]
WorkingDirectory = Annotated[
    FilePath | None,
    key(
        "Where the command runs, relative to the rootdir, the default.",
        "firmware",
        names=BEFORE,
    ),
]


Host = Annotated[
    str,
    key(
        "The machine, as the configuration of OpenSSH knows it.",
        "bench-3",
        rule=rules.host,
    ),
]


class Brought(Struct, frozen=True, kw_only=True):
    """What a class that a plugin has brought is told besides its keys.

    Attributes:
        type: The type of the step, as recipes write it.
        file: The file that has the class.
        timeout: Seconds that the step may take.
        logs: The folder for logs.
        attempt: Number of the try.
        recipe: The path of the recipe.
    """

    type: str
    file: str
    timeout: float | None = None
    logs: str | None = None
    attempt: int = 1
    recipe: str = ""


class CodeStep(Step, frozen=True, kw_only=True):
    """A step whose body is Python code."""

    isolation: Isolation = "process"
    heap: Annotated[
        bool,
        key("`true`: measure the Python heap of the step, which makes it slower.", True),
    ] = False


class PythonStep(CodeStep, frozen=True, kw_only=True, tag_field="type", tag="python"):
    """A step that calls a class or a function.

    Attributes:
        brought: Where the class is that of a plugin's type, what it is told.
    """

    type: ClassVar[str] = "python"

    module: Annotated[
        Dotted,
        key("The module, as it is imported.", "scriptlets.python.steps.sample_step"),
    ]
    class_: Annotated[
        Identifier | None,
        key("A class of the module that has a `run`.", "SampleStep"),
    ] = field(default=None, name="class")
    function: Annotated[
        Identifier | None,
        key("A function of the module, instead of a class.", "collect_readings"),
    ] = None
    params: Annotated[
        dict[str, Json],
        key("What the class or function is given as `params`.", {"message": "Hi"}, names=BEFORE),
    ] = field(default_factory=dict)

    brought: Brought | None = None


class ShellStep(Step, frozen=True, kw_only=True, tag_field="type", tag="shell"):
    """A step that runs a command."""

    type: ClassVar[str] = "shell"

    cmd: Annotated[
        str | tuple[str, ...],
        key(
            "A command line, or a list of a program and its arguments.",
            "scriptlets/shell/sample.sh",
            written=str | tuple[Word, ...],
            rule=rules.command,
            names=BEFORE,
        ),
    ]
    shell: Shell = None
    args: Args = field(default_factory=dict)
    stdin: Annotated[
        Json,
        key(
            "What the command reads: text as it is, all else as JSON.", {"channel": 1}, names=BEFORE
        ),
    ] = None
    parse: Parse = "json"
    skip_exit_code: Annotated[
        tuple[int, ...],
        key(
            "The exit code that means *skipped*, or a list of those that do.",
            77,
            written=int | tuple[ExitCode, ...],
            rule=rules.skip_codes,
        ),
    ] = ()
    cwd: WorkingDirectory = None


class SshStep(ShellStep, frozen=True, kw_only=True, tag_field="type", tag="ssh"):
    """A step that runs a command on another machine.

    Its ``cwd`` is there, relative to the user's home.
    """

    type: ClassVar[str] = "ssh"

    host: Host


STEP_TYPES: dict[str, type[Step]] = {
    "python": PythonStep,
    "shell": ShellStep,
    "ssh": SshStep,
}
