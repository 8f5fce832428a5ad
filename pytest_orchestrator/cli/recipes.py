"""The recipes of a project, each read once, with what plugins bring to their language."""

from functools import cached_property
from pathlib import Path

from pytest_orchestrator.cli.mistakes import Mistake
from pytest_orchestrator.cli.project import Project
from pytest_orchestrator.recipe import BUILT_IN, Extensions, Recipe, RecipeError, load

_OF_PLUGINS = ("unknown type", "unknown criterion")


class Recipes:
    """Reads recipes.

    Args:
        about: Their project.
    """

    def __init__(self, about: Project) -> None:
        self._about = about
        self._read: dict[Path, Recipe | RecipeError] = {}

    def at(self, path: Path) -> Recipe | RecipeError:
        """Return a recipe, or what is wrong with it."""
        if path not in self._read:
            found = self._loaded(path, BUILT_IN.with_shell(self._about.shell))
            # Asking pytest for its plugins takes longer than most commands; few recipes need it.
            if isinstance(found, RecipeError) and _may_be_of_plugins(found):
                found = self._loaded(path, self._extensions)
            self._read[path] = found
        return self._read[path]

    def good(self, path: Path) -> Recipe | None:
        """Return a recipe; None where it is no good one."""
        found = self.at(path)
        return None if isinstance(found, RecipeError) else found

    def _loaded(self, path: Path, known: Extensions) -> Recipe | RecipeError:
        about = self._about
        try:
            return load(path, root=about.root, max_bytes=about.max_bytes, known=known)
        except RecipeError as error:
            return error

    @cached_property
    def _extensions(self) -> Extensions:
        return extensions_of(self._about)


def extensions_of(about: Project) -> Extensions:
    """Return what the plugins of a project bring.

    Raises:
        Mistake: That cannot be told.
    """
    from pytest_orchestrator.plugin.extensions import project_extensions

    try:
        return project_extensions(about.root)
    except ValueError as error:
        raise Mistake(str(error)) from None


def _may_be_of_plugins(error: RecipeError) -> bool:
    return any(
        problem.head.startswith(_OF_PLUGINS)
        or (problem.cause is not None and _may_be_of_plugins(problem.cause))
        for problem in error.problems
    )
