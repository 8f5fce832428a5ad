"""What a recipe is once it is read: frozen values, true from birth.

Each key that a file may have is a field with its description and an example, from which
the reference and the JSON Schema are made. Fields without them come from the loader.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from msgspec import Struct, field

from pytest_orchestrator.core.place import Place
from pytest_orchestrator.recipe import rules
from pytest_orchestrator.recipe.kinds import (
    Dotted,
    EnvName,
    EnvValue,
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
from pytest_orchestrator.recipe.retry import Retry
from pytest_orchestrator.recipe.success import Success


class Criterion(Struct, frozen=True):
    """One thing that must hold after a step.

    Attributes:
        name: The key in ``success``, such as ``ctx_has_keys``.
        wanted: What it asks for; where the file has a list of things, one of them.
        place: Where it stands.
    """

    name: str
    wanted: Json
    place: Place


class Step(Struct, frozen=True, kw_only=True):
    """What steps of every type have.

    Attributes:
        index: Position in the order in which the recipe runs, from 1; the steps of
            ``finally`` come after the others.
        is_final: The step stands in ``finally``.
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
            rule=rules.not_negative,
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
    implicit: Annotated[
        bool,
        key("`false`: never run just because a selected step needs this one.", False),
    ] = True
    xfail: Annotated[Text | None, key("The reason why the step is expected to fail.", "BUG-17")] = (
        None
    )
    timeout: Annotated[
        float | None,
        key(
            "The longest that the step may take: seconds, or a text such as `500ms`, `30s`, "
            "`2m`, `1h`.",
            "30s",
            written=int | float | str,
            rule=rules.seconds,
        ),
    ] = None
    retry: Annotated[
        Retry | None,
        key(
            "How often the step is tried until it does not fail, and the wait in between.",
            {"attempts": 3, "delay": "2s", "backoff": 2},
            own=True,
        ),
    ] = None
    locks: Annotated[
        tuple[Text, ...],
        key(
            "Names of what there is once on this machine: held while the step runs, across all "
            "pytest processes.",
            ["psu"],
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

    index: int = 0
    is_final: bool = False
    at: dict[str, Place] = {}

    @property
    def line(self) -> int:
        """The line in which the step begins, from 1."""
        return self.at[""].line


class PythonStep(Step, frozen=True, kw_only=True, tag_field="type", tag="python"):
    """A step that calls a class or a function."""

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
        key("What the class or function is given as `params`.", {"message": "Hi"}),
    ] = {}
    isolation: Annotated[
        Literal["process", "inline"],
        key(
            "`process`: a supervised process of its own. `inline`: pytest's own process, as "
            "where the step has `fixtures` or a person debugs.",
            "inline",
        ),
    ] = "process"
    heap: Annotated[
        bool,
        key("`true`: measure the Python heap of the step, which makes it slower.", True),
    ] = False


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
        ),
    ]
    args: Annotated[
        dict[EnvName, EnvValue],
        key(
            "Environment variables of the command: text as it is, all else as JSON, `null` unsets.",
            {"MESSAGE": "Hi"},
        ),
    ] = {}
    stdin: Annotated[
        Json,
        key("What the command reads: text as it is, all else as JSON.", {"channel": 1}),
    ] = None
    parse: Annotated[
        Literal["json", "last-line", "data", "text"],
        key(
            "What stdout is: `json` one object with a `status`, `last-line` such an object in "
            "its last line, `data` any JSON, `text` anything.",
            "last-line",
        ),
    ] = "json"
    cwd: Annotated[
        FilePath | None,
        key("Where the command runs, relative to the rootdir, the default.", "firmware"),
    ] = None


STEP_TYPES: dict[str, type[PythonStep] | type[ShellStep]] = {
    "python": PythonStep,
    "shell": ShellStep,
}


class Recipe(Struct, frozen=True, kw_only=True, dict=True):
    """A file of steps.

    Attributes:
        id: The path relative to the rootdir with forward slashes, absolute where it is not
            below the rootdir.
        path: The file.
        text: Its text, without a byte order mark.
        sha256: Digest of its bytes, in hexadecimal.
        at: Where the value of each key that was given stands.
    """

    version: Annotated[int, key("Number of the format: 1.", 1, rule=rules.format_number)] = 1
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
    at: dict[str, Place] = {}

    @cached_property
    def _by_name(self) -> dict[str, Step]:
        return {step.name: step for step in self.steps + self.final}

    def step(self, name: str) -> Step:
        """The step of that name, in `steps` or in `final`.

        Raises:
            KeyError: There is none.
        """
        return self._by_name[name]
