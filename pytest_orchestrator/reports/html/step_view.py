"""Step view of the page: logs, attachments, measurement bars."""

import contextlib
import math
import shlex
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from pytest_orchestrator.reports import failure
from pytest_orchestrator.reports import text as report_text
from pytest_orchestrator.reports.html.budget import Files, Room
from pytest_orchestrator.reports.text import cut, look, shown, sign, tail, told
from pytest_orchestrator.runs.record import LogFile, StepRecord, logs_in


class Limits(NamedTuple):
    """A bar, from 0 at its left to 1 at its right.

    Attributes:
        value: Where the value is.
        low: Where the range that is wanted begins; 0 where it has no lower limit.
        high: Where it ends; 1 where it has no upper one.
        is_point: One value is wanted, not a range.
    """

    value: float
    low: float
    high: float
    is_point: bool


def limits(measured: Mapping[str, Any]) -> Limits | None:
    """Return the bar of a measurement; None where there is no number, or no limit.

    Args:
        measured: A measurement as the block of a step has it.
    """
    value, equals = _number(measured.get("value")), _number(measured.get("equals"))
    low, high = _number(measured.get("low")), _number(measured.get("high"))
    if equals is not None:
        low = high = equals
    known = [one for one in (low, high) if one is not None]
    if value is None or not known:
        return None
    least, most = min([value, *known]), max([value, *known])
    # With one limit, as much room on its good side as makes a value near it look near.
    if len(known) == 1:
        room = max(abs(value - known[0]), abs(known[0]) * 0.5, 1e-12)
        least, most = min(least, known[0] - room), max(most, known[0] + room)
    if not (most > least):
        # Half of the smallest float is nothing.
        half = (abs(least) if abs(least) > 1e-300 else 1.0) / 2
        least, most = least - half, most + half
    span = most - least
    if not math.isfinite(span):
        return None
    least, span = least - span * 0.12, span * 1.24

    def at(place: float) -> float:
        return round(min(1.0, max(0.0, (place - least) / span)), 4)

    return Limits(
        at(value),
        0.0 if low is None else at(low),
        1.0 if high is None else at(high),
        low is not None and low == high,
    )


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer that no float can be
        return None
    return number if math.isfinite(number) else None


_FIGURES: Final = {
    "seconds": ("wall time", "s"),
    "cpu_user_seconds": ("CPU in user mode", "s"),
    "cpu_system_seconds": ("CPU in the kernel", "s"),
    "max_rss": ("peak memory, all processes", "MB"),
    "largest_rss": ("peak memory, largest process", "MB"),
    "rss_delta": ("growth of memory", "MB"),
    "heap_current": ("Python heap at the end", "MB"),
    "heap_peak": ("Python heap at most", "MB"),
    "read_bytes": ("read from storage", "MB"),
    "write_bytes": ("written to storage", "MB"),
    "processes": ("processes", ""),
}
_PEAKS: Final = ("max_rss", "largest_rss")
_MOST: Final = 60
_PICTURES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")


class Log(NamedTuple):
    """A log of a step: its end, and a link to the whole, which only a file of the run has."""

    name: str
    path: str
    text: str
    bytes: int
    href: str
    is_whole: bool
    cut: bool


class Attachment(NamedTuple):
    """A file that a step left; `picture` is the source of its thumbnail."""

    name: str
    path: str
    type: str
    bytes: int
    href: str
    picture: str


class Measurement(NamedTuple):
    """Something that was measured, and where it lies between its limits."""

    name: str
    value: str
    unit: str
    wanted: str
    margin: str
    verdict: str
    line: int | None
    bar: Limits | None


