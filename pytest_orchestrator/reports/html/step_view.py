"""Step on a page: logs, attachments, measurement bars."""

import contextlib
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, Struct

from pytest_orchestrator.core.figures.notation import is_number, notation
from pytest_orchestrator.core.json_values import finite_number
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.reports import text as report_text
from pytest_orchestrator.reports.html.budget import ContentBudget, Files
from pytest_orchestrator.reports.html.output import Log, logs, until_errors, without_closing
from pytest_orchestrator.reports.html.trends import samples_chart, usage_charts
from pytest_orchestrator.reports.quantities import duration, need_of
from pytest_orchestrator.reports.text import cut, json_text, look, shown, sign
from pytest_orchestrator.runs.block import (
    Attempt,
    Block,
    Criterion,
    Element,
    Write,
    marginal_count,
    plain,
)
from pytest_orchestrator.runs.block import Measurement as MeasurementPart
from pytest_orchestrator.runs.folder import LogFile, logs_in
from pytest_orchestrator.runs.record import ACTIVE, StepRecord
from pytest_orchestrator.runs.verdicts import NOT_GOOD

if TYPE_CHECKING:
    from pytest_orchestrator.reports.html.budget import Preview
    from pytest_orchestrator.reports.html.chart import Chart
    from pytest_orchestrator.reports.html.element_view import ElementTable
    from pytest_orchestrator.reports.quantities import Quantity


_RANGE: Final = (0.15, 0.85)
"""Positions of the two limits on every bar, so that the bars of a table can be compared."""


class Limits(Struct, frozen=True):
    """Positions on a measurement bar, from 0 at its left end to 1 at its right end.

    Attributes:
        value: Position of the value; 0 or 1 if it is beyond the bar.
        low: Start of the expected range; 0 without a lower limit.
        high: End of the expected range; 1 without an upper limit.
        clear: Start and end of the range that is not marginal; None if no value is marginal.
    """

    value: float
    low: float
    high: float
    clear: tuple[float, float] | None = None


def limits(measured: MeasurementPart) -> Limits | None:
    """Return the positions on the bar of a measurement; None if it lacks a number or a limit.

    The limits are at the same two positions on each bar. With one limit, the other position is
    that of 0; a limit of 0 is one value away from it.

    Args:
        measured: A measurement of the block of a step.
    """
    value, equals = finite_number(measured.value), finite_number(measured.equals)
    low, high = finite_number(measured.low), finite_number(measured.high)
    if value is None or (equals is None and low is None and high is None):
        return None
    start, end = _RANGE
    if equals is not None:
        low = high = equals
        start = end = 0.5
    zero = low if low is not None else high if high is not None else 0.0
    origin = end if low is None else start
    span = high - low if low is not None and high is not None else 0.0
    span = span or abs(zero) or abs(value) or 1.0
    if not (0 < span < math.inf):
        return None

    def at(place: float) -> float:
        moved = (place - zero) / span * (_RANGE[1] - _RANGE[0])
        return round(min(1.0, max(0.0, origin + moved)), 4)

    near, far = finite_number(measured.marginal_low), finite_number(measured.marginal_high)
    has_margin = near is not None or far is not None
    first, last = 0.0 if low is None else start, 1.0 if high is None else end
    clear = first if near is None else at(near), last if far is None else at(far)
    return Limits(at(value), first, last, clear if has_margin else None)


_FIGURES: Final = {
    "seconds": ("Wall time", "s"),
    "cpu_user_seconds": ("CPU user", "s"),
    "cpu_system_seconds": ("CPU system", "s"),
    "max_rss": ("Peak memory, all processes", "MB"),
    "largest_rss": ("Peak memory, largest process", "MB"),
    "rss_delta": ("Memory growth", "MB"),
    "heap_current": ("Python heap at the end", "MB"),
    "heap_peak": ("Python heap peak", "MB"),
    "read_bytes": ("Read from storage", "MB"),
    "write_bytes": ("Written to storage", "MB"),
    "processes": ("Processes", ""),
}
_FIGURE_GROUPS: Final = {"cpu": "CPU time", "memory": "Peak memory", "io": "Storage"}
_LEAST_BYTES: Final = 50_000
"""Size from which on a figure in MB is not zero."""
_PEAKS: Final = ("max_rss", "largest_rss")
MOST_LISTED: Final = 60
"""Maximum number of criteria, attempts, files and other entries of a list in a step."""
_VAR: Final = lazy_pattern(r"\bvars\.(\w+)")
_PICTURES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")


