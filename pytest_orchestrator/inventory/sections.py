"""The sections of a docstring or of a script's header: NAME, DESCRIPTION, USAGE and so on."""

import re
import textwrap

NAMES = ("NAME", "DESCRIPTION", "USAGE", "RETURNS", "LIMITATIONS")
"""The sections that each scriptlet has, in their order."""

_TITLE = re.compile(rf"({'|'.join(NAMES)}):?[ \t]*")


def sections(text: str) -> dict[str, str]:
    """Return the text of each section that is there; lines before the first belong to none."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in cleaned(text).splitlines():
        title = _TITLE.fullmatch(line)
        if title:
            lines = found.setdefault(title[1], [])
        else:
            lines.append(line)
    return {name: textwrap.dedent("\n".join(each)).strip() for name, each in found.items()}


def cleaned(text: str) -> str:
    """Return a docstring without the indentation of its lines after the first.

    That of the standard library takes longer to import than a listing takes to be made.
    """
    first, _, rest = text.partition("\n")
    return f"{first.strip()}\n{textwrap.dedent(rest)}".strip()


def summary(text: str, known: dict[str, str]) -> str:
    """Return what a scriptlet does, in a line: of NAME what follows the dash, or the first line."""
    named = " ".join(known.get("NAME", "").split())
    if named:
        return named.partition(" - ")[2] or named
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def header(text: str) -> str:
    """Return the comment at the top of a script, without its signs and its first line ``#!``."""
    lines = text.splitlines()
    taken: list[str] = []
    for line in lines[1:] if text.startswith("#!") else lines:
        if not line.startswith("#"):
            if taken or line.strip():
                break
            continue
        taken.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(taken)
