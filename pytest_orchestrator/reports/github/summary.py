"""GitHub job summary: totals, then recipes, failures, measurements and graphs; and annotations.

Texts come from steps and journals. None of them can end the element or the workflow command in
which it stands, or become a link, a picture, a mention, a formula or HTML.
"""

import html
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.core.text import CONTROLS, counted
from pytest_orchestrator.reports import text as report_text
from pytest_orchestrator.reports.graph.nodes import MOST, graph
from pytest_orchestrator.reports.graph.picture import legend_of, mermaid
from pytest_orchestrator.reports.measurement_text import look_of, margin, with_unit
from pytest_orchestrator.reports.quantities import duration, has_limits, limits_text, quantity
from pytest_orchestrator.reports.states import Legend, legend
from pytest_orchestrator.reports.summary import Unsafe, verdict
from pytest_orchestrator.runs.block import Measurement, Place, measurements_of, plain
from pytest_orchestrator.runs.verdicts import (
    NOT_GOOD,
    STATES,
    Word,
    counts,
    is_good,
    of_run,
    rank,
    worst,
)

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block


MOST_ANNOTATIONS = 10
"""Number of errors that GitHub shows for one step of a job."""

FAILURES = NOT_GOOD
"""States of steps and tests that are shown as failures."""


class Mark(NamedTuple):
    """Failure or problem at a position in a file, shown as an annotation.

    Attributes:
        path: The file, relative to the rootdir.
        line: Line, from 1.
        column: Column, from 1.
        title: Name of the step or file.
        text: The failure or problem, on one line.
    """

    path: str
    line: int
    column: int
    title: str
    text: str

    def annotation(self, prefix: str = "") -> str:
        """Return the workflow command that annotates the position.

        Args:
            prefix: Path of the rootdir in the repository, ending with a slash; empty if both are
                the same.
        """
        path, title = _property(prefix + self.path), _property(self.title)
        where = f"file={path},line={self.line},col={self.column},title={title}"
        return f"::error {where}::{_message(self.text)}"


def marks(blocks: "Iterable[Block]") -> list[Mark]:
    """Return the failures of steps, each at its position in the recipe."""
    failures = []
    for block in blocks:
        step = block.step
        if step.state not in FAILURES:
            continue
        place = step.place or Place(path=block.recipe.path, line=step.line, column=1)
        text = step.reason or step.state
        failures.append(Mark(place.path, place.line, place.column, step.node, text))
    return failures


def annotations(failures: Sequence[Mark], problems: Sequence[Mark], prefix: str = "") -> list[str]:
    """Return workflow commands for at most ten annotations and for the number of others.

    Args:
        failures: Failures of steps; they come first.
        problems: Problems in recipes that cannot be read.
        prefix: As for `Mark.annotation`.
    """
    all_marks = [*failures, *problems]
    lines = [mark.annotation(prefix) for mark in all_marks[:MOST_ANNOTATIONS]]
    rest = len(all_marks) - len(lines)
    if rest:
        more = f"{rest} more failure" + ("s are" if rest > 1 else " is")
        lines.append(f"::notice title=pytest-orchestrator::{more} in the log of this step")
    return lines


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


MOST_BYTES = 900 * 1024
"""Size limit of the summary, in bytes.

GitHub refuses a summary above 1 MiB, and other programs of the same job step may add to it.
"""

# Rows and characters, so that usually no part of the summary is cut at `MOST_BYTES`.
_MOST_RECIPES = 200
_MOST_PROBLEMS = 50
_MOST_FAILURES = 50
_MOST_MEASUREMENTS = 50
_MOST_GRAPHS = 10
_MOST_COLUMNS = 20
_MOST_ROWS = 50
_MAX_REASON = 300
_MAX_NAME = 200
_MAX_CELL = 40

Recipes = Mapping[str, "Sequence[Block]"]
"""The blocks of each run of a recipe, by the name of the run."""


