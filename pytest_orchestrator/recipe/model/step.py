"""Step types with their keys, and the use of another file that a step comes from."""

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Struct, field

from pytest_orchestrator import extending
from pytest_orchestrator.core.location import Place, Places
from pytest_orchestrator.recipe.expressions.expression import Expression, Template
from pytest_orchestrator.recipe.expressions.names import AFTER, BEFORE
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.key_types import (
    Count,
    Dotted,
    EnvName,
    EnvValue,
    ExitCode,
    FilePath,
    Fixture,
    Identifier,
    Json,
    StepName,
    Tag,
    Text,
    Word,
    key,
)
from pytest_orchestrator.recipe.model.options import Measurement, Output, Ready, Retry, Success


class Source(Struct, frozen=True):
    """A file that steps stand in.

    Attributes:
        id: Its path relative to the rootdir, as messages show it.
        path: The file.
        text: Its text, without a byte order mark.
    """

    id: str
    path: Path
    text: str


class Part(Struct, frozen=True, kw_only=True):
    """One use of a file.

    Attributes:
        name: Of the step that uses it; in front of the names of its own, with a dot.
        source: The file.
        title: The ``name`` of the used recipe.
        vars: Those of the file.
        templates: The expressions in its values.
        locks: The expressions among its ``locks``.
        secrets: What it calls secret.
        given: What the user gives it as ``with``.
        given_templates: The expressions in that.
        condition: The ``if`` of the step that uses it.
        place: Where that step stands in the user's file.
        outer: The use that the user itself is of.
    """

    name: str
    source: Source
    title: str | None
    vars: dict[str, Json]
    templates: tuple[Template, ...]
    locks: tuple[Template, ...]
    secrets: tuple[str, ...]
    given: dict[str, Json]
    given_templates: tuple[Template, ...]
    condition: Expression | None
    place: Place
    outer: Any = None  # another Part, or None; msgspec does not look into itself


Timeout = Annotated[
    float | None,
    key(
        "The longest that the step may take: seconds, or a text such as `500ms`, `30s`, "
        "`2m`, `1h`.",
        "30s",
        written=int | float | str,
        rule=key_types.seconds,
        names=BEFORE,
    ),
]
Retries = Annotated[
    Retry | None,
    key(
        "How often the step is tried until it does not fail, and the wait in between.",
        {"attempts": 3, "delay": "2s", "backoff": 2},
        own=True,
    ),
]


class Criterion(Struct, frozen=True):
    """One thing that must hold after a step.

    Attributes:
        name: The key in ``success``, such as ``ctx_has_keys``.
        wanted: What it asks for; where the file has a list of things, one of them.
        place: Where it stands.
        at: Where the parts of what it asks for stand, by the keys that lead there, such as
            ``contains/0``.
        expression: What has to be true, where that is asked.
        brought: The criterion as a plugin has brought it, where one has.
    """

    name: str
    wanted: Json
    place: Place
    at: dict[str, Place] = {}
    expression: Expression | None = None
    brought: extending.Criterion | None = None


# Nothing that a step holds leads back to it, so that the garbage collector need not know it.
Resources = Annotated[
    dict[Text, Count],
    key(
        "How many the step needs of what there is several of; see `--recipe-resource`.",
        {"scope": 1},
    ),
]
Label = Annotated[
    str | None,
    key(
        "Where the step runs: the name of a worker or of a machine, or a resource of a worker; "
        "see `--recipe-runner`. Of an `ssh` step a host of OpenSSH.",
        "bench-3",
        rule=key_types.label,
    ),
]


