"""Run recipes with pytest, with the log lines of the old runner on stderr.

All other options and arguments are passed to pytest unchanged; the exit code is that of pytest.
"""

import argparse
import os
import sys

from pytest_orchestrator.cli.arguments import existing_path, usage_of
from pytest_orchestrator.cli.project import project

EXAMPLE = "run --recipe recipes/example.yaml -v"
PASSES_ON = True

_LOG = "pytest_orchestrator.plugin.runner_log"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.usage = usage_of(parser, "[-h]", "[--recipe FILE]", "[options and arguments of pytest]")
    parser.add_argument(
        "--recipe",
        action="append",
        default=[],
        type=_recipe,
        metavar="FILE",
        help="a recipe; can be repeated",
    )


def _recipe(text: str) -> str:
    """Return the path of a recipe, relative to the working directory or else to the rootdir."""
    below_root = project().root / text
    is_here = not text or os.path.exists(text)
    is_below_root = not is_here and os.path.exists(below_root)
    return str(below_root if is_below_root else existing_path(text))


def run(args: argparse.Namespace) -> int:
    """Replace this process by pytest; on Windows, run pytest and return its exit code."""
    command = [sys.executable, "-m", "pytest", "-p", _LOG, *args.recipe, *args.rest]
    if sys.platform == "win32":  # where exec does not replace the process
        import subprocess

        return subprocess.call(command)
    return os.execv(sys.executable, command)  # noqa: S606  # starts no shell