class Failure(NamedTuple):
    """Failed step or test, shown in a section of its own.

    Attributes:
        node: Its node id.
        state: Its state: failed, timeout, error or interrupted.
        reason: Why it failed, in one line; may be empty.
        text: The failure text of pytest; may be empty.
    """

    node: str
    state: str
    reason: str
    text: str


class Session(NamedTuple):
    """Facts of a session beside its recipes.

    Attributes:
        tests: Number of tests that are no steps, by outcome.
        cause: Why the session was interrupted; empty if it was not.
        report: Path of the report or of the run folder; empty if there is none.
        unsafe: The safe states that were not reached, by recipe.
        simulated: Names of the simulated instruments.
        replay: Id of the run that has answered for the instruments; empty without one.
    """

    tests: Mapping[str, int] = {}
    cause: str = ""
    report: str = ""
    unsafe: Unsafe = MappingProxyType({})
    simulated: Sequence[str] = ()
    replay: str = ""


def summary(
    recipes: Recipes,
    failures: Sequence[Failure],
    problems: Sequence[Mark],
    session: Session = Session(),  # noqa: B008  # a frozen value
    room: int = MOST_BYTES,
) -> str:
    """Return the summary of a job in GitHub's Markdown.

    Args:
        recipes: The blocks of all steps, by the name of the run of the recipe.
        failures: The failed steps and tests.
        problems: Problems in recipes that cannot be read.
        session: Facts of the session.
        room: Size limit in bytes; parts beyond it are omitted, graphs first.
    """
    verdicts = {name: verdict(one, session.unsafe.get(name, ())) for name, one in recipes.items()}
    names = sorted(recipes, key=lambda name: rank(verdicts[name]))
    ranked = {name: recipes[name] for name in names}
    parts = [*_head(ranked, verdicts, problems, session)]
    parts += _table(ranked, verdicts)
    parts += _matrices(ranked, verdicts)
    parts += _problems(problems)
    parts += _failures(failures)
    parts += _measurements(ranked)
    parts += _graphs(ranked, verdicts)
    cut = f"… the rest is omitted: GitHub accepts no summary above 1 MiB. {_whole(session)}\n"
    text, left = "", room - len(cut.encode())
    for part in parts:
        size = len(part.encode()) + 1
        if size > left:
            return text + cut
        text, left = f"{text}{part}\n", left - size
    return text


def _whole(session: Session) -> str:
    return f"All of it is in {code(session.report)}." if session.report else ""


def _signed(word: str) -> str:
    return f"{report_text.sign(word)} {word}"


def _unbroken(text: str) -> str:
    """Return an escaped text for a column of a table, in which its line is not broken."""
    return text.replace(" ", "&nbsp;")


def _counted(counts: Mapping[str, int]) -> str:
    """Return counts by state in the order of the table of states, each with its sign."""
    known = [state for state in STATES if counts.get(state)]
    rest = [state for state in counts if state not in STATES and counts[state]]
    return " · ".join(
        f"{report_text.sign(state)} {counts[state]:,} {plain_text(state)}"
        for state in (*known, *rest)
    )


def _head(
    recipes: Recipes,
    verdicts: Mapping[str, Word],
    problems: Sequence[Mark],
    session: Session,
) -> Iterator[str]:
    """Yield the verdict, the totals, and the place of the report."""
    more: list[Word] = ["error"] if problems else []
    more += ["interrupted"] if session.cause else []
    word = of_run(verdicts.values(), (one for one in session.tests if session.tests[one]), more)
    cause = f" ({plain_text(session.cause)})" if session.cause and word == "interrupted" else ""
    yield f"## {_signed(word)}{cause}\n"
    steps = counts(block.step for blocks in recipes.values() for block in blocks)
    measured = [
        one for blocks in recipes.values() for block in blocks for one in measurements_of(block)
    ]
    lines = [f"**{steps.total():,} steps**: {_counted(steps)}"] if steps else []
    empty = [code(b.step.node) for bs in recipes.values() for b in bs if b.elements == []]
    if empty:
        shown = ", ".join(empty[:_MOST_ROWS])
        lines.append(f"**{counted(len(empty), 'loop')}, the list is empty**: {shown}")
    if session.replay:
        lines.append(f"**REPLAY, no instrument was used**: {code(session.replay)}")
    if session.simulated:
        names = ", ".join(map(code, session.simulated))
        lines.append(f"**simulated, no real instrument**: {names}")
    if any(session.tests.values()):
        count = sum(session.tests.values())
        lines.append(f"**{counted(count, 'other test')}**: {_counted(session.tests)}")
    if measured:
        looks = Counter(look_of(one) for one in measured)
        lines.append(f"**{counted(len(measured), 'measurement')}**: {_counted(looks)}")
    facts = [_duration(block for blocks in recipes.values() for block in blocks)]
    facts += [_units(recipes)]
    lines.append(" · ".join(filter(None, facts)))
    yield "<br>\n".join(filter(None, lines)) + "\n"
    if session.report:
        yield f"Report: {code(session.report)} in the workspace of the job\n"


