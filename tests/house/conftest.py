"""What a user installs, and where."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    return built(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and what it requires, and nothing else.

    Nothing is fetched: what it requires is that of this environment.
    """
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for one in required("pytest-orchestrator"):
        for name in {file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
            if not (packages / name).exists():
                (packages / name).symlink_to(Path(str(one.locate_file(name))))
    programs = folder / "bin"
    script = "import sys, pytest\nsys.exit(pytest.console_main())\n"
    (programs / "pytest").write_text(f"#!{programs}/python\n{script}")
    (programs / "pytest").chmod(0o755)
    pip = [sys.executable, "-m", "pip", "--python", f"{programs}/python", "--quiet"]
    pip += ["--disable-pip-version-check", "install", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    return programs


def built(source: Path, target: str, folder: Path) -> Path:
    """Build a source tree; return what was made."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (found,) = folder.iterdir()
    return found


def required(name: str) -> Iterator[Distribution]:
    """Return what a distribution requires, and what that does; extras are none of it."""
    seen = {name}
    left = [name]
    while left:
        for text in distribution(left.pop()).requires or ():
            wanted = Requirement(text)
            known = re.sub(r"[-_.]+", "-", wanted.name).lower()
            is_extra = wanted.marker is not None and not wanted.marker.evaluate({"extra": ""})
            if known not in seen and not is_extra:
                seen.add(known)
                left.append(known)
                yield distribution(known)
