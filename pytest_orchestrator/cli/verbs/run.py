"""Run recipes by pytest, with the log lines of the old runner on stderr.

All that is no option of this verb goes to pytest as it is, and the exit status is pytest's.
"""

import argparse
import os
import sys
from pathlib import Path

from pytest_orchestrator.cli.arguments import existing
from pytest_orchestrator.cli.project import project

EXAMPLE = "run --recipe recipes/example.yaml -v"
PASSES_ON = True

_LOG = "pytest_orchestrator.plugin.runner_log"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.usage = "%(prog)s [-h] [--recipe FILE] [options and arguments of pytest]"
    parser.add_argument(
        "--recipe",
        action="append",
        default=[],
        type=_recipe,
        metavar="FILE",
        help="a recipe; may be given again",
    )


def _recipe(text: str) -> str:
    """Return a path as pytest takes it: from here, or else from the rootdir."""
    there = project().root / text
    is_there = there.exists() and not Path(text).exists()
    return str(there if is_there else existing(text))


def run(args: argparse.Namespace) -> int:
    """Run them."""
    command = [sys.executable, "-m", "pytest", "-p", _LOG, *args.recipe, *args.rest]
    if sys.platform == "win32":  # where what is executed does not become this process
        import subprocess

        return subprocess.call(command)
    return os.execv(sys.executable, command)  # noqa: S606  # no shell is wanted
