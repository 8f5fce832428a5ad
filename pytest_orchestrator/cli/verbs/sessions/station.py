"""Run a recipe again and again from a page with Start: scan, start, verdict, next.

The page asks for the inputs of the recipe and starts one pytest session at a time. The printed
links contain access tokens: one operates the station, the other only shows it. Without --host only
this machine can connect. Further options and arguments are passed to pytest.
"""

import argparse
from typing import TYPE_CHECKING

from pytest_orchestrator.cli.arguments import declare_page, existing_path, usage_of
from pytest_orchestrator.cli.project import Recipes, absolute, project
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = "station recipes/example.yaml"
PASSES_ON = True


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.usage = usage_of(
        parser,
        "[-h]",
        "[--host HOST]",
        "[--port PORT]",
        "[--open]",
        "RECIPE",
        "[options of pytest]",
    )
    parser.add_argument("recipe", type=existing_path, metavar="RECIPE", help="the recipe")
    declare_page(parser, 8060)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C, which ends a running session too."""
    from pytest_orchestrator.monitor.server import require_flask, serve
    from pytest_orchestrator.monitor.station.station import Station, StationRuns

    path = absolute([args.recipe])[0]
    about = project([path])
    try:
        require_flask()
        recipe = path.relative_to(about.root).as_posix()
        load = lambda: Recipes(about).at(path)  # noqa: E731  # read anew: it may be edited
        base: Path = about.value("recipe_run_dir")
        station = Station(base, about.root, recipe, load, args.rest)
    except (StationRuns, OrchestratorError, OSError) as error:
        say(f"station: {error}", err=True)
        return 2
    try:
        return serve(base, args.host, args.port, show=args.open, station=station)
    except OrchestratorError as error:
        say(str(error), err=True)
        return 2
    finally:
        station.close()