def _duration(blocks: "Iterable[Block]") -> str:
    """Return the time from the start of the first step to the end of the last one."""
    times = [block.time for block in blocks if block.time and block.step.state != "restored"]
    if not times:
        return ""
    first = min(epoch_seconds(one.start) for one in times)
    return duration(max(epoch_seconds(one.stop) for one in times) - first)


def _dut(blocks: "Sequence[Block]") -> str:
    """Return the ``dut`` of a recipe; the values of a mapping keep their names."""
    dut = blocks[0].recipe.test_meta.get("dut") if blocks else None
    if isinstance(dut, dict):
        return ", ".join(f"{name}: {value}" for name, value in dut.items())
    return "" if dut is None else str(dut)


def _units(recipes: Recipes) -> str:
    units = dict.fromkeys(filter(None, map(_dut, recipes.values())))
    if len(units) == 1:
        return f"unit under test {code(report_text.cut(next(iter(units)), _MAX_NAME))}"
    return f"{len(units)} units under test" if units else ""


def _table(recipes: Recipes, verdicts: Mapping[str, Word]) -> list[str]:
    """Return the table of recipes, the worst first; the cells of a matrix share a row."""
    if not recipes:
        return []
    groups: dict[str, list[str]] = {}
    for name, blocks in recipes.items():
        path = blocks[0].recipe.path if blocks and blocks[0].recipe.cell else name
        groups.setdefault(path, []).append(name)
    present = Counter[str](block.step.word for blocks in recipes.values() for block in blocks)
    shown = [state for state in STATES if present.get(state)]
    has_units = any(map(_dut, recipes.values()))
    rows = []
    for path, names in list(groups.items())[:_MOST_RECIPES]:
        blocks = [block for name in names for block in recipes[name]]
        counts = Counter[str](block.step.word for block in blocks)
        word = _unbroken(_signed(worst(verdicts[name] for name in names)))
        units = _units({name: recipes[name] for name in names}).removeprefix("unit under test ")
        rows.append(
            [
                code(path) + (f" ({len(names)} cells)" if len(names) > 1 else ""),
                word,
                *([units] if has_units else []),
                *(str(counts.get(state, 0)) for state in shown),
                _duration(blocks) or "-",
            ]
        )
    head = ["recipe", "verdict", *(["unit under test"] if has_units else [])]
    numbers = range(len(head), len(head) + len(shown) + 1)
    drawn = table([*head, *(_unbroken(_signed(one)) for one in shown), "duration"], rows, numbers)
    more = len(groups) - _MOST_RECIPES
    return [drawn, *([f"… and {more} more recipes\n"] if more > 0 else [])]


def _matrices(recipes: Recipes, verdicts: Mapping[str, Word]) -> Iterator[str]:
    """Yield a grid of signs for each recipe with a matrix."""
    cells: dict[str, list[tuple[tuple[str, ...], Word]]] = {}
    axes: dict[str, list[str]] = {}
    for name, blocks in recipes.items():
        about = blocks[0].recipe if blocks else None
        if about and about.matrix:
            axes[about.path] = [*dict.fromkeys([*axes.get(about.path, ()), *about.matrix])]
            values = tuple(
                report_text.json_text(about.matrix[axis], _MAX_CELL) if axis in about.matrix else ""
                for axis in axes[about.path]
            )
            cells.setdefault(about.path, []).append((values, verdicts[name]))
    for path, found in list(cells.items())[:_MOST_GRAPHS]:
        if len(found) > 1:
            yield f"### {code(path)}: matrix\n"
            yield _grid(axes[path], sorted(found, key=lambda cell: _natural(cell[0])))


