"""Dask as what runs steps on other machines, or in processes of this one.

Dask runs a task at least once. Here it only carries where a try may be claimed, so what it does a
second time is refused, and a worker that it takes for lost may still tell of what it has done.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.core.context import Context
from pytest_orchestrator.execution import custom, worker
from pytest_orchestrator.execution.away import Errand
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.errands import Work
from pytest_orchestrator.execution.scheduler import Scheduler
from pytest_orchestrator.recipe.model import CodeStep, ShellStep, SshStep, Step

if TYPE_CHECKING:
    from pytest_orchestrator.execution.desk import Desk
    from pytest_orchestrator.execution.tickets import Ticket

_CONNECT: Final = 30.0
_CUT_OFF: Final = 2.0
"""Seconds without the scheduler after which it is taken for lost."""


class DaskError(Exception):
    """A cluster cannot be used; its text is for people."""


class DaskRunner:
    """Runs steps on the workers of a Dask cluster.

    Args:
        desk: Makes where workers claim tries, given the address of this machine that they reach
            and what says that the session is cut off.
        scheduler: Where the scheduler is.
    """

    def __init__(
        self, desk: "Callable[[str, Callable[[], str]], Desk]", scheduler: Scheduler
    ) -> None:
        self._make_desk = desk
        self._scheduler = scheduler
        self._desk: Desk | None = None
        self._client: Any = None
        self._cluster: Any = None
        self._since: float | None = None

    def start(self) -> None:
        """Connect to the cluster.

        Raises:
            DaskError: It cannot be reached, or has no worker.
        """
        import distributed
        from distributed.utils import get_ip

        scheduler = self._scheduler
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        with _told(str(scheduler)):
            if scheduler.workers is not None:
                self._cluster = _own_cluster(scheduler.workers)
                where: dict[str, Any] = {"address": self._cluster}
            elif scheduler.file is not None:
                where = {"scheduler_file": str(scheduler.file)}
            else:
                where = {"address": scheduler.address}
            self._client = distributed.Client(**where, timeout=_CONNECT, set_as_default=False)
        host = _host_of(self._client)
        here = "127.0.0.1" if self._cluster is not None else get_ip(host)
        self._desk = self._make_desk(here, self._cut_off)

    def takes(self, step: Step) -> bool:
        """Tell whether a step runs on a worker: services and ssh steps run beside pytest."""
        return not step.background and not isinstance(step, SshStep)

    def submit(self, step: Step, context: Context, env: Environment) -> Errand:
        """Let the try of a step be run by a worker."""
        assert self._desk is not None  # noqa: S101  # it was started
        if isinstance(step, CodeStep):
            step = custom.called(step, env)
        assert isinstance(step, CodeStep | ShellStep)  # noqa: S101
        ticket = self._desk.issue(step, context, env)
        future = self._client.submit(
            run_on_worker,
            ticket.work,
            key=f"{step.name}-{env.attempt}-{ticket.id}",
            pure=False,
            retries=0,
        )
        future.add_done_callback(lambda told: _take_note(ticket, told))
        return Errand(step, env, ticket, future.cancel)

    def close(self) -> None:
        """Tell the workers that the session is over, and leave the cluster."""
        if self._desk is not None:
            self._desk.close()
        for one in (self._client, self._cluster):
            if one is not None:
                with contextlib.suppress(Exception):
                    one.close(timeout=_CONNECT)
        self._client = self._cluster = None

    def _cut_off(self) -> str:
        """Say where the scheduler is lost."""
        client = self._client
        if client is None or client.status in ("running", "closing", "closed"):
            self._since = None
            return ""
        self._since = self._since or time.monotonic()
        lost = time.monotonic() - self._since > _CUT_OFF
        return f"the scheduler at {self._scheduler} was lost" if lost else ""


def run_on_worker(work: Work) -> None:
    """Be the task that Dask runs."""
    from distributed import get_worker

    worker.perform(work, str(get_worker().name))


def _take_note(ticket: "Ticket", future: Any) -> None:
    """Let a ticket know that Dask does no more for it."""
    if future.status == "finished":
        ticket.lose("its worker ended it without a word")
    elif future.status == "error":
        ticket.give_up(f"Dask gave it up: {future.exception()}")
    else:
        ticket.give_up("Dask has lost it")


def _own_cluster(workers: int) -> Any:
    import dask
    import distributed

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        return distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )


def _host_of(client: Any) -> str:
    from urllib.parse import urlsplit

    return urlsplit(client.scheduler.address).hostname or "127.0.0.1"


@contextlib.contextmanager
def _told(shown: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DaskError(f"no scheduler can be reached at {shown}: {why}") from None
