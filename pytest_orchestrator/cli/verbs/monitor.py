"""Watch runs live in a browser.

Reads run folders and nothing else: it can never hurt a run. The printed link has a token in
it; only the loopback is listened at unless told otherwise.
"""

import argparse
import sys
from pathlib import Path

from pytest_orchestrator.cli import run_selection
from pytest_orchestrator.cli.arguments import existing
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.reports.text import say

EXAMPLE = "monitor --open"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.add_argument(
        "runs", nargs="?", type=existing, metavar="RUN_DIR", help="a folder of runs, or one run"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="where to listen; others than the loopback let other machines look "
        "(default: 127.0.0.1)",
    )
    parser.add_argument(
        "--port", type=int, default=8050, help="the port, or the next free one (default: 8050)"
    )
    parser.add_argument("--open", action="store_true", help="open a browser")
    parser.add_argument(
        "--until-input-ends",
        action="store_true",
        help="end with the standard input, for programs that start it",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from pytest_orchestrator.monitor.server import serve
    from pytest_orchestrator.runs.folder import is_run

    base = Path(args.runs).resolve() if args.runs else run_selection.runs_folder()
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
