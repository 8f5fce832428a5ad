"""Worker registry: workers with the same code as pytest, and reasons against the others."""

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

from pytest_orchestrator.execution.remote.addon import (
    ROOT,
    Offer,
    Step,
    open_regular_file,
    root_of_worker,
    workers_for,
)

_PACKAGE_NAME: Final = "pytest_orchestrator"
_PACKAGES: Final = ("Jinja2", "msgspec", "pytest", "PyYAML")
_DIGITS: Final = 16
_SHOWN_DIGITS: Final = 8


class Fingerprint(msgspec.Struct, frozen=True):
    """Versions of Python, packages and files that a process uses for a project.

    Attributes:
        host: Name of the machine of the process.
        root: Path of the project in this process.
        is_there: True if the folder of the project exists.
        python: Version of Python, such as ``3.12``.
        packages: Versions of packages; empty if a package has no version, None if it is missing.
        files: First 16 digits of the SHA-256 of each file; empty if it cannot be read.
    """

    host: str
    root: str
    is_there: bool
    python: str
    packages: Mapping[str, str | None]
    files: Mapping[str, str]


def fingerprint(
    root: str, files: Iterable[str], modules: Iterable[str] = (), *, is_worker: bool = False
) -> Fingerprint:
    """Return the fingerprint of this process; a missing or broken package raises no exception.

    Args:
        root: Path of the project in pytest's process.
        files: Paths of its files, relative to the root.
        modules: Names of modules that are not part of the project.
        is_worker: True if this process is a worker, where the project may have another path.
    """
    root = root_of_worker(root) if is_worker else root
    packages = {_PACKAGE_NAME: _package_version()}
    packages |= {name: _version_of_package(name) for name in _PACKAGES}
    packages |= {name: _version_of_module(name) for name in modules if name not in packages}
    return Fingerprint(
        host=socket.gethostname(),
        root=root,
        is_there=os.path.isdir(root),
        python=f"{sys.version_info[0]}.{sys.version_info[1]}",
        packages=packages,
        files={name: _digest(os.path.join(root, name)) for name in files},
    )


def differences(client: Fingerprint, worker: Fingerprint) -> list[str]:
    """Return the differences between a worker and pytest's process.

    The host and the path of the project are not compared.

    Returns:
        A line for each difference, sorted.
    """
    comparisons = (_compare_python, _compare_packages, _compare_files)
    return sorted(line for compare in comparisons for line in compare(client, worker))


def _compare_python(client: Fingerprint, worker: Fingerprint) -> Iterator[str]:
    if client.python != worker.python:
        yield f"Python {worker.python}, here {client.python}"


def _compare_packages(client: Fingerprint, worker: Fingerprint) -> Iterator[str]:
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


def _compare_files(client: Fingerprint, worker: Fingerprint) -> Iterator[str]:
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
            digests = f"{here[:_SHOWN_DIGITS]}… here, {there[:_SHOWN_DIGITS]}… there"
            yield f"{name} is another one ({digests})"


def _package_version() -> str | None:
    """Return the version of pytest-orchestrator, with a digest of its source files."""
    folder = Path(__file__).parents[2]
    digest = hashlib.sha256()
    with contextlib.suppress(OSError):
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder).as_posix()} {_digest(path)}\n".encode())
    version = _version_of_package("pytest-orchestrator") or "0"
    return f"{version} ({digest.hexdigest()[:_SHOWN_DIGITS]})"


def _version_of_package(name: str) -> str | None:
    try:
        return metadata.version(name)
    except Exception:  # noqa: BLE001 - a broken installation may raise anything
        return None


def _version_of_module(name: str) -> str | None:
    version = _version_of_package(name)
    if version is not None:
        return version
    try:
        return None if find_spec(name) is None else ""
    except Exception:  # noqa: BLE001 - a broken installation may raise anything
        return None


def _digest(path: str | Path) -> str:
    try:
        with open_regular_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    except (OSError, ValueError):
        return ""


