"""Selection of the recipes that a change of files affects."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.cli.project import Project, Recipes
from pytest_orchestrator.plugin.collection.file_matching import SUFFIXES
from pytest_orchestrator.recipe import Recipe, RecipeError
from pytest_orchestrator.recipe.analysis.fingerprint import files_of_step
from pytest_orchestrator.recipe.analysis.source_files import Sources

_CONFTEST: Final = "conftest.py"


class Arguments(NamedTuple):
    """Arguments of pytest, with the recipes apart from the options.

    Attributes:
        targets: The recipes, folders and steps to run; empty for all recipes of the project.
        options: The other arguments, in their order.
        files: The files that options name, such as one with vars.
    """

    targets: tuple[str, ...]
    options: tuple[str, ...]
    files: frozenset[Path]

    @classmethod
    def parse(cls, words: Sequence[str]) -> "Arguments":
        """Separate the targets, which come first, from the options.

        Args:
            words: The arguments; paths are relative to the working directory.

        Raises:
            UsageError: A target does not exist, is no recipe, or comes after an option.
        """
        count = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
        targets, options = words[:count], words[count:]
        for word in targets:
            path = Path(word.partition("::")[0])
            if not os.path.exists(path):
                raise UsageError(f"there is no {path}")
            if path.is_file() and path.suffix not in SUFFIXES:
                raise UsageError(f"{path} is no recipe")
        files = set()
        for word in options:
            path = Path(word.rpartition("=")[2].partition("::")[0])
            if not word.startswith("-") and (path.is_dir() or "::" in word):
                raise UsageError(
                    f"'{word}' comes after an option: write recipes and folders before all options,"
                    " and the value of an option with ="
                )
            if path.is_file():
                files.add(absolute(path))
        return cls(tuple(targets), tuple(options), frozenset(files))


class Watched(NamedTuple):
    """The recipes of one moment.

    Attributes:
        files: The files of each recipe: its own first of all, those that it uses, the scripts and
            modules of its steps, the recipes that it needs. None for a recipe with errors.
        shared: The files that all recipes depend on: settings, station, files that options name.
    """

    files: Mapping[Path, frozenset[Path] | None]
    shared: frozenset[Path]

    def affected(self, changed: Iterable[Path], before: "Watched") -> list[Path]:
        """Return the recipes that changed files affect, in the order of the recipes.

        Args:
            changed: The files.
            before: The recipes before the change.
        """
        changes = set(changed)
        if changes & (self.shared | before.shared):
            return list(self.files)
        return [path for path in self.files if self._is_affected(path, changes, before)]

    def known(self) -> set[Path]:
        """Return all files that recipes depend on."""
        files: set[Path] = {*self.shared, *self.files}
        return files.union(*filter(None, self.files.values()))

    def _is_affected(self, recipe: Path, changes: set[Path], before: "Watched") -> bool:
        if recipe in changes or _conftests(recipe, changes):
            return True
        now, earlier = self.files[recipe], before.files.get(recipe)
        if now is None and any(path.suffix in SUFFIXES for path in changes):
            return True  # one of them may be what the recipe lacks
        return bool(changes & ((now or frozenset()) | (earlier or frozenset())))


def _conftests(recipe: Path, changes: set[Path]) -> bool:
    """Return True if a ``conftest.py`` of the recipe has changed."""
    return any(path.name == _CONFTEST and recipe.is_relative_to(path.parent) for path in changes)


def watched(about: Project, arguments: Arguments) -> Watched:
    """Return the recipes that arguments of pytest select, with the files that they depend on.

    Args:
        about: The project.
        arguments: The arguments of pytest.

    Raises:
        UsageError: The plugins of the project, which define step types, cannot be collected.
    """
    named = list(dict.fromkeys(Path(word.partition("::")[0]) for word in arguments.targets))
    recipes = Recipes(about)
    sources = Sources(about.root, [about.root / name for name in about.listed("pythonpath")])
    station = about.station_file()
    shared = {path for path in (about.file, station and station.path) if path is not None}
    files = {path: _files(path, recipes, sources) for path in about.recipes(named)}
    return Watched(files, frozenset(shared | arguments.files))


def _files(path: Path, recipes: Recipes, sources: Sources) -> frozenset[Path] | None:
    """Return the files of a recipe and of those that it needs; None if one has errors."""
    files: set[Path] = set()
    left = [path]
    while left:
        one = left.pop()
        if one in files:
            continue
        files.add(one)
        if not one.is_file():
            return None
        recipe = recipes.at(one)
        if isinstance(recipe, RecipeError):
            return None
        files |= set(_direct(recipe, sources))
        needed = (Path(os.path.normpath(sources.root / need.path)) for need in recipe.needs)
        left += [need for need in needed if need not in files]
    return frozenset(files)


def _direct(recipe: Recipe, sources: Sources) -> Iterator[Path]:
    samplers = (one.step for one in recipe.samplers)
    for step in (*recipe.steps, *recipe.final, *samplers):
        use = step.file_use
        while use is not None:
            yield use.source.path
            use = use.outer
        yield from files_of_step(step, sources)


def absolute(path: Path) -> Path:
    """Return an absolute path without ``..``; symbolic links stay."""
    return Path(os.path.normpath(Path.cwd() / path))


def words_of(recipes: Iterable[Path], targets: Sequence[str]) -> list[str]:
    """Return the arguments of pytest that run recipes, or those of their steps that are targets.

    Args:
        recipes: The recipes.
        targets: The targets of the command line.
    """
    steps: dict[Path, list[str]] = {}
    whole: set[Path] = set()
    for word in targets:
        file, colons, _ = word.partition("::")
        path = absolute(Path(file))
        if colons:
            steps.setdefault(path, []).append(word)
        else:
            whole.add(path)
    words: list[str] = []
    for path in recipes:
        is_whole = bool(whole & {path, *path.parents})
        words += [shown(path)] if is_whole or path not in steps else steps[path]
    return words


def shown(path: Path) -> str:
    """Return a path relative to the working directory if it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
