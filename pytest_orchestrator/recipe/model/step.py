"""Step types with their keys, and the used file that a step comes from."""

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Struct, field

from pytest_orchestrator import extending
from pytest_orchestrator.core.location import Place, Places
from pytest_orchestrator.core.typed_fields import InputField
from pytest_orchestrator.recipe.expressions.expression import Expression, Template
from pytest_orchestrator.recipe.expressions.names import AFTER, BEFORE, COLLECTED
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.key_types import (
    Count,
    Dotted,
    ExitCode,
    FilePath,
    Fixture,
    Identifier,
    InstrumentName,
    Json,
    LiteralBraces,
    StepName,
    StepReference,
    Tag,
    Text,
    Word,
    key,
)
from pytest_orchestrator.recipe.model.measurements import Measurement
from pytest_orchestrator.recipe.model.options import (
    Args,
    Env,
    Host,
    Output,
    Parse,
    Query,
    Ready,
    Retry,
    Shell,
    Success,
    WorkingDirectory,
)
from pytest_orchestrator.recipe.model.plugin_data import PluginData


class Source(Struct, frozen=True):
    """A file that contains steps.

    Attributes:
        id: Its path relative to the rootdir, as messages show it.
        path: The file.
        text: Its text, without a byte order mark.
    """

    id: str
    path: Path
    text: str


class Cell(Struct, frozen=True):
    """One cell of a matrix.

    Attributes:
        id: The names and values, such as ``gain:1,load:a``.
        values: The values by name.
        unit: Name and index of the unit whose step it is; empty for a step of no unit. The name of
            the unit is then the first part of the id.
    """

    id: str
    values: dict[str, Json]
    unit: dict[str, Json] = {}


SIDE_BY_SIDE: Final = ("each", "together")
"""Scopes of steps that run for each unit."""


def cell_name(name: str, *cells: str) -> str:
    """Return the name of a step in a matrix cell, such as ``measure[channel:1]``.

    Args:
        name: The name of the step without a cell.
        cells: The ids of its cells from the outermost matrix to its own; empty ids are ignored.
    """
    joined = ",".join(filter(None, cells))
    return f"{name}[{joined}]" if joined else name


class NamedCell(Struct, frozen=True):
    """One cell of a step that `needs` or `after` of another step names.

    Attributes:
        key: The key that names it: ``needs`` or ``after``.
        step: The name of the step without its cell.
        cell: The id of the cell.
        place: The place of the name in the file.
    """

    key: str
    step: str
    cell: str
    place: Place


class FileUse(Struct, frozen=True, kw_only=True):
    """One use of a file: a step with the key ``use``.

    Attributes:
        name: Name of the step with ``use``, with its cell if it has one; the names of the used
            steps begin with the name of that step and a dot.
        source: The used file.
        title: The ``name`` of the used recipe.
        vars: The vars of the used file.
        inputs: Its inputs.
        templates: The expressions in its vars and in the defaults of its inputs.
        locks: The expressions among its ``locks``.
        secrets: Its ``secrets``.
        with_values: The mapping ``with`` of the step.
        with_templates: The expressions in ``with``.
        condition: The ``if`` of the step.
        place: The place of the step in its file.
        matrix: The ``matrix`` of the step; None if it has none.
        matrix_at: The places of the matrix and of its lists, by names such as ``matrix.channel``.
        cell: The ids of the unit, of the cells of its matrix and of those around it; empty
            without units and matrices.
        outer: The use of the file that contains the step; None if the recipe contains the step.
    """

    name: str
    source: Source
    title: str | None
    vars: dict[str, Json]
    inputs: dict[str, InputField] = {}
    templates: tuple[Template, ...]
    locks: tuple[Template, ...]
    secrets: tuple[str, ...]
    with_values: dict[str, Json]
    with_templates: tuple[Template, ...]
    condition: Expression | None
    place: Place
    matrix: dict[str, Json] | None = None
    matrix_at: Mapping[str, Place] = {}
    cell: str = ""
    outer: Any = None  # another FileUse, or None; msgspec cannot resolve a recursive type


