"""Export the measurements of past and live runs as CSV, JSON Lines or Parquet.

One row is one measurement, with its run, recipe, step, unit under test, limits and verdict.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.cli.arguments import OneOf, UsageError
from pytest_orchestrator.cli.past_runs import (
    check_found,
    declare_selection,
    read_runs,
    selection,
)
from pytest_orchestrator.reports.text import say, say_json, say_value

if TYPE_CHECKING:
    from pytest_orchestrator.runs.measurements.rows import Row

EXAMPLE = "measurements --since 7d -o measurements.csv"

_FORMATS: Final = ("csv", "jsonl", "parquet")


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    declare_selection(parser)
    parser.add_argument(
        "--format",
        type=OneOf("format", _FORMATS),
        metavar="csv|jsonl|parquet",
        help="format (default: by the suffix of FILE, else csv; parquet needs a FILE and the extra "
        "parquet)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write to this file instead of stdout"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def run(args: argparse.Namespace) -> int:
    """Export the measurements."""
    kind = _format(args)
    from pytest_orchestrator.core.files import gc_paused
    from pytest_orchestrator.runs.measurements.rows import rows_of

    wanted = selection(args)
    with gc_paused():
        found = [*wanted.only(read_runs(wanted))]
        check_found(wanted, found)
        rows = [*rows_of(reversed(found))]
    if args.json:
        say_json({"measurements": [_plain(row) for row in rows]})
    elif args.output is None:
        _print(rows, kind)
    else:
        _write(args.output, rows, kind)
    return 0


def _format(args: argparse.Namespace) -> str:
    """Return the format of the output.

    Raises:
        UsageError: The options contradict each other.
    """
    if args.json:
        if args.format or args.output:
            option = "--format" if args.format else "-o"
            raise UsageError(f"--json prints to stdout; leave out {option}, or use --format jsonl")
        return "json"
    suffix = args.output.suffix.removeprefix(".").lower() if args.output else "csv"
    kind: str = args.format or suffix
    if kind not in _FORMATS:
        raise UsageError(
            f"{args.output} has no suffix of a format; give --format csv, jsonl or parquet"
        )
    if kind == "parquet":
        if args.output is None:
            raise UsageError("parquet is written to a file only; give -o FILE.parquet")
        from pytest_orchestrator.core.extras import is_installed

        if not is_installed("parquet"):
            raise UsageError("parquet needs pyarrow: pip install 'pytest-orchestrator[parquet]'")
    return kind


def _plain(row: "Row") -> dict[str, Any]:
    from msgspec.structs import asdict

    return asdict(row)


def _print(rows: "list[Row]", kind: str) -> None:
    from pytest_orchestrator.runs.measurements.rows import FORMATS

    text = FORMATS[kind]
    data = text.header + text.lines(rows)
    if sys.stdout.isatty():
        say_value(data.decode().rstrip("\n"))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)


def _write(path: Path, rows: "list[Row]", kind: str) -> None:
    from pytest_orchestrator.core.files import output
    from pytest_orchestrator.core.text import counted
    from pytest_orchestrator.runs.measurements.rows import FORMATS

    try:
        with output(path) as file:
            if kind == "parquet":
                from pytest_orchestrator.runs.measurements.parquet import write_parquet

                write_parquet(file, rows)
            else:
                text = FORMATS[kind]
                file.write(text.header + text.lines(rows))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    say(f"{path}: {counted(len(rows), 'measurement')}")
