"""Source files of a project that recipes refer to: located and parsed, but never imported."""

import ast
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from importlib.machinery import all_suffixes
from importlib.util import find_spec
from pathlib import Path

from pytest_orchestrator.core import files as core_files
from pytest_orchestrator.core.files import path_text
from pytest_orchestrator.core.suggestions import project_files

_MOST_BYTES = 1 << 20
_MOST_IMPORTS = 100  # files that a module imports; each is checked together with each of its steps


class Module:
    """A Python module.

    Attributes:
        path: Its file; None if it is built in or compiled.
        tree: Its syntax tree; None if it has no source text, or invalid text.
        error: The error of invalid text.
        names: The names that it defines, including those in `if` and `try`, each with its node.
        constants: The texts that the file assigns to names at the top level, by name.
        is_open: True if it may have names that its file does not show.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.tree: ast.Module | None = None
        self.error: Exception | None = None
        self.names: dict[str, ast.AST] = {}
        self.constants: dict[str, str] = {}
        text = _text(path) if path and path.suffix == ".py" else None
        self.is_open = text is None
        if text is not None:
            try:
                with warnings.catch_warnings(action="ignore"):  # of invalid escapes
                    self.tree = ast.parse(text)
                self._add(self.tree.body)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                self.error = error
                self.is_open = True

    def _add(self, body: Sequence[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                self.names[node.name] = node
                self.is_open |= node.name == "__getattr__"
            elif isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    self.is_open |= alias.name == "*"
                    self.names[alias.asname or alias.name.partition(".")[0]] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                self._assign(node)
            else:
                for name in ("body", "orelse", "finalbody", "handlers"):
                    self._add(getattr(node, name, []))

    def _assign(self, node: ast.Assign | ast.AnnAssign) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            for each in ast.walk(target):
                if isinstance(each, ast.Name):
                    self.names[each.id] = node
                    value = node.value
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        self.constants[each.id] = value.value


class Sources:
    """Source files below a rootdir; each is read once.

    Args:
        root: The rootdir.
        folders: Further folders for modules, searched before the rootdir.
    """

    def __init__(self, root: Path, folders: Sequence[Path] = ()) -> None:
        self.root = root
        self.folders = folders
        self._path = [*folders, root, *map(Path, sys.path)]
        self.at = cache(Module)
        self.module = cache(self._module)
        self.text = cache(self._project_text)
        self.imported = cache(self._imported)
        self.is_own = cache(self._is_own)

    def _module(self, name: str) -> Module | None:
        """Return a module by its dotted name; None if it is not found."""
        if name in sys.modules:  # also names that are no file, such as `os.path`
            return self.at(_path(getattr(sys.modules[name], "__file__", None)))
        first, _, rest = name.partition(".")
        start = _found(first, self._path) or _elsewhere(first)
        files = [] if start is None else [start[0], *_below(rest, start[1])]
        return self.at(files[-1]) if len(files) > name.count(".") else None

    def _imported(self, path: Path) -> tuple[Path, ...]:
        """Return the files of the project that a module imports, directly or indirectly.

        The packages that contain a module are imported with it. Imports by a computed name and
        files outside of the rootdir are not found.
        """
        places = [place for place in self._path if self.is_own(place)]
        imported = dict.fromkeys((path, *self._packages(path)))
        for one in (left := list(imported)):
            module = self.at(one)
            for level, name in _imports(module.tree) if module.tree else ():
                near = [one.parents[level - 1]] if 0 < level <= len(one.parents) else places
                for file in _below(name, near):
                    if file and file not in imported and len(imported) <= _MOST_IMPORTS:
                        imported[file] = None
                        left.append(file)
        return tuple(each for each in imported if each != path and self.is_own(each))

    def _packages(self, path: Path) -> Iterator[Path]:
        for folder in path.parents:
            if not self.is_own(folder) or not (folder / "__init__.py").is_file():
                return
            yield folder / "__init__.py"

    def _is_own(self, path: Path) -> bool:
        """Return True if a file belongs to the project and not to a virtual environment."""
        return path.is_relative_to(self.root) and "site-packages" not in path.parts

    def _project_text(self, name: str) -> str | None:
        """Return the text of a file of the project; None if it is missing or not a text file."""
        path = self.root / name
        return _text(path) if path.is_file() else None

    def display_path(self, path: Path) -> str:
        """Return a path for messages: relative to the rootdir if the rootdir contains it."""
        return path_text(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    @cached_property
    def changes_sys_path(self) -> bool:
        """True if a ``conftest.py`` of the project mentions ``sys.path``."""
        return any(
            "sys.path" in (_text(module.path) or "")
            for module in self.conftests.values()
            if module.path
        )

    @cached_property
    def conftests(self) -> dict[Path, Module]:
        """The ``conftest.py`` files of the project, by folder."""
        paths = (
            path for path in project_files(self.root, "conftest.py") if path.name == "conftest.py"
        )
        return {path.parent: Module(path) for path in paths}


def _found(part: str, places: Sequence[Path]) -> tuple[Path | None, Sequence[Path]] | None:
    """Return the file of a module and the folders of its submodules; None if no folder has it.

    Python's own finders are not used, because they import the package that contains a module.
    """
    spaces = []
    for place in places:
        folder = place / part
        if (folder / "__init__.py").is_file():
            return folder / "__init__.py", [folder]
        for suffix in all_suffixes():
            if (place / f"{part}{suffix}").is_file():
                return place / f"{part}{suffix}", []
        if folder.is_dir():
            spaces.append(folder)
    return (None, spaces) if spaces else None


def _below(name: str, places: Sequence[Path]) -> Iterator[Path | None]:
    """Yield the files of the packages and of the module of a dotted name, until one is missing."""
    for part in filter(None, name.split(".")):
        location = _found(part, places)
        if location is None:
            return
        path, places = location
        yield path


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the number of leading dots and the dotted name of each import in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:  # each name may be a module
                yield node.level, f"{node.module or ''}.{alias.name}"


def _elsewhere(part: str) -> tuple[Path | None, Sequence[Path]] | None:
    """Find a module that is in none of the known folders, with the finders of Python."""
    spec = find_spec(part)
    if spec is None:
        return None
    folders = [Path(each) for each in spec.submodule_search_locations or ()]
    return _path(spec.origin if spec.has_location else None), folders


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None


def _text(path: Path) -> str | None:
    try:
        return core_files.text(path, _MOST_BYTES)
    except (OSError, UnicodeDecodeError):
        return None
