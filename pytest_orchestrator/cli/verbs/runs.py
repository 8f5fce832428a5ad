"""List what was run, newest first; show one run, trends over many, take old ones away."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_orchestrator.cli import past
from pytest_orchestrator.cli.examples import with_example
from pytest_orchestrator.cli.mistakes import Mistake
from pytest_orchestrator.reports.text import aligned, say, say_json

EXAMPLE = "runs"

_HEAD = ("run", "state", "verdict", "start", "seconds", "steps", "recipes", "dut")


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.add_argument(
        "--trend",
        nargs="?",
        const="",
        metavar="NAME",
        help="what steps took and measured from run to run; of one step or measurement, each run",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    verbs = parser.add_subparsers(metavar="[show | prune]", dest="sub")
    show = verbs.add_parser(
        "show", help="one run and its steps", **with_example("runs show latest")
    )
    past.declare_run(show, "run", metavar="RUN", nargs="?", default="latest")
    prune = verbs.add_parser(
        "prune",
        help="take the oldest runs away, never one that goes on",
        **with_example("runs prune --keep 10 --dry-run"),
    )
    prune.add_argument(
        "--keep",
        type=_number,
        metavar="N",
        help="how many stay (default: ini key recipe_keep_runs)",
    )
    prune.add_argument("--dry-run", action="store_true", help="only tell which they are")
    for one in (show, prune):
        one.set_defaults(parser=one)
        one.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """List them, or do what the word after the verb says."""
    if args.sub == "show":
        return _show(args)
    if args.sub == "prune":
        return _prune(args)
    if args.trend is not None:
        from pytest_orchestrator.cli import trends

        return trends.show(args.trend, as_json=args.json)
    return _list(args)


def _list(args: argparse.Namespace) -> int:
    from pytest_orchestrator.runs import lookup

    told = [_summary(folder) for folder in lookup.run_folders(past.base())]
    if args.json:
        say_json({"folder": str(past.base()), "runs": told})
    elif told:
        say(*aligned([_HEAD, *map(_row, told)], frozenset({4})))
    else:
        say(f"no run in {past.base()}")
    return 0


def _summary(folder: Path) -> dict[str, Any]:
    """Tell of a run; one that cannot be read, or that is taken away just now, hides no other."""
    from pytest_orchestrator.runs.summary import summary

    try:
        return summary(past.read(folder), folder.name)
    except Mistake:
        unknown = {"state": "unreadable", "verdict": "unreadable", "start": "", "seconds": 0.0}
        return {"id": folder.name, **unknown, "recipes": [], "steps": {}, "tests": {}}


def _row(told: Mapping[str, Any]) -> tuple[str, ...]:
    recipes = [one["recipe"] for one in told["recipes"]]
    more = f" and {len(recipes) - 1} more" if len(recipes) > 1 else ""
    return (
        told["id"],
        told["state"],
        told["verdict"],
        moment(told["start"]),
        f"{told['seconds']:.1f}",
        counted(told["steps"]),
        (recipes[0] if recipes else "-") + more,
        told.get("dut", "-"),
    )


def _show(args: argparse.Namespace) -> int:
    from pytest_orchestrator.runs.record import UNTOUCHED
    from pytest_orchestrator.runs.summary import step_row, summary

    folder = past.folder(args.run)
    found = past.read(folder)
    told = summary(found, folder.name)
    steps = [step_row(step) for step in found.steps if step.state not in UNTOUCHED]
    if args.json:
        say_json({**told, "folder": str(folder), "rows": steps})
        return 0
    took = f"{told['seconds']:.1f} s"
    say(f"{told['id']}: {told['verdict']}, {told['state']}, {moment(found.first)}, {took}")
    for name in ("dut", "resumed_from"):
        if name in told:
            say(f"{name.replace('_', ' ')} {told[name]}")
    workers = any("worker" in one for one in steps)
    for recipe in found.recipes:
        say("", recipe)
        rows = [_step(one, workers=workers) for one in steps if one["recipe"] == recipe]
        head = ("  step", "state", "seconds", "peak MB", *_of(workers, "worker"), "reason")
        say(*aligned([head, *rows], frozenset({2, 3})))
    where = os.path.relpath(folder)
    say("", f"context {len(found.changes.keys())} keys   {where}")
    return 0


def _of(shown: bool, cell: str) -> tuple[str, ...]:
    return (cell,) if shown else ()


def _step(told: Mapping[str, Any], *, workers: bool) -> tuple[str, ...]:
    tries = f" ({told['attempt']})" if told.get("attempt", 1) > 1 else ""
    return (
        f"  {told['step']}",
        f"{told['state']}{tries}",
        f"{told['seconds']:.2f}" if "seconds" in told else "-",
        f"{told['max_rss'] / 1e6:.1f}" if "max_rss" in told else "-",
        *_of(workers, f"{told['worker']} of {told['host']}" if "worker" in told else "-"),
        str(told.get("reason", told.get("blocked_by", ""))),
    )


def _prune(args: argparse.Namespace) -> int:
    from pytest_orchestrator.runs.lookup import prunable, prune

    keep = _kept() if args.keep is None else args.keep
    gone = prunable(past.base(), keep) if args.dry_run else prune(past.base(), keep)
    if args.json:
        say_json({"dry_run": args.dry_run, "runs": [str(path) for path in gone]})
        return 0
    say(*map(str, gone))
    what = "would go" if args.dry_run else "are gone"
    say(
        f"{len(gone)} {what}, the newest {keep} stay" if keep else "recipe_keep_runs is 0: all stay"
    )
    return 0


def _kept() -> int:
    from pytest_orchestrator.cli.project import project

    text = str(project().settings.get("recipe_keep_runs", "20"))
    if not text.strip().isdigit():
        raise Mistake(f"ini key recipe_keep_runs: {text!r} is no number of runs; give --keep N")
    return int(text)


def _number(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of runs; write 1 or more")
    return int(text)


def moment(ts: str) -> str:
    """Show a moment to a person: to the second, in UTC."""
    return f"{ts[:10]} {ts[11:19]}Z" if ts else "-"


def counted(steps: Mapping[str, int]) -> str:
    """Show how many steps there are of each state."""
    return ", ".join(f"{number} {state}" for state, number in steps.items()) or "none"
