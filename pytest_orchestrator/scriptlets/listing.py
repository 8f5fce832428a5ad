"""Listing of an inventory: text for people, JSON for programs."""

import json
from typing import Any

from pytest_orchestrator.scriptlets.model import Inventory, Note, Param, Scriptlet


def as_text(inventory: Inventory) -> str:
    """Return a listing: each scriptlet with what it takes, then what is to be mended."""
    blocks = [_block(one) for one in inventory.scriptlets]
    notes = [_told(note) for note in inventory.notes]
    errors = sum(note.severity == "error" for note in inventory.notes)
    types = sum(one.kind == "type" for one in inventory.scriptlets)
    parts = [_counted(len(blocks) - errors - types, "scriptlet")]
    parts += [_counted(types, "type")] if types else []
    parts += [_counted(errors, "file") + " cannot be read"] if errors else []
    warnings = len(notes) - errors
    parts += [_counted(warnings, "warning")] if warnings else []
    return "\n".join([*blocks, *notes, *([""] if notes else []), ", ".join(parts)])


def _block(one: Scriptlet) -> str:
    place = f"{one.path}:{one.line}"
    if one.error is not None:
        return f"{one.name}  {one.kind}\n    {place}\n    {one.error}\n"
    head = f"{one.name}({', '.join(map(_param, one.params))})  {one.kind}"
    if one.kind == "type":
        return f"{head}\n    {one.summary}\n    {place}\n"
    used = ", ".join(dict.fromkeys(use.recipe for use in one.uses))
    lines = [head, one.summary] if one.summary else [head]
    lines += [place, f"used by {used}" if used else "used by no recipe"]
    return "\n    ".join(lines) + "\n"


def _param(param: Param) -> str:
    if param.has_default:
        is_plain = param.type == "text"
        return f"{param.name}={param.default if is_plain else json.dumps(param.default)}"
    return param.name if param.required else f"{param.name}=…"


def _told(note: Note) -> str:
    return f"{note.path}:{note.line}: {note.severity}: {note.message} [{note.rule}]"


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' if number != 1 else ''}"


def as_json(inventory: Inventory) -> dict[str, Any]:
    """Return the same as plain data."""
    return {
        "rootdir": str(inventory.root),
        "scriptlets": [_plain(one) for one in inventory.scriptlets],
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


def _plain(one: Scriptlet) -> dict[str, Any]:
    told = {
        "name": one.name,
        "kind": one.kind,
        "module": one.module,
        "path": one.path,
        "line": one.line,
    }
    if one.error is not None:
        return told | {"error": one.error}
    return told | {
        "summary": one.summary,
        "params": [_plain_param(param) for param in one.params],
        "returns": one.returns,
        "writes": list(one.writes),
        "used_by": [{"recipe": use.recipe, "step": use.step, "line": use.line} for use in one.uses],
    }


def _plain_param(param: Param) -> dict[str, Any]:
    told = {
        "name": param.name,
        "type": param.type,
        "required": param.required,
        "description": param.description,
    }
    return told | {"default": param.default} if param.has_default else told
