"""Draw the dependency graph of a recipe, with --run also the outcomes of its steps.

Prints Mermaid to stdout, or writes a file whose suffix selects the format: .svg, .mmd or .dot.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.cli.arguments import UsageError, existing_path
from pytest_orchestrator.cli.project import ONE_RUN, declare_run, project, run_record
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from pytest_orchestrator.reports.graph.nodes import Steps

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
        help="write to a file that ends in .svg, .mmd or .dot",
    )
    parser.add_argument(
        "--all-steps",
        action="store_true",
        help="draw each step of a large recipe in a box of its own; do not fold chains of steps",
    )


def run(args: argparse.Namespace) -> int:
    """Print or write the graph."""
    from pytest_orchestrator.reports.graph.picture import dot, mermaid, svg

    output: Path | None = args.output
    writers = {".svg": svg, ".mmd": mermaid, ".dot": dot}
    if output is not None and output.suffix not in writers:
        raise UsageError(f"{output} ends in none of {', '.join(writers)}")
    steps = _of_run(args.run, args.recipe) if args.run else _of_file(args.recipe)
    fold = not args.all_steps
    if output is None:
        say(*mermaid(steps, fold=fold).splitlines())
        return 0
    try:
        output.write_text(writers[output.suffix](steps, fold=fold), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror}") from None
    return 0


def _of_run(name: str, recipe: str) -> "Steps":
    from pytest_orchestrator.reports.views import steps_of

    record = run_record(name)
    keys = [key for key in record.recipes if recipe in (key, Path(key).stem)]
    keys = keys or [key for key in record.recipes if key.partition("[")[0] == recipe]
    if not keys:
        hint = (
            nearest(recipe, record.recipes) or f"; there is {', '.join(record.recipes) or 'none'}"
        )
        raise UsageError(f"run {record.id} has no recipe '{recipe}'{hint}")
    if len(keys) > 1:
        cells = ", ".join(f"'{key}'" for key in keys)
        raise UsageError(f"run {record.id} has several cells: {cells}; name one of them")
    return steps_of(record.recipes[keys[0]])


def _of_file(name: str) -> "Steps":
    from pytest_orchestrator.cli.project import Recipes
    from pytest_orchestrator.recipe.problems import RecipeError

    try:
        path = existing_path(name)
    except argparse.ArgumentTypeError as error:
        raise UsageError(str(error)) from None
    loaded = Recipes(project([path])).at(path)
    if isinstance(loaded, RecipeError):
        raise UsageError(f"{name} has errors; pytest-orchestrator validate shows them")
    return [
        {"name": step.name, "needs": [*step.needs], "after": [*step.after], "final": step.is_final}
        for step in loaded.steps + loaded.final
    ]
