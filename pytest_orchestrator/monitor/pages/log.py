"""Log view: the output of a step, of any size."""

import re
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from pytest_orchestrator.monitor import log_file
from pytest_orchestrator.monitor.address import (
    Address,
    chosen_recipe,
    chosen_step,
    files_url,
    step_key,
)
from pytest_orchestrator.monitor.log_file import (
    Hit,
    Line,
    LogSource,
    Stream,
    is_open,
    sources,
    streams,
)
from pytest_orchestrator.monitor.pages.part import Part, part
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.text import cut, look, sign
from pytest_orchestrator.runs.record import NOT_REACHED, StepRecord

_LINES: Final = 1_000
"""Lines of a log on one page."""
_HITS: Final = 100
_MAX_CHOICES: Final = 500
_BEFORE: Final = 200
"""Lines that are shown before the line of a permalink."""
_PLACE: Final = re.compile(r"([LP])([1-9][0-9]{0,11})")


class Choices(Struct, frozen=True):
    """Options of a list to choose from: key and label of each, and the number of those left out."""

    options: list[tuple[str, str]]
    left_out: int


class Place(Struct, frozen=True):
    """The lines that a page shows.

    Attributes:
        lines: The lines.
        first: Number of the first one.
        last: Number of the last one.
        total: Number of all lines.
        chosen: Number of the line of a permalink; 0 without one.
        is_end: True if the page follows the end of the log.
    """

    lines: list[Line]
    first: int
    last: int
    total: int
    chosen: int
    is_end: bool

    @property
    def before(self) -> int:
        """Number of the first line of the part before this one."""
        return max(1, self.first - _LINES)


class Found(Struct, frozen=True):
    """Result of a search.

    Attributes:
        part: The matching lines on this page of them.
        is_more: True if more lines match than are listed.
        before: Number of the last matching line before the shown place; 0 without one.
        after: Number of the first matching line after it; 0 without one.
        numbers: The numbers of the matching lines in the shown part.
    """

    part: Part[Hit]
    is_more: bool
    before: int
    after: int
    numbers: frozenset[int]


class Content(Struct, frozen=True):
    """Content of the view.

    Attributes:
        step: The step; None if none has started.
        key: Its key in URLs.
        steps: The steps to choose from.
        parts: Attempts and elements to choose from.
        source: The chosen attempt or element.
        streams: Its logs.
        stream: The chosen log; None if there is none.
        href: URL of its file.
        is_open: True if the step still writes it.
        place: The shown lines; None without a log.
        found: Result of the search; None without one.
    """

    step: StepRecord | None
    key: str
    steps: Choices
    parts: Choices
    source: LogSource | None = None
    streams: list[Stream] = []
    stream: Stream | None = None
    href: str = ""
    is_open: bool = False
    place: Place | None = None
    found: Found | None = None


