"""Values of a certificate that its template shows."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pytest_orchestrator.addons.certificate.issues import Issue
from pytest_orchestrator.addons.certificate.verdict import Finding, Ruling, rule
from pytest_orchestrator.reading import SENT_NOT_CONFIRMED, epoch_seconds
from pytest_orchestrator.rendering import (
    FIXED,
    LABELS,
    SIMPLE,
    STATEMENTS,
    VERDICT_SIGNS,
    Line,
    Quantity,
    Row,
    counted,
    cut,
    decimals_of,
    duration,
    element_label,
    has_limits,
    json_text,
    local_time,
    look,
    meta_rows,
    notation,
    quantity,
    sign,
    utc_time,
    verdict_of,
)

if TYPE_CHECKING:
    from pytest_orchestrator.reading import (
        InstrumentOpened,
        Measurement,
        RecipeRecord,
        RunRecord,
        StepRecord,
        Verification,
    )

_LONG: Final = 300
_MOST_ROWS: Final = 3_000
_MOST_ITEMS: Final = 200
_MOST_NAMES: Final = 12
"""Maximum number of steps that a finding names."""
_SAFE_LINKS: Final = ("https://", "http://", "mailto:")
_LOOKS: Final = {
    "not complete": "incomplete",
    "replay": "simulated",
    "conditional pass": "incomplete",
}
_SIGNS: Final = {
    "passed": "✔",
    "failed": "✘",
    "not complete": "□",
    "simulated": "≈",
    "replay": "↺",
    "conditional pass": "◐",
}


class Group(NamedTuple):
    """Findings with the same text.

    Attributes:
        kind: failure, gap or remark.
        steps: Names of the steps; empty if they concern the whole run.
        text: The text.
    """

    kind: str
    steps: str
    text: str


class MeasurementRow(NamedTuple):
    """Row of the table of measurements.

    Attributes:
        step: Name of the step.
        is_first: True if the row above is of another step.
        name: Name of the measurement, with the index of the element of ``foreach``.
        item: The element; empty without ``foreach``.
        texts: Its figures.
        verdict: pass, marginal, fail, recorded or unset.
        sign: Sign of the verdict.
        may_fail: True if the measurement cannot fail the step.
        instrument: Name of the instrument that measured it; may be empty.
        uncertainty: U with k = 2, with its unit; empty without one.
    """

    step: str
    is_first: bool
    name: str
    item: str
    texts: Quantity
    verdict: str
    sign: str
    may_fail: bool
    instrument: str
    uncertainty: str


class StepRow(NamedTuple):
    """A step in the list of steps."""

    name: str
    state: str
    sign: str
    look: str
    duration: str


class InstrumentRow(NamedTuple):
    """An instrument that the recipe used.

    Attributes:
        name: Its name in the station file.
        what: Manufacturer, model and serial number by the station file, else its answer to *IDN?.
        resource: Its VISA resource.
        certificate: Number of its certificate of calibration; a dash without one.
        calibrated: Day of the calibration.
        due: Day on which it is due; a dash without one.
        overdue: A sentence if that day has passed.
    """

    name: str
    what: str
    resource: str
    certificate: str
    calibrated: str
    due: str
    overdue: str


class Certificate:
    """View of the certificate of a recipe.

    Args:
        run: The run.
        recipe: Its recipe; each cell of a matrix is one.
        verification: The verification of the run folder.
        issue: Its number, and the number that it replaces.
    """

    def __init__(
        self,
        run: "RunRecord",
        recipe: "RecipeRecord",
        verification: "Verification",
        issue: Issue,
    ) -> None:
        self._run = run
        self._recipe = recipe
        self._verification = verification
        self._issue = issue
        self.ruling: Ruling = rule(run, recipe, verification)
        self.word = self.ruling.words[0]
        self.title = self.word.upper()
        self.look = _LOOKS.get(self.word, self.word)
        self.simulated = ", ".join(cut(one, 80) for one in self.ruling.simulated)
        self.sign = _SIGNS[self.word]
        self._measured = [*_measured(recipe)]
        shown = self._measured
        if len(shown) > _MOST_ROWS:  # the notable ones first, then as many as fit, in their order
            by_need = sorted(range(len(shown)), key=lambda at: _rank(shown[at][2]))
            shown = [shown[at] for at in sorted(by_need[:_MOST_ROWS])]
        self.measurements = [*_rows(shown)]
        self.left_out = len(self._measured) - len(shown)

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return cut(self._recipe.name, 200)

    @property
    def cell(self) -> str:
        """Values of the cell of the matrix; empty without a matrix."""
        matrix = self._recipe.about.get("matrix")
        if isinstance(matrix, Mapping):
            return cut(
                ", ".join(f"{key} = {json_text(one, 80)}" for key, one in matrix.items()), 200
            )
        return cut(str(self._recipe.about.get("cell") or ""), 200)

    @property
    def description(self) -> str:
        """Description of the recipe; may be empty."""
        return cut(" ".join(str(self._recipe.about.get("description") or "").split()), 600)

    @property
    def statement(self) -> str:
        """The verdict as a sentence."""
        total = sum(not step.sampled for step in self._recipe.steps.values())
        ruling = self.ruling
        text = f"{ruling.ran:,} of {counted(total, 'step')} passed"
        if ruling.skipped:
            own = "was skipped by its" if ruling.skipped == 1 else "were skipped by their"
            text += f", {ruling.skipped:,} {own} own condition"
        measured = len(self._measured)
        if measured:
            good = sum(one.verdict == "pass" and has_limits(one) for _, _, one, _ in self._measured)
            free = sum(
                one.verdict == "pass" and not has_limits(one) for _, _, one, _ in self._measured
            )
            text += f"; {good:,} of {counted(measured - free, 'measurement')} within limits"
            text += f", {free:,} recorded without limits" if free else ""
        return f"{text}."

    @property
    def others(self) -> list[str]:
        """The words that hold beside the verdict."""
        return [word.upper() for word in self.ruling.words[1:]]

    @property
    def failures(self) -> list[Group]:
        """The reasons why the recipe failed."""
        return _grouped(self.ruling.of("failure"))

    @property
    def gaps(self) -> list[Group]:
        """Gaps: steps or proofs that a complete test would have."""
        return _grouped(self.ruling.of("gap"))

    @property
    def remarks(self) -> list[Group]:
        """Remarks that a reader has to know, also of a recipe that has passed."""
        return _grouped([*self.ruling.of("remark"), *self._unconfirmed()])

    def _unconfirmed(self) -> Iterator[Finding]:
        names = {one.name for one in self.instruments}
        for one in getattr(self._run, "made_safe", ()):
            if one.instrument in names and one.confirmation == SENT_NOT_CONFIRMED and not one.run:
                text = f"instrument {cut(one.instrument, 80)}: safe state {SENT_NOT_CONFIRMED}"
                yield Finding("remark", "", text)

    @property
    def identity(self) -> list[Row]:
        """Rows that identify certificate, laboratory, unit and test: all of `test_meta`, too."""
        station = _station(self._environment)
        rows = [
            _row("Certificate", self.number),
            _row("Replaces", self.replaces),
            _row("Issued", local_time(self._issue.at)),
            _row("Laboratory", str(station.get("laboratory") or "")),
            _row("Place", str(station.get("place") or "")),
        ]
        return [*filter(None, rows), *meta_rows(self._recipe.test_meta, FIXED)]

    @property
    def rules(self) -> list[Row]:
        """The decision rules of the measurements with limits, with the risk of each."""
        limited = [one for _, _, one, _ in self._measured if has_limits(one)]
        used = {one.rule or SIMPLE for one in limited}
        rows = [
            Row(name, [Line("", f"{said.rule} (ILAC-G8:09/2019, {said.clause}). {said.risk}")])
            for name, said in STATEMENTS.items()
            if name in used
        ]
        if any(one.uncertainty for one in limited):
            text = "the expanded uncertainty of measurement, with k = 2 (some 95 %)"
            rows.append(Row("U", [Line("", text)]))
        return rows

    @property
    def ambient(self) -> list[Row]:
        """The conditions of the environment that were measured."""
        rows = []
        for step, name, one, _ in self._measured:
            if one.ambient:
                shown = quantity(one)
                rows.append(_row(name, f"{shown.value} {shown.unit}".strip() + f" (step {step})"))
        return [row for row in rows if row is not None][:_MOST_ITEMS]

    @property
    def has_uncertainty(self) -> bool:
        """True if a measurement has an uncertainty."""
        return any(row.uncertainty for row in self.measurements)

    @property
    def test(self) -> list[Row]:
        """Rows about the run: times, recipe, machine, settings."""
        run = self._run
        start, stop = self._window()
        seconds = max(epoch_seconds(stop) - epoch_seconds(start), 0.0) if start and stop else None
        started, environment = run.started, self._environment
        rows = [
            Row("Started", [Line("", local_time(start), hint=utc_time(start))]),
            Row("Duration", [Line("", duration(seconds) if seconds is not None else "-")]),
            _row("Computer", self._computer()),
            _row("Command", shlex.join(["pytest", *started.argv]) if started else ""),
            _row("Revision", _revision(environment.get("git"))),
            _row("Versions", _versions(environment)),
            _row("Vars set for this run", self._vars()),
            _row("Answers of", ", ".join(self._people())),
            self._file(),
        ]
        return [row for row in rows if row is not None]

    @property
    def _environment(self) -> "Mapping[str, Any]":
        """Provenance of the run; empty without its first event."""
        return self._run.started.environment if self._run.started else {}

    def _computer(self) -> str:
        started = self._run.started
        user = self._environment.get("user")
        host = started.host if started else ""
        return ", ".join(one for one in (host, f"user {user}" if user else "") if one)

    def _file(self) -> Row:
        about = self._recipe.about
        lines = [Line("", cut(self._recipe.path, _LONG))]
        if about.get("sha256"):
            lines.append(Line("SHA-256", cut(str(about["sha256"]), 64)))
        return Row("Recipe", lines)

    def _window(self) -> tuple[str, str]:
        """Return the start and the end of the steps that ran in this run; empty if none did."""
        times = [
            step.block.time
            for step in self._recipe.steps.values()
            if step.block and step.block.time and not (step.ended and step.ended.restored)
        ]
        if not times:
            return self._recipe.started, ""
        return min(one.start for one in times), max(one.stop for one in times)

    def _vars(self) -> str:
        given = self._recipe.about.get("vars")
        given = given if isinstance(given, Mapping) else {}
        return ", ".join(
            f"{name} = {json_text(one.get('value'), 80)} ({one.get('origin')})"
            for name, one in given.items()
            if isinstance(one, Mapping) and one.get("origin") != "recipe"
        )

    def _people(self) -> list[str]:
        return list(
            dict.fromkeys(
                answer.who
                for step in self._recipe.steps.values()
                for answer in (step.block and step.block.answers) or ()
            )
        )

    @property
    def instruments(self) -> list[InstrumentRow]:
        """The instruments that the recipe used; empty if the record has none."""
        return [
            InstrumentRow(
                cut(one.instrument, 80),
                cut(_described(one), 160),
                cut(one.resource, 120) + " (simulated)" * bool(one.simulation),
                cut(str(one.settings.get("certificate") or "-"), 60),
                cut(one.calibrated, 40) or "-",
                cut(one.due, 40) or "-",
                cut(one.overdue, 160),
            )
            for one in self._recipe.opened.values()
        ]

    @property
    def info(self) -> list[Row]:
        """Rows and links of plugins."""
        info = self._recipe.info
        if info is None:
            return []
        rows = [
            Row(cut(label, 80), [Line("", cut(text, _LONG))]) for label, text in info.rows.items()
        ]
        for label, url in info.links.items():
            href = url if url.lower().startswith(_SAFE_LINKS) else ""
            rows.append(Row(cut(label, 80), [Line("", cut(url, _LONG), href)]))
        return rows[:_MOST_ITEMS]

    @property
    def steps(self) -> list[StepRow]:
        """All steps in order."""
        kinds = {one.step: one.kind for one in (*self.ruling.of("gap"), *self.ruling.of("failure"))}
        return [
            StepRow(
                cut(f"{step.name}{' (sampled value)' * step.sampled}", 160),
                cut(step.word, 40),
                *_step_sign(step.word, kinds.get(step.name, "")),
                _seconds_of(step),
            )
            for step in self._recipe.steps.values()
        ][:_MOST_ROWS]

    @property
    def has_margin(self) -> bool:
        """True if a measurement has a margin."""
        return any(row.texts.margin for row in self.measurements)

    @property
    def decimals(self) -> int:
        """Decimals for which the columns of numbers keep room."""
        return decimals_of(row.texts for row in self.measurements)

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return cut(self._run.id or self._verification.run, 80)

    @property
    def seal(self) -> str:
        """Hash of the last line of the journal; empty if the journal has no seal."""
        return self._verification.seal if self._verification.state == "finished" else ""

    @property
    def holds(self) -> bool:
        """True if the run folder is complete and unmodified."""
        return self._verification.holds

    @property
    def proof(self) -> str:
        """Description of what the seal covers."""
        lines = counted(self._verification.lines, "journal line")
        return f"{lines} and {counted(self._verification.files, 'file')}"

    @property
    def number(self) -> str:
        """Number of the certificate: the run, and the number of the issue."""
        return f"{self.run_id}-{self._issue.number}"

    @property
    def replaces(self) -> str:
        """Number of the certificate that it replaces; empty without one."""
        return f"{self.run_id}-{self._issue.replaces}" if self._issue.replaces else ""

    @property
    def header(self) -> str:
        """Line at the head of each page, as the content of a string in CSS."""
        dut = next((row for row in self.identity if row.label == LABELS["dut"]), None)
        unit = "" if dut is None or dut.is_missing else ", ".join(one.text for one in dut.lines)
        return _css_string(f"Certificate {self.number}{f' · {cut(unit, 80)}' if unit else ''}")

    @property
    def footer(self) -> str:
        """Line at the foot of each page, as the content of a string in CSS."""
        seal = f"seal {self.seal[:12]}…" if self.seal else "no seal"
        parts = [self.title, f"{self.name}{f' [{self.cell}]' if self.cell else ''}", seal]
        return _css_string(" · ".join(cut(one, 60) for one in parts))


def _grouped(findings: "Iterable[Finding]") -> list[Group]:
    """Join findings with the same text, in the order of the first of them."""
    steps: dict[tuple[str, str], list[str]] = {}
    for one in findings:
        steps.setdefault((one.kind, one.text), []).append(one.step)
    groups = []
    for (kind, text), names in steps.items():
        more = len(names) - _MOST_NAMES
        shown = ", ".join(cut(name, 100) for name in names[:_MOST_NAMES] if name)
        others = f" and {more:,} more" if more > 0 else ""
        groups.append(Group(kind, shown + others, cut(text, 2 * _LONG)))
    return groups[:_MOST_ROWS]


def _row(label: str, text: str) -> Row | None:
    return Row(label, [Line("", cut(text, _LONG))]) if text else None


def _described(opened: "InstrumentOpened") -> str:
    keys = ("manufacturer", "model", "serial")
    known = [str(opened.settings[key]) for key in keys if opened.settings.get(key)]
    return ", ".join(known) or opened.idn


def _station(environment: "Mapping[str, Any]") -> "Mapping[str, Any]":
    """Return the description of the station file; empty without one."""
    file = environment.get("station_file")
    return file if isinstance(file, Mapping) else {}


def _versions(environment: "Mapping[str, Any]") -> str:
    """Return the versions of Python, pytest and this package, and the file of the station."""
    plugins = environment.get("plugins")
    own = plugins.get("pytest-orchestrator") if isinstance(plugins, Mapping) else None
    station = _station(environment)
    parts = {
        "Python": environment.get("python"),
        "pytest": environment.get("pytest"),
        "pytest-orchestrator": own,
        "station file": station.get("path"),
        "SHA-256": str(station.get("sha256") or "")[:12],
    }
    return ", ".join(f"{name} {text}" for name, text in parts.items() if text)


def _revision(git: object) -> str:
    if not isinstance(git, Mapping):
        return ""
    branch = f" ({git['branch']})" if git.get("branch") else ""
    changes = ", with uncommitted changes" if git.get("dirty") else ""
    return f"{str(git.get('revision', ''))[:12]}{branch}{changes}".strip()


def _seconds_of(step: "StepRecord") -> str:
    if step.block and step.block.time and not (step.ended and step.ended.restored):
        return duration(step.block.time.seconds)
    return ""


_Measured = tuple[str, str, "Measurement", str]


def _measured(recipe: "RecipeRecord") -> Iterator[_Measured]:
    """Yield step, name, measurement and element of all measurements of a recipe."""
    for step in recipe.steps.values():
        block = step.block
        for one in (block and block.measurements) or ():
            yield step.name, one.name, one, ""
        for element in step.block_elements:
            for one in element.measurements or ():
                label = element_label(element.index, element.item)
                item = label.partition("] ")[2]
                yield step.name, f"{one.name}[{element.index}]", one, item


def _uncertainty(one: "Measurement") -> str:
    if not one.uncertainty:
        return ""
    unit = cut(one.unit or "", 40)
    return notation([one.uncertainty], unit=unit, most=2).with_unit(one.uncertainty)


def _rank(one: "Measurement") -> bool:
    return verdict_of(one) in ("pass", "recorded")


def _rows(measured: "Iterable[_Measured]") -> Iterator[MeasurementRow]:
    last = None
    for step, name, one, item in measured:
        verdict = verdict_of(one)
        yield MeasurementRow(
            cut(step, 160),
            step != last,
            cut(name, 160),
            cut(item, 60),
            quantity(one),
            verdict,
            VERDICT_SIGNS[verdict],
            bool(one.allow_fail),
            cut(one.instrument or "", 80),
            _uncertainty(one),
        )
        last = step


def _step_sign(word: str, kind: str) -> tuple[str, str]:
    """Return sign and style of a step, by its word and the kind of a finding about it.

    Args:
        word: The word for its state.
        kind: ``failure`` or ``gap`` for a step that keeps its recipe from passing, else empty.
    """
    if kind == "gap":
        return "□", "waiting"
    if kind == "failure" and look(word) != "failed":
        return "✘", "failed"
    return sign(word), look(word)


def _css_string(text: str) -> str:
    """Return a text as the content of a string in CSS: all but letters and digits as escapes."""
    plain = text.encode("utf-8", "replace").decode()
    return "".join(
        one if (one.isascii() and one.isalnum()) or one == " " else f"\\{ord(one):x} "
        for one in plain
    )
