"""The keys of steps of every type: frozen values, true from birth."""

import signal
from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Struct, field

from pytest_orchestrator import extending
from pytest_orchestrator.core.location import Place, Places
from pytest_orchestrator.recipe import rules
from pytest_orchestrator.recipe.expressions import Expression, Template
from pytest_orchestrator.recipe.kinds import (
    Count,
    FilePath,
    Fixture,
    Json,
    StepName,
    Tag,
    Text,
    key,
)
from pytest_orchestrator.recipe.measurement import Measurement
from pytest_orchestrator.recipe.names import AFTER, BEFORE
from pytest_orchestrator.recipe.output import Output
from pytest_orchestrator.recipe.part import Part
from pytest_orchestrator.recipe.ready import Ready
from pytest_orchestrator.recipe.retry import Retry
from pytest_orchestrator.recipe.success import Success

Timeout = Annotated[
    float | None,
    key(
        "The longest that the step may take: seconds, or a text such as `500ms`, `30s`, "
        "`2m`, `1h`.",
        "30s",
        written=int | float | str,
        rule=rules.seconds,
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
        rule=rules.label,
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
            rule=rules.signal_name,
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
