"""The text of each recipe that ran, kept in the folder of its run: a file may change later."""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.run.folder import RunFile

FOLDER: Final = "sources"
"""Where the texts stand in the folder of a run, by their paths from the rootdir."""


def keep(folder: Path, recipe: Recipe, masked: Callable[[str], str]) -> None:
    """Keep the text of a recipe and of the files that it uses; what cannot be written is left.

    Args:
        folder: The folder of the run.
        recipe: The recipe.
        masked: Takes secrets out of a text.
    """
    texts = {recipe.id: recipe.text}
    for step in (*recipe.steps, *recipe.final):
        if step.part is not None:
            texts.setdefault(step.part.source.id, step.part.source.text)
    for name, text in texts.items():
        path = place_of(folder, name)
        if path is not None and not path.exists():
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(masked(text), encoding="utf-8")


class Waiting:
    """Keeps texts of recipes as soon as the folder of their run is there: its journal makes it."""

    def __init__(self, folder: Callable[[], Path], masked: Callable[[str], str]) -> None:
        """Keep nothing so far.

        Args:
            folder: Gives the folder of the run; asked only where a text waits.
            masked: Takes secrets out of a text.
        """
        self._folder = folder
        self._masked = masked
        self._recipes: list[Recipe] = []
        self._lock = threading.Lock()

    def add(self, recipe: Recipe) -> None:
        """Keep the text of a recipe, now or later."""
        self._recipes.append(recipe)
        self.keep()

    def keep(self) -> None:
        """Keep what waits, if it can be kept now."""
        with self._lock:
            while self._recipes and self._folder().is_dir():
                keep(self._folder(), self._recipes.pop(), self._masked)


def place_of(folder: Path, name: object) -> Path | None:
    """Return the path at which the text of a file is kept; None outside of the run's folder.

    Args:
        folder: The folder of the run.
        name: Path of the file, relative to the rootdir or absolute, as a journal has it.
    """
    kept = RunFile(name).told.strip("/")
    return RunFile(f"{FOLDER}/{kept}").inside(folder) if kept else None
