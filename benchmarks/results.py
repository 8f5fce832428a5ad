"""Recorded results of benchmarks, and the tables that documents show of them.

`results.json` has a part for each benchmark that records its results. A document shows the table
of a part between two comments, which `record` writes and a test compares with the file.
"""

import json
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.growth.tables import Table

RESULTS = Path(__file__).with_name("results.json")
"""The recorded results by the name of the part."""

DOCUMENT = Path(__file__).with_name("README.md")
"""The document that shows the tables of the recorded results."""

_BLOCK = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end of results -->)", re.DOTALL)


def recorded() -> dict[str, Any]:
    """Return the recorded results; empty before the first ones."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def machine() -> str:
    """Return the number of processors and the version of Python, in a few words."""
    return f"{os.cpu_count()} processors, Python {platform.python_version()}"


def record(part: str, table: Table, conditions: str) -> None:
    """Record the results of a part, and write them into the document.

    Args:
        part: The name of the part.
        table: Its table.
        conditions: The number of rounds, the machine and the versions, in one line.
    """
    found = recorded()
    rows = [list(row) for row in table.rows]
    found[part] = {"conditions": conditions, "columns": list(table.columns), "rows": rows}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(with_results(text, found), encoding="utf-8")


def with_results(text: str, found: Mapping[str, Any]) -> str:
    """Return the text of a document with the tables of the recorded results.

    Args:
        text: The text, with two comments for each table.
        found: The recorded results.

    Returns:
        The text; a table without results is as it was.
    """

    def shown(match: re.Match[str]) -> str:
        part = found.get(match[2])
        return match[0] if part is None else match[1] + _shown(part) + match[3]

    return _BLOCK.sub(shown, text)


def _shown(part: Mapping[str, Any]) -> str:
    rows = [tuple(row) for row in part["rows"]]
    heading, _, table = Table("", tuple(part["columns"]), rows).markdown().partition("\n\n")
    assert heading == "### "
    return f"\n{table.strip()}\n\n({part['conditions']}.)\n\n"
