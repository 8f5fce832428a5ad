"""From a file to a recipe, or to all that is wrong with it."""

import gc
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pytest_orchestrator.core.files import path_text
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.custom import BUILT_IN, Extensions
from pytest_orchestrator.recipe.document import Document
from pytest_orchestrator.recipe.model import Recipe
from pytest_orchestrator.recipe.problems import Problem, Problems, RecipeError, Refused
from pytest_orchestrator.recipe.source import MAX_BYTES, decoded, read
from pytest_orchestrator.recipe.use import Uses


def load(
    path: Path,
    *,
    root: Path,
    max_bytes: int = MAX_BYTES,
    known: Extensions = BUILT_IN,
    may_use: Callable[[Path], bool] = lambda _: True,
) -> Recipe:
    """Read a recipe. Nothing is imported, run or written.

    Args:
        path: The file.
        root: The rootdir of pytest.
        max_bytes: A larger file is refused before it is read.
        known: The types of steps and the criteria that there are.
        may_use: Returns False for a file that is not to be opened, whatever `use` says.

    Returns:
        The recipe.

    Raises:
        RecipeError: The file cannot be read or is no good recipe; it has all problems.
    """
    return _Files(root, max_bytes, known, may_use).load(path, ())


class _Files:
    """Reads the files of one recipe, those that it uses among them, each once."""

    def __init__(
        self, root: Path, max_bytes: int, known: Extensions, may_use: Callable[[Path], bool]
    ) -> None:
        self._root = root
        self._may_use = may_use
        self._max_bytes = max_bytes
        self._known = known
        self._used: dict[Path, Recipe | RecipeError] = {}

    def load(self, path: Path, users: Sequence[Path]) -> Recipe:
        """Read a file.

        Args:
            path: The file.
            users: The files that use it, the first one first.

        Raises:
            RecipeError: It is no good recipe.
        """
        root = self._root
        identity = path_text(path.relative_to(root) if path.is_relative_to(root) else path)
        problems = Problems()
        uses = Uses(root, (*users, Path(os.path.normpath(path))), self._use, problems)
        try:
            data = read(path, self._max_bytes, problems)
            with _collector_paused():
                text = decoded(data, problems)
                loader = Document(text, problems, uses, self._known, self._max_bytes)
                fields = loader.fields()
        except Refused:
            raise RecipeError(problems.found, identity, problems.text) from None
        return Recipe(
            id=identity,
            path=path,
            text=problems.text,
            sha256=hashlib.sha256(data).hexdigest(),
            **fields,
        )

    def _use(self, path: Path, users: Sequence[Path]) -> Recipe:
        if path not in self._used and not self._may_use(path):
            why = Problem(Place(1, 1), "it lies where nothing is to be opened")
            self._used[path] = RecipeError((why,), path.as_posix())
        if path not in self._used:
            try:
                self._used[path] = self.load(path, users)
            except RecipeError as error:
                self._used[path] = error
        found = self._used[path]
        if isinstance(found, RecipeError):
            raise found
        return found


@contextmanager
def _collector_paused() -> Iterator[None]:
    # The nodes of a document are many, live until it is read and hold no circles, but for
    # those that are refused. Looked at again and again, they make a large file twice as dear.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
