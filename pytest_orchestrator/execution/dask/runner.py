"""Dask runner: cluster connection, task submission.

Dask runs a task at least once. Here it only carries where a try may be claimed, so what it does a
second time is refused, and a worker that it takes for lost may still tell of what it has done.
"""

import contextlib
import logging
import re
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.execution.dask import worker
from pytest_orchestrator.execution.dask.messages import AttemptRef
from pytest_orchestrator.execution.dask.registry import Fingerprint, WorkerRegistry, fingerprint
from pytest_orchestrator.execution.dask.submission import Submission
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.scheduling.cluster import Scheduler
from pytest_orchestrator.execution.scheduling.placement import Offer, beside
from pytest_orchestrator.execution.steps import custom
from pytest_orchestrator.recipe.model.step import CodeStep, Step

if TYPE_CHECKING:
    import ssl

    from pytest_orchestrator.execution.dask.broker import AttemptBroker, RemoteAttempt

_CONNECT: Final = 15.0
_ANSWER: Final = 20.0
"""Seconds for a scheduler or a worker to say what it has; a process may be stopped."""
_CUT_OFF: Final = 2.0
"""Seconds without the scheduler after which it is taken for lost."""


MakeDesk = Callable[[str, Callable[[], str], "ssl.SSLContext | None"], "AttemptBroker"]


class DaskError(Exception):
    """A cluster cannot be used; its text is for people."""