Timeout = Annotated[
    float | None,
    key(
        "Longest duration of the step: seconds, or a text such as `500ms`, `30s`, `2m`, `1h`.",
        "30s",
        written=int | float | str,
        rule=key_types.seconds,
        names=BEFORE,
    ),
]
Retries = Annotated[
    Retry | None,
    key(
        "Number of attempts until the step passes, and the delay between attempts.",
        {"attempts": 3, "delay": "2s", "backoff": 2},
        own=True,
    ),
]


class Criterion(Struct, frozen=True):
    """One condition of ``success``.

    Attributes:
        name: The key in ``success``, such as ``ctx_has_keys``.
        expected: The value of the key; if that is a list of several conditions, one item of it.
        place: The place of the value in the file.
        at: The places of the parts of the value, by the keys that lead to them, such as
            ``contains/0``.
        expression: The expression that must be true, for ``assert``.
        plugin_criterion: The criterion of a plugin; None for a built-in one.
    """

    name: str
    expected: Json
    place: Place
    at: dict[str, Place] = {}
    expression: Expression | None = None
    plugin_criterion: extending.Criterion | None = None


# Steps have `gc=False`: no value refers back to its step, so there is no reference cycle.
Resources = Annotated[
    dict[Text, Count],
    key(
        "Units of named resources that the step occupies; see `--recipe-resource`.",
        {"scope": 1},
    ),
]
Label = Annotated[
    str | None,
    key(
        "Where the step runs: the name of a worker or of a machine, or a resource of a worker; "
        "see `--recipe-runner`. For an `ssh` step it is a host of OpenSSH.",
        "bench-3",
        rule=key_types.label,
    ),
]


