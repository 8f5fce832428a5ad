"""Compatibility matrix: one environment for each group of plugins and each version of pytest.

``nox`` runs all, ``nox -s neighbours`` the plugins, ``nox -s pytests`` the versions of pytest.
The results go to ``docs/reference/neighbours.json``, from which ``scripts/neighbours`` writes the
tables of ``docs/reference/compatibility.md``. ``nox -s lowest`` tests the lowest versions that
``pyproject.toml`` allows. ``nox -s dask`` runs the tests of the plugin with workers of Dask
(nightly).
"""

import sys
import tomllib
from pathlib import Path

import nox

_ROOT = Path(__file__).parent
sys.path.append(str(_ROOT))  # the program `nox` does not search the working directory

from tests.neighbours.cases import GROUPS, PYTESTS, PYTHONS  # noqa: E402

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["neighbours", "pytests", "lowest"]
nox.options.error_on_missing_interpreters = False


@nox.session(python=PYTHONS[-1])
@nox.parametrize("group", list(GROUPS))
def neighbours(session: nox.Session, group: str) -> None:
    """Test the plugins of a group."""
    session.install(".", *GROUPS[group])
    session.run("python", "-m", "tests.neighbours", group)


@nox.session(python=list(PYTHONS))
@nox.parametrize("version", list(PYTESTS))
def pytests(session: nox.Session, version: str) -> None:
    """Test a version of pytest."""
    session.install(".", f"pytest=={version}.*")
    session.run("python", "-m", "tests.neighbours", f"pytest-{version}")


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Test the lowest allowed version of each package that the core needs."""
    about = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    exact = [one.replace(">=", "==") for one in about["project"]["dependencies"]]
    session.install(".", *exact)
    session.run("python", "-m", "tests.neighbours", f"pytest-{PYTESTS[0]}")


@nox.session(python=PYTHONS[-1])
def dask(session: nox.Session) -> None:
    """Run the tests of the plugin with all steps on workers of Dask."""
    session.install("-e", ".[dev,docs,xdist,dask]")
    env = {"TESTED_RUNNER": "dask"}
    session.run("python", "-m", "pytest", "-n", "2", "tests/plugin", *session.posargs, env=env)