class Attachment(Struct, frozen=True):
    """An artifact of a step; `picture` is the `src` of its thumbnail."""

    name: str
    path: str
    type: str
    bytes: int
    href: str
    picture: str
    preview: "Preview | None"


class Measurement(Struct, frozen=True):
    """A measurement with its limits and its bar.

    Attributes:
        texts: Its figures.
        limits: Its limits as a text, without the unit.
        verdict: pass, marginal, fail, recorded or unset.
        sign: Sign of the verdict.
        look: Style of the verdict.
        may_fail: True if it is out of its limits and cannot fail the step.
        is_notable: True if it is marginal, or did not pass.
        bar: Positions on its bar; None without a number or a limit.
    """

    name: str
    texts: "Quantity"
    limits: str
    verdict: str
    sign: str
    look: str
    may_fail: bool
    is_notable: bool
    line: int
    bar: Limits | None

    @property
    def value(self) -> str:
        """The value."""
        return self.texts.value

    @property
    def unit(self) -> str:
        """The unit of value and limits."""
        return self.texts.unit

    @property
    def marginal(self) -> bool:
        """True if the value passes and is near a limit."""
        return self.verdict == "marginal"


def measurement_view(measured: MeasurementPart) -> Measurement:
    """Return the view of a measurement of a block, with its texts and its bar."""
    from pytest_orchestrator.reports import quantities

    texts = quantities.quantity(measured)
    verdict = quantities.verdict_of(measured)
    return Measurement(
        measured.name,
        texts,
        quantities.limits_text(texts),
        verdict,
        quantities.VERDICT_SIGNS[verdict],
        quantities.look_of(measured),
        bool(measured.allow_fail) and verdict in ("fail", "unset"),
        verdict not in ("pass", "recorded"),
        measured.line,
        limits(measured),
    )


_NO_BLOCK: Final = SimpleNamespace(**dict.fromkeys(Block.__struct_fields__, UNSET))


def _texts(criterion: Criterion, most: int) -> tuple[str, str]:
    """Return the expected value of a criterion, a range as in ``1…10``, and the measured one."""
    wanted, value = criterion.wanted, criterion.measured
    is_range = isinstance(wanted, dict) and wanted and wanted.keys() <= {"low", "high"}
    ends = wanted if is_range else {"equals": wanted}
    made = notation([value], **ends)

    def text(one: Any) -> str:
        return made.text(one) if is_number(one) else json_text(one, most)

    low, high = ("" if ends.get(name) is None else text(ends[name]) for name in ("low", "high"))
    shown = text(wanted)
    if is_range:
        shown = f"{low}…{high}" if low and high else f"≥ {low}" if low else f"≤ {high}"
    return shown, "" if value is UNSET else text(value)


