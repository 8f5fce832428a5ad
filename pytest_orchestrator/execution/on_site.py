"""The terms of a session as they are on the machine of a worker: paths, programs, surroundings."""

import os
import sys
from pathlib import Path

import msgspec

from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.alike import root_of_worker
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.errands import Claimed, Terms
from pytest_orchestrator.execution.lanes.lane import Program, Slot


def environment(terms: Terms, claimed: Claimed, folder: Path, slot: Slot) -> Environment:
    """Return the surroundings of a try.

    Args:
        terms: The terms of the session.
        claimed: The try.
        folder: Where its logs may be written.
        slot: Where it runs.
    """
    secrets = Masker(terms.secret_names)
    for secret in claimed.secrets:
        secrets.add(secret)
    manner = msgspec.structs.replace(
        terms.manner,
        cwd=_here(terms, terms.manner.cwd),
        sys_path=_search_path(terms),
    )
    return Environment(
        root=Path(_here(terms, terms.root)),
        timeout=terms.timeout,
        stretch=terms.stretch,
        slot=slot,
        environ={**os.environ, **claimed.variables},
        recipe=_here(terms, claimed.recipe),
        run=terms.run,
        logs=folder if claimed.logs else None,
        resources=folder / "resources" if claimed.samples else None,
        attempt=claimed.attempt,
        secrets=secrets,
        manner=manner,
        handed=claimed.handed,
        max_log=terms.max_log,
        max_artifact=terms.max_artifact,
        capacity=terms.capacity,
    )


def _here(terms: Terms, path: str) -> str:
    """Return where something is on this machine."""
    root = root_of_worker(terms.root)
    is_below = path == terms.root or path.startswith(f"{terms.root}/")
    return root + path[len(terms.root) :] if is_below else path


def _search_path(terms: Terms) -> list[str]:
    path = [_here(terms, one) for one in terms.manner.sys_path]
    return [*path, *(one for one in sys.path if one not in path)]


def program(terms: Terms) -> Program:
    """Return the lane for Python steps, as it is started on this machine."""
    folder = str(Path(__file__).parents[2])
    argv = [sys.executable, *terms.flags, folder]
    hello = {
        **terms.hello,
        "argv": argv,
        "sys_path": _search_path(terms),
        "folder": _here(terms, terms.manner.cwd),
        "arguments": [_argument(terms, one) for one in terms.hello["arguments"]],
    }
    return Program(argv, dict(os.environ), hello)


def _argument(terms: Terms, one: str) -> str:
    name, equals, path = one.partition("=")
    return f"{name}={_here(terms, path)}" if equals and name == "--rootdir" else one
