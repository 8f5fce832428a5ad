"""Recipe, matrix cell, recipe dependency, and the defaults of a file.

Each key that a file may have is a field with its description and an example, from which
the reference and the JSON Schema are made. Fields without them come from the loader.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Struct, field

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions.expression import Template
from pytest_orchestrator.recipe.expressions.names import COLLECTED, EARLY
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.key_types import (
    FilePath,
    Fixture,
    Json,
    Secret,
    Tag,
    Text,
    key,
)
from pytest_orchestrator.recipe.model.step import (
    Args,
    Isolation,
    Label,
    Parse,
    Resources,
    Retries,
    Shell,
    Step,
    Timeout,
    WorkingDirectory,
)

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.model.step import Source


class Defaults(Struct, frozen=True, kw_only=True):
    """The keys that ``defaults`` may have; `args` are merged below those of a step."""

    timeout: Timeout = None
    retry: Retries = None
    isolation: Isolation = "process"
    args: Args = field(default_factory=dict)
    parse: Parse = "json"
    shell: Shell = None
    cwd: WorkingDirectory = None
    host: Label = None
    resources: Resources = field(default_factory=dict)


class Cell(Struct, frozen=True):
    """One cell of a matrix.

    Attributes:
        id: The names and values, such as ``gain:1,load:a``.
        values: The values by their names.
    """

    id: str
    values: dict[str, Json]


class Need(Struct, frozen=True):
    """A recipe that must have passed before.

    Attributes:
        path: Its path as it is written, relative to the rootdir.
        place: Where that stands.
    """

    path: str
    place: Place


class Recipe(Struct, frozen=True, kw_only=True, dict=True):
    """A file of steps.

    Attributes:
        id: The path relative to the rootdir with forward slashes, absolute where it is not
            below the rootdir.
        path: The file.
        text: Its text, without a byte order mark.
        sha256: Digest of its bytes, in hexadecimal.
        templates: The expressions in its values, each with the field that it stands in.
        origins: Where the value of each var comes from; empty until that is known.
        cell: The cell of its matrix that this is; None where it has none.
        at: Where the value of each key that was given stands.
    """

    version: Annotated[int, key("Number of the format: 1.", 1, rule=key_types.format_number)] = 1
    name: Annotated[str | None, key("Free text for reports.", "cdu_poll")] = None
    description: Annotated[str | None, key("Free text for reports.", "Polls a CDU ten times.")] = (
        None
    )
    test_meta: Annotated[
        dict[str, Json],
        key(
            "Anything that reports are to show; `test_id`, `tester`, `description`, `dut`, "
            "`station`, `operator` and `batch` have fixed places there.",
            {"test_id": "PSU-7", "tester": "your name"},
            names=EARLY,
        ),
    ] = {}
    vars: Annotated[
        dict[str, Json],
        key(
            "Values for expressions, by name; each may have expressions over those before it.",
            {"gain": 2, "station": "bench_3"},
            names=EARLY,
        ),
    ] = {}
    required: Annotated[
        tuple[Text, ...],
        key("Names of vars that must be given from outside.", ["serial_number"]),
    ] = ()
    matrix: Annotated[
        dict[str, Json],
        key(
            "Lists by name: the recipe runs once for each combination of their values. `include` "
            "and `exclude` are as in GitHub Actions.",
            {"gain": [1, 2], "load": ["a", "b", "c"]},
            names=COLLECTED,
        ),
    ] = {}
    tags: Annotated[tuple[Tag, ...], key("Markers of all steps, for `-m`.", ["nightly"])] = ()
    fixtures: Annotated[
        tuple[Fixture, ...], key("Pytest fixtures that all steps need.", ["bench"])
    ] = ()
    locks: Annotated[
        tuple[Text, ...],
        key(
            "As on steps, but held from the first step to the last of `finally`, together with "
            "the locks of all steps.",
            ["bench_3"],
            names=EARLY,
        ),
    ] = ()
    needs: Annotated[
        tuple[Need, ...],
        key(
            "Paths of recipes that must have passed: they run before, once.",
            ["recipes/power_up.yaml"],
            written=tuple[FilePath, ...],
            own=True,
        ),
    ] = ()
    context: Annotated[
        Literal["session", "recipe"],
        key(
            "`session`: the session's one Context. `recipe`: reads fall through to that, and what "
            "the recipe writes or deletes ends with it.",
            "recipe",
        ),
    ] = "session"
    stop_on_failure: Annotated[
        bool,
        key(
            "`true`: after a failure nothing of the recipe but `finally` runs. One of a step with "
            "`continue_on_error` or `xfail` is none.",
            True,
        ),
    ] = False
    defaults: Annotated[
        Defaults,
        key(
            "Keys of all steps, those of `finally` too, that do not have them themselves.",
            {"timeout": "30s", "args": {"PORT": 5025}},
            own=True,
        ),
    ] = Defaults()
    secrets: Annotated[
        tuple[Secret, ...],
        key(
            "What is masked as `***` in every output: `env.NAME`, `vars.NAME`, `ctx.KEY`.",
            ["env.STATION_PIN", "ctx.session.key"],
        ),
    ] = ()
    steps: Annotated[
        tuple[Step, ...],
        key(
            "The steps, at least one.",
            [{"name": "hello", "type": "shell", "cmd": "scriptlets/shell/sample.sh"}],
            own=True,
        ),
    ]
    final: Annotated[
        tuple[Step, ...],
        key(
            "Steps that run at the end whatever became of the others.",
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
    at: dict[str, Place] = {}

    @property
    def key(self) -> str:
        """What a run of it is called: the id, with that of the cell where there is one."""
        return f"{self.id}[{self.cell.id}]" if self.cell else self.id

    def source(self, step: Step) -> "Recipe | Source":
        """The file that a step stands in."""
        return self if step.part is None else step.part.source

    def node(self, step: str) -> str:
        """The node id of a step of that name."""
        return f"{self.id}::{step}[{self.cell.id}]" if self.cell else f"{self.id}::{step}"

    @cached_property
    def _by_name(self) -> dict[str, Step]:
        return {step.name: step for step in self.steps + self.final}

    def step(self, name: str) -> Step:
        """The step of that name, in `steps` or in `final`.

        Raises:
            KeyError: There is none.
        """
        return self._by_name[name]
