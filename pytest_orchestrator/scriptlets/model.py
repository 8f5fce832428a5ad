"""Inventory model: scriptlets, their parameters and uses, violated conventions."""

from pathlib import Path
from typing import Any, NamedTuple

from pytest_orchestrator.recipe.loader.inputs import RecipeInput


class Param(NamedTuple):
    """A parameter of a Python scriptlet, or an environment variable of a script.

    Attributes:
        name: Its name.
        required: True if it must be present, as far as static analysis can see.
        type: Its type in the source; None if the source has none.
        default: Its default as JSON data.
        has_default: True if the default is known.
        description: Its description in the docstring or header.
    """

    name: str
    required: bool
    type: str | None
    default: Any
    has_default: bool
    description: str


class Use(NamedTuple):
    """A step that calls a scriptlet.

    Attributes:
        recipe: The file that contains the step, relative to the rootdir.
        line: Line of the step, from 1.
        step: Name of the step.
        fixtures: Names of the fixtures that the step requests.
    """

    recipe: str
    line: int
    step: str
    fixtures: tuple[str, ...] = ()


class Scriptlet(NamedTuple):
    """A callable or script for steps, or a file that cannot be read.

    Attributes:
        name: Name of the class, function or file.
        kind: ``class``, ``function`` or ``script``; ``type`` for a step type of a plugin;
            ``module`` for a Python file with an error.
        path: Its file, relative to the rootdir.
        line: Its first line in that file, from 1.
        module: Value of the key `module` of a step; None for a script.
        summary: One line of its docstring or header.
        params: Its parameters.
        returns: Section RETURNS of its docstring or header.
        writes: Keys of the Context that its source writes.
        uses: The steps that call it.
        error: Reason why the file cannot be read; None if it can.
    """

    name: str
    kind: str
    path: str
    line: int = 1
    module: str | None = None
    summary: str = ""
    params: tuple[Param, ...] = ()
    returns: str = ""
    writes: tuple[str, ...] = ()
    uses: tuple[Use, ...] = ()
    error: str | None = None


class Note(NamedTuple):
    """A violated convention of a file, or an error in it.

    Attributes:
        path: The file, relative to the rootdir.
        line: Line, from 1.
        rule: Name of the convention; ``syntax`` for a file that cannot be read.
        message: The violation and its remedy.
        severity: ``error`` or ``warning``.
    """

    path: str
    line: int
    rule: str
    message: str
    severity: str = "warning"


class Inventory(NamedTuple):
    """All scriptlets of a project.

    Attributes:
        root: The rootdir.
        scriptlets: The scriptlets, in the order of their files and lines.
        notes: Violated conventions and errors, in the same order.
        unread: Recipes with invalid YAML, relative to the rootdir; their uses are unknown.
        inputs: The inputs of the recipes.
    """

    root: Path
    scriptlets: tuple[Scriptlet, ...]
    notes: tuple[Note, ...]
    unread: tuple[str, ...]
    inputs: tuple[RecipeInput, ...] = ()

    @property
    def has_error(self) -> bool:
        """True if a file cannot be read."""
        return any(note.severity == "error" for note in self.notes)
