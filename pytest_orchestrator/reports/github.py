"""GitHub annotations and job summary.

An annotation is a workflow command of one line; texts of steps are escaped so that they cannot end
it.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pytest_orchestrator.core.text import CONTROLS
from pytest_orchestrator.reports import text as report_text
from pytest_orchestrator.reports.critical_path import critical_path
from pytest_orchestrator.reports.graph.picture import mermaid
from pytest_orchestrator.reports.summary import verdict
from pytest_orchestrator.runs.block import Place, plain

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block

MOST_ANNOTATIONS = 10
"""Number of errors that GitHub shows for one step of a job."""

MOST_BYTES = 900 * 1024
"""Size limit of the summary, in bytes.

GitHub refuses a summary above 1 MiB, and other programs of the same job step may add to it.
"""

_VERDICTS_WORST_FIRST = ("failed", "interrupted", "not run", "passed", "skipped")
_MOST_RECIPES = 200
_MOST_PROBLEMS = 50
_MOST_FAILURES = 10
_MOST_GRAPHS = 10
_MAX_TEXT = 8_000
_MAX_LINE = 1_000
_STATES = ("passed", "failed", "skipped", "blocked")
_RARE_STATES = ("interrupted", "not run")
_COUNTED_AS = {"error": "failed", "xfailed": "passed", "xpassed": "passed"}
_ICONS = {"passed": "✅", "failed": "❌", "skipped": "⚪", "interrupted": "❌", "not run": "⚪"}
_CONTROLS = CONTROLS | {9: "\\x09"}

Recipes = Mapping[str, "Sequence[Block]"]
"""The blocks of each run of a recipe, by the name of the run."""


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
        if _COUNTED_AS.get(step.state, step.state) not in ("failed", "interrupted"):
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


def summary(
    recipes: Recipes, shown: Mapping[str, str], problems: Sequence[Mark], room: int = MOST_BYTES
) -> str:
    """Return the summary of a job in GitHub's Markdown.

    Args:
        recipes: The blocks of all steps, by the name of the run of the recipe.
        shown: Failure texts of pytest, by the node ids of the failed steps.
        problems: Problems in recipes that cannot be read.
        room: Size limit in bytes; parts beyond it are omitted, graphs first.
    """
    verdicts = {name: verdict(blocks) for name, blocks in recipes.items()}
    names = sorted(recipes, key=lambda name: _VERDICTS_WORST_FIRST.index(verdicts[name]))
    worst = "failed" if problems else verdicts[names[0]] if names else "passed"
    parts = [f"## Recipes: {worst if worst != 'skipped' else 'passed'}\n"]
    parts += _table({name: recipes[name] for name in names}, verdicts)
    parts += _problems(problems)
    parts += _failures(shown)
    parts += [_graph(name, recipes[name]) for name in names[:_MOST_GRAPHS]]
    text, left = "", room - len(_CUT.encode())
    for part in parts:
        size = len(part.encode()) + 1
        if size > left:
            return text + _CUT
        text, left = f"{text}{part}\n", left - size
    return text


_CUT = "… the rest is omitted: GitHub accepts no larger summary.\n"


def _table(recipes: Recipes, verdicts: Mapping[str, str]) -> list[str]:
    if not recipes:
        return []
    present = {block.step.state for blocks in recipes.values() for block in blocks}
    shown = [*_STATES, *(state for state in _RARE_STATES if state in present)]
    rows = [
        f"| recipe | verdict | {' | '.join(shown)} | seconds |",
        f"| --- | --- | {'---: | ' * len(shown)}---: |",
    ]
    for name, blocks in list(recipes.items())[:_MOST_RECIPES]:
        states = [block.step.state for block in blocks]
        counts = [_COUNTED_AS.get(state, state) for state in states]
        path = critical_path(blocks)
        cells = [
            _code(name),
            f"{_ICONS[verdicts[name]]} {verdicts[name]}",
            *(str(counts.count(state)) for state in shown),
            report_text.seconds(path.whole if path else None),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    more = len(recipes) - _MOST_RECIPES
    return ["\n".join(rows) + "\n", *([f"… and {more} more recipes\n"] if more > 0 else [])]


def _problems(problems: Sequence[Mark]) -> list[str]:
    if not problems:
        return []
    lines = ["### Recipes that cannot be read\n"]
    lines += [
        f"- {_code(f'{problem.path}:{problem.line}:{problem.column}')} {_plain(problem.text)}"
        for problem in problems[:_MOST_PROBLEMS]
    ]
    if problems[_MOST_PROBLEMS:]:
        lines.append(f"- … and {len(problems) - _MOST_PROBLEMS} more")
    return ["\n".join(lines) + "\n"]


def _failures(shown: Mapping[str, str]) -> list[str]:
    if not shown:
        return []
    head = f"### First {_MOST_FAILURES} of {len(shown)} failures\n"
    parts = [head if len(shown) > _MOST_FAILURES else "### Failures\n"]
    for node, text in list(shown.items())[:_MOST_FAILURES]:
        parts.append(f"{_code(node)}\n\n{_fenced(_bounded(text), 'text')}\n")
    return parts


def _graph(name: str, blocks: "Sequence[Block]") -> str:
    drawn = _fenced(mermaid([plain(block.step) for block in blocks]), "mermaid")
    signs = f"{report_text.sign('passed')} passed, {report_text.sign('failed')} failed"
    rest = f"{report_text.sign('skipped')} skipped, {report_text.sign('blocked')} blocked"
    return f"### {_code(name)}\n\n{drawn}\n\n{signs}, {rest}\n"


def _bounded(text: str) -> str:
    lines = (line[:_MAX_LINE] for line in text.strip("\n").splitlines())
    shown = "\n".join(lines).translate(_CONTROLS)
    return shown if len(shown) <= _MAX_TEXT else f"{shown[:_MAX_TEXT]}\n… cut here"


def _fenced(text: str, kind: str) -> str:
    """Return a text in a code fence that is longer than any fence in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}"


def _code(text: str) -> str:
    return f"<code>{_plain(text)}</code>"


def _plain(text: str) -> str:
    """Return a text with all characters escaped that Markdown, HTML or a table would interpret."""
    shown = html.escape(" ".join(text.split())).translate(_CONTROLS)
    return re.sub(r"[|*_`\[\]~\\]", lambda match: f"&#{ord(match[0])};", shown)


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