class Step(Struct, frozen=True, kw_only=True, gc=False):
    """What steps of every type have.

    Attributes:
        index: Position in the order in which the recipe runs, from 1; the steps of
            ``finally`` come after the others.
        is_final: The step stands in ``finally``.
        templates: The expressions in its values, each with the field that it stands in.
        part: The use of another file that the step comes from; None where it stands in the recipe.
        at: Where the value of each key that was given stands; below ``""`` the step itself.
    """

    type: ClassVar[str] = ""

    name: Annotated[
        StepName,
        key(
            "Unique in the recipe; letters, digits, `_` and `-`. The node id of the step is "
            "`recipes/x.yaml::name`.",
            "flash",
        ),
    ]
    idx: Annotated[
        int | None,
        key(
            "Position of the step, instead of the order of the list: all steps or none, unique.",
            1,
            rule=key_types.not_negative,
        ),
    ] = None
    description: Annotated[str | None, key("Free text for reports.", "Writes the firmware.")] = None
    tags: Annotated[
        tuple[Tag, ...],
        key("Markers for `-m`, in addition to those of the recipe.", ["nightly"]),
    ] = ()
    fixtures: Annotated[
        tuple[Fixture, ...],
        key(
            "Pytest fixtures that the step needs, in addition to those of the recipe.",
            ["bench"],
        ),
    ] = ()
    needs: Annotated[
        tuple[StepName, ...],
        key(
            "Names of the steps that must have passed. The default is the step before it; "
            "`[]` is nothing.",
            ["flash"],
        ),
    ] = ()
    after: Annotated[
        tuple[StepName, ...],
        key(
            "Names of the steps that must have ended, whatever became of them. Without `needs` "
            "beside it nothing is needed.",
            ["flash"],
        ),
    ] = ()
    continue_on_error: Annotated[
        bool,
        key("`true`: steps that need this one go on where it fails; it is failed still.", True),
    ] = False
    idempotent: Annotated[
        bool,
        key("`true`: the step may be run again after it was interrupted.", True),
    ] = False
    implicit: Annotated[
        bool,
        key("`false`: never run just because a selected step needs this one.", False),
    ] = True
    xfail: Annotated[Text | None, key("The reason why the step is expected to fail.", "BUG-17")] = (
        None
    )
    timeout: Timeout = None
    if_: Annotated[
        Expression | None,
        key(
            "An expression: where it is false the step is skipped.",
            "'dut.serial_v1' in ctx",
            names=BEFORE,
        ),
    ] = field(default=None, name="if")
    retry: Retries = None
    locks: Annotated[
        tuple[Text, ...],
        key(
            "Names of what there is once on this machine: held while the step runs, across all "
            "pytest processes.",
            ["psu"],
            names=BEFORE,
        ),
    ] = ()
    resources: Resources = field(default_factory=dict)
    host: Label = None
    outputs: Annotated[
        tuple[Output, ...],
        key(
            "Keys of the Context that are written once the body did as wanted, and their values.",
            {"dut.serial_v1": "${{ result.serial }}"},
            own=True,
            names=AFTER,
        ),
    ] = ()
    measurements: Annotated[
        dict[str, Measurement],
        key(
            "What is measured, by its name: the value, the unit, the limits.",
            {"ripple": {"value": "result.ripple_mv", "high": 50, "unit": "mV"}},
            own=True,
        ),
    ] = field(default_factory=dict)
    background: Annotated[
        bool,
        key(
            "`true`: a service, which goes on until the steps of `finally` have run.",
            True,
        ),
    ] = False
    ready: Annotated[
        Ready | None,
        key(
            "When a service is ready: all of it must hold. The default: it lives after 100 ms.",
            {"port": 8080, "timeout": "10s"},
            written=Ready,
            own=True,
        ),
    ] = None
    stop_signal: Annotated[
        str,
        key(
            "The signal that ends a service; two seconds later it is killed. The default is TERM.",
            "INT",
            rule=key_types.signal_name,
        ),
    ] = "TERM"
    artifacts: Annotated[
        tuple[FilePath, ...],
        key(
            "Globs of files that are copied into the folder of the run, whatever became of the "
            "step.",
            ["out/*.csv"],
            names=AFTER,
        ),
    ] = ()
    success: Annotated[
        tuple[Criterion, ...],
        key(
            "What must hold after the step.",
            {"ctx_has_keys": ["sample.message_v1"]},
            written=Success,
            own=True,
        ),
    ] = ()

    templates: tuple[Template, ...] = ()
    part: Part | None = None
    index: int = 0
    is_final: bool = False
    at: Mapping[str, Place] = Places({})

    @property
    def stop_number(self) -> int:
        """The number of the signal that ends a service."""
        return int(signal.Signals[f"SIG{self.stop_signal}"])

    @property
    def line(self) -> int:
        """The line in which the step begins, from 1."""
        return self.at[""].line


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
        rule=key_types.shell,
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
        rule=key_types.host,
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
            rule=key_types.command,
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
            rule=key_types.skip_codes,
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