class Step(Struct, frozen=True, kw_only=True, gc=False):
    """Keys that steps of every type have.

    Attributes:
        index: Position in the execution order of the recipe, from 1; steps of ``finally`` come
            last.
        is_final: True for a step of ``finally``.
        is_sampler: True for the step code of a sampled value; it returns one number.
        templates: The expressions in its values, each with its field.
        named_cells: The single cells of other steps that `needs` and `after` name; these keys
            then have the names of the steps.
        cell: The cell of the step's matrix, with the values of the matrices of the uses that
            include the step; None without a matrix.
        file_use: The use of another file that the step comes from; None for a step of the recipe
            itself.
        at: The place of the value of each key in the file; below ``""`` the place of the step.
    """

    type: ClassVar[str] = ""

    name: Annotated[
        StepName,
        key(
            "Name of the step: letters, digits, `_` and `-`, unique in the recipe. The node id of "
            "the step is `recipes/x.yaml::name`.",
            "flash",
        ),
    ]
    idx: Annotated[
        int | None,
        key(
            "Position of the step, if the order of the list is not used. All steps have one, or "
            "none; each number occurs once.",
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
            "Pytest fixtures that the step requests, in addition to those of the recipe.",
            ["bench"],
        ),
    ] = ()
    needs: Annotated[
        tuple[StepReference, ...],
        key(
            "Names of steps that must have passed before this step runs. The default is the step "
            "before it; `[]` means none. A step with a `matrix` means all of its cells, "
            "`flash[slot:1]` one of them.",
            ["flash"],
        ),
    ] = ()
    after: Annotated[
        tuple[StepReference, ...],
        key(
            "Names of steps that must have ended before this step runs, whatever their outcomes. "
            "A step with `after` and without `needs` needs no step.",
            ["flash"],
        ),
    ] = ()
    continue_on_error: Annotated[
        bool,
        key(
            "`true`: steps that need this one run even if it fails; it still counts as failed.",
            True,
        ),
    ] = False
    idempotent: Annotated[
        bool,
        key("`true`: the step may safely run again after an interruption.", True),
    ] = False
    implicit: Annotated[
        bool,
        key("`false`: the step does not run only because a selected step needs it.", False),
    ] = True
    xfail: Annotated[
        Text | None,
        key(
            "Reason why the step is expected to fail; its failure is then reported as `xfailed`.",
            "BUG-17",
        ),
    ] = None
    matrix: Annotated[
        dict[str, Json] | None,
        key(
            "Lists of values by name; the step runs once for each combination of the values, as "
            "`measure[channel:1]`. `include` and `exclude` work as in the matrix of a recipe.",
            {"channel": [1, 2, 3]},
            names=COLLECTED,
        ),
    ] = None
    scope: Annotated[
        Literal["each", "once", "together"] | None,
        key(
            "In a recipe with `units`, `each`: the step runs for each unit (default). `once`: it "
            "runs once, after all units have ended what it needs (default in `finally`). "
            "`together`: as `each`, but it starts in all units at the same moment.",
            "once",
        ),
    ] = None
    turn: Annotated[
        Word | None,
        key(
            "In a recipe with `units`, the name of a turn: a unit runs all steps of the turn "
            "before another unit begins the first of them, so that none of their instruments is "
            "moved in between.",
            "supply",
        ),
    ] = None
    timeout: Timeout = None
    if_: Annotated[
        Expression | None,
        key(
            "An expression; if it is false, the step is skipped.",
            "'dut.serial_v1' in ctx",
            names=BEFORE,
        ),
    ] = field(default=None, name="if")
    foreach: Annotated[
        Expression | tuple[Json, ...] | None,
        key(
            "A list, or an expression that gives one when the step starts: the step code runs for "
            "each element in order. Expressions of the step use the element as `item`, and its "
            "index from 0 as `index`.",
            "ctx.psu.points_v1",
            written=Expression | tuple[Json, ...],
            rule=key_types.elements,
            names=BEFORE,
        ),
    ] = None
    fail_fast: Annotated[
        bool,
        key("`true`: after an element of `foreach` that fails, no further element runs.", True),
    ] = False
    retry: Retries = None
    locks: Annotated[
        tuple[Text, ...],
        key(
            "Named mutexes: one step on this machine may hold each at a time. They are held while "
            "the step runs and are shared by all pytest processes.",
            ["psu"],
            names=BEFORE,
        ),
    ] = ()
    resources: Resources = field(default_factory=dict)
    host: Label = None
    outputs: Annotated[
        tuple[Output, ...],
        key(
            "Keys of the Context that are written after the step code has succeeded, with their "
            "values.",
            {"dut.serial_v1": "${{ result.serial }}"},
            own=True,
            names=AFTER,
        ),
    ] = ()
    measurements: Annotated[
        dict[str, Measurement],
        key(
            "Measurements by name, each with its value, unit and limits.",
            {"ripple": {"value": "result.ripple_mv", "high": 50, "unit": "mV"}},
            own=True,
        ),
    ] = field(default_factory=dict)
    background: Annotated[
        bool,
        key(
            "`true`: the step is a service; it runs until the steps of `finally` have ended.",
            True,
        ),
    ] = False
    ready: Annotated[
        Ready | None,
        key(
            "Conditions under which a service is ready; all of them must hold. The default: it "
            "still runs after 100 ms.",
            {"port": 8080, "timeout": "10s"},
            written=Ready,
            own=True,
        ),
    ] = None
    stop_signal: Annotated[
        str,
        key(
            "The signal that ends a service; after two seconds it is killed. The default is TERM.",
            "INT",
            rule=key_types.signal_name,
        ),
    ] = "TERM"
    artifacts: Annotated[
        tuple[FilePath, ...],
        key(
            "Globs of files that are copied into the run folder, whatever the outcome of the step.",
            ["out/*.csv"],
            names=AFTER,
        ),
    ] = ()
    success: Annotated[
        tuple[Criterion, ...],
        key(
            "Success criteria; the step passes only if all of them hold.",
            {"ctx_has_keys": ["sample.message_v1"]},
            written=Success,
            own=True,
        ),
    ] = ()

    env: Env = field(default_factory=dict)
    literal_braces: LiteralBraces = False

    templates: tuple[Template, ...] = ()
    named_cells: tuple[NamedCell, ...] = ()
    cell: Cell | None = None
    file_use: FileUse | None = None
    index: int = 0
    is_final: bool = False
    is_sampler: bool = False
    at: Mapping[str, Place] = Places({})

    @property
    def unit(self) -> str:
        """The name of the unit for which it runs; empty for a step of no unit."""
        return str(self.cell.unit["name"]) if self.cell and self.cell.unit else ""

    @property
    def stop_number(self) -> int:
        """The number of the signal that ends a service."""
        return int(signal.Signals[f"SIG{self.stop_signal}"])

    @property
    def line(self) -> int:
        """The first line of the step, from 1."""
        return self.at[""].line

    @property
    def uses(self) -> tuple[FileUse, ...]:
        """The uses of files that include the step, the innermost first."""
        uses, use = [], self.file_use
        while use is not None:
            uses.append(use)
            use = use.outer
        return tuple(uses)

    @property
    def reads_variables(self) -> bool:
        """False if no key of the step can read a variable of expressions, before or after it runs.

        Most steps of most recipes are such steps; their variables are never computed.
        """
        reads = self.templates or self.if_ or self.success or self.measurements or self.outputs
        return bool(reads or self.retry or self.file_use or self.foreach is not None)