def content(view: RunView, one: Address) -> Content:
    """Return the content of the view.

    Args:
        view: The run.
        one: The address of the page: `key` is the attempt or element and the stream, such as
            ``2/stderr``, `at` the line, such as ``L120``, or the first line of a part,
            such as ``P1001``, `q` the text to search for, and `page`
            the page of matching lines.
    """
    step = _step(view, one)
    steps = _steps(view, one, step)
    if step is None:
        return Content(None, "", steps, Choices([], 0))
    every = sources(step)
    source, each, stream = _chosen(view, step, every, one.key)
    name = stream.name if stream else "stdout"
    options = [(f"{other.part}/{name}", other.label) for other in every]
    at = [key for key, _ in options].index(f"{source.part}/{name}")
    near = max(0, min(at - _MAX_CHOICES // 2, len(options) - _MAX_CHOICES))
    shown = options[near : near + _MAX_CHOICES]
    parts = Choices(shown, len(options) - len(shown))
    key = step_key(step)
    if stream is None or stream.path is None:
        return Content(step, key, steps, parts, source, each, stream)
    try:
        place, found = _read(stream, one)
    except OSError:  # deleted in the meantime
        place, found = None, None
    href = files_url(view.folder.name) + quote(stream.recorded_path)
    return Content(
        step, key, steps, parts, source, each, stream, href, is_open(step, source), place, found
    )


def version(view: RunView, one: Address) -> str:
    """Return a text that changes when the log grows.

    Args:
        view: The run.
        one: The address of the page.
    """
    step = _step(view, one)
    if step is None or (step.elements and step.ended is None):
        return ""  # the log of an element is complete when the journal names it
    *_, stream = _chosen(view, step, sources(step), one.key)
    return f"{stream.name}{stream.size}" if stream else ""


def _step(view: RunView, one: Address) -> StepRecord | None:
    """Return the chosen step; else the first that failed, or the one that started last."""
    if step := chosen_step(view, one):
        return step
    recipe = chosen_recipe(view, one)
    each = recipe.steps.values() if recipe else view.record.steps
    started = [step for step in each if step.lines[0] and step.state != "skipped"]
    if view.record.state != "running":
        failed = [step for step in started if look(step.state) == "failed"]
        if failed:
            return min(failed, key=lambda step: step.lines[1])
    return max(started, key=lambda step: step.lines[0], default=None)


def _steps(view: RunView, one: Address, chosen: StepRecord | None) -> Choices:
    """Return the steps to choose from; of very many, those around the chosen one."""
    recipe = chosen_recipe(view, one) if one.recipe else None
    several = len(view.record.recipes) > 1 and recipe is None
    each = recipe.steps.values() if recipe else view.record.steps
    steps = [step for step in each if step.state not in NOT_REACHED or step is chosen]
    at = steps.index(chosen) if chosen in steps else 0
    first = max(0, min(at - _MAX_CHOICES // 2, len(steps) - _MAX_CHOICES))
    shown = steps[first : first + _MAX_CHOICES]
    options = [(step_key(step), _label(step, several=several)) for step in shown]
    return Choices(options, len(steps) - len(shown))


def _label(step: StepRecord, *, several: bool) -> str:
    of = f" · {cut(step.recipe, 80)}" if several else ""
    return f"{sign(step.word)} {cut(step.name, 80)}{of} ({step.word})"


def _chosen(
    view: RunView, step: StepRecord, every: list[LogSource], key: str
) -> tuple[LogSource, list[Stream], Stream | None]:
    """Return the chosen attempt or element, its logs and the chosen one of these."""
    name, _, wanted = key.rpartition("/")
    source = next((one for one in every if one.part == name), every[0])
    if not key and not source.files:
        source = next((one for one in every if _is_failed(one)), source)
    each = streams(view, step, source)
    by_name = {one.name: one for one in each}
    if wanted in by_name:
        return source, each, by_name[wanted]
    order = ("stderr", "stdout", "log") if look(step.state) == "failed" else STREAM_ORDER
    full = [by_name[name] for name in order if name in by_name and by_name[name].size]
    return source, each, next(iter(full or each), None)


STREAM_ORDER: Final = ("stdout", "stderr", "log")
"""Order in which the first log that is not empty is opened, unless the step failed."""


def _is_failed(source: LogSource) -> bool:
    return bool(source.files) and source.label.endswith("(failed)")


def _read(stream: Stream, one: Address) -> tuple[Place, Found | None]:
    """Return the chosen lines of a log, and the lines that the search finds."""
    assert stream.path is not None  # the caller has checked it  # noqa: S101
    total = log_file.count(stream.path)
    match = _PLACE.fullmatch(one.at)
    number = min(int(match[2]), total) if match else 0
    chosen = number if match and match[1] == "L" else 0
    hits = log_file.search(stream.path, one.q) if one.q else None
    if hits and hits.lines and not number:
        number = chosen = hits.lines[0].number
    end = max(1, total - _LINES + 1)
    first = max(1, number - _BEFORE if chosen else number) if number else end
    first = min(first, end)
    lines = log_file.lines(stream.path, first, _LINES)
    last = first + len(lines) - 1
    place = Place(lines, first, last, total, chosen, not number)
    if hits is None:
        return place, None
    numbers = [hit.number for hit in hits.lines]
    index = next((at for at, number in enumerate(numbers) if number >= chosen), len(numbers))
    after = index + (numbers[index : index + 1] == [chosen])
    page = one.page if one.page > 1 else index // _HITS + 1
    return place, Found(
        part(hits.lines, page, _HITS),
        hits.is_more,
        numbers[index - 1] if index else 0,
        numbers[after] if after < len(numbers) else 0,
        frozenset(number for number in numbers if first <= number <= last),
    )
