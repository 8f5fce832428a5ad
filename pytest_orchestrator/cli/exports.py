"""Exports of a run for `report --ctrf`, `--otel` and `--allure`."""

import argparse
import os
from pathlib import Path

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.cli.project import read_run, run_folder
from pytest_orchestrator.reports.text import say


def declare_exports(parser: argparse.ArgumentParser) -> None:
    """Declare an option for each format."""
    parser.add_argument(
        "--ctrf",
        metavar="FILE.json",
        help="write a file in the Common Test Report Format instead of the report",
    )
    parser.add_argument(
        "--otel",
        nargs="?",
        const="",
        metavar="ENDPOINT",
        help="send the run as an OpenTelemetry trace by OTLP/HTTP (needs the extra otel); write "
        "--otel=http://HOST:4318, or --otel behind the run for the endpoint of "
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    )
    parser.add_argument(
        "--allure",
        metavar="DIR",
        help="write result files for Allure to a folder instead of the report",
    )


def targets_of(args: argparse.Namespace) -> dict[str, str]:
    """Return the target of each format that the arguments name."""
    named = {name: getattr(args, name) for name in ("ctrf", "otel", "allure")}
    return {name: target for name, target in named.items() if target is not None}


def write_exports(args: argparse.Namespace) -> int:
    """Export a run in all formats that the arguments name; print a line for each.

    Returns:
        0, or 1 if an export failed.

    Raises:
        UsageError: An option contradicts another one, or the run does not exist.
    """
    from pytest_orchestrator.addons.exports.formats import ExportError, export

    if args.certificate or args.bundle or args.output:
        other = "--certificate" if args.certificate else "--bundle" if args.bundle else "-o"
        name = next(iter(targets_of(args)))
        raise UsageError(f"--{name} and {other} write different files; give one of them")
    if args.allure == "":
        raise UsageError("--allure: the path is empty; name a folder")
    if args.otel and "/" not in args.otel:
        raise UsageError(
            f"--otel: {args.otel} is no endpoint; write --otel=http://HOST:4318, or the run before "
            "--otel"
        )
    folder = run_folder(args.run)
    run, failed = read_run(folder), False
    for name, target in targets_of(args).items():
        try:
            say(export(name, run, Path(os.path.relpath(folder)), target))
        except ExportError as error:
            failed = True
            say(f"error: {error}", err=True)
    return 1 if failed else 0
