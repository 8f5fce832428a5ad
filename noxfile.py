"""The matrix of neighbours: an environment for each group of plugins and each pytest.

``nox`` runs all, ``nox -s neighbours`` the plugins, ``nox -s pytests`` the versions of pytest; what
comes of it goes to ``docs/reference/neighbours.json``, of which ``scripts/neighbours`` makes the
README's tables. ``nox -s dask``, once a night, tries the door's tests with workers of Dask.
"""

import nox

from tests.neighbours.cases import GROUPS, PYTESTS, PYTHONS

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["neighbours", "pytests"]
nox.options.error_on_missing_interpreters = False


@nox.session(python=PYTHONS[-1])
@nox.parametrize("group", list(GROUPS))
def neighbours(session: nox.Session, group: str) -> None:
    """Try the plugins of a group."""
    session.install(".", *GROUPS[group])
    session.run("python", "-m", "tests.neighbours", group)


@nox.session(python=list(PYTHONS))
@nox.parametrize("version", list(PYTESTS))
def pytests(session: nox.Session, version: str) -> None:
    """Try a version of pytest."""
    session.install(".", f"pytest=={version}.*")
    session.run("python", "-m", "tests.neighbours", f"pytest-{version}")


@nox.session(python=PYTHONS[-1])
def dask(session: nox.Session) -> None:
    """Have workers of Dask run the steps of all tests of the door."""
    session.install("-e", ".[dev,docs,xdist,dask]")
    env = {"TESTED_RUNNER": "dask"}
    session.run("python", "-m", "pytest", "-n", "2", "tests/plugin", *session.posargs, env=env)
