"""List runs, newest first; show one run, show trends over many, delete old runs and history."""

import argparse
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.cli import debts
from pytest_orchestrator.cli.arguments import (
    UsageError,
    day,
    declare_wide,
    say_hidden,
    say_tables,
    width_of,
    with_example,
)
from pytest_orchestrator.cli.project import declare_run, project, read_run, run_folder, runs_folder
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.reports.terminal.lines import Column, Table
from pytest_orchestrator.reports.text import peak_megabytes, say, say_json
from pytest_orchestrator.runs.verdicts import word_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_orchestrator.runs.compare.trends import Trend
    from pytest_orchestrator.runs.record import RunRecord

EXAMPLE = "runs"

_COLUMNS: Final = (
    Column("run"),
    Column("verdict"),
    Column("start", rank=5),  # the id of a run has it too
    Column("seconds", right=True, rank=2),
    Column("steps", "text", rank=3, least=18),
    Column("recipes", "place", rank=1, least=14),
    Column("dut", "name", rank=4),
)
_STEP: Final = (
    Column("step", "name"),
    Column("state", "text"),
    Column("seconds", right=True),
    Column("peak MB", right=True, rank=3),
    Column("worker", "name", rank=2),
    Column("reason", "prose"),
)
_TREND: Final = (
    Column("recipe", "place", rank=2),
    Column("step", "name"),
    Column("figure", "name"),
    Column("runs", right=True, rank=3),
    Column("median", right=True),
    Column("spread", right=True, rank=4),
    Column("last", right=True),
    Column("", rank=1),
)
_POINT: Final = (Column(), Column(right=True), Column())


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "--trend",
        nargs="?",
        const="",
        metavar="NAME",
        help="show durations and measurements over the runs; with NAME, of one step or measurement",
    )
    parser.add_argument(
        "--prune-history",
        action="store_true",
        help="delete the history of runs that started before a day; run folders stay",
    )
    parser.add_argument(
        "--before",
        type=day,
        metavar="DATE",
        help="day in UTC, as in 2026-11-25, for --prune-history",
    )
    parser.add_argument(
        "--dut",
        metavar="SERIAL",
        help="list the runs of this unit under test, also those whose folders were deleted",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    declare_wide(parser)
    _declare_verbs(parser)


def _declare_verbs(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="[show | prune | forgive]", dest="sub")
    show = verbs.add_parser(
        "show", help="show one run and its steps", **with_example("runs show latest")
    )
    declare_run(show, "run", metavar="RUN", nargs="?", default="latest")
    prune = verbs.add_parser(
        "prune",
        help="delete the oldest runs, never a running one",
        **with_example("runs prune --keep 10 --dry-run"),
    )
    prune.add_argument(
        "--keep",
        type=_number,
        metavar="N",
        help="number of runs to keep (default: ini key recipe_keep_runs)",
    )
    prune.add_argument(
        "--dry-run",
        action="store_true",
        help="delete nothing, print the runs that would be deleted",
    )
    forgive = verbs.add_parser(
        "forgive",
        help="drop the safe states and finally steps that a run owes",
        **with_example('runs forgive latest --reason "switched off by hand"'),
    )
    declare_run(forgive, "run", metavar="RUN")
    debts.declare_reason(forgive)
    forgive.set_defaults(parser=forgive)
    for one in (show, prune):
        one.set_defaults(parser=one)
        one.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    declare_wide(show, default=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """List the runs, or run the subcommand."""
    if args.sub == "show":
        return _show(args)
    if args.sub == "prune":
        return _prune(args)
    if args.sub == "forgive":
        return debts.forgive_run(args.run, args.reason)
    if args.prune_history or args.before is not None:
        return _prune_history(args)
    if args.dut is not None:
        from pytest_orchestrator.cli import past_runs

        if args.trend is not None:
            raise UsageError("--dut and --trend are two lists; give one of them")
        return past_runs.show_unit(args)
    if args.trend is not None:
        return _show_trends(args)
    return _list(args)


def _list(args: argparse.Namespace) -> int:
    from pytest_orchestrator.runs import lookup

    summaries = [_summary(folder) for folder in lookup.run_folders(runs_folder())]
    if args.json:
        say_json({"folder": str(runs_folder()), "runs": summaries})
    elif summaries:
        ids, width = [row["id"] for row in summaries], width_of(args)
        rows = [_row(row, ids if width is not None else ()) for row in summaries]
        say_tables([Table(_COLUMNS, rows, width)])
    else:
        say(f"no run in {runs_folder()}")
    return 0


def _summary(folder: Path) -> dict[str, Any]:
    """Return the summary of a run; the state is `unreadable` if the run cannot be read."""
    from pytest_orchestrator.runs.summary import summary

    try:
        return summary(read_run(folder), folder.name)
    except UsageError:
        unknown = {"state": "unreadable", "verdict": "unreadable", "start": "", "seconds": 0.0}
        return {"id": folder.name, **unknown, "recipes": [], "steps": {}, "tests": {}}


def shortest(run: str, ids: Collection[str]) -> str:
    """Return the shortest part of an id, from its second on, that no other id begins with."""
    length = len(run.partition("-")[0])
    others = [one for one in ids if one != run]
    while any(one.startswith(run[:length]) for one in others) and length < len(run):
        length += 1
    return run[:length]


def _row(row: Mapping[str, Any], ids: Collection[str]) -> tuple[str, ...]:
    """Return the cells of a run; its id is as short as these ids allow, and whole without any."""
    from pytest_orchestrator.runs.summary import counts_shown

    recipes = [one["recipe"] for one in row["recipes"]]
    more = f" +{len(recipes) - 1}" if len(recipes) > 1 else ""
    return (
        shortest(row["id"], ids) if ids else row["id"],
        verdict_text(row),
        moment(row["start"]),
        seconds_text(row),
        steps_text(counts_shown(row)),
        (recipes[0] if recipes else "-") + more,
        row.get("dut", "-"),
    )


def _show(args: argparse.Namespace) -> int:
    from msgspec import to_builtins

    from pytest_orchestrator.reports.instruments import instruments_of
    from pytest_orchestrator.runs.record import NOT_REACHED
    from pytest_orchestrator.runs.summary import step_row, summary

    folder = run_folder(args.run)
    found = read_run(folder)
    row = summary(found, folder.name)
    steps = [step_row(step) for step in found.steps if step.state not in NOT_REACHED]
    instruments = instruments_of(found)
    if args.json:
        used = {"instruments": to_builtins(instruments)} if instruments else {}
        say_json({**row, "folder": str(folder), "rows": steps, **used})
        return 0
    say(f"{row['id']}: {verdict_text(row)}, {moment(found.first)}, {seconds_text(row)} s")
    for name in (
        "interruption",
        "dut",
        "resumed_from",
        "replay",
        "marginal",
        "empty_loops",
        "simulated",
    ):
        if name in row:
            value: Any = row[name]
            text = ", ".join(value) if isinstance(value, list) else value
            say(f"{name.replace('_', ' ')} {text}")
    workers = any("worker" in one for one in steps)
    columns = [column for column in _STEP if workers or column.title != "worker"]
    hidden: list[str] = []
    for recipe in found.recipes:
        say("", recipe)
        rows = [_step(one, workers=workers) for one in steps if one["recipe"] == recipe]
        table = Table(columns, rows, width_of(args), indent="  ")
        say(*table.texts())
        hidden += table.hidden
    if reasons := [*_other_failures(found)]:
        say("", *reasons)
    keys = counted(len(found.changes.keys()), "key")
    for one in instruments:
        if one.safe_state != "none":
            why = f": {one.reason}" if one.reason else ""
            say("", f"instrument {one.name}   safe state {one.safe_state}{why}")
    say("", f"context {keys}   {os.path.relpath(folder)}")
    say_hidden(hidden)
    return 0


def _other_failures(run: "RunRecord") -> "Iterator[str]":
    """Yield a line for each test, safe state and file that did not pass and is no step."""
    from pytest_orchestrator.runs.verdicts import NOT_GOOD

    for test in run.tests.values():
        if test.step is None and test.outcome in NOT_GOOD:
            yield f"{test.node} {test.outcome}: {test.reason}"
    yield from (f"{file.path} error: {file.reason}" for file in run.uncollected)


def _cell_if(shown: bool, cell: str) -> tuple[str, ...]:
    return (cell,) if shown else ()


def _step(row: Mapping[str, Any], *, workers: bool) -> tuple[str, ...]:
    attempt = f" ({row['attempt']})" if row.get("attempt", 1) > 1 else ""
    attempt += _elements(row)
    attempt += f" ({row['marginal']} marginal)" if "marginal" in row else ""
    return (
        row["step"],
        f"{word_of(row['state'], row.get('kind', ''))}{attempt}",
        f"{row['seconds']:.2f}" if "seconds" in row else "-",
        peak_megabytes(row),
        *_cell_if(workers, f"{row['worker']} of {row['host']}" if "worker" in row else "-"),
        "; ".join(filter(None, (_asks(row), row.get("reason", row.get("blocked_by")), _by(row)))),
    )


def _asks(row: Mapping[str, Any]) -> str:
    """Return the open question of a step in one line; empty without one."""
    from pytest_orchestrator.core.text import one_line

    return f"asks: {one_line(row['asks'])}" if "asks" in row else ""


def _by(row: Mapping[str, Any]) -> str:
    """Return the names of the people who answered the questions of a step; empty without any."""
    places = {"answers": "given before the run", "terminal": "terminal", "page": "page"}
    texts = [
        f"{one['button']} by {one['who']} ({places[one['where']]})"
        for one in row.get("answers", ())
    ]
    return ", ".join(dict.fromkeys(texts))


def _elements(row: Mapping[str, Any]) -> str:
    """Return the number of elements of a step that did not pass, in parentheses, or no text."""
    if "elements" not in row:
        return ""
    count, failed, ended = (row["elements"][name] for name in ("count", "failed", "ended"))
    if row["state"] in ("interrupted", "running"):
        more = f", {failed:,} failed" if failed else ""
        return f" ({ended:,} of {count:,} elements ended{more})"
    return f" ({failed:,} of {count:,} elements)" if failed else ""


def _prune(args: argparse.Namespace) -> int:
    from pytest_orchestrator.runs.history.retention import delete, in_debt
    from pytest_orchestrator.runs.lookup import prunable

    keep = project().value("recipe_keep_runs") if args.keep is None else args.keep
    gone = prunable(runs_folder(), keep)
    stay = in_debt(gone)
    gone = [path for path in gone if path not in stay] if args.dry_run else delete(gone)
    if args.json:
        about = {"runs": [str(path) for path in gone], "kept": [str(path) for path in stay]}
        say_json({"dry_run": args.dry_run, **about})
        return 0
    say(*map(str, gone))
    if not keep:
        say("recipe_keep_runs is 0: all runs are kept")
        return 0
    count = f"{len(gone)} run{'s' * (len(gone) != 1)}"
    say(f"{'would delete' if args.dry_run else 'deleted'} {count}, keeping the newest {keep}")
    for path in stay:
        say(f"the journal of run {path.name} stays: safe states or `finally` steps are owed")
    return 0


def _prune_history(args: argparse.Namespace) -> int:
    """Delete old files of the history store; files of runs that have a folder stay."""
    from pytest_orchestrator.runs.folder import history_folder
    from pytest_orchestrator.runs.history import store
    from pytest_orchestrator.runs.index import database

    if not args.prune_history:
        raise UsageError("--before belongs to --prune-history")
    if args.before is None:
        raise UsageError("--prune-history needs --before DATE, as in --before 2026-11-25")
    try:
        pruned = store.prune(runs_folder(), args.before)
    except OSError as error:
        raise UsageError(f"the history cannot be deleted: {error}") from error
    database.delete(runs_folder())  # it has the names of units of the deleted runs
    if args.json:
        folder = str(history_folder(runs_folder()))
        say_json({"folder": folder, "deleted": len(pruned.deleted), "kept": len(pruned.kept)})
        return 0
    say(f"deleted the history of {counted(len(pruned.deleted), 'run')}")
    if pruned.kept:
        say(f"kept that of {counted(len(pruned.kept), 'run')} whose folders exist (runs prune)")
    return 0


def _number(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of runs; write 1 or more")
    return int(text)


def moment(ts: str) -> str:
    """Format a timestamp for a person: to the second, in UTC."""
    return f"{ts[:10]} {ts[11:19]}Z" if ts else "-"


def steps_text(steps: Mapping[str, int]) -> str:
    """Format the number of steps of each word."""
    return ", ".join(f"{number} {word}" for word, number in steps.items()) or "none"


def verdict_text(row: Mapping[str, Any]) -> str:
    """Return the verdict of a summary, and that the run was cut off if the verdict does not say it.

    Args:
        row: The summary of a run.
    """
    was_cut_off = row["state"] == "interrupted" != row["verdict"]
    return f"{row['verdict']}, interrupted" if was_cut_off else str(row["verdict"])


def seconds_text(row: Mapping[str, Any]) -> str:
    """Return the duration in a summary; after ``≥`` if the end of the run was not recorded.

    Args:
        row: The summary of a run.
    """
    return f"{'≥ ' if row['state'] == 'interrupted' else ''}{row['seconds']:.1f}"


_BARS = "▁▂▃▄▅▆▇█"
_LONGEST = 20


def _show_trends(args: argparse.Namespace) -> int:
    """Print the trends of the step or measurement that `--trend` names, or of all steps."""
    from pytest_orchestrator.core.suggestions import nearest
    from pytest_orchestrator.runs.compare.trends import trends
    from pytest_orchestrator.runs.index.past_runs import read_all

    runs, name = [*read_all(runs_folder())], args.trend
    found = trends(runs, name)
    if name and not found:
        known = {word for one in trends(runs) for word in (one.step, one.figure)}
        raise UsageError(f"no step and no measurement '{name}' in any run{nearest(name, known)}")
    if args.json:
        say_json({"trends": [_plain(one) for one in found]})
    elif not found:
        say(f"no run in {runs_folder()}")
    else:
        say_tables([Table(_TREND, map(_trend_row, found), width_of(args))])
        for one in found if name else ():
            say("", f"{one.step} {one.figure}{f', {one.unit}' if one.unit else ''}")
            say(*Table(_POINT, _point_rows(one), width_of(args), indent="  ").texts())
    return 0


def _point_rows(one: "Trend") -> list[tuple[str, ...]]:
    from pytest_orchestrator.core.figures.notation import history_notation

    made = history_notation([each.value for each in one.points], one.unit, one.precision)
    return [
        (
            each.run,
            made.with_unit(each.value),
            "" if each.passed else "recipe failed",
        )
        for each in one.points
    ]


def _trend_row(one: "Trend") -> tuple[str, ...]:
    from pytest_orchestrator.core.figures.notation import history_notation

    known, last = one.usual, one.points[-1].value
    made = history_notation([known.median, last] if known else [last], one.unit, one.precision)
    drift = f"  {one.drift.text}" if one.drift else ""
    return (
        one.recipe,
        one.step,
        one.figure,
        str(len(one.points)),
        made.with_unit(known.median) if known else "-",
        made.finer(known.spread, one.precision).text(known.spread) if known else "-",
        made.text(last),
        f"{_drawn([point.value for point in one.points[-_LONGEST:]])}{drift}",
    )


def _drawn(values: "Sequence[float]") -> str:
    """Return figures as a line of bar characters, scaled from the lowest to the highest figure."""
    low, high = min(values), max(values)
    room = (high - low) or 1
    return "".join(_BARS[round((one - low) / room * (len(_BARS) - 1))] for one in values)


def _plain(one: "Trend") -> dict[str, Any]:
    from msgspec.structs import asdict

    from pytest_orchestrator.runs.compare.comparison import size_of

    fields = asdict(one)
    if one.precision is None:
        del fields["precision"]
    return {
        **fields,
        "points": [asdict(point) for point in one.points],
        "usual": one.usual and asdict(one.usual),
        "drift": one.drift and {**size_of(one.drift), "limit": one.drift.limit},
    }
