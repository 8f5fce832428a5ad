"""List step scripts and report which break the conventions.

Reads sources and runs nothing. It lists the scripts and modules below a folder `scriptlets`, those
that recipes name, and subclasses of BaseScriptlet in any folder.
"""

import argparse

from pytest_orchestrator.cli.arguments import declare_wide, say_wrapped, width_of
from pytest_orchestrator.cli.project import project
from pytest_orchestrator.reports.text import say, say_json

EXAMPLE = "steps"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("--strict", action="store_true", help="exit with code 1 after a warning")
    parser.add_argument(
        "--plugins",
        action="store_true",
        help="include the step types that plugins and conftest.py define",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    declare_wide(parser)


def run(args: argparse.Namespace) -> int:
    """Print the scriptlets and the warnings."""
    from pytest_orchestrator.scriptlets.model import as_json, as_text

    about = project()
    inventory = about.inventory()
    if args.plugins:
        from pytest_orchestrator.cli.project import extensions_of
        from pytest_orchestrator.plugin.extensions import with_types

        inventory = with_types(inventory, extensions_of(about))
    for path in inventory.unread:
        say(f"{path} is not valid YAML; pytest-orchestrator validate shows the error", err=True)
    if args.json:
        say_json(as_json(inventory))
    else:
        say_wrapped(as_text(inventory).split("\n"), width_of(args))
    return 1 if inventory.has_error or (args.strict and inventory.notes) else 0
