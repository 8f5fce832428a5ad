"""Types of the history store: what is kept of a run after its folder is deleted.

The names of fields are the format of the files: a new field has a default, and no field is renamed
or removed while `VERSION` is the same. Fields that a later version has added are ignored. The
figures of a step are its duration, CPU time, memory and measurements that are numbers, by name.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import UNSET

from pytest_orchestrator.core.json_values import finite_number
from pytest_orchestrator.core.result import is_memory_bound
from pytest_orchestrator.runs.block import Block, Measurement, Part, measurements_of
from pytest_orchestrator.runs.verdicts import Word, is_good, word_of

if TYPE_CHECKING:
    from pytest_orchestrator.runs.record import StepRecord


VERSION: Final = "1"
"""Version of the format of the files."""

MEASURED: Final = "measurements."
"""Prefix of the names of figures that are measurements of the step."""


class PastMeasurement(Measurement, frozen=True, kw_only=True, omit_defaults=True):
    """A measurement with its limits and its verdict, with the fields that a report block has.

    A limit or value that does not exist is `msgspec.UNSET`. The `name` of a measurement of an
    element of ``foreach`` ends with the index of the element, as in ``ripple[3]``.

    Attributes:
        element: The element of ``foreach`` as text; None without one.
    """

    element: str | None = None

    @property
    def figure(self) -> float | None:
        """The value if it is a finite number that a float can represent, else None."""
        value: Any = self.value
        return None if finite_number(value) is None else value


class PastStep(Part, frozen=True, kw_only=True, omit_defaults=True):
    """A step of a recipe in a run; steps that were not selected or not reached are left out.

    Attributes:
        name: Name of the step.
        state: Its state at the end of the run, such as passed, failed, blocked or restored.
        kind: Kind of its failure, such as ``timeout``; empty without one.
        reason: Reason why it did not pass; may be empty.
        attempts: Number of its attempts; 0 if its step code did not run in this run.
        reruns: Number of times that a pytest plugin ran it again after a failure.
        sampled: True for a sampled value, which is no step.
        stopped: Its end, in ISO 8601 UTC; empty if it did not run in this run.
        seconds: Duration of its step code in seconds, in the last attempt; None if it did not run.
        cpu_seconds: CPU time of the last attempt in seconds; None if not measured.
        max_rss: Peak memory of the last attempt in bytes; None if not measured.
        digest: SHA-256 of the step: its keys with their values, and its files. Empty if unknown.
        measurements: Its measurements; those of a restored step are of an earlier run.
    """

    name: str
    state: str
    kind: str = ""
    reason: str = ""
    attempts: int = 0
    reruns: int = 0
    sampled: bool = False
    stopped: str = ""
    seconds: float | None = None
    cpu_seconds: float | None = None
    max_rss: int | None = None
    digest: str = ""
    measurements: tuple[PastMeasurement, ...] = ()

    @property
    def word(self) -> str:
        """The word that reports show for its state, see `word_of`."""
        return word_of(self.state, self.kind)

    @property
    def was_repeated(self) -> bool:
        """True if it had more than one attempt, or a plugin of pytest ran it again."""
        return self.attempts > 1 or self.reruns > 0

    @property
    def figures(self) -> dict[str, float]:
        """The figures of the step by name; empty if it did not run.

        The names are ``seconds``, ``cpu_seconds``, ``max_rss``, and those of measurements with the
        prefix `MEASURED`.
        """
        if self.seconds is None:
            return {}
        used = {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "max_rss": self.max_rss}
        figures = {name: value for name, value in used.items() if value is not None}
        for one in self.measurements:
            if (value := one.figure) is not None:
                figures[MEASURED + one.name] = value
        return figures


class PastRecipe(Part, frozen=True, kw_only=True, omit_defaults=True):
    """A recipe, or a cell of its matrix, in a run.

    Attributes:
        key: Its path, followed by the cell of its matrix if it has one.
        path: Path of the recipe from the rootdir.
        name: Name of the recipe.
        cell: The cell of its matrix, or the unit; empty without a matrix and units.
        unit: Name of the unit of a panel; the key ends with it. Empty without units.
        verdict: passed, failed, timeout, error, interrupted, not run, skipped or empty.
        cause: Reason of the first step, or of the safe state, that did not pass; or empty.
        started: Start of the recipe, in ISO 8601 UTC.
        seconds: Time from the start of its first step to the end of its last one, in this run.
        test_meta: The `test_meta` of the recipe; it has the unit under test below ``dut``.
        vars: Values of its vars; a value of more than 1,000 bytes is ``sha256:`` with its digest.
        digest: SHA-256 of the text of the recipe.
        digests: SHA-256 of the files that its steps run, by path.
        selected: Number of its steps that were selected.
        total: Number of all its steps; a partly selected recipe has more of them.
        only_restored: True if the run restored all its steps from an earlier run.
        simulated: Names of the simulated instruments that were in use while it ran.
        instruments: The instruments that were in use, each with its identity and calibration.
        remarks: Why it counts in no baseline, yield, chart or estimate, see `summary.remarks_of`.
        steps: Its steps, in order.
    """

    key: str
    path: str
    name: str
    cell: str = ""
    unit: str = ""
    verdict: Word
    cause: str = ""
    started: str = ""
    seconds: float = 0.0
    test_meta: dict[str, Any] = msgspec.field(default_factory=dict)
    vars: dict[str, Any] = msgspec.field(default_factory=dict)
    digest: str = ""
    digests: dict[str, str] = msgspec.field(default_factory=dict)
    selected: int = 0
    total: int = 0
    only_restored: bool = False
    simulated: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    steps: tuple[PastStep, ...] = ()

    @property
    def is_tested(self) -> bool:
        """False if all its steps were restored; files of earlier versions lack the field."""
        restored = bool(self.steps) and all(one.state == "restored" for one in self.steps)
        return not (self.only_restored or restored)

    @property
    def is_whole(self) -> bool:
        """True if all steps of the recipe were selected."""
        return self.selected == self.total

    @property
    def is_reference(self) -> bool:
        """True if runs are compared with it: it passed, without remarks and in no gauge study."""
        return is_good(self.verdict) and not self.remarks and not self.is_study

    @property
    def is_study(self) -> bool:
        """True for a run of a gauge study, whose parts and people vary on purpose."""
        return bool(self.test_meta.get("study"))

    @property
    def dut(self) -> str:
        """The unit under test as text, with the values of a mapping joined; empty if unknown."""
        return joined(self.test_meta.get("dut"))

    @property
    def by_name(self) -> dict[str, PastStep]:
        """The steps by name."""
        return {step.name: step for step in self.steps}


class PastRun(Part, frozen=True, kw_only=True):
    """A run that has ended.

    Attributes:
        version: Version of the format.
        id: Id of the run, the name of its folder.
        state: finished; interrupted if its journal has no seal; damaged if the journal was changed.
        started: Start of the run, in ISO 8601 UTC; empty if unknown.
        seconds: Duration from the first line of the journal to its last.
        verdict: passed, failed, timeout, error, interrupted, empty or damaged.
        cause: Why the run was interrupted, such as ``SIGTERM`` or ``killed``; or the damage of its
            journal, as ``line 12: it was changed``. Empty for other runs.
        exit_status: Exit status of pytest; None if its end was not recorded.
        host: Name of the machine.
        station: ``station`` in `test_meta` of its recipes, else the name of the station file.
        operator: ``operator`` in `test_meta` of its recipes, else the people who answered
            questions.
        resumed_from: Id of the run that this one resumed; empty if none.
        environment: Versions, platform, user and revision of the project, as the journal has them.
        seal: Hash of the last line of the journal; empty if it has no seal.
        recipes: Its recipes; none of a damaged run.
    """

    version: str = VERSION
    id: str
    state: Literal["finished", "interrupted", "damaged"]
    started: str = ""
    seconds: float = 0.0
    verdict: Word
    cause: str = ""
    exit_status: int | None = None
    host: str = ""
    station: str = ""
    operator: str = ""
    resumed_from: str = ""
    environment: dict[str, Any] = msgspec.field(default_factory=dict)
    seal: str = ""
    recipes: tuple[PastRecipe, ...] = ()


def only_tested(run: PastRun) -> PastRun:
    """Return a run without the recipes that it only restored, which are no runs in the history."""
    recipes = tuple(one for one in run.recipes if one.is_tested)
    return msgspec.structs.replace(run, recipes=recipes) if recipes != run.recipes else run


def joined(value: object) -> str:
    """Return a value of `test_meta` as text: the values of a mapping or list joined by spaces."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return " ".join(filter(None, map(joined, value.values())))
    return " ".join(filter(None, map(joined, value))) if isinstance(value, list) else str(value)


