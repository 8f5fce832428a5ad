"""The scriptlet that a shell script is, as its header and its variables tell."""

import re

from pytest_orchestrator.inventory.model import Param, Scriptlet
from pytest_orchestrator.inventory.sections import header, sections, summary

_SET = r"([A-Z_][A-Z0-9_]*)=(?:\"[^\"]*\"|'[^']*'|\S*)"
_CALL = re.compile(rf"^\s*(?:\w+=\S*\s+)*?((?:{_SET}\s+)+)\S", re.MULTILINE)
_ROW = re.compile(r"^[ \t]*([A-Z_][A-Z0-9_]*) {2,}(\S.*)$", re.MULTILINE)
_READ = re.compile(r"\$\{([A-Z_][A-Z0-9_]*):?([-?])([^}\"]*)\}")
_SHELL = re.compile(r"#!.*\b(?:ba|da|k|z)?sh\b")


def is_script(name: str, start: str) -> bool:
    """Tell a shell script by the name of its file, or by its first line where it has no ending."""
    if name.endswith((".sh", ".bash")):
        return True
    return "." not in name and _SHELL.match(start) is not None


def scriptlet_of(text: str, path: str) -> Scriptlet:
    """Return the scriptlet.

    Args:
        text: The script.
        path: Its file, relative to the rootdir.
    """
    said = header(text)
    known = sections(said)
    return Scriptlet(
        name=path.rpartition("/")[2],
        kind="script",
        path=path,
        summary=summary(said, known),
        params=_params(text, known.get("USAGE", "")),
        returns=known.get("RETURNS", ""),
    )


def _params(text: str, usage: str) -> tuple[Param, ...]:
    """Return the variables that the USAGE names; those that the text has defaults for, without."""
    described = {name: what.strip() for name, what in _ROW.findall(usage)}
    called = [name for call in _CALL.findall(usage) for name in re.findall(_SET, call[0])]
    body = [found for found in _READ.findall(text) if found[0] not in ("HOME", "PATH")]
    defaults = {name: value for name, sign, value in body if sign == "-" and value}
    names = dict.fromkeys((*called, *described)) or dict.fromkeys(name for name, _, _ in body)
    return tuple(
        Param(
            name,
            required=name not in defaults and "default" not in described.get(name, ""),
            type="text",
            default=defaults.get(name),
            has_default=name in defaults,
            description=described.get(name, ""),
        )
        for name in names
    )
