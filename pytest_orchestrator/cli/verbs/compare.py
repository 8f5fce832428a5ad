"""Compare two runs: outcomes, durations, memory, measurements, the Context, the code.

If at least three earlier runs exist, durations, memory and measurements are compared with those.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.cli.project import ONE_RUN, declare_run, read_run, run_folder
from pytest_orchestrator.core.text import cut_to_length
from pytest_orchestrator.reports.text import aligned, say, say_json

EXAMPLE = "compare"

_LAST = 10
_LONGEST = 40


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    declare_run(parser, "a", metavar="A", nargs="?", help=f"{ONE_RUN} (default: the one before B)")
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


def run(args: argparse.Namespace) -> int:
    """Print the differences; return 1 if B is worse."""
    from pytest_orchestrator.runs import lookup
    from pytest_orchestrator.runs.compare.comparison import compare_runs
    from pytest_orchestrator.runs.compare.drift import FACTOR
    from pytest_orchestrator.runs.compare.history import History

    after = run_folder(args.b)
    known = lookup.earlier_runs(after)
    if args.a is None and not known:
        raise UsageError(f"there is no run before {after.name} to compare it with")
    before = run_folder(args.a) if args.a else known[0]
    history, factor = History(known), args.factor or FACTOR
    comparison = compare_runs(
        read_run(before),
        read_run(after),
        lambda recipe, step: history.figures(recipe, step, _LAST),
        factor,
    )
    if args.json:
        say_json(comparison)
    else:
        say(*_lines(comparison, factor))
    return 1 if comparison["worse"] else 0


def _lines(comparison: Mapping[str, Any], factor: float) -> Iterator[str]:
    rows = [
        (name.upper(), one["id"], one["verdict"], f"{one['seconds']:.1f} s")
        for name, one in (("a", comparison["a"]), ("b", comparison["b"]))
    ]
    yield from aligned(rows, frozenset({3}))
    parts = {
        "outcomes": [_outcome(one) for one in comparison["outcomes"]],
        f"unusual, by a factor of {factor:g}": [
            _drift(one)
            for one in comparison["figures"] + comparison["measurements"]
            if one["drifted"]
        ],
        "measurements": [
            _measured(one) for one in comparison["measurements"] if one["a"] != one["b"]
        ],
        "context": [key_cells(one) for one in comparison["context"]],
        "vars": [_change(f"{one['recipe']} {one['var']}", one) for one in comparison["vars"]],
        "code": [_file(one) for one in comparison["code"]],
        "environment": [_change(one["name"], one) for one in comparison["environment"]],
    }
    for title, lines in parts.items():
        if lines:
            yield from ("", title)
            yield from (f"  {line}" for line in aligned(lines))
    if not any(parts.values()):
        yield from ("", "no significant difference")


def _outcome(one: Mapping[str, Any]) -> tuple[str, ...]:
    reason = f": {one['reason']}" if "reason" in one else ""
    return _where(one), f"{one['a'] or '-'} -> {one['b'] or '-'}{reason}"


def _drift(one: Mapping[str, Any]) -> tuple[str, ...]:
    from pytest_orchestrator.cli.verbs.runs import shown_figure, with_unit

    unit, precision = one["unit"], one.get("precision")
    median = shown_figure(one["usual"], unit, precision)
    times = f"{one['factor']:.3g} times"
    return _where(one), one["figure"], f"{median} -> {with_unit(one['b'], unit, precision)}", times


def _measured(one: Mapping[str, Any]) -> tuple[str, ...]:
    from pytest_orchestrator.cli.verbs.runs import shown_figure, with_unit

    change = f"{(one['b'] - one['a']) / abs(one['a']) * 100:+.3g} %" if one["a"] else ""
    unit, precision = one["unit"], one.get("precision")
    before = shown_figure(one["a"], unit, precision)
    values = f"{before} -> {with_unit(one['b'], unit, precision)}"
    words = [change, *(["marginal"] if one.get("marginal") else [])]
    return _where(one), one["figure"], values, ", ".join(filter(None, words))


def key_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of a line that shows the difference of a Context key."""
    key = f"{one['key']} of {one['scope']}" if "scope" in one else one["key"]
    if "a" not in one:
        return f"+ {key}", _short(one["b"])
    if "b" not in one:
        return f"- {key}", _short(one["a"])
    return f"~ {key}", f"{_short(one['a'])} -> {_short(one['b'])}"


def _file(one: Mapping[str, Any]) -> tuple[str, ...]:
    sign = "+" if one["a"] is None else "-" if one["b"] is None else "~"
    sums = [one[name][:12] for name in ("a", "b") if one[name]]
    return f"{sign} {one['path']}", " -> ".join(sums)


def _change(name: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    return name, f"{_short(one['a'])} -> {_short(one['b'])}"


def _where(one: Mapping[str, Any]) -> str:
    return f"{one['recipe']}::{one['step']}"


def _short(value: Any) -> str:
    return cut_to_length(json.dumps(value, ensure_ascii=True), _LONGEST)


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
