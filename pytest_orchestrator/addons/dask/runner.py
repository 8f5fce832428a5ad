"""Dask runner: cluster connection, task submission.

Dask runs a task at least once. A task contains only the id with which an attempt can be claimed.
Only the first claim gets the attempt; if Dask runs the task again, its claim is refused. Claim and
outcome are sent over a connection to the worker, even if the scheduler considers the worker lost.
"""

import contextlib
import logging
import pickle
import re
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, Final

from pytest_orchestrator.addons.dask.agent import perform, serve_session
from pytest_orchestrator.addons.dask.broker import AttemptBroker, RemoteAttempt
from pytest_orchestrator.addons.dask.cluster import Scheduler
from pytest_orchestrator.addons.dask.link import OPERATION, SessionLink
from pytest_orchestrator.addons.dask.registry import (
    Fingerprint,
    WorkerRegistry,
    differences,
    fingerprint,
    unused_workers,
)
from pytest_orchestrator.execution.remote.addon import (
    Offer,
    RemoteWork,
    SessionConfig,
    WorkersError,
)

_CONNECT_TIMEOUT: Final = 15.0
_REPLY_TIMEOUT: Final = 20.0
"""Seconds for a scheduler or a worker to reply; its process may be stopped."""
_LINK_TIMEOUT: Final = 10.0
"""Seconds for the first request of a worker over its link."""
_LOST_AFTER: Final = 2.0
"""Seconds without a connection to the scheduler after which it is lost."""