_REFRESH_SECONDS: Final = 5.0
"""Seconds for which the list of workers is cached."""

ListWorkers = Callable[[], list[Offer]]
"""Function that returns all workers of the cluster, with an empty `Offer.host`."""
Probe = Callable[[Collection[str]], dict[str, Fingerprint | str]]
"""Function that returns by address the fingerprint of each worker, or why it has none."""


class WorkerRegistry:
    """The workers of a cluster that may run steps of this session.

    Args:
        list_workers: Returns all workers.
        probe: Returns the fingerprints of workers by address.
        here: The fingerprint of pytest's process.
        counted: Names of resources that the session counts itself.
        notify: Called with a line for each worker that joined after the start and is not used.

    Attributes:
        mismatches: Differences from pytest's process, by the name of each worker that is not used.
    """

    def __init__(
        self,
        list_workers: ListWorkers,
        probe: Probe,
        here: Fingerprint,
        counted: Collection[str] = (),
        notify: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.mismatches: dict[str, list[str]] = {}
        self._list_workers, self._probe, self._here = list_workers, probe, here
        self._counted, self._notify = counted, notify
        self._lock = threading.Lock()
        self._offers: dict[str, Offer | None] = {}
        self._refreshed_at = 0.0

    @property
    def offers(self) -> list[Offer]:
        """Offers of the workers that may be used: name, address, host and resources."""
        with self._lock:
            return [offer for offer in self._offers.values() if offer is not None]

    def refresh(self, *, at_start: bool = False) -> None:
        """Update the list of workers, unless it was updated in the last five seconds.

        Args:
            at_start: True at the start of the session: the list is updated in any case, and
                `notify` is not called, because the caller reports the workers that are not used.

        Raises:
            OSError: The scheduler does not answer at the start of the session.
        """
        with self._lock:
            if not at_start and time.monotonic() - self._refreshed_at < _REFRESH_SECONDS:
                return
            self._refreshed_at = time.monotonic()
            try:
                seen = {offer.address: offer for offer in self._list_workers()}
            except OSError:
                if at_start:
                    raise
                return  # `DaskRunner` notices by its connection that the scheduler is lost
            self._offers = {
                address: offer for address, offer in self._offers.items() if address in seen
            }
            new = seen.keys() - self._offers.keys()
            fingerprints = self._probe(sorted(new)) if new else {}
            for address in sorted(new):
                offer = self._offers[address] = self._approve(
                    seen[address], fingerprints.get(address)
                )
                if offer is None and not at_start:
                    name = seen[address].name
                    self._notify(f"worker {name} is not used: {'; '.join(self.mismatches[name])}")
            self._refreshed_at = time.monotonic()

    def _approve(self, offer: Offer, result: Fingerprint | str | None) -> Offer | None:
        """Add the host to the offer of a worker; return None if the worker must not be used.

        The reasons against a worker are stored in `mismatches`.
        """
        if isinstance(result, Fingerprint):
            lines = differences(self._here, result)
            offer = msgspec.structs.replace(offer, host=result.host)
        else:
            lines = [result or "it does not answer"]
        if not lines:
            return offer
        self.mismatches[offer.name] = lines
        return None

    def addresses_for(self, step: Step) -> list[str]:
        """Return the addresses of the workers that can run a step."""
        return workers_for(step, self.offers, self._counted)

    def resources_for(self, step: Step) -> dict[str, float]:
        """Return the resources of a step that Dask must find free on a worker."""
        return {
            name: float(number)
            for name, number in step.resources.items()
            if name not in self._counted
        }


def unused_workers(mismatches: dict[str, list[str]]) -> Iterable[str]:
    """Yield lines of text: each worker that is not used, and its differences from pytest."""
    for name, lines in sorted(mismatches.items()):
        yield f"worker {name} would not run the same:"
        yield from (f"  {line}" for line in lines)
