"""Rebuild a run's HTML report (also for killed runs), certify its recipes, or export the run.

Prints the path of the report. For a run that was interrupted it also writes the pictures of its
recipes.
"""

import argparse
import errno
import os
from functools import partial
from pathlib import Path

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.cli.project import brand, declare_run, look, read_run, run_folder
from pytest_orchestrator.reports.text import say


def declare_bundle(parser: argparse.ArgumentParser) -> None:
    """Declare the option `--bundle`."""
    parser.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE.zip",
        help="export the run as a zip: its files, its recipes and environment, and a manifest of "
        "hashes that `verify FILE.zip` checks",
    )
    parser.add_argument(
        "--key",
        type=Path,
        metavar="FILE.pem",
        help="with --bundle: sign it with this private Ed25519 key (needs the extra sign)",
    )


def write_evidence(name: str, out: Path, key: Path | None = None) -> int:
    """Write the evidence bundle of a run.

    Args:
        name: The run, as `ONE_RUN` describes it.
        out: The zip file.
        key: The private key that signs it; None for no signature.

    Returns:
        The exit code of the process.

    Raises:
        UsageError: The run does not exist or is still running, or the file is not named as a zip
            file or cannot be written, or the key cannot be used.
    """
    from pytest_orchestrator.core.errors import OrchestratorError
    from pytest_orchestrator.core.extras import addon
    from pytest_orchestrator.reports.views import write_page

    if os.path.isdir(out):
        raise UsageError(f"{out}: {os.strerror(errno.EISDIR)}")
    if out.suffix != ".zip":
        raise UsageError(f"a bundle is a zip file; name it {out.with_suffix('.zip')}, not {out}")
    folder = run_folder(name)
    found = read_run(folder)
    if found.state == "running":
        raise UsageError(f"run {folder.name} is still running; export it after its end")
    try:
        signer = addon("evidence.signature").private_key(key, _password) if key else None
        if not (folder / "report.html").exists():
            write_page(found, folder)
        count = addon("evidence.bundle").write_bundle(folder, found, out, signer)
    except OrchestratorError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{error.filename or out}: {error.strerror}") from None
    by = f", signed by key {signer.key_id}" if signer else ""
    say(f"{out}: {count} files of run {folder.name}{by}")
    return 0


def _password(prompt: str) -> str:
    """Ask a person at the terminal for a password; return an empty text without a terminal."""
    import getpass
    import sys

    return getpass.getpass(prompt) if sys.stdin.isatty() else ""


def declare_certificate(parser: argparse.ArgumentParser) -> None:
    """Declare the options of certificates."""
    parser.add_argument(
        "--certificate",
        action="store_true",
        help="write a test certificate of each recipe instead of the report: an HTML page to print",
    )
    parser.add_argument(
        "--recipe",
        metavar="RECIPE",
        help="with --certificate: only this recipe, by its path, its path with a cell of its "
        "matrix, or its name",
    )
    parser.add_argument(
        "--pdf",
        type=Path,
        metavar="FILE.pdf",
        help="with --certificate: write a PDF as well, by a headless Chromium, Chrome or Edge",
    )


def write_certificate(args: argparse.Namespace) -> int:
    """Write the certificates of a run; print their paths, and verdicts other than PASSED.

    Raises:
        UsageError: An option needs another one, or contradicts it, or a file cannot be written.
    """
    from pytest_orchestrator.core.errors import OrchestratorError
    from pytest_orchestrator.core.extras import addon

    if not args.certificate:
        option = "--recipe" if args.recipe is not None else "--pdf"
        raise UsageError(f"{option} is an option of certificates; add --certificate")
    if args.bundle:
        raise UsageError("--certificate and --bundle write different files; give one of them")
    folder, write = run_folder(args.run), addon("certificate.write").write
    try:
        written, verdicts = write(folder, args.recipe, args.output, args.pdf, look())
    except OrchestratorError as error:
        raise UsageError(str(error)) from None
    for path in written:
        say(os.path.relpath(path))
    for line in verdicts:  # a script reads the paths alone
        say(line, err=True)
    return 0


EXAMPLE = "report latest -o report.html"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    declare_run(parser, "run", metavar="RUN", nargs="?", default="latest")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="the file to write (default: report.html, or certificate.html, in the folder of the "
        "run)",
    )
    parser.add_argument("--open", action="store_true", help="open the report in a browser")
    declare_bundle(parser)
    declare_certificate(parser)


def run(args: argparse.Namespace) -> int:
    """Write the report and print its path, or certify its recipes, or export the run."""
    if args.key and not args.bundle:
        raise UsageError("--key signs a bundle; add --bundle FILE.zip")
    if args.open and (args.bundle or args.certificate):
        raise UsageError("--open opens the HTML report; give it without exports and certificates")
    if args.certificate or args.recipe is not None or args.pdf is not None:
        return write_certificate(args)
    from pytest_orchestrator.reports.views import write_page, write_pictures

    if args.bundle:
        return write_evidence(args.run, args.bundle, args.key)
    folder = run_folder(args.run)
    found = read_run(folder)
    try:
        if found.state == "interrupted":
            write_pictures(found, folder)
        page = write_page(found, folder, args.output, None, brand(), partial(say, err=True))
        say(os.path.relpath(page))
        if args.open:
            _open(page)
    except OSError as error:
        raise UsageError(f"{args.output or folder}: {error.strerror}") from None
    return 0


def _open(page: Path) -> None:
    """Open the report in a browser.

    Raises:
        UsageError: There is no browser.
    """
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        raise UsageError("no browser was found; set the environment variable BROWSER")
