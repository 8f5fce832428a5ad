"""Check recipes without running anything.

Tells all that pytest would tell when it collects them.
"""

import argparse
import json
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.cli.mistakes import Mistake, existing
from pytest_orchestrator.cli.project import Project, project

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.recipe import RecipeError

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
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Check them."""
    about = project(args.paths)
    checked = {path: _error(path, about) for path in about.recipes(args.paths)}
    if not checked:
        raise Mistake(f"there is no recipe in {' or '.join(map(str, args.paths or [about.root]))}")
    errors = [error for error in checked.values() if error]
    if args.json:
        found = [_plain(path, error, about) for path, error in checked.items()]
        print(json.dumps({"rootdir": str(about.root), "recipes": found}, indent=2))
    else:
        for error in errors:
            print(error.render(), end="\n\n")
        print(_summary(len(checked), sum(len(error.problems) for error in errors)))
    return 1 if errors else 0


def _error(path: "Path", about: Project) -> "RecipeError | None":
    from pytest_orchestrator.recipe import RecipeError, load

    try:
        load(path, root=about.root, max_bytes=about.max_bytes)
    except RecipeError as error:
        return error
    return None


def _plain(path: "Path", error: "RecipeError | None", about: Project) -> dict[str, Any]:
    shown = path.relative_to(about.root) if path.is_relative_to(about.root) else path
    problems = [
        {
            "severity": "error",
            "line": problem.place.line,
            "column": problem.place.column,
            "length": problem.place.length,
            "message": problem.text,
        }
        for problem in (error.problems if error else ())
    ]
    return {"path": shown.as_posix(), "problems": problems}


def _summary(recipes: int, problems: int) -> str:
    return f"{_counted(recipes, 'recipe')}, {_counted(problems, 'problem')}"


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' if number > 1 else ''}"