class StepView:
    """A step for the templates.

    Attributes:
        anchor: Where it is in the page.
        order: Its place among all steps of the run.
        step: The step.
        recipe: The name of its recipe.

    Args:
        files: The files of the run.
        room: What it may take of the page.
    """

    def __init__(
        self, anchor: str, order: int, step: StepRecord, recipe: str, files: Files, room: Room
    ) -> None:
        self.anchor, self.order, self.step, self.recipe = anchor, order, step, recipe
        self.block: Mapping[str, Any] = step.block or {}
        self.about: dict[str, Any] = step.about | step.outcome_fields
        self.used: Mapping[str, Any] = self.block.get("resources", {})
        self._files, self._room = files, room

    @property
    def name(self) -> str:
        """Its name."""
        return self.step.name

    @property
    def state(self) -> str:
        """Its state in a word."""
        return self.step.state

    @property
    def sign(self) -> str:
        """The sign of its state."""
        return sign(self.step.state)

    @property
    def look(self) -> str:
        """The look of its state."""
        return look(self.step.state)

    @property
    def seconds(self) -> str:
        """How long its body took, in seconds."""
        return report_text.seconds(self.used.get("seconds"))

    @cached_property
    def cpu(self) -> float | None:
        """Seconds of CPU that it took."""
        return report_text.added(
            self.used.get("cpu_user_seconds"), self.used.get("cpu_system_seconds")
        )

    @cached_property
    def wrote(self) -> str:
        """The keys that it wrote, for a narrow column."""
        keys = dict.fromkeys(write["key"] for write in self._writes)
        return cut(", ".join([*keys][:3]) + (f" and {len(keys) - 3} more" * (len(keys) > 3)), 160)

    @property
    def where(self) -> str:
        """The worker that ran it and its machine; empty where it ran beside pytest."""
        return report_text.worker(self.step.where)

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return list(self.about.get("tags", ()))

    @property
    def line(self) -> str:
        """What it is, where it stands, what it waits for and where it ran, in a line."""
        return report_text.line(self.about, self.step.recipe, self.where)

    @property
    def reason(self) -> str:
        """Why it did not pass, in a line."""
        found = self.about.get("reason", "")
        if not found and self.about.get("blocked_by"):
            found = f"blocked by {self.about['blocked_by']}"
        return cut(found, 300)

    @property
    def repeat(self) -> str:
        """A command that runs it again."""
        node = self.about.get("node") or f"{self.step.recipe}::{self.name}"
        told = self.block.get("recipe", {}).get("vars", {})
        return shown(failure.command(node, failure.options(told)))

    @property
    def text(self) -> str:
        """What pytest tells of its failure."""
        return cut(self.step.text.strip("\n"), self._room.text)

    @property
    def peak(self) -> str:
        """Peak memory in MB."""
        return report_text.peak_megabytes(self.used)

    @property
    def sorted_by(self) -> dict[str, int]:
        """Whole numbers to sort by; what was not measured is below all that was."""
        seconds, cpu = self.used.get("seconds"), self.cpu
        return {
            "seconds": -1 if seconds is None else round(seconds * 1e6),
            "cpu": -1 if cpu is None else round(cpu * 1e6),
            "peak": self.used.get("max_rss", -1),
        }

    @property
    def criteria(self) -> Iterator[dict[str, Any]]:
        """Its criteria, those that do not hold first."""
        most = self._room.value
        each = sorted(self.block.get("criteria", ()), key=lambda one: one["held"])
        for one in each[:_MOST]:
            unit = f" {one['unit']}" if one.get("unit") else ""
            measured = told(one["measured"], most) + unit if "measured" in one else ""
            reason = cut(one.get("reason", ""), most)
            wanted = told(one["wanted"], most)
            yield one | {"wanted": wanted, "measured": measured, "reason": reason}

    @property
    def measurements(self) -> list[Measurement]:
        """What was measured."""
        return [self._measured(one) for one in self.block.get("measurements", ())]

    @property
    def more_criteria(self) -> int:
        """Number of criteria that the page leaves out."""
        return max(0, len(self.block.get("criteria", ())) - _MOST)

    @property
    def writes(self) -> Iterator[dict[str, Any]]:
        """Its changes of the Context, the first of them."""
        for write in self._writes[:_MOST]:
            most = self._room.value
            old, new = (told(write.get(name), most) for name in ("old", "new"))
            yield write | {"old": old, "new": new, "had": write.get("old") is not None}

    @property
    def more_writes(self) -> int:
        """Number of changes that the page leaves out."""
        return max(0, len(self._writes) - _MOST)

    @property
    def figures(self) -> Iterator[tuple[str, str]]:
        """What it used: a name, and the figure with its unit."""
        for name, (word, unit) in _FIGURES.items():
            if name in self.used:
                value = self.used[name]
                plain = f"{value:,.3f}".rstrip("0").rstrip(".")
                shown = report_text.megabytes(value) if unit == "MB" else plain
                if name in _PEAKS:
                    shown = report_text.peak_megabytes(self.used, name)
                yield word, f"{shown} {unit}".rstrip()
        waited = self.block.get("time", {}).get("waited_seconds")
        if waited:
            yield "waited for locks", f"{waited:,.3f} s"

    @property
    def source(self) -> str:
        """Where the figures come from."""
        found = self.used.get("source", {})
        return ", ".join(f"{what}: {whence}" for what, whence in found.items())

    @property
    def given(self) -> Iterator[tuple[str, str]]:
        """What it was given, once expressions had their values."""
        for name, value in (self.block.get("given") or {}).items():
            yield cut(name, 100), told(value, self._room.value)

    @property
    def command(self) -> str:
        """The program that it started, with its arguments."""
        argv = self.block.get("process", {}).get("argv")
        return cut(shlex.join(argv), self._room.value) if argv else ""

    @property
    def process(self) -> Mapping[str, Any]:
        """How its process ended."""
        found: Mapping[str, Any] = self.block.get("process", {})
        return found

    @cached_property
    def logs(self) -> list[Log]:
        """The ends of its logs."""
        bad = self.look == "failed"
        most = self._room.failed_log if bad else self._room.log
        logs = self.step.logs or self._logs_on_disk(self.step.attempt)
        return list(self._logs(logs, most))

    @property
    def attempts(self) -> Iterator[dict[str, Any]]:
        """The attempts before the last one; for a step without a block, from the journal."""
        attempts = self.block.get("attempts", ())
        if not self.block:
            failed = self.step.failed
            attempts = [
                {"attempt": one.attempt, "kind": one.kind, "reason": one.reason} for one in failed
            ]
        for one in attempts[:_MOST]:
            logs = self._logs(logs_in(one) or self._logs_on_disk(one["attempt"]), 0)
            yield one | {"logs": list(logs), "reason": cut(one.get("reason", ""), 300)}

    @property
    def attachments(self) -> Iterator[Attachment]:
        """The files that it left."""
        for file, kind, size in self.step.artifacts[:_MOST]:
            picture = self._files.picture(file, kind) if kind in _PICTURES else ""
            name, path = cut(file.told.rpartition("/")[2], 200), cut(file.told, 200)
            yield Attachment(name, path, cut(kind, 60), size, self._files.href(file), picture)

    @property
    def warnings(self) -> list[str]:
        """What a person should know."""
        return [cut(one, 500) for one in self.block.get("warnings", ())[:_MOST]]

    @property
    def samples(self) -> Path | None:
        """The file with its samples."""
        return self._files.at(self.step.samples) if self.step.samples else None

    @property
    def _writes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.block.get("context", {}).get("writes", [])
        return found

    def _logs_on_disk(self, attempt: int) -> dict[str, LogFile]:
        """Return the log files of an interrupted step in the run folder, by stream."""
        logs: dict[str, LogFile] = {}
        for stream in ("stdout", "stderr", "log") if self.step.state == "interrupted" else ():
            file = self.step.log_file(stream, attempt)
            path = self._files.at(file)
            with contextlib.suppress(OSError):
                size = path.stat().st_size if path else 0
                if size:
                    logs[stream] = LogFile(file, size, cut=False)
        return logs

    def _measured(self, one: Mapping[str, Any]) -> Measurement:
        most = self._room.value
        low, high, equals = (
            told(one[name], most) if name in one else "" for name in ("low", "high", "equals")
        )
        wanted = f"= {equals}" if equals else f"{low or '…'} to {high}" if low and high else ""
        wanted = wanted or (f"≥ {low}" if low else f"≤ {high}" if high else "")
        margin = f"{one['margin']:.6g}" if isinstance(one.get("margin"), int | float) else ""
        value = told(one["value"], most) if "value" in one else "-"
        unit, verdict = cut(one.get("unit") or "", 20), one.get("verdict", "")
        bar = limits(one)
        return Measurement(one["name"], value, unit, wanted, margin, verdict, one.get("line"), bar)

    def _logs(self, logs: Mapping[str, LogFile], most: int) -> Iterator[Log]:
        for name, one in logs.items():
            path = self._files.at(one.file) if most else None
            found = tail(path, most) if path else None
            text, whole = (found.text, found.is_whole) if found else ("", False)
            href = self._files.href(one.file)
            yield Log(name, cut(one.file.told, 200), text, one.size, href, whole, one.cut)
