"""Run recipes with pytest again whenever they or their files change.

At the start all recipes run, or those that are named; after a change only the recipes that it
affects. Recipes with locks, instruments or steps with `implicit: false` are left out unless
--allow names them. Recipes and folders come first; all other arguments are passed to pytest
unchanged.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.cli.arguments import UsageError, existing_path, usage_of
from pytest_orchestrator.cli.project import Project, project
from pytest_orchestrator.plugin.options.values import WATCH_VARIABLE
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from pytest_orchestrator.cli.affected import Arguments, Watched

EXAMPLE = "watch recipes/example.yaml -x"
PASSES_ON = True

_GUARD = "pytest_orchestrator.plugin.session.watch_guard"
_NAMED = 3  # in the line about a change


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parts = ("[-h]", "[--allow RECIPE]", "[recipes, folders]", "[options and arguments of pytest]")
    parser.usage = usage_of(parser, *parts)
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        type=existing_path,
        metavar="RECIPE",
        help="a recipe that may run although it has locks, instruments or `implicit: false`; can "
        "be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Run recipes until Ctrl-C is pressed while none runs."""
    from pytest_orchestrator.core.extras import is_installed

    if not is_installed("watch"):
        raise UsageError(
            "watch needs watchfiles: python -m pip install 'pytest-orchestrator[watch]'"
        )
    from pytest_orchestrator.cli.affected import Arguments, absolute
    from pytest_orchestrator.cli.file_changes import FileChanges
    from pytest_orchestrator.cli.project import runs_folder

    arguments = Arguments.parse(args.rest)
    named = [Path(word.partition("::")[0]) for word in arguments.targets]
    about = project(named)
    allowed = [about.display_path(absolute(path)) for path in args.allow]
    session = WatchSession(
        lambda: project(named), arguments, lambda words: _run_pytest(words, allowed)
    )
    try:
        with FileChanges(about.root, [runs_folder(), about.root / ".orchestrator"]) as changes:
            session.start()
            while True:
                session.run_affected(changes.wait())
    except KeyboardInterrupt:
        say("")
    return 0


class WatchSession:
    """Runs of pytest, each for the recipes that a change affects.

    Args:
        find_project: Function that returns the project with its present settings.
        arguments: The arguments of pytest.
        run_pytest: Function that runs pytest with arguments.
    """

    def __init__(
        self,
        find_project: Callable[[], Project],
        arguments: "Arguments",
        run_pytest: Callable[[Sequence[str]], object],
    ) -> None:
        self._find_project, self._arguments = find_project, arguments
        self._run_pytest = run_pytest
        self._watched = self._look()

    def _look(self) -> "Watched":
        from pytest_orchestrator.cli.affected import watched

        return watched(self._find_project(), self._arguments)

    def start(self) -> None:
        """Run all recipes.

        Raises:
            UsageError: There is none.
        """
        if not self._watched.files:
            where = " or ".join(self._arguments.targets) or "the project"
            raise UsageError(
                f"there is no recipe in {where}; pytest-orchestrator new recipe NAME creates one"
            )
        self._run(f"run {_listed(self._watched.files)}", self._watched.files)

    def run_affected(self, changed: set[Path]) -> None:
        """Run the recipes that a change affects.

        Args:
            changed: The changed files.
        """
        before = self._watched
        # Settings or plugins with errors hide what recipes are there: pytest prints the errors.
        with contextlib.suppress(UsageError):
            self._watched = self._look()
        affected = self._watched.affected(changed, before)
        if affected:
            causes = sorted(changed & (self._watched.known() | before.known())) or sorted(changed)
            self._run(f"{_listed(causes)} changed: run {_listed(affected)}", affected)

    def _run(self, why: str, recipes: Iterable[Path]) -> None:
        from pytest_orchestrator.cli.affected import words_of

        say(why)
        sys.stdout.flush()
        words = words_of(recipes, self._arguments.targets)
        self._run_pytest([*words, *self._arguments.options])
        say("waiting for changes; Ctrl-C ends")
        sys.stdout.flush()


def _listed(paths: Iterable[Path]) -> str:
    """Return the names of the first paths, and the number of the others."""
    from pytest_orchestrator.cli.affected import shown

    names = list(map(shown, paths))
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _run_pytest(words: Sequence[str], allowed: Sequence[str]) -> int:
    """Run pytest and return its exit code; Ctrl-C ends pytest, which runs the steps of finally."""
    import subprocess

    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", _GUARD, *words],
        env=os.environ | {WATCH_VARIABLE: json.dumps(list(allowed))},
    )
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the terminal has sent the signal to pytest too
