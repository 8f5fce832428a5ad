"""Print a JSON Schema, for editors and other programs."""

import argparse
import sys
from pathlib import Path

from pytest_orchestrator.cli.mistakes import one_of

EXAMPLE = "schema recipe > recipe.schema.json"

_FOLDER = Path(__file__).parents[2] / "schema"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    names = sorted(path.stem for path in _FOLDER.glob("*.json"))
    parser.add_argument(
        "name",
        nargs="?",
        default="recipe",
        type=one_of("schema", names),
        metavar="NAME",
        help=f"what it is the schema of: {', '.join(names)} (default: recipe)",
    ).completer = lambda **_: names  # type: ignore[attr-defined]


def run(args: argparse.Namespace) -> int:
    """Print it."""
    sys.stdout.write((_FOLDER / f"{args.name}.json").read_text(encoding="utf-8"))
    return 0
