"""Check recipes, and what flows through their steps, without running anything.

Tells what pytest tells when it collects them, and besides: keys of the Context that are read
and that nothing writes, writers that are not waited for, two writers at the same time,
modules, classes, functions and programs that are not there.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.cli.mistakes import Mistake, existing
from pytest_orchestrator.cli.project import Project, project
from pytest_orchestrator.reports.text import say, say_json

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.analysis.dataflow import Finding

EXAMPLE = "validate recipes/"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=existing,
        metavar="PATH",
        help="recipes, or folders that have some (default: all of the project)",
    )
    parser.add_argument(
        "--imports",
        action="store_true",
        help="import the modules too, in a process of their own",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Check them."""
    about = project(args.paths)
    paths = list(about.recipes(args.paths))
    if not paths:
        where = " or ".join(map(str, args.paths or [about.root]))
        raise Mistake(
            f"there is no recipe in {where}; pytest-orchestrator new recipe NAME makes one"
        )
    found = list(dict.fromkeys(_findings(paths, about, imports=args.imports)))
    if args.json:
        say_json(_plain(paths, found, about))
    else:
        for each in found:
            say(*each.render().split("\n"), "")
        say(_summary(len(paths), found))
    return 1 if any(each.severity == "error" for each in found) else 0


def _findings(paths: Sequence[Path], about: Project, *, imports: bool) -> "Iterator[Finding]":
    from pytest_orchestrator.cli.recipes import Recipes
    from pytest_orchestrator.recipe.analysis.dataflow import Dataflow, Finding
    from pytest_orchestrator.recipe.analysis.source_files import Sources
    from pytest_orchestrator.recipe.problems import RecipeError

    recipes = Recipes(about)
    sources = Sources(about.root, [about.root / name for name in about.listed("pythonpath")])
    flow = Dataflow(sources, recipes.good)
    for path in paths:
        recipe = recipes.at(path)
        if isinstance(recipe, RecipeError):
            problems = recipe.problems
            yield from (Finding("error", recipe.path, recipe.text, each) for each in problems)
            continue
        found = flow.findings(recipe)
        yield from found
        if imports:
            from pytest_orchestrator.cli.imports import not_imported

            yield from not_imported(recipe, sources, found)


def _plain(paths: Sequence[Path], found: "Sequence[Finding]", about: Project) -> dict[str, Any]:
    told: dict[str, list[dict[str, Any]]] = {about.shown(path): [] for path in paths}
    for each in found:
        place = each.problem.place
        told.setdefault(each.path, []).append(
            {
                "severity": each.severity,
                "line": place.line,
                "column": place.column,
                "length": place.length,
                "message": each.problem.text,
            }
        )
    recipes = [{"path": path, "problems": problems} for path, problems in told.items()]
    return {"rootdir": str(about.root), "recipes": recipes}


def _summary(recipes: int, found: "Sequence[Finding]") -> str:
    warnings = sum(each.severity == "warning" for each in found)
    parts = [_counted(recipes, "recipe"), _counted(len(found) - warnings, "problem")]
    return ", ".join([*parts, _counted(warnings, "warning")] if warnings else parts)


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' if number > 1 else ''}"
