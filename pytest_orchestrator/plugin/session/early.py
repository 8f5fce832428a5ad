"""Import of the modules of a run before pytest loads the conftest files of a project.

No object of the user exists by then. So the modules can be frozen: the garbage collector leaves
them out of all its searches, of which pytest makes five full ones at its end.
"""

import atexit
import gc
import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

from pytest_orchestrator.core.files import freeze_modules, gc_paused
from pytest_orchestrator.core.msgspec_import import import_msgspec
from pytest_orchestrator.plugin.collection import unsupported
from pytest_orchestrator.plugin.collection.file_matching import SUFFIXES, asked_folders

_RUN = (
    "plugin.activation",
    "plugin.session.running",
    "recipe.loader.loader",
    "recipe.loader.cells",
    "plugin.session.run_factory",
    "recipe.analysis.fingerprint",
    "plugin.session.start",
    "plugin.journal.recorder",
    "plugin.journal.resume",
    "plugin.journal.step_hooks",
    "plugin.extensions",
    "plugin.collection.hints",
    "reports.terminal.screen",
    "reports.failure",
    "reports.failure_view",
    "reports.block",
    "context.rpc.address",
    "runs.history.backfill",
)
"""With what they import, all modules of a session that runs shell steps."""
_PAGE = (
    "reports.views",
    "reports.history.grid",
    "runs.index.database",
    *(
        f"reports.compiled.{name}"
        for name in ("graph", "page", "body", "step", "chart", "timeline", "context")
    ),
    *("reports.compiled.history", "reports.compiled.trends"),
)
"""Modules of its page."""


def prepare(config: pytest.Config) -> None:
    """Import and freeze the modules of a run if the arguments of a session name recipes.

    Args:
        config: The configuration, for which no conftest file is loaded yet.
    """
    known = config.known_args_namespace
    if (
        not unsupported.HERE
        or known.collectonly
        or getattr(known, "numprocesses", None)  # workers run the steps
        or not any(_has_recipes(path, config.rootpath) for path in _asked(config))
    ):
        return
    try:
        has_page = bool(config.getini("recipe_html"))
    except (ValueError, pytest.UsageError):  # a usage error, which names the key, ends the session
        return
    with gc_paused():
        import_msgspec()
        for name in (*_RUN, *(_PAGE if has_page else ())):
            import_module(f"pytest_orchestrator.{name}")
    if _is_free_of_user_code(config):
        freeze_modules()
        atexit.register(_thaw, {name.partition(".")[0] for name in sys.modules})


def _thaw(known: set[str]) -> None:
    """Unfreeze all objects at the end of the process if it has imported code of the user.

    Objects of that code may hang on pytest's configuration, which is frozen too, and the last
    search for garbage has to finalise them. Else the interpreter need not search the modules.
    """
    known |= sys.stdlib_module_names
    if any(name.partition(".")[0] not in known for name in tuple(sys.modules)):
        gc.unfreeze()


def _asked(config: pytest.Config) -> list[Path]:
    """Return the files and folders that pytest will collect."""
    here, root = config.invocation_params.dir, config.rootpath
    words: list[str] = config.known_args_namespace.file_or_dir
    if not words and here == root:
        words = config.getini("testpaths")
    return [here / word.partition("::")[0] for word in words or ["."]]


def _has_recipes(path: Path, root: Path) -> bool:
    """Return True if a path is a YAML file, or a folder whose recipes are at the usual place."""
    if path.suffix in SUFFIXES:
        return path.is_file()
    folder = path if asked_folders((str(path),), path, root) else path / "recipes"
    try:
        return any(one.suffix in SUFFIXES for one in folder.iterdir())
    except OSError:
        return False


def _is_free_of_user_code(config: pytest.Config) -> bool:
    """Return True if this process is one of pytest's command, without a plugin of the project.

    A program that calls ``pytest.main`` has objects of its own, and so has a plugin of ``-p``.
    """
    program = Path(sys.argv[0])
    is_pytest = program.name in ("pytest", "py.test") or program.parts[-2:] == (
        "pytest",
        "__main__.py",
    )
    named = [name for name in config.known_args_namespace.plugins if not name.startswith("no:")]
    return is_pytest and not named and "PYTEST_PLUGINS" not in os.environ
