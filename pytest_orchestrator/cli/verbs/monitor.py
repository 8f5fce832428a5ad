"""Watch runs live in a browser.

The monitor only reads run folders and never writes to them. The printed link contains an access
token. Without --host only this machine can connect.
"""

import argparse
import sys
from pathlib import Path

from pytest_orchestrator.cli.arguments import declare_page, existing_path
from pytest_orchestrator.cli.project import runs_folder
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.reports.text import say

EXAMPLE = "monitor --open"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "runs",
        nargs="?",
        type=existing_path,
        metavar="RUN_DIR",
        help="a folder of runs, or one run (default: the runs of this project)",
    )
    declare_page(parser, 8050)
    parser.add_argument(
        "--until-input-ends",
        action="store_true",
        help="exit at the end of the standard input, for programs that start the monitor",
    )


def run(args: argparse.Namespace) -> int:
    """Serve the monitor until Ctrl-C."""
    from pytest_orchestrator.monitor.server import serve
    from pytest_orchestrator.runs.folder import is_run

    base = Path(args.runs).resolve() if args.runs else runs_folder()
    try:
        return serve(
            base.parent if is_run(base) else base,
            args.host,
            args.port,
            show=args.open,
            until=sys.stdin.buffer if args.until_input_ends else None,
        )
    except OrchestratorError as error:
        say(str(error), err=True)
        return 2
