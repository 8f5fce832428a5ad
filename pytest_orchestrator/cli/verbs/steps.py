"""List the scriptlets of a project, and what of their conventions they do not keep.

Reads files and runs nothing: what is below a folder called `scriptlets`, what recipes name,
and classes below BaseScriptlet wherever they are. With --strict a warning is a failure.
"""

import argparse

from pytest_orchestrator.cli.project import project
from pytest_orchestrator.reports.text import say, say_json

EXAMPLE = "steps"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 where there is a warning"
    )
    parser.add_argument(
        "--plugins",
        action="store_true",
        help="with the types of steps that plugins and conftest.py bring here",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """List them."""
    from pytest_orchestrator.scriptlets.listing import as_json, as_text

    about = project()
    inventory = about.inventory()
    if args.plugins:
        from pytest_orchestrator.cli.project import extensions_of
        from pytest_orchestrator.plugin.extensions import with_types

        inventory = with_types(inventory, extensions_of(about))
    for path in inventory.unread:
        say(f"{path} is no YAML; pytest-orchestrator validate says why", err=True)
    if args.json:
        say_json(as_json(inventory))
    else:
        say(*as_text(inventory).split("\n"))
    return 1 if inventory.has_error or (args.strict and inventory.notes) else 0