class DaskRunner:
    """Runs steps on the workers of a Dask cluster.

    Args:
        desk: Makes where workers claim tries, given the address of this machine that they reach,
            what says that the session is cut off, and how connections are encrypted.
        scheduler: Where the scheduler is.
        counted: Names of resources that the session counts itself.
        tell: Is told in one line what a person should know.
    """

    def __init__(
        self,
        desk: "MakeDesk",
        scheduler: Scheduler,
        counted: Collection[str] = (),
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._make_desk, self._scheduler = desk, scheduler
        self._counted, self._tell = counted, tell
        self._desk: AttemptBroker | None = None
        self._client: Any = None
        self._cluster: Any = None
        self._since: float | None = None
        self._files: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._root = ""

    def start(self, root: str, files: Sequence[str], modules: Sequence[str]) -> WorkerRegistry:
        """Connect to the cluster, and see who is there.

        Args:
            root: The rootdir.
            files: Paths of files that steps need, relative to it; workers must have the same.
            modules: Names of modules from elsewhere, likewise.

        Returns:
            The workers.

        Raises:
            DaskError: It cannot be reached.
        """
        import distributed
        from distributed.utils import get_ip

        scheduler = self._scheduler
        for name in ("distributed", "distributed.client", "distributed.gc"):  # each has its own
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with _told(scheduler):
            if scheduler.workers is not None:
                self._cluster = _own_cluster(scheduler.workers)
                where: dict[str, Any] = {"address": self._cluster}
            elif scheduler.file is not None:
                where = {"scheduler_file": str(scheduler.file)}
            else:
                where = {"address": scheduler.address}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what differs is told, and not only of versions
                self._client = distributed.Client(**where, timeout=_CONNECT, set_as_default=False)
        host = urlsplit(self._client.scheduler.address).hostname or "127.0.0.1"
        here = "127.0.0.1" if self._cluster is not None else get_ip(host)
        self._desk = self._make_desk(here, self._cut_off, self._encryption())
        self._ask_scheduler()
        self._root, self._files = root, (tuple(files), tuple(modules))
        own = fingerprint(root, *self._files)
        self._force = WorkerRegistry(self._seen, self._probe, own, self._counted, self._tell)
        with _told(scheduler):
            self._force.look(at_once=True)
        return self._force

    def takes(self, step: Step) -> bool:
        """Tell whether a step runs on a worker: services and ssh steps run beside pytest."""
        return not beside(step)

    def submit(self, step: Step, context: Context, env: Environment) -> Submission:
        """Let the try of a step be run by a worker."""
        assert self._desk is not None  # noqa: S101  # it was started
        if isinstance(step, CodeStep):
            step = custom.called(step, env)
        ticket = self._desk.issue(step, context, env)
        handing = Submitter(partial(self._client.submit, run_on_worker), self._force, step, ticket)
        ticket.tended = handing.tend
        handing.tend()
        return Submission(step, env, ticket, handing.withdraw)

    def close(self) -> None:
        """Tell the workers that the session is over, and leave the cluster."""
        if self._desk is not None:
            self._desk.close()
        client, self._client = self._client, None
        cluster, self._cluster = self._cluster, None
        for one in (client, cluster):
            if one is not None:
                with contextlib.suppress(Exception):
                    one.close(timeout=_CONNECT)

    def _seen(self) -> list[Offer]:
        client = self._client
        if client is None or client.status != "running":
            raise ConnectionError("the connection to the scheduler is lost")
        told = client.sync(client.scheduler.identity, callback_timeout=_ANSWER)
        workers = told["workers"]
        return [
            Offer(address, str(one["name"]), "", dict(one.get("resources") or {}))
            for address, one in workers.items()
            if one.get("status", "running") in ("running", "paused")
        ]

    def _probe(self, addresses: Collection[str]) -> dict[str, Fingerprint | str]:
        """Ask workers what they have; who lacks this package cannot even be asked."""
        try:
            found = self._asked(addresses, _ANSWER)
        except TimeoutError:  # of one of them; the others are not to blame
            found = {}
            for one in addresses:
                with contextlib.suppress(TimeoutError):
                    found |= self._asked([one], _ANSWER / 4)
        return {
            address: had if isinstance(had, Fingerprint) else _why(had)
            for address, had in found.items()
        }

    def _asked(self, addresses: Collection[str], seconds: float) -> dict[str, Any]:
        found: dict[str, Any] = self._client.run(
            fingerprint,
            self._root,
            *self._files,
            is_worker=True,
            workers=list(addresses),
            on_error="return",
            callback_timeout=seconds,
        )
        return found

    def _ask_scheduler(self) -> None:
        """See whether tasks can pass through the scheduler, which reads them too.

        Raises:
            DaskError: They cannot.
        """
        try:
            self._client.run_on_scheduler(fingerprint, "", ())
        except Exception as error:  # noqa: BLE001  # whatever its machine lacks
            raise DaskError(f"the scheduler at {self._scheduler}: {_why(error)}") from None

    def _encryption(self) -> "ssl.SSLContext | None":
        """Return how workers are to reach this session: as Dask's own settings have it."""
        if not self._client.scheduler.address.startswith("tls://"):
            return None
        context: ssl.SSLContext | None
        context = self._client.security.get_listen_args("client")["ssl_context"]
        return context

    def _cut_off(self) -> str:
        """Say where the scheduler is lost."""
        client = self._client
        if client is None or client.status == "running":
            self._since = None
            return ""
        self._since = self._since or time.monotonic()
        # After some time it tries no more, and closes itself.
        lost = client.status == "closed" or time.monotonic() - self._since > _CUT_OFF
        return f"the scheduler at {self._scheduler} was lost" if lost else ""


def run_on_worker(work: AttemptRef) -> None:
    """Be the task that Dask runs."""
    from distributed import get_worker

    me = get_worker()
    encrypted = None
    if work.is_encrypted:
        encrypted = me.security.get_connection_args("worker")["ssl_context"]
    worker.perform(work, str(me.name), encrypted, me.local_directory)


_ROUTES: Final = "distributed.{}.http.routes"


def _own_cluster(workers: int) -> Any:
    """Start a scheduler and workers that take orders from this session alone.

    All users of a machine reach its loopback, and who reaches a scheduler runs code as its user.
    So each connection needs a certificate, of a key that is made here and kept in memory: Dask
    hands it to its workers by pipes. Nothing listens for browsers.

    Raises:
        DaskError: Certificates cannot be made.
    """
    import dask
    import distributed

    try:
        security = distributed.Security.temporary()
    except ImportError:
        raise DaskError(
            f"local:{workers} needs cryptography: python -m pip install 'pytest-orchestrator[dask]'"
        ) from None
    settings: dict[str, Any] = {_ROUTES.format(one): [] for one in ("scheduler", "worker")}
    with dask.config.set({"distributed.scheduler.allowed-failures": 0, **settings}):
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            security=security,
            protocol="tls://",
            preload=[__name__],
            # Without one it listens all the same, where all other clusters do, and warns of them.
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        cluster.sync(_listen_no_more, cluster.scheduler)
        return cluster


async def dask_setup(worker: Any) -> None:
    """Close what a worker of this session's own cluster listens at for browsers.

    Dask calls this by its name when it has started the worker.
    """
    await _listen_no_more(worker)


async def _listen_no_more(node: Any) -> None:
    node.http_server.stop()


def _why(error: object) -> str:
    """Say why a process could not be asked: mostly it lacks what it would be asked by."""
    missing = re.search(r"No module named '(\w+)", str(error))
    return f"package {missing[1]} is missing" if missing else f"it cannot be asked: {error}"


@contextlib.contextmanager
def _told(scheduler: Scheduler) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DaskError(f"no scheduler can be reached at {scheduler}: {why}") from None


_NOBODY: Final = 60.0
"""Seconds for which a try waits where no worker is left that can take it."""
_AGAIN: Final = 3
"""So many workers may die that were about to claim a try."""


class Submitter:
    """A ticket on its way to a worker: handed out anew where who had it died before a claim.

    Args:
        submit: Hands a task out; as ``Client.submit`` of Dask, but for the task itself.
        force: The workers.
        step: The step.
        ticket: Its ticket.
    """

    def __init__(
        self, submit: Callable[..., Any], force: WorkerRegistry, step: Step, ticket: "RemoteAttempt"
    ) -> None:
        self._submit, self._force, self._step, self._ticket = submit, force, step, ticket
        self._lock = threading.Lock()
        self._future: Any = None
        self._to: list[str] = []
        self._times = 0
        self._nobody: float | None = None

    def tend(self) -> None:
        """Hand the ticket out, where it is with nobody; called as long as nobody claims it."""
        with self._lock:
            if self._future is not None:
                self._force.look()
                if self._is_on_its_way():
                    return
                self._future.cancel()
            self._to = self._force.able(self._step)
            if not self._to:
                self._wait_for_some()
                return
            self._nobody, self._times = None, self._times + 1
            self._future = future = self._submit(
                self._ticket.work,
                # What a key begins with is a kind of task to Dask, which never forgets one.
                key=f"step-{self._times}-{self._ticket.id}-{self._step.name}",
                workers=self._to,
                allow_other_workers=False,
                resources=self._force.wanted(self._step) or None,
                pure=False,
                retries=0,
            )
        future.add_done_callback(self._take_note)

    def withdraw(self) -> None:
        """Take it back."""
        if self._future is not None:
            self._future.cancel()

    def _is_on_its_way(self) -> bool:
        there = {one.address for one in self._force.offers}
        return not self._future.done() and not there.isdisjoint(self._to)

    def _wait_for_some(self) -> None:
        self._future = None
        self._nobody = self._nobody or time.monotonic()
        self._force.look()
        if time.monotonic() - self._nobody > _NOBODY:
            self._ticket.lose("no worker is left that can take it")

    def _take_note(self, future: Any) -> None:
        """Let the ticket know that Dask does no more for it."""
        if future is not self._future:
            return
        ticket = self._ticket
        if future.status == "finished":
            ticket.lose("its worker ended it without a word")
        elif ticket.claim is not None:
            ticket.give_up()
        elif future.status == "error" and self._times >= _AGAIN:
            ticket.lose(f"Dask gave it up before a worker had it: {future.exception()}")
