"""Check of the requirements of a recipe on this machine."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pytest_orchestrator.core.extras import is_installed
from pytest_orchestrator.recipe.model.root_mappings import Requires

CI: Final = "CI is set, so no person is asked"


def is_ci() -> bool:
    """Return True if the environment variable CI says that a pipeline runs this process."""
    return os.environ.get("CI", "").strip().lower() not in ("", "0", "false", "no")


def missing_requirement(
    requires: Requires, root: Path, has_terminal: Callable[[], bool]
) -> str | None:
    """Return the first requirement that this machine does not meet, as a sentence; else None.

    Args:
        requires: The requirements.
        root: The rootdir.
        has_terminal: Returns True if a person can answer at the terminal of the session, or if
            answers were given before the run.
    """
    for extra in requires.extras:
        if not is_installed(extra):
            return f"extra '{extra}' is not installed (pip install 'pytest-orchestrator[{extra}]')"
    for program in requires.programs:
        path = root / program if "/" in program else program
        if shutil.which(path) is None:
            where = "is no program that can be run" if "/" in program else "is not on PATH"
            return f"program '{program}' {where}"
    if requires.terminal and not has_terminal():
        if is_ci():
            return CI
        return "the session has no terminal at which a person can answer"
    return None
