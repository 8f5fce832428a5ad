"""Check that a run or exported zip was not modified.

Prints the first line of the journal, or the first file, that was changed, removed or added.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.cli.project import ONE_RUN, declare_run, run_folder
from pytest_orchestrator.cli.table import declare_wide, say_wrapped, width_of
from pytest_orchestrator.reports.text import say_json

if TYPE_CHECKING:
    from pytest_orchestrator.runs.evidence.verify import Verification

EXAMPLE = "verify latest"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    declare_run(
        parser,
        "run",
        metavar="RUN|FILE.zip",
        help=f"{ONE_RUN}; or a zip file of `report --bundle`",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    declare_wide(parser)


def run(args: argparse.Namespace) -> int:
    """Verify the run or zip file and print the first difference."""
    verification = _verify(args.run)
    if args.json:
        flaws = [flaw._asdict() for flaw in verification.flaws]
        say_json({**verification._asdict(), "flaws": flaws, "holds": verification.holds})
    else:
        say_wrapped(_summary(verification), width_of(args))
    return 0 if verification.holds else 1


def _verify(name: str) -> "Verification":
    from pytest_orchestrator.runs.evidence.verify import verify_folder

    if name.endswith(".zip") and Path(name).is_file():
        from pytest_orchestrator.runs.evidence.bundle import verify_bundle

        return verify_bundle(Path(name))
    return verify_folder(run_folder(name))


def _summary(verification: "Verification") -> list[str]:
    run = verification.run
    if verification.flaws:
        more = len(verification.flaws) - 1
        return [f"{run}: {verification.flaws[0]}" + (f" (and {more} more)" if more else "")]
    lines = f"{verification.lines} line{'s' * (verification.lines != 1)}"
    if verification.state == "finished":
        files = f"{verification.files or 'no'} file{'s' * (verification.files != 1)}"
        return [f"{run}: {lines} and {files} are unmodified", f"seal {verification.seal}"]
    state = "is still running" if verification.state == "running" else "was interrupted"
    return [f"{run}: it {state}: {lines} are unmodified, but the journal has no seal"]
