"""The Context of a run in the place of one that is served, and how two of them differ."""

import argparse
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.cli import past
from pytest_orchestrator.cli.mistakes import Mistake
from pytest_orchestrator.reports.text import aligned

if TYPE_CHECKING:
    from pytest_orchestrator.runs.context_at import PastContext

_OPTIONS = {
    "--before": ("STEP", "of a run: as the step found it"),
    "--after": ("STEP", "of a run: as the step left it"),
    "--recipe": ("RECIPE", "of a run: the own Context of a recipe, by its path"),
}


def declare(parser: argparse.ArgumentParser, **more: Any) -> None:
    """Declare what says which Context of which run is meant.

    Args:
        parser: Of the verb, or of one of its words.
        more: What all of these arguments have.
    """
    about = f"ask the Context of {past.ONE}"
    past.declare_run(parser, "--run", metavar="RUN", help=about, **more)
    for name, (metavar, told) in _OPTIONS.items():
        parser.add_argument(name, metavar=metavar, help=told, **more)


def declare_diff(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `diff`."""
    past.declare_run(parser, "a", metavar="RUN_A")
    past.declare_run(parser, "b", metavar="RUN_B")


def context_of(args: argparse.Namespace) -> "PastContext":
    """Return the Context that is meant.

    Raises:
        Mistake: There is no such run or step, or two moments of it are meant.
    """
    from pytest_orchestrator.core.suggestions import nearest
    from pytest_orchestrator.runs.context_at import NoStep, PastContext, at_step

    found = past.record(args.run)
    if args.before and args.after:
        raise Mistake("--before and --after are two moments; name one")
    if args.before or args.after:
        try:
            return at_step(found, args.before or args.after, after=bool(args.after))
        except NoStep as error:
            raise Mistake(str(error)) from None
    scopes = found.changes.scopes
    if args.recipe and args.recipe not in scopes:
        own = [scope for scope in scopes if scope]
        there = nearest(args.recipe, own) or f"; there is {', '.join(own) or 'none'}"
        raise Mistake(f"no recipe '{args.recipe}' with a Context of its own{there}")
    return PastContext(found.changes, args.recipe or "")


def difference(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return each key whose value at the end of two runs is another.

    Raises:
        Mistake: There is no such run.
    """
    from pytest_orchestrator.runs.compare.comparison import context_difference

    return list(context_difference(past.record(args.a), past.record(args.b)))


def difference_told(found: list[dict[str, Any]]) -> list[str]:
    """Return the lines of a difference, one a key."""
    from pytest_orchestrator.cli.verbs.compare import of_key

    return list(aligned([of_key(one) for one in found])) or ["no difference"]
