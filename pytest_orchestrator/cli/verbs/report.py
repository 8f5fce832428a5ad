"""Make the page of a run anew from its journal, also of one that was killed; or its evidence.

Of a run that has no end the pictures of its recipes are made, too. The path of the page is
printed.
"""

import argparse
import os
from pathlib import Path

from pytest_orchestrator.cli import evidence, past
from pytest_orchestrator.cli.mistakes import Mistake
from pytest_orchestrator.reports.text import say

EXAMPLE = "report latest -o report.html"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    past.declare_run(parser, "run", metavar="RUN", nargs="?", default="latest")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="where the page is written (default: report.html in the folder of the run)",
    )
    evidence.declare(parser)


def run(args: argparse.Namespace) -> int:
    """Make it."""
    from pytest_orchestrator.reports.views import write_page, write_pictures

    if args.bundle:
        return evidence.write(args.run, args.bundle)
    folder = past.folder(args.run)
    found = past.read(folder)
    try:
        if found.state == "interrupted":
            write_pictures(found, folder)
        say(os.path.relpath(write_page(found, folder, args.output)))
    except OSError as error:
        raise Mistake(f"{args.output or folder}: {error.strerror}") from None
    return 0
