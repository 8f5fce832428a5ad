"""GitHub annotations: workflow commands of one line.

Texts of steps are escaped so that they cannot end the command.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pytest_orchestrator.runs.block import Place
from pytest_orchestrator.runs.verdicts import NOT_GOOD

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
