"""How a pipeline installs a project: from its `pyproject.toml`, `setup.cfg`, `setup.py` and lists.

What pip would refuse is left out, and what only the user can decide is an instruction.
"""

import configparser
import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import Struct
from packaging.specifiers import InvalidSpecifier, SpecifierSet

if TYPE_CHECKING:
    from pytest_orchestrator.cli.project import Project

_PIP: Final = "python -m pip install"
_REQUIREMENTS: Final = ("requirements.txt", "requirements-test.txt", "requirements-dev.txt")
_TEST_EXTRAS: Final = ("test", "tests", "testing", "dev")
"""Names of extras and of dependency groups that tests of a project usually need."""
_PYTHONS: Final = ("3.13", "3.14", "3.12", "3.11")
"""Versions of Python for a pipeline; the first that the project allows is taken."""
_NAMED: Final = re.compile(r"\b(?:packages|py_modules)\b")
_OWN: Final = ("recipes", "scriptlets", "tests", "docs")
"""Folders beside the packages of a project that are none of its packages."""
_TOOLS: Final = ("setup", "conftest", "noxfile", "tasks")
"""Modules beside those of a project that are none of its modules."""
_FIND: Final = {
    "pyproject.toml": "[tool.setuptools.packages.find]\ninclude = [{}]\n",
    "setup.cfg": "[options]\npackages = find:\n\n[options.packages.find]\ninclude =\n",
    "setup.py": "packages=setuptools.find_packages(include=[{}])\n",
}
_MODULES: Final = {
    "pyproject.toml": "[tool.setuptools]\npy-modules = [{}]\n",
    "setup.cfg": "[options]\npy_modules =\n",
    "setup.py": "py_modules=[{}]\n",
}
"""Settings of setuptools that name packages, or the modules of a project without packages."""


_EXTRAS: Final = {"http": "http", "scpi": "visa", "serial": "serial"}
"""The extra that a type of steps needs."""


class PackageNames(NamedTuple):
    """Setting by which setuptools packs no recipes.

    Attributes:
        path: The file that needs it.
        text: The setting.
    """

    path: str
    text: str


class Packaging(Struct, frozen=True):
    """Files of a project that say how it is installed.

    Attributes:
        root: Its folder.
        pyproject: Its `pyproject.toml`; empty without one that can be read.
        setup_cfg: The keys of its `setup.cfg` by section.
        setup_py: The text of its `setup.py`; None without one.
    """

    root: Path
    pyproject: dict[str, Any]
    setup_cfg: dict[str, list[str]]
    setup_py: str | None

    @property
    def python(self) -> str:
        """The version of Python for a pipeline."""
        project = self.pyproject.get("project", {})
        try:
            allowed = SpecifierSet(str(project.get("requires-python", "")))
        except InvalidSpecifier:
            return _PYTHONS[0]
        return next((one for one in _PYTHONS if f"{one}.99" in allowed), _PYTHONS[0])

    @property
    def is_package(self) -> bool:
        """True if pip can install the project."""
        tools = self.pyproject.get("tool", {})
        if tools.get("poetry", {}).get("package-mode") is False:
            return False
        if tools.get("uv", {}).get("package") is False:
            return False
        is_named = "project" in self.pyproject and (self.root / "src").is_dir()
        is_old = self.setup_py is not None or "metadata" in self.setup_cfg
        return "build-system" in self.pyproject or is_named or is_old

    def install_command(self, own: Collection[str] = ()) -> str:
        """Return the command that installs the project, what its tests need, and this package.

        Args:
            own: The extras of this package that the recipes need.
        """
        project = self.pyproject.get("project", {})
        extras = [one for one in _TEST_EXTRAS if one in project.get("optional-dependencies", {})]
        words = [f"-r {name}" for name in _REQUIREMENTS if (self.root / name).is_file()]
        pip = _PIP
        if self.is_package:
            words.append(f'".[{",".join(extras)}]"' if extras else ".")
        elif project.get("dependencies") or extras:
            # pip installs the dependencies of a project only with the project itself.
            pip = f"{_PIP} uv && uv pip install --system"
            words += ["-r pyproject.toml", *(f"--extra {one}" for one in extras)]
        named = self.pyproject.get("dependency-groups", {})
        groups = [f"--group {name}" for name in _TEST_EXTRAS if name in named]
        if groups and pip == _PIP:
            pip = f"{_PIP} --upgrade pip && {_PIP}"  # pip knows groups from version 25.1 on
        needed = f"'pytest-orchestrator[{','.join(sorted(own))}]'" if own else "pytest-orchestrator"
        return " ".join([pip, *words, *groups, needed])

    def package_names(self) -> PackageNames | None:
        """Return a setting that the project needs; None if it needs none.

        Without a list of packages, setuptools refuses a project with several folders beside each
        other. `recipes` and `scriptlets` are two.
        """
        build = self.pyproject.get("build-system", {})
        if not build.get("build-backend", "setuptools").startswith("setuptools"):
            return None
        if not self.is_package or (self.root / "src").is_dir() or self._has_package_names():
            return None
        packages = [one.parent.name for one in sorted(self.root.glob("*/__init__.py"))]
        patterns = [f"{one}*" for one in packages if one not in _OWN]
        modules = [one.stem for one in sorted(self.root.glob("*.py")) if one.stem not in _TOOLS]
        path = "setup.cfg" if self.setup_py is None else "setup.py"
        path = "pyproject.toml" if "project" in self.pyproject else path
        setting, names = (_FIND[path], patterns) if patterns else (_MODULES[path], modules)
        if path == "setup.cfg":
            return PackageNames(path, setting + "".join(f"    {one}\n" for one in names))
        return PackageNames(path, setting.format(", ".join(f'"{one}"' for one in names)))

    def _has_package_names(self) -> bool:
        setuptools = self.pyproject.get("tool", {}).get("setuptools", {})
        written = [*setuptools, *self.setup_cfg.get("options", ())]
        return any(_NAMED.search(one.replace("-", "_")) for one in (*written, self.setup_py or ""))


def needed_extras(about: "Project") -> set[str]:
    """Return the extras of this package that the recipes and the station of a project need.

    The recipes are not loaded, which they cannot be where an extra of a step is missing.
    """
    from pytest_orchestrator.cli.project import Recipes
    from pytest_orchestrator.recipe.analysis.dependencies import mentions

    steps, _ = mentions(about.recipes(()), about.root)
    found = {_EXTRAS[one.type] for one in steps if one.type in _EXTRAS}
    station = Recipes(about).station
    if getattr(station, "instruments", None):  # neither missing nor with errors
        found.add("visa")
    return found


def packaging_of(root: Path) -> Packaging:
    """Return how a project is installed.

    Args:
        root: Its folder. A file that cannot be read counts as missing.
    """
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read_string(_text(root / "setup.cfg") or "")
    except configparser.Error:
        settings.clear()
    try:
        pyproject = tomllib.loads(_text(root / "pyproject.toml") or "")
    except ValueError:
        pyproject = {}
    sections = {name: [*section] for name, section in settings.items() if name != "DEFAULT"}
    return Packaging(root, pyproject, sections, _text(root / "setup.py"))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
