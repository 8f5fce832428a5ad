"""Print the JSON Schema of recipes or reports, for editors and other programs."""

import argparse
import sys
from pathlib import Path

from pytest_orchestrator.cli.arguments import OneOf
from pytest_orchestrator.cli.project import project

EXAMPLE = "schema recipe > recipe.schema.json"

_FOLDER = Path(__file__).parents[2] / "schema"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    names = sorted(path.stem for path in _FOLDER.glob("*.json"))
    parser.add_argument(
        "name",
        nargs="?",
        default="recipe",
        type=OneOf("schema", names),
        metavar="NAME",
        help=f"the schema to print: {', '.join(names)} (default: recipe)",
    )
    parser.add_argument(
        "--plugins",
        action="store_true",
        help="include the step types and criteria that plugins and conftest.py define",
    )


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    if args.plugins and args.name == "recipe":
        from pytest_orchestrator.cli.project import extensions_of
        from pytest_orchestrator.recipe import editor_schema

        sys.stdout.write(editor_schema.text(extensions_of(project())))
        return 0
    sys.stdout.write((_FOLDER / f"{args.name}.json").read_text(encoding="utf-8"))
    return 0
