"""Worker registry: workers with the same code, and what differs on others."""

import contextlib
import hashlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from pytest_orchestrator.core.files import regular
from pytest_orchestrator.execution.scheduling.placement import Offer, workers_for
from pytest_orchestrator.recipe.model.step import Step

ROOT: Final = "ORCHESTRATOR_ROOT"
"""The environment variable that says on a worker where the project is."""

_OURS: Final = "pytest_orchestrator"
_PACKAGES: Final = ("Jinja2", "msgspec", "pytest", "PyYAML")
_DIGITS: Final = 16
_SHOWN: Final = 8


class Fingerprint(msgspec.Struct, frozen=True):
    """What a process has of a project and of what its steps need.

    Attributes:
        host: The name of its machine.
        root: Where the project is for it.
        is_there: The folder is there.
        python: Version of Python, without the last number.
        packages: Versions of packages; empty where there is one without, None where there is none.
        files: The beginning of the SHA-256 of each file; empty where it cannot be read.
    """

    host: str
    root: str
    is_there: bool
    python: str
    packages: Mapping[str, str | None]
    files: Mapping[str, str]


def root_of_worker(root: str) -> str:
    """Return where the project is for a worker.

    Args:
        root: Where it is for pytest.
    """
    return os.environ.get(ROOT) or root


def fingerprint(
    root: str, files: Iterable[str], modules: Iterable[str] = (), *, is_worker: bool = False
) -> Fingerprint:
    """Return what this process has; raises nothing.

    Args:
        root: Where the project is for pytest.
        files: Paths of its files, relative to the root.
        modules: Names of modules that are not its own.
        is_worker: This process is a worker, which may have the project elsewhere.
    """
    root = root_of_worker(root) if is_worker else root
    packages = {_OURS: _our_version()}
    packages |= {name: _version_of_package(name) for name in _PACKAGES}
    packages |= {name: _version_of_module(name) for name in modules if name not in packages}
    return Fingerprint(
        host=socket.gethostname(),
        root=root,
        is_there=os.path.isdir(root),
        python=f"{sys.version_info[0]}.{sys.version_info[1]}",
        packages=packages,
        files={name: _of_file(os.path.join(root, name)) for name in files},
    )


def differences(client: Fingerprint, worker: Fingerprint) -> list[str]:
    """Return what a worker has otherwise than pytest; nothing where they are alike.

    Where the project is, and on which machine, does not count.

    Returns:
        A line for each difference, sorted.
    """
    ways = (_of_python, _of_packages, _of_files)
    return sorted(line for way in ways for line in way(client, worker))


def _of_python(client: Fingerprint, worker: Fingerprint) -> Iterator[str]:
    if client.python != worker.python:
        yield f"Python {worker.python}, here {client.python}"


def _of_packages(client: Fingerprint, worker: Fingerprint) -> Iterator[str]:
    for name in {**client.packages, **worker.packages}:
        here, there = client.packages.get(name), worker.packages.get(name)
        if here == there:
            continue
        if there is None:
            yield f"package {name} is missing"
        elif here is None:
            yield f"package {' '.join(filter(None, (name, there)))} is there, and not here"
        else:
            yield f"package {name} {there or 'without a version'}, here {here or 'without one'}"


def _of_files(client: Fingerprint, worker: Fingerprint) -> Iterator[str]:
    if client.is_there and not worker.is_there:
        yield f"folder {worker.root} is not there; {ROOT} says on a worker where it is"
        return
    for name in {**client.files, **worker.files}:
        here, there = client.files.get(name, ""), worker.files.get(name, "")
        if here == there:
            continue
        if not there:
            yield f"{name} is not there"
        elif not here:
            yield f"{name} is there, and not here"
        else:
            told = f"{here[:_SHOWN]}… here, {there[:_SHOWN]}… there"
            yield f"{name} is another one ({told})"


def _our_version() -> str | None:
    """Return our version with the digest of our code: a checkout keeps the version for long."""
    folder = Path(__file__).parents[2]
    total = hashlib.sha256()
    with contextlib.suppress(OSError):
        for path in sorted(folder.rglob("*.py")):
            total.update(f"{path.relative_to(folder).as_posix()} {_of_file(path)}\n".encode())
    version = _version_of_package("pytest-orchestrator") or "0"
    return f"{version} ({total.hexdigest()[:_SHOWN]})"


