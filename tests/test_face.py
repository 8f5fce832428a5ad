"""The public face of the package: its names, its types, and what importing it loads."""

import subprocess
import sys
from pathlib import Path

import pytest

import pytest_orchestrator

ROOT = Path(pytest_orchestrator.__file__).parents[1]


def fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_import_loads_only_a_little_of_the_standard_library() -> None:
    code = """
import importlib, sys
before = set(sys.modules)
import pytest_orchestrator
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - sys.stdlib_module_names), "json" in new)
"""

    assert fresh(code) == "['pytest_orchestrator'] False"


def test_a_logger_and_a_scriptlet_load_no_third_party_package() -> None:
    code = """
import sys
from pytest_orchestrator import BaseScriptlet, OrchestratorError, get_logger
print([name for name in ("msgspec", "psutil", "yaml", "pytest") if name in sys.modules])
"""

    assert fresh(code) == "[]"


@pytest.mark.parametrize("name", pytest_orchestrator.__all__)
def test_every_public_name_is_exported(name: str) -> None:
    value = getattr(pytest_orchestrator, name)

    assert value.__name__ == name
    assert name in dir(pytest_orchestrator)


def test_every_lazily_loaded_name_is_in_all() -> None:
    assert vars(pytest_orchestrator)["_MODULES"].keys() == set(pytest_orchestrator.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Contxt'"):
        _ = pytest_orchestrator.Contxt


def test_the_public_module_has_at_most_50_lines() -> None:
    assert len(Path(pytest_orchestrator.__file__).read_text().splitlines()) <= 50


def test_the_package_is_typed() -> None:
    assert (Path(pytest_orchestrator.__file__).parent / "py.typed").exists()
