"""Prove that a run, or the evidence of one, is still what it was when it ended.

Names the first line of the journal, or the first file, that was changed, is gone or came later.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.cli import run_selection
from pytest_orchestrator.reports.text import say, say_json

if TYPE_CHECKING:
    from pytest_orchestrator.runs.evidence.verify import Verification

EXAMPLE = "verify latest"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    run_selection.declare_run(
        parser,
        "run",
        metavar="RUN|FILE.zip",
        help=f"{run_selection.ONE}; or a file that `report --bundle` wrote",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Prove it."""
    proof = _proof(args.run)
    if args.json:
        flaws = [flaw._asdict() for flaw in proof.flaws]
        say_json({**proof._asdict(), "flaws": flaws, "holds": proof.holds})
    else:
        say(_told(proof))
    return 0 if proof.holds else 1


def _proof(name: str) -> "Verification":
    from pytest_orchestrator.runs.evidence.verify import verify_folder

    if name.endswith(".zip") and Path(name).is_file():
        from pytest_orchestrator.runs.evidence.bundle import verify_bundle

        return verify_bundle(Path(name))
    return verify_folder(run_selection.run_folder(name))


def _told(proof: "Verification") -> str:
    if proof.flaws:
        more = len(proof.flaws) - 1
        return f"{proof.run}: {proof.flaws[0]}" + (f" (and {more} more)" if more else "")
    lines = f"{proof.lines} line{'s' * (proof.lines != 1)}"
    if proof.state == "finished":
        files = f"{proof.files or 'no'} file{'s' * (proof.files != 1)}"
        return f"{proof.run}: {lines} and {files} are as they were, seal {proof.seal}"
    what = "goes on" if proof.state == "running" else "was interrupted"
    return f"{proof.run}: it {what}: {lines} are as they were written, and no seal ends them"