def _natural(values: tuple[str, ...]) -> list[tuple[int, float, str]]:
    """Return a key that sorts numbers by value, before other texts."""
    keys = []
    for value in values:
        try:
            keys.append((0, float(value), value))
        except ValueError:
            keys.append((1, 0.0, value))
    return keys


def _grid(axes: Sequence[str], cells: Sequence[tuple[tuple[str, ...], Word]]) -> str:
    """Return a table of the verdicts of cells: the last axis has the columns."""
    across = list(dict.fromkeys(values[-1] for values, _ in cells))
    if len(across) > _MOST_COLUMNS:
        bad = [cell for cell in cells if not is_good(cell[1])]
        shown = [[code(", ".join(values)), _signed(word)] for values, word in bad[:_MOST_ROWS]]
        return table([plain_text(", ".join(axes)), "verdict"], shown or [["all cells", "✔ passed"]])
    down = list(dict.fromkeys(values[:-1] for values, _ in cells))
    found = dict(cells)
    rows = [
        [
            *(code(value) for value in values or ("",)),
            *(
                report_text.sign(found[*values, one]) if (*values, one) in found else ""
                for one in across
            ),
        ]
        for values in down[:_MOST_ROWS]
    ]
    head = [
        *map(plain_text, axes[:-1] or ("",)),
        *(f"{plain_text(axes[-1])} {code(one)}" for one in across),
    ]
    more = len(down) - _MOST_ROWS
    return table(head, rows) + (f"\n… and {more} more rows\n" if more > 0 else "")


def _problems(problems: Sequence[Mark]) -> list[str]:
    if not problems:
        return []
    lines = ["### Recipes that cannot be read\n"]
    lines += [
        f"- {code(f'{problem.path}:{problem.line}:{problem.column}')} {plain_text(problem.text)}"
        for problem in problems[:_MOST_PROBLEMS]
    ]
    if problems[_MOST_PROBLEMS:]:
        lines.append(f"- … and {len(problems) - _MOST_PROBLEMS} more")
    return ["\n".join(lines) + "\n"]


def _failures(failures: Sequence[Failure]) -> Iterator[str]:
    """Yield a folded section for each failure; that of a single failure is unfolded."""
    if not failures:
        return
    count = len(failures)
    yield (
        f"### First {_MOST_FAILURES} of {count:,} failures\n"
        if count > _MOST_FAILURES
        else (f"### {counted(count, 'failure')}\n")
    )
    for one in failures[:_MOST_FAILURES]:
        reason = f": {plain_text(report_text.cut(one.reason, _MAX_REASON))}" if one.reason else ""
        title = f"{report_text.sign(one.state)} {code(one.node)}{reason}"
        if one.text:
            yield details(title, bounded(one.text), "text", is_open=count == 1)
        else:
            yield f"{title}\n"


def _measurements(recipes: Recipes) -> Iterator[str]:
    """Yield the table of measurements: failed ones first, then marginal ones."""
    order = ("failed", "marginal", "passed")
    found = [
        (order.index(look_of(one)), one, block, name)
        for name, blocks in recipes.items()
        for block in blocks
        for one in measurements_of(block)
    ]
    if not found:
        return
    found.sort(key=lambda each: each[0])
    yield "### Measurements\n"
    rows = [
        [
            *map(_unbroken, (_measured_verdict(one), code(one.name), *_figures(one))),
            code(f"{name}::{block.step.name}"),
        ]
        for _, one, block, name in found[:_MOST_MEASUREMENTS]
    ]
    head = ["verdict", "measurement", "value", "limits", "margin", "step"]
    yield table(head, rows, (2, 3, 4))
    if more := len(found) - len(rows):
        yield f"… and {counted(more, 'more measurement')}\n"