class DaskRunner:
    """Runner of steps on the workers of a Dask cluster.

    Args:
        session_config: Returns the settings of the session.
        scheduler: Address of the scheduler, or the number of workers of a local cluster.
        counted: Names of resources that the session counts itself.
        notify: Called with one line of information for the user.
    """

    def __init__(
        self,
        session_config: Callable[[], SessionConfig],
        scheduler: Scheduler,
        counted: Collection[str] = (),
        notify: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._session_config, self._scheduler = session_config, scheduler
        self._counted, self._notify = counted, notify
        self._broker: AttemptBroker | None = None
        self._client: Any = None
        self._cluster: Any = None
        self._disconnected_since: float | None = None
        self._links: dict[str, SessionLink] = {}

    def start(self, root: str, files: Sequence[str], modules: Sequence[str]) -> None:
        """Connect to the cluster, and list its workers.

        Args:
            root: The rootdir.
            files: Paths of files that steps need, relative to the rootdir; workers must have
                equal files.
            modules: Names of modules that steps need and that are not part of the project;
                workers must have the same versions.

        Raises:
            WorkersError: The cluster cannot be reached, or its scheduler lacks this package.
        """
        import distributed

        scheduler = self._scheduler
        # Each of these loggers has its own level.
        for name in ("distributed", "distributed.client", "distributed.gc"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with _connection_errors(scheduler):
            if scheduler.workers is not None:
                self._cluster = _own_cluster(scheduler.workers)
                where: dict[str, Any] = {"address": self._cluster}
            elif scheduler.file is not None:
                where = {"scheduler_file": str(scheduler.file)}
            else:
                where = {"address": scheduler.address}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the registry reports all differences
                self._client = distributed.Client(
                    **where, timeout=_CONNECT_TIMEOUT, set_as_default=False
                )
        self._broker = AttemptBroker(self._session_config(), self._cut_off)
        self._check_scheduler()
        self._here = root, tuple(files), tuple(modules)
        self._own = fingerprint(*self._here)
        self._worker_registry = WorkerRegistry(
            self._list_workers, self._probe, self._own, self._counted, self._notify
        )
        with _connection_errors(scheduler):
            self._worker_registry.refresh(at_start=True)

    @property
    def offers(self) -> list[Offer]:
        """Names and resources of the workers that may be used."""
        return self._worker_registry.offers

    @property
    def unused(self) -> str:
        """Lines about the workers that would not run the same; empty if there are none."""
        return "\n".join(unused_workers(self._worker_registry.mismatches))

    def issue(self, work: RemoteWork) -> RemoteAttempt:
        """Return a new attempt, which has no task yet."""
        assert self._broker is not None  # noqa: S101  # `start` was called
        return self._broker.issue(work)

    def submit(self, attempt: RemoteAttempt) -> None:
        """Submit an attempt to Dask."""
        assert self._broker is not None  # noqa: S101  # `start` was called
        send = partial(self._client.submit, run_on_worker, self._broker.session_config.session)
        attempt.task = Submitter(send, self._worker_registry, attempt)
        attempt.task.ensure_submitted()

    def close(self) -> None:
        """End the session for the workers, and disconnect from the cluster."""
        for link in self._links.values():
            link.close(_REPLY_TIMEOUT / len(self._links))
        client, self._client = self._client, None
        cluster, self._cluster = self._cluster, None
        for connection in (client, cluster):
            if connection is not None:
                with contextlib.suppress(Exception):
                    connection.close(timeout=_CONNECT_TIMEOUT)

    def _list_workers(self) -> list[Offer]:
        client = self._client
        if client is None or client.status != "running":
            raise ConnectionError("the connection to the scheduler is lost")
        identity = client.sync(client.scheduler.identity, callback_timeout=_REPLY_TIMEOUT)
        workers = identity["workers"]
        # A worker whose link is lost is new again when it is listed the next time.
        lost = {address for address, link in self._links.items() if not link.is_open}
        for address in lost:
            self._links.pop(address).close(0.0)
        return [
            Offer(address, str(worker["name"]), "", dict(worker.get("resources") or {}))
            for address, worker in workers.items()
            if worker.get("status", "running") in ("running", "paused") and address not in lost
        ]

    def _probe(self, addresses: Collection[str]) -> dict[str, Fingerprint | str]:
        """Return by address the fingerprint of each worker, or the reason why it has none.

        A worker that does not reply is left out.
        """
        try:
            results = self._fingerprints(addresses, _REPLY_TIMEOUT)
        except TimeoutError:  # one worker does not reply, so each is asked separately
            results = {}
            for address in addresses:
                with contextlib.suppress(TimeoutError):
                    results |= self._fingerprints([address], _REPLY_TIMEOUT / 4)
        probed = {
            address: result if isinstance(result, Fingerprint) else _reason(result)
            for address, result in results.items()
        }
        return probed | self._connect(
            [
                address
                for address, result in probed.items()
                if isinstance(result, Fingerprint) and not differences(self._own, result)
            ]
        )

    def _connect(self, addresses: Sequence[str]) -> dict[str, str]:
        """Connect to workers; return by address the reason why one cannot be used."""
        from distributed.core import connect

        client, broker = self._client, self._broker
        assert broker is not None  # noqa: S101  # `start` was called
        if not addresses:
            return {}
        with contextlib.suppress(TimeoutError):
            client.run(
                accept_sessions,
                workers=addresses,
                on_error="ignore",
                callback_timeout=_REPLY_TIMEOUT,
            )
        greeting = {"op": OPERATION, "config": pickle.dumps(broker.session_config)}
        for address in addresses:
            reach = partial(connect, address, timeout=_LOST_AFTER, **client.connection_args)
            self._links[address] = SessionLink(
                reach, greeting, broker.answer, client.loop.asyncio_loop
            )
        until = time.monotonic() + _LINK_TIMEOUT
        silent = {
            address: f"pytest cannot connect to it at {address}"
            for address in addresses
            if not self._links[address].is_ready.wait(until - time.monotonic())
        }
        for address in silent:
            self._links.pop(address).close(0.0)
        return silent

    def _fingerprints(self, addresses: Collection[str], seconds: float) -> dict[str, Any]:
        results: dict[str, Any] = self._client.run(
            fingerprint,
            *self._here,
            is_worker=True,
            workers=list(addresses),
            on_error="return",
            callback_timeout=seconds,
        )
        return results

    def _check_scheduler(self) -> None:
        """Check that the scheduler can deserialize tasks, which needs this package.

        Raises:
            WorkersError: The scheduler cannot deserialize tasks.
        """
        try:
            self._client.run_on_scheduler(fingerprint, "", ())
        except Exception as error:  # noqa: BLE001  # a missing package may raise anything
            raise WorkersError(f"the scheduler at {self._scheduler}: {_reason(error)}") from None

    def _cut_off(self) -> str:
        """Return the message that the scheduler is lost; empty if it is not lost."""
        client = self._client
        if client is None or client.status == "running":
            self._disconnected_since = None
            return ""
        self._disconnected_since = self._disconnected_since or time.monotonic()
        # After some time the client of Dask stops reconnecting, and closes itself.
        lost = (
            client.status == "closed" or time.monotonic() - self._disconnected_since > _LOST_AFTER
        )
        return f"the scheduler at {self._scheduler} was lost" if lost else ""


def accept_sessions(dask_worker: Any) -> None:
    """Give a worker of Dask the handler for connections of sessions."""
    dask_worker.handlers[OPERATION] = serve_session


def run_on_worker(session: str, attempt_id: str) -> None:
    """Run an attempt on this Dask worker; Dask executes this function as its task."""
    from distributed import get_worker

    dask_worker = get_worker()
    perform(session, attempt_id, str(dask_worker.name), dask_worker.local_directory)


_ROUTES: Final = "distributed.{}.http.routes"


def _own_cluster(workers: int) -> Any:
    """Start a scheduler and workers that only this session can use.

    All users of a machine can connect to its loopback, and a client of a scheduler can run code as
    the user of the scheduler. So each connection needs a certificate. Its key is created here and
    kept in memory; Dask passes the key to its workers through pipes. No HTTP server listens.

    Raises:
        WorkersError: Certificates cannot be created.
    """
    import dask
    import distributed

    try:
        security = distributed.Security.temporary()
    except ImportError:
        raise WorkersError(
            f"local:{workers} needs cryptography: python -m pip install 'pytest-orchestrator[dask]'"
        ) from None
    settings: dict[str, Any] = {_ROUTES.format(role): [] for role in ("scheduler", "worker")}
    with dask.config.set({"distributed.scheduler.allowed-failures": 0, **settings}):
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            security=security,
            protocol="tls://",
            preload=[__name__],
            # Without an address Dask listens at its default port, and warns if that is in use.
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        cluster.sync(_stop_http_server, cluster.scheduler)
        return cluster


async def dask_setup(worker: Any) -> None:
    """Stop the HTTP server of a worker of the local cluster.

    Dask calls this function by its name when it has started the worker (`preload`).
    """
    await _stop_http_server(worker)


async def _stop_http_server(node: Any) -> None:
    node.http_server.stop()


def _reason(error: object) -> str:
    """Return the reason why a function failed in another process, such as a missing package."""
    missing = re.search(r"No module named '(\w+)", str(error))
    return f"package {missing[1]} is missing" if missing else f"it cannot be asked: {error}"


@contextlib.contextmanager
def _connection_errors(scheduler: Scheduler) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WorkersError(f"no scheduler can be reached at {scheduler}: {reason}") from None


_NO_WORKER_SECONDS: Final = 60.0
"""Seconds for which an attempt waits if no worker is left that can run it."""
_MAX_SUBMISSIONS: Final = 3
"""Number of submissions after which an error of Dask before a claim is final."""


class Submitter:
    """Submitter of an attempt to Dask, which resubmits it while no worker has claimed it.

    Args:
        submit: ``Client.submit`` of Dask, with the function already bound.
        worker_registry: The registry of workers.
        attempt: The attempt.
    """

    def __init__(
        self,
        submit: Callable[..., Any],
        worker_registry: WorkerRegistry,
        attempt: RemoteAttempt,
    ) -> None:
        self._submit, self._worker_registry, self._attempt = submit, worker_registry, attempt
        self._step = attempt.work.step
        self._lock = threading.Lock()
        self._has_followed = False
        self._future: Any = None
        self._addresses: list[str] = []
        self._submissions = 0
        self._no_worker_since: float | None = None

    def ensure_submitted(self) -> None:
        """Submit the attempt, unless Dask still has a task for it and a worker for that task.

        This method is called repeatedly until a worker has claimed the attempt.
        """
        with self._lock:
            if self._future is not None:
                self._worker_registry.refresh()
                if self._is_submitted():
                    return
                self._future.cancel()
            self._addresses = self._worker_registry.addresses_for(self._step)
            if not self._addresses:
                self._wait_for_worker()
                return
            self._no_worker_since, self._submissions = None, self._submissions + 1
            self._future = future = self._submit(
                self._attempt.id,
                # Dask keeps data for each prefix of keys for ever, so all steps share one prefix.
                key=f"step-{self._submissions}-{self._attempt.id}-{self._step.name}",
                workers=self._addresses,
                allow_other_workers=False,
                resources=self._worker_registry.resources_for(self._step) or None,
                pure=False,
                retries=0,
            )
        future.add_done_callback(self._on_done)

    def follow(self, attempt: RemoteAttempt) -> None:
        """Watch the task on behalf of the next attempt that its worker runs.

        If the worker does not claim the attempt before its task ends, the attempt is submitted.
        """
        with self._lock:
            self._attempt, self._has_followed = attempt, True

    def withdraw(self) -> None:
        """Cancel the task of the attempt in Dask."""
        if self._future is not None:
            self._future.cancel()

    def _is_submitted(self) -> bool:
        there = {offer.address for offer in self._worker_registry.offers}
        return not self._future.done() and not there.isdisjoint(self._addresses)

    def _wait_for_worker(self) -> None:
        self._future = None
        self._no_worker_since = self._no_worker_since or time.monotonic()
        self._worker_registry.refresh()
        if time.monotonic() - self._no_worker_since > _NO_WORKER_SECONDS:
            self._attempt.lose("no worker is left that can take it")

    def _on_done(self, future: Any) -> None:
        """Mark the attempt as lost or its worker as given up, if its task has ended in Dask."""
        if future is not self._future:
            return
        attempt = self._attempt
        if future.status == "finished" and (attempt.claim is not None or not self._has_followed):
            attempt.lose("its worker ended it without a word")
        elif attempt.claim is not None:
            attempt.give_up()
        elif future.status == "error" and self._submissions >= _MAX_SUBMISSIONS:
            attempt.lose(f"Dask gave it up before a worker had it: {future.exception()}")
