"""Recipe, recipe dependency, and the defaults of a file.

Each field with a description and an example is a key of recipe files; the reference and the
JSON Schema are generated from these fields. The loader computes the other fields.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Struct, field

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.typed_fields import InputField
from pytest_orchestrator.recipe.expressions.expression import Expression, Template
from pytest_orchestrator.recipe.expressions.names import BEFORE, COLLECTED, CONDITION, EARLY
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.key_types import (
    EnvName,
    EnvValue,
    FilePath,
    Fixture,
    Json,
    LiteralBraces,
    Secret,
    Tag,
    Text,
)
from pytest_orchestrator.recipe.model.measurements import Rule
from pytest_orchestrator.recipe.model.options import Args, Env, Parse, Shell, WorkingDirectory
from pytest_orchestrator.recipe.model.root_mappings import Requires, Sampler, Units
from pytest_orchestrator.recipe.model.step import (
    Cell,
    Isolation,
    Label,
    Resources,
    Retries,
    Step,
    Timeout,
    cell_name,
)

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.model.step import Source


class Defaults(Struct, frozen=True, kw_only=True):
    """Keys of ``defaults``; `env` and `args` are merged with those of a step, which win."""

    timeout: Timeout = None
    retry: Retries = None
    isolation: Isolation = "process"
    env: Env = field(default_factory=dict)
    args: Args = field(default_factory=dict)
    parse: Parse = "json"
    shell: Shell = None
    cwd: WorkingDirectory = None
    host: Label = None
    resources: Resources = field(default_factory=dict)
    literal_braces: LiteralBraces = False


class Need(Struct, frozen=True):
    """A recipe that must have passed before another one runs.

    Attributes:
        path: Its path as it is written, relative to the rootdir.
        place: The place of the path in the file.
    """

    path: str
    place: Place


class Recipe(Struct, frozen=True, kw_only=True, dict=True):
    """A recipe file.

    Attributes:
        id: The path relative to the rootdir, with forward slashes; absolute if the file is not
            below the rootdir.
        path: The file.
        text: Its text, without a byte order mark.
        sha256: Digest of its bytes, in hexadecimal.
        templates: The expressions in its values, each with its field.
        origins: The source of the value of each var; empty until the values are known.
        cell: The matrix cell that this recipe is; None without a matrix.
        has_cells: True if the recipe has `units`, a step has a `matrix`, or a key of `outputs` has
            expressions.
        at: The place of the value of each key in the file.
    """

    version: Annotated[
        int, key_types.key("Number of the recipe format: 1.", 1, rule=key_types.format_number)
    ] = 1
    name: Annotated[str | None, key_types.key("Free text for reports.", "cdu_poll")] = None
    description: Annotated[
        str | None, key_types.key("Free text for reports.", "Polls a CDU ten times.")
    ] = None
    test_meta: Annotated[
        dict[str, Json],
        key_types.key(
            "Values that reports show. `test_id`, `tester`, `description`, `dut`, `station`, "
            "`operator` and `batch` have fixed positions there.",
            {"test_id": "PSU-7", "tester": "your name"},
            names=EARLY,
        ),
    ] = {}
    inputs: Annotated[
        dict[str, InputField],
        key_types.key(
            "Typed vars whose values come from outside the recipe, as from `--recipe-var`, by "
            "name. Each recipe converts and checks them.",
            {"serial": {"pattern": "SN[0-9]+", "description": "As printed on the label."}},
            own=True,
            names=EARLY,
        ),
    ] = {}
    vars: Annotated[
        dict[str, Json],
        key_types.key(
            "Values for expressions, by name. Each may contain expressions that use the vars above "
            "it.",
            {"gain": 2, "station": "bench_3"},
            names=EARLY,
        ),
    ] = {}
    required: Annotated[
        tuple[Text, ...],
        key_types.key(
            "Names of vars whose values come from outside the recipe, as from `--recipe-var`.",
            ["serial_number"],
        ),
    ] = ()
    matrix: Annotated[
        dict[str, Json],
        key_types.key(
            "Lists of values by name; the recipe runs once for each combination of the values. "
            "`include` and `exclude` work as in GitHub Actions.",
            {"gain": [1, 2], "load": ["a", "b", "c"]},
            names=COLLECTED,
        ),
    ] = {}
    units: Annotated[
        Units | None,
        key_types.key(
            "The units of a panel: the steps run for each of them, beside each other, and each "
            "unit has its own verdict.",
            {"names": ["A", "B"], "serial": {"pattern": "SN[0-9]+"}},
            written=Units,
            own=True,
        ),
    ] = None
    tags: Annotated[
        tuple[Tag, ...], key_types.key("Markers of all steps, for `-m`.", ["nightly"])
    ] = ()
    fixtures: Annotated[
        tuple[Fixture, ...], key_types.key("Pytest fixtures that every step requests.", ["bench"])
    ] = ()
    locks: Annotated[
        tuple[Text, ...],
        key_types.key(
            "Locks as those of a step, but held from the first step to the last step of `finally`. "
            "They are acquired together with the locks of all steps.",
            ["bench_3"],
            names=EARLY,
        ),
    ] = ()
    needs: Annotated[
        tuple[Need, ...],
        key_types.key(
            "Paths of recipes that must have passed. They run before this recipe, once a session.",
            ["recipes/power_up.yaml"],
            written=tuple[FilePath, ...],
            own=True,
        ),
    ] = ()
    context: Annotated[
        Literal["session", "recipe"],
        key_types.key(
            "`session`: the recipe uses the Context of the session. `recipe`: it has its own layer "
            "above that Context; reads fall through, and its writes and deletions end with it.",
            "recipe",
        ),
    ] = "session"
    decision: Annotated[
        Rule | None,
        key_types.key(
            "The decision rule of measurements and sampled values with numbers as limits that "
            "name none, see [decision rules](decisions.md). The default is the ini key "
            "`recipe_decision`.",
            "guarded",
        ),
    ] = None
    stop_on_failure: Annotated[
        bool,
        key_types.key(
            "`true`: after a failed step only the steps of `finally` run. The failure of a step "
            "with `continue_on_error` or `xfail` does not count.",
            True,
        ),
    ] = False
    requires: Annotated[
        Requires | None,
        key_types.key(
            "What the machine must have; where it is missing, all steps are skipped with the "
            "reason, see `recipe_requires`.",
            {"extras": ["http"], "programs": ["dfu-util"]},
            written=Requires,
            own=True,
        ),
    ] = None
    if_: Annotated[
        Expression | None,
        key_types.key(
            "An expression; if it is false, all steps are skipped, and those of `finally` do not "
            "run.",
            "env.STATION == 'bench_3'",
            names=CONDITION,
        ),
    ] = field(default=None, name="if")
    timeout: Annotated[
        float | None,
        key_types.key(
            "Longest duration of the recipe from the start of its first step, with all waits for "
            "locks: seconds, or a text such as `30s`, `2m`, `1h`. The steps of `finally` run in "
            "their own time.",
            "20m",
            written=int | float | str,
            rule=key_types.seconds,
            names=EARLY,
        ),
    ] = None
    defaults: Annotated[
        Defaults,
        key_types.key(
            "Default values for step keys, also for the steps of `finally`.",
            {"timeout": "30s", "env": {"PORT": 5025}},
            own=True,
        ),
    ] = Defaults()
    env: Annotated[
        dict[EnvName, EnvValue],
        key_types.key(
            "Environment variables of all steps of this file; those of `defaults` and of a step "
            "override them.",
            {"LC_ALL": "C"},
            names=BEFORE,
            own=True,
        ),
    ] = {}
    literal_braces: LiteralBraces = False
    secrets: Annotated[
        tuple[Secret, ...],
        key_types.key(
            "Sources of values that are masked as `***` in every output: `env.NAME`, `vars.NAME`, "
            "`ctx.KEY`.",
            ["env.STATION_PIN", "ctx.session.key"],
        ),
    ] = ()
    steps: Annotated[
        tuple[Step, ...],
        key_types.key(
            "The steps, at least one.",
            [{"name": "hello", "type": "shell", "cmd": "scriptlets/shell/sample.sh"}],
            own=True,
        ),
    ]
    samplers: Annotated[
        tuple[Sampler, ...],
        key_types.key(
            "Values that are sampled while steps run, by name, each with its limits.",
            {"case": {"cmd": "psu temperature", "every": "1s", "high": 85, "unit": "°C"}},
            own=True,
        ),
    ] = field(default=(), name="sampling")
    final: Annotated[
        tuple[Step, ...],
        key_types.key(
            "Steps that run after all other steps, whatever their outcomes.",
            [{"name": "power_off", "type": "shell", "cmd": "psu off", "parse": "text"}],
            own=True,
        ),
    ] = field(default=(), name="finally")

    id: str
    path: Path
    text: str
    sha256: str
    templates: tuple[Template, ...] = ()
    origins: dict[str, str] = {}
    cell: Cell | None = None
    has_cells: bool = False
    at: dict[str, Place] = {}

    @cached_property  # used some twenty times a step
    def key(self) -> str:
        """The id of the recipe, followed by the id of its cell if it has one."""
        return f"{self.id}[{self.cell.id}]" if self.cell else self.id

    @property
    def var_names(self) -> tuple[str, ...]:
        """The names of all vars that may get a value from outside: inputs, vars, required ones."""
        return (*self.inputs, *self.vars, *self.required)

    @property
    def evaluates_variables(self) -> bool:
        """True if an environment variable of a step has an expression in its value."""
        templates = (one for step in self._by_name.values() for one in step.templates)
        return any(one.path[0] in ("args", "env") for one in templates)

    def source(self, step: Step) -> "Recipe | Source":
        """Return the file that contains a step."""
        return self if step.file_use is None else step.file_use.source

    def node(self, step: str) -> str:
        """Return the node id of the step of that name; the id has the cells of both matrices."""
        return _node(self.id, self.cell.id if self.cell else "", step)

    @cached_property
    def _by_name(self) -> dict[str, Step]:
        samplers = tuple(one.step for one in self.samplers)
        return {step.name: step for step in self.steps + self.final + samplers}

    @cached_property
    def _cells(self) -> dict[str, list[Step]]:
        cells: dict[str, list[Step]] = {}
        for step in self.steps + self.final if self.has_cells else ():
            if step.cell is not None:
                cells.setdefault(step.name.partition("[")[0], []).append(step)
        return cells

    def cells_of(self, name: str) -> list[Step]:
        """Return the steps that a step with a `matrix` became; empty for a step without one."""
        return self._cells.get(name, [])

    def has_step(self, name: str) -> bool:
        """Return True if the recipe has a step of that name."""
        return name in self._by_name

    def step(self, name: str) -> Step:
        """Return the step of that name, from `steps`, `final` or `samplers`.

        Raises:
            KeyError: The recipe has no such step.
        """
        return self._by_name[name]


def unit_scope(key: str, unit: str) -> str:
    """Return the name of the Context of a unit, and of its part of a recipe in reports.

    Args:
        key: The key of the recipe.
        unit: The name of the unit.
    """
    return f"{key}[unit:{unit}]"


def node_of(key: str, step: str) -> str:
    """Return the node id of a step whose recipe is not loaded.

    Args:
        key: The key of its recipe.
        step: The name of the step.
    """
    for suffix in (".yaml", ".yml"):
        path, opening, cell = key.partition(f"{suffix}[")
        if opening:
            return _node(path + suffix, cell.removesuffix("]"), step)
    return _node(key, "", step)


def _node(path: str, cell: str, step: str) -> str:
    if not cell:
        return f"{path}::{step}"
    name, _, own = step.removesuffix("]").partition("[")
    return f"{path}::{cell_name(name, cell, own)}"
