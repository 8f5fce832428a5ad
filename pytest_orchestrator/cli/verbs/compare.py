"""Compare two runs: outcomes, durations, memory, measurements, the Context, the code.

If at least three earlier runs exist, durations, memory and measurements are compared with those.
"""

import argparse
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.cli.arguments import UsageError, declare_wide, width_of
from pytest_orchestrator.cli.project import ONE_RUN, declare_run, read_run, run_folder, runs_folder
from pytest_orchestrator.core.text import counted, cut_to_length
from pytest_orchestrator.reports.terminal.lines import Column, Table
from pytest_orchestrator.reports.text import say, say_json

if TYPE_CHECKING:
    from pytest_orchestrator.runs.history.drift import Value
    from pytest_orchestrator.runs.record import RunRecord

EXAMPLE = "compare"

_LAST: Final = 10
_LONGEST: Final = 40
"""Maximum characters of a value without `--wide`."""
_DIGITS: Final = 12
_RUN: Final = (Column(), Column(), Column(), Column(right=True))
_STEP: Final = Column(kind="place")
_LINES: Final = (_STEP, Column(kind="prose"))
_FIGURES: Final = (_STEP, Column(kind="name"), Column(), Column(kind="prose"))
_NAMES: Final = (Column(kind="name"), Column(kind="prose"))
"""Columns of differences that have a name."""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    declare_run(
        parser,
        "a",
        metavar="A",
        nargs="?",
        help=f"{ONE_RUN}; or a zip file of `report --bundle` (default: the last one before B that "
        "ran a recipe of B)",
    )
    declare_run(
        parser,
        "b",
        metavar="B",
        nargs="?",
        default="latest",
        help="the run to compare with A (default: latest)",
    )
    parser.add_argument(
        "--factor",
        type=_factor,
        metavar="F",
        help="report figures above F times their median in earlier runs (default: 2)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    declare_wide(parser)


def run(args: argparse.Namespace) -> int:
    """Print the differences; return 1 if B is worse."""
    from pytest_orchestrator.runs import lookup
    from pytest_orchestrator.runs.compare.comparison import compare_runs
    from pytest_orchestrator.runs.compare.history import History
    from pytest_orchestrator.runs.history.drift import FACTOR
    from pytest_orchestrator.runs.summary import simulated_in
    from pytest_orchestrator.runs.units import part_key

    after, b = _read(args.b)
    known = lookup.earlier_runs(after)
    before, a = _read(args.a or str(_before(after, b.recipes, known)))
    if before == after:
        raise UsageError(
            f"A and B are the same run, {after.name}; `compare` alone compares the latest run "
            "with an earlier one"
        )
    history, factor = History(runs_folder(), after.name), args.factor or FACTOR

    def earlier(recipe: str, step: str) -> "dict[str, list[Value]]":
        simulated = bool(simulated_in(b.recipes[recipe].opened.values()))
        key = part_key(b.recipes[recipe], step)
        return history.figures(key, step, _LAST, simulated=simulated)

    comparison = compare_runs(a, b, earlier, factor)
    if args.json:
        say_json(comparison)
    else:
        say(*_lines(comparison, factor, width_of(args), None if args.wide else _LONGEST))
    return 1 if comparison["worse"] else 0


def _read(name: str) -> "tuple[Path, RunRecord]":
    """Return the folder and the record of a run, or of the run in a zip file.

    The run in a zip file has the folder that it would have in this project.

    Raises:
        UsageError: The run does not exist, or the zip file does not prove it.
    """
    if not name.endswith(".zip"):
        folder = run_folder(name)
        return folder, read_run(folder)
    from pytest_orchestrator.core.errors import OrchestratorError
    from pytest_orchestrator.core.extras import addon

    try:
        run: RunRecord = addon("evidence.bundle").bundled_run(Path(name))
    except OrchestratorError as error:
        raise UsageError(str(error)) from None
    return runs_folder() / run.id, run


def _before(after: Path, recipes: Collection[str], known: Sequence[Path]) -> Path:
    """Return the newest earlier run that has a recipe in common with a run.

    Raises:
        UsageError: There is none.
    """
    if not known:
        raise UsageError(f"there is no run before {after.name} to compare it with")
    for folder in known:
        found = read_run(folder).recipes
        if not recipes or any(key in recipes and found[key].is_tested for key in found):
            return folder
    names = ", ".join(recipes)
    raise UsageError(f"no run before {after.name} ran {names}; name a run A to compare it with")


def _lines(
    comparison: Mapping[str, Any], factor: float, width: int | None, most: int | None
) -> Iterator[str]:
    """Yield the lines of a comparison.

    Args:
        comparison: The comparison.
        factor: The factor above which a figure is a drift.
        width: The columns of the screen; None if there is no limit.
        most: Maximum characters of a value; None if there is no limit.
    """
    from pytest_orchestrator.cli.verbs.runs import seconds_text, verdict_text

    rows = [
        (name.upper(), one["id"], verdict_text(one), f"{seconds_text(one)} s")
        for name, one in (("a", comparison["a"]), ("b", comparison["b"]))
    ]
    yield from Table(_RUN, rows, width).texts()
    parts = {
        "outcomes": (_LINES, list(_outcomes(comparison))),
        f"unusual, durations and memory by a factor of {factor:g}": (
            _FIGURES,
            [
                _drift(one)
                for one in comparison["figures"] + comparison["measurements"]
                if one["drifted"]
            ],
        ),
        "measurements": (
            _FIGURES,
            [_measured(one) for one in comparison["measurements"] if one["a"] != one["b"]],
        ),
        "context": (_NAMES, [_key_cells(one, most) for one in comparison["context"]]),
        "vars": (
            _LINES,
            [_change(f"{one['recipe']} {one['var']}", one, most) for one in comparison["vars"]],
        ),
        "code": (_LINES, [_file(one, most) for one in _code(comparison)]),
        "environment": (
            _NAMES,
            [_change(one["name"], one, most) for one in comparison["environment"]],
        ),
    }
    for title, (columns, cells) in parts.items():
        if cells:
            yield from ("", title)
            yield from Table(columns, cells, width, indent="  ").texts()
    if not any(cells for _, cells in parts.values()):
        yield from ("", "no significant difference")


def _recipes(comparison: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the summaries of the recipes of each run, by their paths."""
    return {
        name: {one["recipe"]: one for one in comparison[name]["recipes"]} for name in ("a", "b")
    }


def _code(comparison: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the files that differ; those of recipes that only one run has are left out."""
    have = _recipes(comparison)
    files = {name: {key.partition("[")[0] for key in recipes} for name, recipes in have.items()}
    return [one for one in comparison["code"] if one["path"] not in files["a"] ^ files["b"]]


def _outcomes(comparison: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of the outcomes that differ; a recipe that only one run has is one line."""
    have = _recipes(comparison)
    for name, other in (("a", "b"), ("b", "a")):
        for recipe, about in have[name].items():
            if recipe not in have[other]:
                steps = counted(sum(about["steps"].values()), "step")
                yield recipe, f"only in {name.upper()}: {steps}, {about['verdict']}"
    for one in comparison["outcomes"]:
        if all(one["recipe"] in recipes for recipes in have.values()):
            yield _outcome(one)


def _outcome(one: Mapping[str, Any]) -> tuple[str, ...]:
    reason = f": {one['reason']}" if "reason" in one else ""
    return _where(one), f"{one['a'] or '-'} -> {one['b'] or '-'}{reason}"


def _drift(one: Mapping[str, Any]) -> tuple[str, ...]:
    from pytest_orchestrator.core.figures.notation import history_notation

    made = history_notation([one["usual"], one["b"]], one["unit"], one.get("precision"))
    values = f"{made.text(one['usual'])} -> {made.with_unit(one['b'])}"
    return _where(one), one["figure"], values, one["size"]


def _measured(one: Mapping[str, Any]) -> tuple[str, ...]:
    from pytest_orchestrator.core.figures.notation import difference, figure, history_notation

    share = difference(one["b"], one["a"]) / abs(one["a"]) * 100 if one["a"] else 0.0
    change = f"{'+' if share >= 0 else ''}{figure(share, most=3)} %" if one["a"] else ""
    made = history_notation([one["a"], one["b"]], one["unit"], one.get("precision"))
    values = f"{made.text(one['a'])} -> {made.with_unit(one['b'])}"
    words = [change, *(["marginal"] if one.get("marginal") else [])]
    return _where(one), one["figure"], values, ", ".join(filter(None, words))


def _key_cells(one: Mapping[str, Any], most: int | None) -> tuple[str, ...]:
    """Return the cells of a line that shows the difference of a Context key.

    Args:
        one: The difference.
        most: Maximum characters of a value; None if there is no limit.
    """
    key = f"{one['key']} of {one['scope']}" if "scope" in one else one["key"]
    if "a" not in one:
        return f"+ {key}", _short(one["b"], most)
    if "b" not in one:
        return f"- {key}", _short(one["a"], most)
    return f"~ {key}", f"{_short(one['a'], most)} -> {_short(one['b'], most)}"


def _file(one: Mapping[str, Any], most: int | None) -> tuple[str, ...]:
    sign = "+" if one["a"] is None else "-" if one["b"] is None else "~"
    sums = [one[name][: most and _DIGITS] for name in ("a", "b") if one[name]]
    return f"{sign} {one['path']}", " -> ".join(sums)


def _change(name: str, one: Mapping[str, Any], most: int | None) -> tuple[str, ...]:
    return name, f"{_short(one['a'], most)} -> {_short(one['b'], most)}"


def _where(one: Mapping[str, Any]) -> str:
    return f"{one['recipe']}::{one['step']}"


def _short(value: Any, most: int | None) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if most is None else cut_to_length(text, most)


def _factor(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 1 < found < 1e6:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no factor; write a number above 1, such as 2"
        )
    return found
