"""Check that a run or exported zip was not modified.

Prints the first line of the journal, or the first file, that was changed, removed or added.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.cli.arguments import UsageError, declare_wide, say_wrapped, width_of
from pytest_orchestrator.cli.project import ONE_RUN, declare_run, run_folder
from pytest_orchestrator.reports.text import say_json

if TYPE_CHECKING:
    from pytest_orchestrator.runs.verify import Verification

EXAMPLE = "verify latest"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    declare_run(
        parser,
        "run",
        nargs="?",
        default="latest",
        metavar="RUN|FILE.zip",
        help=f"{ONE_RUN}; or a zip file of `report --bundle`",
    )
    parser.add_argument(
        "--key",
        type=Path,
        metavar="FILE.pem",
        help="public key that must have signed the zip file (needs the extra sign)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    declare_wide(parser)


def run(args: argparse.Namespace) -> int:
    """Verify the run or zip file and print the first difference."""
    verification = _verify(args.run, args.key)
    if args.json:
        flaws = [flaw._asdict() for flaw in verification.flaws]
        say_json({**verification._asdict(), "flaws": flaws, "holds": verification.holds})
    else:
        say_wrapped(_summary(verification), width_of(args))
    return 0 if verification.holds else 1


def _verify(name: str, key: Path | None) -> "Verification":
    """Verify a run, or a zip file.

    Raises:
        UsageError: The run does not exist, or the key cannot be used.
    """
    from pytest_orchestrator.runs.verify import verify_folder

    if name.endswith(".zip") and os.path.isfile(name):
        from pytest_orchestrator.core.errors import OrchestratorError
        from pytest_orchestrator.core.extras import addon

        try:
            public = addon("evidence.signature").public_key(key) if key else None
            found: Verification = addon("evidence.bundle").verify_bundle(Path(name), public)
        except OrchestratorError as error:
            raise UsageError(str(error)) from None
        return found
    if key is not None:
        raise UsageError(f"only a bundle has a signature; {name} is no zip file that exists")
    return verify_folder(run_folder(name))


def _summary(verification: "Verification") -> list[str]:
    run = verification.run
    if verification.flaws:
        more = len(verification.flaws) - 1
        return [f"{run}: {verification.flaws[0]}" + (f" (and {more} more)" if more else "")]
    lines = f"{verification.lines} line{'s' * (verification.lines != 1)}"
    signed = [f"signed by key {', '.join(verification.signed_by)}"]
    if not verification.is_signature_checked:
        signed = [f"{line}, not checked: add --key FILE.pem" for line in signed]
    signed = signed if verification.signed_by else []
    if verification.state == "finished":
        files = f"{verification.files or 'no'} file{'s' * (verification.files != 1)}"
        sealed = [f"{run}: {lines} and {files} are unmodified", f"seal {verification.seal}"]
        return sealed + signed
    state = "is still running" if verification.state == "running" else "was interrupted"
    text = f"{run}: it {state}: {lines} are unmodified, but the journal has no seal"
    return [text, *signed]
