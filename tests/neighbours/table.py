"""Tables of the page about other plugins, built from the last result of each case."""

import json
import re
from pathlib import Path
from typing import Any

from tests.neighbours.cases import NEIGHBOURS, PYTESTS, PYTHONS, Case, of_pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "compatibility.md"
RESULTS = ROOT / "docs" / "reference" / "neighbours.json"
_PLACE = re.compile(r"(<!-- neighbours -->\n).*?(<!-- /neighbours -->)", re.DOTALL)

Result = dict[str, Any]


def results() -> list[Result]:
    """Return the stored results of the last run of each case."""
    found: list[Result] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


def placed(page: str, results: list[Result]) -> str:
    """Return the page with the current tables."""
    return _PLACE.sub(lambda found: found[1] + text(results) + found[2], page)


def text(results: list[Result]) -> str:
    """Return the tables."""
    rows = [_row(case, results) for case in NEIGHBOURS]
    head = "| plugin | tried | | |\n| --- | --- | --- | --- |\n"
    return f"{head}{''.join(rows)}\n{_versions(results)}"


def _row(case: Case, results: list[Result]) -> str:
    found = [one for one in results if _is_of(one, case)]
    if not found:
        return f"| {case.name} | {case.tried} | not run | |\n"
    one = found[-1]
    plugin = f"{case.name} {one['version']}"
    beside = f", pytest {one['pytest']}" if "tavern" in case.group else ""
    if not one["wrong"]:
        return f"| {plugin}{beside} | {case.tried} | works | {case.note} |\n"
    return f"| {plugin}{beside} | {case.tried} | **does not work** | {case.hint} |\n"


def _versions(results: list[Result]) -> str:
    lines = [
        "| pytest | " + " | ".join(f"Python {one}" for one in PYTHONS) + " |\n",
        "| --- |" + " --- |" * len(PYTHONS) + "\n",
    ]
    for version in PYTESTS:
        cells = [_cell(version, python, results) for python in PYTHONS]
        lines.append(f"| {version} | " + " | ".join(cells) + " |\n")
    return "".join(lines)


def _cell(version: str, python: str, results: list[Result]) -> str:
    cases = of_pytest(version)
    found = [
        one
        for one in results
        if one["python"].startswith(f"{python}.") and any(_is_of(one, case) for case in cases)
    ]
    if len(found) < len(cases):
        return "not run"
    return "does not work" if any(one["wrong"] for one in found) else "works"


def _is_of(result: Result, case: Case) -> bool:
    return (result["name"], result["group"], result["tried"]) == (case.name, case.group, case.tried)