class StepView:
    """View of a step for the templates.

    Attributes:
        parts: The block; without one, an object whose parts are all unset.
        anchor: Anchor of the step on the page.
        order: Number of the step among all steps of the run.
        step: The step.
        recipe: The name of its recipe.
        name: Name of the step.
        state: State of the step.
        blocker: Anchor of the step that blocks it; empty without one.
        xfail: Reason why it is expected to fail; empty unless it is `xfailed`.
        href: URL that shows or hides its panel, on a page that a server renders; else empty.
        log_href: URL of its log on such a page.
        since: Start of its attempt in seconds since the epoch, while it runs; else 0.
        is_open: True if its panel is open.
        has_panel: True if the page has its panel.

    Args:
        files: The files of the run.
        budget: The amount of content that the step may use on the page.
    """

    href = log_href = ""
    since = 0.0
    is_open, has_panel = False, True

    def __init__(
        self,
        anchor: str,
        order: int,
        step: StepRecord,
        recipe: str,
        files: Files,
        budget: ContentBudget,
    ) -> None:
        self.anchor, self.order, self.step, self.recipe = anchor, order, step, recipe
        self.name, self.state = step.name, step.word
        self.xfail = self.blocker = ""
        self.block = step.block
        self.parts: Any = self.block or _NO_BLOCK
        self.about: dict[str, Any] = step.about | step.outcome_fields
        self.used: Mapping[str, Any] = step.figures
        self._files, self._budget = files, budget

    @property
    def sign(self) -> str:
        """Sign of the state."""
        return sign(self.state)

    @property
    def look(self) -> str:
        """Style of the state."""
        return look(self.state)

    @property
    def is_unfinished(self) -> bool:
        """True if it runs, or was running when its run ended."""
        return self.step.state == "interrupted" or self.step.state in ACTIVE

    @property
    def seconds(self) -> str:
        """Duration of the step code; a dash if it did not run."""
        seconds = self.used.get("seconds")
        return "-" if seconds is None else duration(seconds)

    @property
    def cpu(self) -> float | None:
        """CPU time in seconds; None if it was not measured."""
        used = self.used
        return report_text.added(used.get("cpu_user_seconds"), used.get("cpu_system_seconds"))

    @property
    def written_keys(self) -> str:
        """The first Context keys that the step wrote, for a narrow column."""
        if not self._writes:
            return ""
        keys = dict.fromkeys(write.key for write in self._writes)
        return cut(", ".join([*keys][:3]) + (f" and {len(keys) - 3} more" * (len(keys) > 3)), 160)

    @property
    def where(self) -> str:
        """The Dask worker that ran the step, and its host; empty if no Dask worker ran it."""
        return report_text.worker(self.step.where)

    @property
    def tags(self) -> list[str]:
        """Tags of the step."""
        return self.about.get("tags") or []

    @property
    def line(self) -> str:
        """Type, position, dependencies and worker of the step, in one line."""
        return report_text.line(self.about, self.step.recipe, self.where)

    @property
    def reason(self) -> str:
        """Reason why it did not pass, in one line."""
        reason = self.about.get("reason", "")
        if self.state == "xfailed":
            why = f" ({reason})" if reason and reason != self.xfail else ""
            return cut(f"expected to fail: {self.xfail or 'no reason is given'}{why}", 300)
        if not reason and self.about.get("blocked_by"):
            reason = f"blocked by {self.about['blocked_by']}"
        if self.state == "skipped" and "vars." in reason and self.block:
            reason += self._vars_in(reason)
        return cut(reason, 300)

    def _vars_in(self, reason: str) -> str:
        """Return the values of the vars that a reason names, as in `` (volts = 12)``."""
        known = (self.block and self.block.recipe.vars) or {}
        names = [name for name in dict.fromkeys(_VAR.findall(reason)) if name in known]
        values = ", ".join(f"{name} = {json_text(known[name].value, 60)}" for name in names)
        return f" ({values})" if values else ""

    @property
    def kind(self) -> str:
        """Kind of the failure, in words; empty if the step did not fail."""
        kind = str(self.about.get("kind") or "").replace("_", " ")
        return "check" if kind == "criterion" else kind

    @property
    def badge(self) -> str:
        """Kind of the failure; empty if its reason or its state says the same."""
        kind = self.kind
        return "" if kind == "check" or self.reason.startswith(kind) or kind == self.state else kind

    @property
    def rerun_command(self) -> str:
        """Shell command that runs the step again."""
        node = self.about.get("node") or f"{self.step.recipe}::{self.name}"
        if self.about.get("sampled"):  # it is no item: its recipe runs again
            node = node.partition("::")[0]
        from pytest_orchestrator.reports import failure

        options = failure.options((self.block and plain(self.block.recipe).get("vars")) or {})
        if self.block and self.block.run.replay:  # a copy of the command must not drive the bench
            options.append(f"--recipe-instruments=replay:{self.block.run.replay}")
        return shown(failure.command(node, options))

    @property
    def text(self) -> str:
        """Failure text, up to the failed checks: the panel has the rest in full."""
        return cut(until_errors(self.step.text), self._budget.text)

    @property
    def evidence(self) -> str:
        """Failure text with the end of stderr, without figures and commands."""
        return cut(without_closing(self.step.text), self._budget.text)

    @property
    def peak(self) -> str:
        """Peak memory in MB."""
        return report_text.peak_megabytes(self.used)

    @property
    def sorted_by(self) -> dict[str, int]:
        """Integers by which the table of steps is sorted; a figure that was not measured is -1."""
        seconds, cpu = self.used.get("seconds"), self.cpu
        return {
            "seconds": -1 if seconds is None else round(seconds * 1e6),
            "cpu": -1 if cpu is None else round(cpu * 1e6),
            "peak": self.used.get("max_rss", -1),
        }

    @property
    def criteria(self) -> Iterator[dict[str, Any]]:
        """Criteria of the step, unmet ones first."""
        most = self._budget.value
        for criterion in sorted(self._criteria, key=lambda criterion: criterion.held)[:MOST_LISTED]:
            unit = f" {criterion.unit}" if criterion.unit else ""
            value = criterion.measured
            wanted, measured = _texts(criterion, most)
            yield plain(criterion) | {
                "wanted": wanted,
                "measured": f"{measured}{unit}" if measured else "",
                "exact": f"{value}{unit}" if isinstance(value, float) else "",
                "reason": cut(criterion.reason or "", most),
            }

    @property
    def _criteria(self) -> list[Criterion]:
        """Criteria of the step, without its measurements, which have a table."""
        if self.block is None:
            return []
        if not self.block.measurements:
            return self.block.criteria
        measured = {one.name for one in self.block.measurements}
        return [one for one in self.block.criteria if one.name not in measured]

    @property
    def marginal(self) -> int:
        """Number of measurements that pass but are near a limit."""
        return marginal_count(self.block)

    @property
    def has_measurements(self) -> bool:
        """True if the step, or an element of it, may have a measurement."""
        block = self.block
        return block is not None and bool(block.measurements or block.elements)

    @property
    def measurements(self) -> list[Measurement]:
        """Measurements of the step; those out of their limits are first, then marginal ones."""
        measured = (self.block and self.block.measurements) or ()
        return [measurement_view(each) for each in sorted(measured, key=need_of)]

    @cached_property
    def elements(self) -> "ElementTable | None":
        """Table of the elements of ``foreach``; None for a step without it."""
        elements = self._elements
        if not elements:
            return None
        from pytest_orchestrator.reports.html.element_view import table

        return table(elements, self._budget.value)

    @property
    def element_curves(self) -> "list[Chart]":
        """Charts of the measurements over the elements of ``foreach``."""
        from pytest_orchestrator.reports.html.element_view import curves

        return list(curves(self._elements))

    def element_logs(self, element: Element) -> list[Log]:
        """Return the logs of the last attempt of an element, without their texts."""
        return list(logs(self._files, logs_in(element), 0, ""))

    @property
    def _elements(self) -> Sequence[Element]:
        return self.step.block_elements

    @property
    def curve(self) -> "Chart | None":
        """Chart of the samples of a sampled value; None for steps."""
        return samples_chart(self.block) if self.block else None

    @property
    def more_criteria(self) -> int:
        """Number of criteria that the page omits."""
        return max(0, len(self._criteria) - MOST_LISTED)

    @property
    def writes(self) -> Iterator[dict[str, Any]]:
        """First changes of the Context by the step."""
        for write in self._writes[:MOST_LISTED]:
            most = self._budget.value
            old, new = json_text(write.old, most), json_text(write.new, most)
            yield plain(write) | {"old": old, "new": new, "had": write.old is not None}

    @property
    def more_writes(self) -> int:
        """Number of changes that the page omits."""
        return max(0, len(self._writes) - MOST_LISTED)

    @property
    def figures(self) -> Iterator[tuple[str, str]]:
        """Resource figures: label, and value with unit."""
        used = self.used
        alone = used.get("largest_rss") == used.get("max_rss")
        for name, (label, unit) in _FIGURES.items():
            if name in used and not (alone and name == "largest_rss"):
                if name in _PEAKS:
                    yield label, f"{report_text.peak_megabytes(used, name)} MB"
                elif unit == "MB":
                    if abs(used[name]) >= _LEAST_BYTES:
                        yield label, f"{used[name] / 1_000_000:.1f} MB"
                else:
                    yield label, duration(used[name]) if unit else f"{used[name]:,}"
        time = self.block.time if self.block else None
        if time and time.waited_seconds:
            yield "Waiting for locks", duration(time.waited_seconds)

    @property
    def source(self) -> str:
        """Sources of the resource figures."""
        found = self.used.get("source", {}).items()
        texts = [f"{_FIGURE_GROUPS.get(name, name)}: {text}" for name, text in found]
        return "; ".join(texts).replace("wait4", "kernel accounting")

    @property
    def inputs(self) -> Iterator[tuple[str, str]]:
        """Inputs of the step code, with expressions replaced by values."""
        for name, value in ((self.block and self.block.given) or {}).items():
            yield cut(name, 100), json_text(value, self._budget.value)

    @property
    def command(self) -> str:
        """The program that the step started, with its arguments."""
        argv = self.block.process.argv if self.block and self.block.process else None
        return cut(shlex.join(argv), self._budget.value) if argv else ""

    @property
    def process(self) -> Mapping[str, Any]:
        """The process of the step."""
        return plain(self.block.process) if self.block and self.block.process else {}

    @cached_property
    def logs(self) -> list[Log]:
        """Logs of the step, each with the end of its text."""
        is_failed = self.state in NOT_GOOD
        most = self._budget.failed_log if is_failed else self._budget.log
        files = self.step.logs or self._unfinished_logs(self.step.attempt)
        return list(logs(self._files, files, most, f"L{self.order}"))

    @property
    def last_output(self) -> float:
        """Time of the last output, in seconds since the start; 0 if it is not known."""
        return max((log.last_time for log in self.logs), default=0.0)

    @property
    def attempts(self) -> Iterator[dict[str, Any]]:
        """The failed attempts before the last one, from the block or else from the journal."""
        attempts = (self.block.attempts or ()) if self.block else self.step.failed
        for attempt in attempts[:MOST_LISTED]:
            files = logs_in(attempt) if isinstance(attempt, Attempt) else {}
            files = files or self._unfinished_logs(attempt.attempt)
            anchor = f"L{self.order}a{attempt.attempt}"
            seconds = {"seconds": attempt.seconds} if isinstance(attempt, Attempt) else {}
            yield {
                "attempt": attempt.attempt,
                "kind": attempt.kind,
                "reason": cut(attempt.reason, 300),
                "logs": list(logs(self._files, files, self._budget.log, anchor)),
                **seconds,
            }

    @property
    def attachments(self) -> Iterator[Attachment]:
        """Artifacts of the step."""
        for one in self.step.artifacts[:MOST_LISTED]:
            file, kind = one.file, one.type
            picture = self._files.picture(file, kind) if kind in _PICTURES else ""
            name, path = (
                cut(file.recorded_path.rpartition("/")[2], 200),
                cut(file.recorded_path, 200),
            )
            href, shown = self._files.href(file), self._files.preview(one)
            yield Attachment(name, path, cut(kind, 60), one.size, href, picture, shown)

    @property
    def warnings(self) -> list[str]:
        """Warnings of the step."""
        return [cut(warning, 500) for warning in self._warnings[:MOST_LISTED]]

    @property
    def answers(self) -> list[str]:
        """One sentence for each answer of a person: the button, the name, the place and time."""
        answers = (self.block and self.block.answers) or ()
        places = {"terminal": "at the terminal", "page": "on the operator page"}
        return [
            f"{cut(one.button, 60)}, answered by {cut(one.who, 200)} "
            f"{places.get(one.where, 'before the run')} at {cut(one.when, 60)}"
            for one in answers[:MOST_LISTED]
        ]

    @property
    def _warnings(self) -> Sequence[str]:
        return (self.block and self.block.warnings) or ()

    @property
    def usage_charts(self) -> "list[Chart]":
        """Charts of the memory and the CPU usage of the step over time."""
        return usage_charts(self.samples, self._budget.points) if self.samples else []

    @property
    def samples(self) -> Path | None:
        """File with the resource samples of the step."""
        return self._files.at(self.step.samples) if self.step.samples else None

    @property
    def _writes(self) -> list[Write]:
        return self.block.context.writes if self.block else []

    def _unfinished_logs(self, attempt: int) -> dict[str, LogFile]:
        """Return the log files of an unfinished step, by stream; no report block names them."""
        logs: dict[str, LogFile] = {}
        for stream in ("stdout", "stderr", "log") if self.is_unfinished else ():
            file = self.step.log_file(stream, attempt)
            path = self._files.at(file)
            with contextlib.suppress(OSError):
                size = path.stat().st_size if path else 0
                if size:
                    logs[stream] = LogFile(file, size, cut=False)
        return logs