Isolation = Annotated[
    Literal["process", "inline"],
    key(
        "`process`: the step runs in a supervised process of its own. `inline`: it runs in "
        "pytest's own process, as every step with `fixtures` and every step under a debugger.",
        "inline",
    ),
]


class CodeStep(Step, frozen=True, kw_only=True):
    """A step whose step code is Python."""

    isolation: Isolation = "process"
    heap: Annotated[
        bool,
        key(
            "`true`: the Python heap is measured, which makes the step several times slower.", True
        ),
    ] = False


class PythonStep(CodeStep, frozen=True, kw_only=True, tag_field="type", tag="python"):
    """A step that calls a class or a function.

    Attributes:
        plugin_data: Data for the class of a plugin's step type; None for other steps.
    """

    type: ClassVar[str] = "python"

    module: Annotated[
        Dotted,
        key(
            "The module that is imported, as a dotted name.", "scriptlets.python.steps.sample_step"
        ),
    ]
    class_: Annotated[
        Identifier | None,
        key("A class of the module with a method `run`.", "SampleStep"),
    ] = field(default=None, name="class")
    function: Annotated[
        Identifier | None,
        key("A function of the module, instead of a class.", "collect_readings"),
    ] = None
    params: Annotated[
        dict[str, Json],
        key(
            "Values for the parameters of the class or function: each parameter receives the key "
            "of its name, and one called `params` receives the whole mapping.",
            {"message": "Hi"},
            names=BEFORE,
        ),
    ] = field(default_factory=dict)

    cwd: Annotated[
        FilePath | None,
        key(
            "Working directory of the function or class, relative to the rootdir. The default is "
            "the rootdir.",
            "firmware",
            names=BEFORE,
        ),
    ] = None

    plugin_data: PluginData | None = None


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
            "Input of the command. Text is passed as it is, other values as JSON.",
            {"channel": 1},
            names=BEFORE,
        ),
    ] = None
    parse: Parse = "json"
    skip_exit_code: Annotated[
        tuple[int, ...],
        key(
            "The exit code that means *skipped*, or a list of such exit codes.",
            77,
            written=int | tuple[ExitCode, ...],
            rule=key_types.skip_codes,
        ),
    ] = ()
    cwd: WorkingDirectory = None


class SshStep(ShellStep, frozen=True, kw_only=True, tag_field="type", tag="ssh"):
    """A step that runs a command on another machine.

    Its ``cwd`` is a folder of that machine, relative to the user's home.
    """

    type: ClassVar[str] = "ssh"

    host: Host


class InstrumentQuery(Step, frozen=True, kw_only=True):
    """Step code of a sampled value that is queried from an instrument."""

    type: ClassVar[str] = "instrument"

    instrument: InstrumentName
    query: Query


STEP_TYPES: dict[str, type[Step]] = {one.type: one for one in (PythonStep, ShellStep, SshStep)}
