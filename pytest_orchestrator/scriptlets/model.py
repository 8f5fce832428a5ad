"""Inventory model: scriptlets, their parameters and uses, violated conventions."""

import json
from collections.abc import Iterator
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


def as_text(inventory: Inventory) -> str:
    """Return a listing as text: the scriptlets, the inputs of recipes, and the problems found."""
    blocks = [_block(scriptlet) for scriptlet in inventory.scriptlets]
    notes = [_note_line(note) for note in inventory.notes]
    errors = sum(note.severity == "error" for note in inventory.notes)
    types = sum(scriptlet.kind == "type" for scriptlet in inventory.scriptlets)
    parts = [_counted(len(blocks) - errors - types, "scriptlet")]
    parts += [_counted(types, "type")] if types else []
    parts += [_counted(errors, "file") + " cannot be read"] if errors else []
    warnings = len(notes) - errors
    parts += [_counted(warnings, "warning")] if warnings else []
    parts += [_counted(len(inventory.inputs), "input")] if inventory.inputs else []
    inputs = list(_input_blocks(inventory))
    return "\n".join([*blocks, *inputs, *notes, *([""] if notes else []), ", ".join(parts)])


def _input_blocks(inventory: Inventory) -> Iterator[str]:
    for recipe in dict.fromkeys(one.recipe for one in inventory.inputs):
        lines = [one.text for one in inventory.inputs if one.recipe == recipe]
        yield "\n    ".join([f"{recipe}  inputs", *lines]) + "\n"


def _block(scriptlet: Scriptlet) -> str:
    place = f"{scriptlet.path}:{scriptlet.line}"
    if scriptlet.error is not None:
        return f"{scriptlet.name}  {scriptlet.kind}\n    {place}\n    {scriptlet.error}\n"
    head = f"{scriptlet.name}({', '.join(map(_param, scriptlet.params))})  {scriptlet.kind}"
    if scriptlet.kind == "type":
        return f"{head}\n    {scriptlet.summary}\n    {place}\n"
    used = ", ".join(dict.fromkeys(use.recipe for use in scriptlet.uses))
    lines = [head, scriptlet.summary] if scriptlet.summary else [head]
    lines += [place, f"used by {used}" if used else "used by no recipe"]
    return "\n    ".join(lines) + "\n"


def _param(param: Param) -> str:
    if param.has_default:
        is_plain = param.type == "text"
        return f"{param.name}={param.default if is_plain else json.dumps(param.default)}"
    return param.name if param.required else f"{param.name}=…"


def _note_line(note: Note) -> str:
    return f"{note.path}:{note.line}: {note.severity}: {note.message} [{note.rule}]"


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'s' if number != 1 else ''}"


def as_json(inventory: Inventory) -> dict[str, Any]:
    """Return a listing as JSON data."""
    return {
        "rootdir": str(inventory.root),
        "scriptlets": [_plain(scriptlet) for scriptlet in inventory.scriptlets],
        "inputs": [one.as_json() for one in inventory.inputs],
        "problems": [
            {
                "path": note.path,
                "line": note.line,
                "severity": note.severity,
                "rule": note.rule,
                "message": note.message,
            }
            for note in inventory.notes
        ],
    }


def _plain(scriptlet: Scriptlet) -> dict[str, Any]:
    listed = {
        "name": scriptlet.name,
        "kind": scriptlet.kind,
        "module": scriptlet.module,
        "path": scriptlet.path,
        "line": scriptlet.line,
    }
    if scriptlet.error is not None:
        return listed | {"error": scriptlet.error}
    return listed | {
        "summary": scriptlet.summary,
        "params": [_plain_param(param) for param in scriptlet.params],
        "returns": scriptlet.returns,
        "writes": list(scriptlet.writes),
        "used_by": [
            {"recipe": use.recipe, "step": use.step, "line": use.line} for use in scriptlet.uses
        ],
    }


def _plain_param(param: Param) -> dict[str, Any]:
    listed = {
        "name": param.name,
        "type": param.type,
        "required": param.required,
        "description": param.description,
    }
    return listed | {"default": param.default} if param.has_default else listed
