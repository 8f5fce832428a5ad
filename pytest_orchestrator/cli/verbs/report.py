"""Make the page of a run anew from its journal, also of one that was killed; or its evidence.

Of a run that has no end the pictures of its recipes are made, too. The path of the page is
printed.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.cli import run_selection
from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pytest_orchestrator.recipe import Recipe
    from pytest_orchestrator.runs.record import RecipeRecord, RunRecord


def declare_bundle(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE.zip",
        help="write the run as evidence: all that it left, what it was made of, and a manifest "
        "of hashes that `verify FILE.zip` proves",
    )


def write_evidence(name: str, out: Path) -> int:
    """Write the evidence of a run.

    Args:
        name: The run, as `run_selection.ONE` says.
        out: The file.

    Returns:
        How the process exits.

    Raises:
        Mistake: There is no such run, it goes on, or the file cannot be written.
    """
    from pytest_orchestrator.reports.views import write_page
    from pytest_orchestrator.runs.evidence import bundle

    folder = run_selection.run_folder(name)
    found = run_selection.read_run(folder)
    if found.state == "running":
        raise UsageError(f"run {folder.name} goes on; it is evidence when it has ended")
    try:
        if not (folder / "report.html").exists():
            write_page(found, folder)
        count = bundle.write_bundle(folder, found, out, dict(_resolved(folder, found)))
    except OSError as error:
        raise UsageError(f"{error.filename or out}: {error.strerror}") from None
    say(f"{out}: {count} files of run {folder.name}")
    return 0


def _resolved(folder: Path, run: "RunRecord") -> "Iterator[tuple[str, bytes]]":
    """Give each recipe that ran as its keys meant: files used, defaults known, vars with values."""
    import json
    import re

    for recipe in run.recipes.values():
        told = _recipe(folder, recipe)
        if told is not None:
            name = re.sub(r"[^\w./=,-]", "_", recipe.key.strip("/"))
            yield f"resolved/{name}.json", json.dumps(told, indent=1, sort_keys=True).encode()


def _recipe(folder: Path, recipe: "RecipeRecord") -> "dict[str, Any] | None":
    """Return a recipe as it was; None where its text was not kept or is of another version."""
    from pytest_orchestrator.recipe.analysis.dependencies import plain_recipe

    loaded, about = _loaded(folder, recipe.about.get("path")), recipe.about
    if loaded is None:
        return None
    told = plain_recipe(loaded)
    told |= {name: about[name] for name in ("vars", "cell", "matrix") if name in about}
    return told


def _loaded(folder: Path, name: object) -> "Recipe | None":
    """Read the text of a recipe that was kept with a run; it uses kept ones alone."""
    from pytest_orchestrator.cli.project import extensions_of, project
    from pytest_orchestrator.recipe import RecipeError, load
    from pytest_orchestrator.runs import provenance
    from pytest_orchestrator.runs.folder import RunFile, RunFiles

    path, root = provenance.place_of(folder, name), folder.resolve() / provenance.FOLDER
    if path is None or not path.is_file():
        return None
    kept = RunFiles(root)

    def is_kept(used: Path) -> bool:
        return kept.at(RunFile(os.path.relpath(used, root))) is not None

    try:
        return load(path, root=root, may_use=is_kept)
    except (RecipeError, OSError):
        # Perhaps one with steps of a plugin, which take longer to be asked for.
        try:
            known = extensions_of(project())
            return load(path, root=root, known=known, may_use=is_kept)
        except (RecipeError, OSError, UsageError):
            return None


EXAMPLE = "report latest -o report.html"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    run_selection.declare_run(parser, "run", metavar="RUN", nargs="?", default="latest")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="where the page is written (default: report.html in the folder of the run)",
    )
    declare_bundle(parser)


def run(args: argparse.Namespace) -> int:
    """Make it."""
    from pytest_orchestrator.reports.views import write_page, write_pictures

    if args.bundle:
        return write_evidence(args.run, args.bundle)
    folder = run_selection.run_folder(args.run)
    found = run_selection.read_run(folder)
    try:
        if found.state == "interrupted":
            write_pictures(found, folder)
        say(os.path.relpath(write_page(found, folder, args.output)))
    except OSError as error:
        raise UsageError(f"{args.output or folder}: {error.strerror}") from None
    return 0
