"""Fixtures with the wheel, and with an environment in which only the wheel is installed."""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source tree."""
    return built(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of a virtual environment with the wheel and its requirements, and nothing else.

    Nothing is downloaded: the requirements are links to the packages of this environment.
    """
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    link(required("pytest-orchestrator"), packages)
    programs = folder / "bin"
    script = "import sys, pytest\nsys.exit(pytest.console_main())\n"
    (programs / "pytest").write_text(f"#!{programs}/python\n{script}")
    (programs / "pytest").chmod(0o755)
    pip = [sys.executable, "-m", "pip", "--python", f"{programs}/python", "--quiet"]
    pip += ["--disable-pip-version-check", "install", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    return programs


def link(distributions: Iterable[Distribution], packages: Path) -> None:
    """Link the packages of distributions of this environment into a folder."""
    for one in distributions:
        for name in {file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
            if not (packages / name).exists():
                (packages / name).symlink_to(Path(str(one.locate_file(name))))


def built(source: Path, target: str, folder: Path) -> Path:
    """Build a source tree; return the file that was built."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (file,) = folder.iterdir()
    return file


def required(name: str) -> Iterator[Distribution]:
    """Yield the distributions that one requires, directly or indirectly, without extras."""
    seen = {name}
    left = [name]
    while left:
        for text in distribution(left.pop()).requires or ():
            requirement = Requirement(text)
            key = re.sub(r"[-_.]+", "-", requirement.name).lower()
            marker = requirement.marker
            is_extra = marker is not None and not marker.evaluate({"extra": ""})
            if key not in seen and not is_extra:
                seen.add(key)
                left.append(key)
                yield distribution(key)