def _version_of_package(name: str) -> str | None:
    try:
        return metadata.version(name)
    except Exception:  # noqa: BLE001 - whatever is wrong with an installation
        return None


def _version_of_module(name: str) -> str | None:
    version = _version_of_package(name)
    if version is not None:
        return version
    try:
        return None if find_spec(name) is None else ""
    except Exception:  # noqa: BLE001 - likewise
        return None


def _of_file(path: str | Path) -> str:
    try:
        with regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    except (OSError, ValueError):
        return ""


_FRESH: Final = 5.0
"""Seconds for which it is good to know who is there."""

Seen = Callable[[], list[Offer]]
"""Gives all workers that are there; their machines' names are not known yet."""
Probe = Callable[[Collection[str]], dict[str, Fingerprint | str]]
"""Gives what workers have, by their addresses; or why that is not known."""


class WorkerRegistry:
    """The workers of a cluster.

    Args:
        seen: Gives all that are there.
        probe: Gives what they have.
        here: What pytest has.
        counted: Names of resources that the session counts itself.
        tell: Is told in one line of a worker that came later and is not used.

    Attributes:
        unlike: What those have otherwise than pytest that are not used, by their names.
    """

    def __init__(
        self,
        seen: Seen,
        probe: Probe,
        here: Fingerprint,
        counted: Collection[str] = (),
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.unlike: dict[str, list[str]] = {}
        self._seen, self._probe, self._here = seen, probe, here
        self._counted, self._tell = counted, tell
        self._lock = threading.Lock()
        self._offers: dict[str, Offer | None] = {}
        self._looked = 0.0

    @property
    def offers(self) -> list[Offer]:
        """What those offer that may be used."""
        with self._lock:
            return [one for one in self._offers.values() if one is not None]

    def look(self, *, at_once: bool = False) -> None:
        """See who is there, unless that was done a moment ago.

        Args:
            at_once: The session begins: who is not used is told by whoever asks.

        Raises:
            OSError: Nobody says so, at the beginning.
        """
        with self._lock:
            if not at_once and time.monotonic() - self._looked < _FRESH:
                return
            self._looked = time.monotonic()
            try:
                seen = {one.address: one for one in self._seen()}
            except OSError:
                if at_once:
                    raise
                return  # whether the scheduler is lost, its connection tells
            self._offers = {name: one for name, one in self._offers.items() if name in seen}
            fresh = seen.keys() - self._offers.keys()
            had = self._probe(sorted(fresh)) if fresh else {}
            for address in sorted(fresh):
                offer = self._offers[address] = self._approved(seen[address], had.get(address))
                if offer is None and not at_once:
                    name = seen[address].name
                    self._tell(f"worker {name} is not used: {'; '.join(self.unlike[name])}")
            self._looked = time.monotonic()

    def _approved(self, offer: Offer, had: Fingerprint | str | None) -> Offer | None:
        """Return what a worker offers, with the name of its machine; None where it is unlike."""
        if isinstance(had, Fingerprint):
            lines = differences(self._here, had)
            offer = msgspec.structs.replace(offer, host=had.host)
        else:
            lines = [had or "it does not answer"]
        if not lines:
            return offer
        self.unlike[offer.name] = lines
        return None

    def able(self, step: Step) -> list[str]:
        """Return the addresses of those that can take a step."""
        return workers_for(step, self.offers, self._counted)

    def wanted(self, step: Step) -> dict[str, float]:
        """Return the resources that a worker must have free for a step."""
        return {
            name: float(number)
            for name, number in step.resources.items()
            if name not in self._counted
        }


def unused_workers(unlike: dict[str, list[str]]) -> Iterable[str]:
    """Give lines for people: the workers that are not used, and why."""
    for name, lines in sorted(unlike.items()):
        yield f"worker {name} would not run the same:"
        yield from (f"  {line}" for line in lines)