def by_recipe(runs: Iterable[PastRun]) -> dict[str, list[tuple[PastRun, PastRecipe]]]:
    """Return the runs that have a recipe, each with the recipe, by key of the recipe."""
    found: dict[str, list[tuple[PastRun, PastRecipe]]] = {}
    for run in runs:
        for recipe in run.recipes:
            found.setdefault(recipe.key, []).append((run, recipe))
    return found


def encoded(run: PastRun) -> bytes:
    """Return a run as the JSON text of its file."""
    return msgspec.json.encode(run) + b"\n"


def decoded(data: bytes) -> PastRun | None:
    """Return the run in the JSON text of a file; None if it is none of this version."""
    try:
        run = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return run if run.version == VERSION else None


_decode: Final = msgspec.json.Decoder(PastRun).decode


FIGURES: Final = {"seconds": "s", "cpu_seconds": "s", "max_rss": "bytes"}
"""Figures that all steps have, each with its unit."""


def figures_of(step: "StepRecord") -> dict[str, float]:
    """Return the figures of a step; empty for a step that did not run.

    Returns:
        The figures by name: those of `FIGURES`, and measurements with the prefix `MEASURED`.
    """
    block = step.block
    if block is None or step.state == "restored":
        return {}
    figures = usage_in(block)
    for one in measurements_of(block) if figures else ():
        if isinstance(one.value, int | float) and not isinstance(one.value, bool):
            figures[MEASURED + one.name] = one.value
    return figures


def usage_in(block: Block) -> dict[str, float]:
    """Return the figures of `FIGURES` in a block; empty if the step did not run."""
    used = block.resources
    if not used:
        return {}
    figures: dict[str, float] = {"seconds": used.seconds}
    cpu = [one for one in (used.cpu_user_seconds, used.cpu_system_seconds) if one is not UNSET]
    if cpu:
        figures["cpu_seconds"] = round(sum(cpu), 6)
    if used.max_rss is not UNSET and not is_memory_bound(used.source):
        figures["max_rss"] = used.max_rss
    return figures


def units_of(step: "StepRecord") -> dict[str, str]:
    """Return the units of the measurements of a step, by name of the figure."""
    measured = measurements_of(step.block)
    return {MEASURED + one.name: one.unit for one in measured if one.unit}


def precisions_of(step: "StepRecord") -> dict[str, int]:
    """Return the `precision` of the measurements of a step that have one, by figure."""
    measured = measurements_of(step.block)
    return {MEASURED + one.name: one.precision for one in measured if one.precision}
