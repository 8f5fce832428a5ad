"""Draw the graph of a recipe: which step waits for which, and of a run what became of them.

As Mermaid on stdout, or into a file whose suffix says what it is: .svg, .mmd or .dot.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.cli import run_selection
from pytest_orchestrator.cli.arguments import UsageError, existing
from pytest_orchestrator.cli.project import project
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from pytest_orchestrator.reports.graph.layout import Steps

EXAMPLE = "graph recipes/example.yaml -o example.svg"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        help="a recipe; with --run one of that run, a cell of its matrix as `runs show` has it",
    )
    run_selection.declare_run(
        parser, "--run", metavar="RUN", help=f"show what became of the steps in {run_selection.ONE}"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="a file that ends in .svg, .mmd or .dot"
    )


def run(args: argparse.Namespace) -> int:
    """Draw it."""
    from pytest_orchestrator.reports.graph.picture import dot, mermaid, svg

    output: Path | None = args.output
    known = {".svg": svg, ".mmd": mermaid, ".dot": dot}
    if output is not None and output.suffix not in known:
        raise UsageError(f"{output} ends in none of {', '.join(known)}")
    steps = _of_run(args.run, args.recipe) if args.run else _of_file(args.recipe)
    if output is None:
        say(*mermaid(steps).splitlines())
        return 0
    text = svg(steps, graphviz=True) if output.suffix == ".svg" else known[output.suffix](steps)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror}") from None
    return 0


def _of_run(name: str, recipe: str) -> "Steps":
    from pytest_orchestrator.reports.views import steps_of

    found = run_selection.run_record(name)
    keys = [key for key in found.recipes if recipe in (key, Path(key).stem)]
    keys = keys or [key for key in found.recipes if key.partition("[")[0] == recipe]
    if not keys:
        there = nearest(recipe, found.recipes) or f"; there is {', '.join(found.recipes) or 'none'}"
        raise UsageError(f"run {found.id} has no recipe '{recipe}'{there}")
    if len(keys) > 1:
        raise UsageError(f"run {found.id} has several: {', '.join(keys)}")
    return steps_of(found.recipes[keys[0]])


def _of_file(name: str) -> "Steps":
    from pytest_orchestrator.cli.project import Recipes
    from pytest_orchestrator.recipe.problems import RecipeError

    try:
        path = existing(name)
    except argparse.ArgumentTypeError as error:
        raise UsageError(str(error)) from None
    found = Recipes(project([path])).at(path)
    if isinstance(found, RecipeError):
        raise UsageError(f"{name} is no good recipe; pytest-orchestrator validate tells why")
    return [
        {"name": step.name, "needs": [*step.needs], "after": [*step.after], "final": step.is_final}
        for step in found.steps + found.final
    ]
