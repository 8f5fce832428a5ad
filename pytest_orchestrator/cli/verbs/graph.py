"""Draw the dependency graph of a recipe, with --run also the outcomes of its steps.

Prints Mermaid to stdout, or writes a file whose suffix selects the format: .svg, .png, .mmd or
.dot. With --timeline it draws when the steps of a run ran, as .svg or .png.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.cli.arguments import UsageError, existing_path, nearest_of
from pytest_orchestrator.cli.project import ONE_RUN, declare_run, project, run_record
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from pytest_orchestrator.reports.graph.nodes import Steps
    from pytest_orchestrator.runs.record import RecipeRecord, RunRecord


_MOST_CELLS = 10

EXAMPLE = "graph recipes/example.yaml -o example.svg"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        help="a recipe; with --run one of that run, or a matrix cell as in `runs show`",
    )
    declare_run(
        parser,
        "--run",
        metavar="RUN",
        help=f"show the outcomes of the steps in {ONE_RUN}",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write to a file that ends in .svg, .png, .mmd or .dot; .png needs a Chromium, Chrome "
        "or Edge",
    )
    parser.add_argument(
        "--timeline",
        action="store_true",
        help="with --run and -o: draw the timeline of the steps instead of their dependencies",
    )
    parser.add_argument(
        "--all-steps",
        action="store_true",
        help="draw each step of a large recipe in a box of its own; do not fold chains of steps",
    )


def run(args: argparse.Namespace) -> int:
    """Print or write the graph or the timeline."""
    from pytest_orchestrator.reports.graph.picture import PICTURES

    output: Path | None = args.output
    suffix = "" if output is None else output.suffix
    formats = (".svg", ".png") if args.timeline else (".svg", ".png", ".mmd", ".dot")
    if args.timeline and not (args.run and output):
        raise UsageError("--timeline draws a run to a file; add --run RUN and -o FILE.svg")
    if output is not None and suffix not in formats:
        raise UsageError(f"{output} ends in none of {', '.join(formats)}")
    if args.timeline:
        text = _timeline(args.run, args.recipe)
    else:
        steps = _of_file(args.recipe) if args.run is None else _of_run(args.run, args.recipe)
        kind = {"": "mmd", ".png": "svg"}.get(suffix, suffix[1:])
        text = PICTURES[kind](steps, fold=not args.all_steps)
    if output is None:
        say(*text.splitlines())
    else:
        write_picture(output, text)
    return 0


def _timeline(name: str, recipe: str) -> str:
    from pytest_orchestrator.reports.pictures.timeline import svg

    record = run_record(name)
    found = _recipe_of(record, recipe)
    text = svg(found, record.last)
    if text is None:
        raise UsageError(f"no step of {found.key} ran in run {record.id}")
    return text


def _of_run(name: str, recipe: str) -> "Steps":
    from pytest_orchestrator.reports.views import steps_of

    return steps_of(_recipe_of(run_record(name), recipe))


def _recipe_of(record: "RunRecord", recipe: str) -> "RecipeRecord":
    """Return the recipe or cell of a run that the user names."""
    keys = [key for key in record.recipes if recipe in (key, Path(key).stem)]
    keys = keys or [key for key in record.recipes if key.partition("[")[0] == recipe]
    if not keys:
        hint = nearest_of(recipe, record.recipes)
        raise UsageError(f"run {record.id} has no recipe '{recipe}'{hint}")
    if len(keys) > 1:
        cells = ", ".join(f"'{key}'" for key in keys[:_MOST_CELLS])
        more = f" and {len(keys) - _MOST_CELLS} more" if len(keys) > _MOST_CELLS else ""
        raise UsageError(f"run {record.id} has several cells: {cells}{more}; name one of them")
    return record.recipes[keys[0]]


def _of_file(name: str) -> "Steps":
    from pytest_orchestrator.cli.project import Recipes
    from pytest_orchestrator.recipe.problems import RecipeError

    try:
        path = existing_path(name)
    except argparse.ArgumentTypeError as error:
        raise UsageError(str(error)) from None
    about = project([path])
    if path.is_dir():
        first = next(about.recipes([path]), None)
        example = "" if first is None else f" in it, such as {os.path.relpath(first)}"
        raise UsageError(f"{name} is a folder; name a recipe{example}")
    loaded = Recipes(about).at(path)
    if isinstance(loaded, RecipeError):
        raise UsageError(f"{name} has errors; pytest-orchestrator validate shows them")
    return [
        {"name": step.name, "needs": [*step.needs], "after": [*step.after], "final": step.is_final}
        for step in loaded.steps + loaded.final
    ]


def write_picture(output: Path, text: str) -> None:
    """Write a picture, as PNG if the name of the file says so.

    Args:
        output: The file.
        text: The picture as SVG, or another text.

    Raises:
        UsageError: The file cannot be written, or there is no browser for a PNG.
    """
    from pytest_orchestrator.reports.pictures.chromium import BrowserError, write_png

    try:
        if output.suffix == ".png":
            write_png(text, output)
        else:
            output.write_text(text, encoding="utf-8")
    except BrowserError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror}") from None
