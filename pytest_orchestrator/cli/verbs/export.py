"""Export a run to other tools: CTRF, Allure, OpenTelemetry; also a killed one.

Prints a line for each export. The exit code is 1 if one failed.
"""

import argparse
import os
from pathlib import Path

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.cli.project import declare_run, read_run, run_folder
from pytest_orchestrator.core.extras import addon
from pytest_orchestrator.reports.text import say

EXAMPLE = "export ctrf:ctrf.json allure:allure-results"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "exports",
        nargs="+",
        metavar="FORMAT:TARGET",
        help="ctrf:FILE writes a file in the Common Test Report Format, allure:FOLDER result files "
        "for Allure; otel:ENDPOINT sends an OpenTelemetry trace by OTLP/HTTP, otel alone to the "
        "endpoint of OTEL_EXPORTER_OTLP_ENDPOINT (needs the extra otel)",
    )
    declare_run(parser, "--run", metavar="RUN", default="latest")


def run(args: argparse.Namespace) -> int:
    """Export the run in all formats that the arguments name; print a line for each."""
    formats = addon("exports.formats")
    try:
        targets = [formats.parsed(one, Path()) for one in args.exports]
    except formats.ExportError as error:
        raise UsageError(str(error)) from None
    folder = run_folder(args.run)
    found, failed = read_run(folder), False
    for name, target in targets:
        try:
            say(formats.export(name, found, Path(os.path.relpath(folder)), target))
        except formats.ExportError as error:
            failed = True
            say(f"error: {error}", err=True)
    return int(failed)
