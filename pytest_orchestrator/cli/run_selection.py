"""Arguments that select a run: by id, prefix of an id, `latest`, or folder."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.cli.project import project

if TYPE_CHECKING:
    from pytest_orchestrator.runs.record import RunRecord

_DIR = ".orchestrator/runs"

ONE = "a run: its id, the beginning of it, latest, or the path of its folder"


def runs_folder() -> Path:
    """Return the folder that contains the runs of this project."""
    about = project()
    return about.root / str(about.settings.get("recipe_run_dir", _DIR))


def run_folder(name: str) -> Path:
    """Return the folder of the run that an argument selects.

    Args:
        name: The argument, as `ONE` describes it.

    Raises:
        UsageError: The run does not exist.
    """
    from pytest_orchestrator.runs import lookup

    try:
        return lookup.find_run(runs_folder(), name)
    except lookup.NoRun as error:
        raise UsageError(str(error)) from None


def run_record(name: str) -> "RunRecord":
    """Return the record of the run that an argument selects.

    Raises:
        UsageError: The run does not exist.
    """
    return read_run(run_folder(name))


def read_run(folder: Path) -> "RunRecord":
    """Return the record of the run in a folder.

    Raises:
        UsageError: The folder contains no run.
    """
    from pytest_orchestrator.runs import lookup

    try:
        return lookup.load_record(folder)
    except lookup.NoRun as error:
        raise UsageError(str(error)) from None


def declare_run(
    parser: argparse.ArgumentParser, *names: str, nargs: str | None = None, **more: Any
) -> None:
    """Declare an argument that selects a run, with shell completion of run ids."""
    options = {"help": ONE, **({"nargs": nargs} if nargs else {}), **more}
    parser.add_argument(*names, **options).completer = _ids  # type: ignore[attr-defined]


def _ids(**_: object) -> list[str]:
    from pytest_orchestrator.runs import lookup

    return ["latest", *(path.name for path in lookup.run_folders(runs_folder()))]
