"""`report --bundle`: the evidence of a run in one file."""

import argparse
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.cli import past
from pytest_orchestrator.cli.mistakes import Mistake
from pytest_orchestrator.cli.project import project
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from pytest_orchestrator.recipe import Recipe
    from pytest_orchestrator.runs.record import RecipeRecord, RunRecord


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE.zip",
        help="write the run as evidence: all that it left, what it was made of, and a manifest "
        "of hashes that `verify FILE.zip` proves",
    )


def write(name: str, out: Path) -> int:
    """Write the evidence of a run.

    Args:
        name: The run, as `past.ONE` says.
        out: The file.

    Returns:
        How the process exits.

    Raises:
        Mistake: There is no such run, it goes on, or the file cannot be written.
    """
    from pytest_orchestrator.reports.views import write_page
    from pytest_orchestrator.runs.evidence import bundle

    folder = past.folder(name)
    found = past.read(folder)
    if found.state == "running":
        raise Mistake(f"run {folder.name} goes on; it is evidence when it has ended")
    try:
        if not (folder / "report.html").exists():
            write_page(found, folder)
        count = bundle.write_bundle(folder, found, out, dict(_resolved(folder, found)))
    except OSError as error:
        raise Mistake(f"{error.filename or out}: {error.strerror}") from None
    say(f"{out}: {count} files of run {folder.name}")
    return 0


def _resolved(folder: Path, run: "RunRecord") -> Iterator[tuple[str, bytes]]:
    """Give each recipe that ran as its keys meant: files used, defaults known, vars with values."""
    for recipe in run.recipes.values():
        told = _recipe(folder, recipe)
        if told is not None:
            name = re.sub(r"[^\w./=,-]", "_", recipe.key.strip("/"))
            yield f"resolved/{name}.json", json.dumps(told, indent=1, sort_keys=True).encode()


def _recipe(folder: Path, recipe: "RecipeRecord") -> dict[str, Any] | None:
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
    from pytest_orchestrator.cli.recipes import extensions_of
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
        except (RecipeError, OSError, Mistake):
            return None