def _figures(one: Measurement) -> tuple[str, str, str]:
    """Return the value, the limits and the margin of a measurement, escaped."""
    texts = quantity(one, _MAX_CELL)
    value = "-" if one.value is UNSET else with_unit(texts.value, texts)
    limits = with_unit(limits_text(texts), texts)
    phrase = margin(one, texts).removeprefix("margin ")
    distance = phrase.removesuffix(", marginal").removesuffix(", may fail")
    return plain_text(value), plain_text(limits), plain_text(distance)


def _measured_verdict(one: Measurement) -> str:
    if one.verdict == "unset":
        return f"{report_text.sign('failed')} no value"
    if one.verdict == "fail":
        return _signed("failed") + (" (may fail)" if one.allow_fail else "")
    return _signed(look_of(one)) if has_limits(one) else "· recorded"


def _graphs(recipes: Recipes, verdicts: Mapping[str, Word]) -> Iterator[str]:
    """Yield the graphs of the first recipes, folded, and one legend for all of them.

    Of the cells of a matrix, which have the same graph, only the first is drawn: the worst.
    """
    chosen: dict[str, tuple[str, Sequence[Block]]] = {}
    for name, blocks in recipes.items():
        if blocks:
            chosen.setdefault(blocks[0].recipe.path, (name, blocks))
    drawn: list[Legend] = []
    if chosen:
        yield "### Graphs\n"
    for name, blocks in list(chosen.values())[:_MOST_GRAPHS]:
        steps = [plain(block.step) for block in blocks]
        drawn.append(legend_of(graph(steps, most=MOST)))
        title = f"{report_text.sign(verdicts[name])} Graph of {code(name)}"
        yield details(title, mermaid(steps, with_legend=False), "mermaid")
    if drawn:
        shown = legend(
            (word for one in drawn for word in one.states),
            (mark for one in drawn for mark in one.marks),
        )
        yield f"{' · '.join(map(plain_text, shown.texts))}\n"


_MAX_TEXT = 8_000
_MAX_LINE = 1_000
_CONTROLS = CONTROLS | {9: "\\x09"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> str:
    """Return a table; the texts are escaped already.

    Args:
        head: Headings of the columns.
        rows: Texts of the rows.
        right: Numbers of the columns that are aligned right.
    """
    rules = ["---:" if number in right else "---" for number in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rules, *rows)) + "\n"


def details(title: str, text: str, kind: str, *, is_open: bool = False) -> str:
    """Return a section that a reader unfolds.

    Args:
        title: Its line, escaped.
        text: The text in it.
        kind: Language of the text.
        is_open: True to show it unfolded.
    """
    start = f"<details{' open' if is_open else ''}><summary>{title}</summary>"
    return f"{start}\n\n{fenced(text, kind)}\n\n</details>\n"


def bounded(text: str) -> str:
    """Return a text of at most 8,000 characters, without colours, control characters escaped."""
    lines = (line[:_MAX_LINE] for line in text.strip("\n").splitlines())
    shown = report_text.shown("\n".join(lines)).translate(_CONTROLS)
    return shown if len(shown) <= _MAX_TEXT else f"{shown[:_MAX_TEXT]}\n… cut here"


def fenced(text: str, kind: str) -> str:
    """Return a text in a code fence that is longer than any fence in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}"


def code(text: str) -> str:
    """Return a text as inline code, escaped."""
    return f"<code>{plain_text(text)}</code>"


def plain_text(text: str) -> str:
    """Return a text with all characters escaped that Markdown, HTML or a table would interpret."""
    shown = html.escape(" ".join(text.split())).translate(_CONTROLS)
    # `:`, `@` and `w` would begin a link, `$` a formula.
    return re.sub(
        r"[|*_`\[\]~\\@$]|:(?=//|[a-z]\w*:)|(?<=ww)w(?=\.)",
        lambda match: f"&#{ord(match[0])};",
        shown,
    )
