"""Inventory model: scriptlets, their parameters and uses, notes on conventions."""

from pathlib import Path
from typing import Any, NamedTuple


class Param(NamedTuple):
    """A parameter of a python scriptlet, or a variable of a script.

    Attributes:
        name: Its name.
        required: It must be given, as far as that can be seen.
        type: Its type as the source has it; None where that does not say.
        default: What holds where it is not given, as JSON.
        has_default: Whether that is known.
        description: What the docstring or header says of it.
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
        recipe: The file that the step is written in, relative to the rootdir.
        line: Its line, from 1.
        step: Its name.
        fixtures: The fixtures that it receives.
    """

    recipe: str
    line: int
    step: str
    fixtures: tuple[str, ...] = ()


class Scriptlet(NamedTuple):
    """What a step may call; or a file that may have some and cannot be read.

    Attributes:
        name: The class, function or file.
        kind: ``class``, ``function``, ``script``; ``type`` for a type of steps of a plugin;
            ``module`` for a Python file with an error.
        path: Its file, relative to the rootdir.
        line: Where it begins there, from 1.
        module: What a step's `module` says; None for a script.
        summary: What its docstring or header says in a line.
        params: What it takes.
        returns: The section RETURNS of its docstring or header.
        writes: Keys of the Context that it is seen to write.
        uses: The steps that call it.
        error: Why the file cannot be read; None where it can.
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
    """A convention that a file does not keep, or an error in it.

    Attributes:
        path: The file, relative to the rootdir.
        line: Where, from 1.
        rule: The name of the convention; ``syntax`` for a file that cannot be read.
        message: What is wrong and what to do.
        severity: ``error`` or ``warning``.
    """

    path: str
    line: int
    rule: str
    message: str
    severity: str = "warning"


class Inventory(NamedTuple):
    """All of a project.

    Attributes:
        root: The rootdir.
        scriptlets: In the order of their files and lines.
        notes: Likewise.
        unread: Recipes that are no YAML, relative to the rootdir: what they use is not known.
    """

    root: Path
    scriptlets: tuple[Scriptlet, ...]
    notes: tuple[Note, ...]
    unread: tuple[str, ...]

    @property
    def has_error(self) -> bool:
        """Whether a file cannot be read."""
        return any(note.severity == "error" for note in self.notes)
