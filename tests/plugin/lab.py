"""A lab of one machine: a scheduler of Dask and its workers, each a process of its own.

They end as they are told to, so that coverage has what they ran.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

_READY = 120.0
_END = 20.0
_ALONE: Final = "900"
"""Seconds without work after which a scheduler ends whose starter was killed; workers follow."""
_SCHEDULER: Final = ["--host=127.0.0.1", "--port=0", "--no-dashboard", "--idle-timeout", _ALONE]
_WORKER: Final = ["--no-nanny", "--no-dashboard", "--memory-limit=0", "--death-timeout=60"]


class Lab:
    """What `lab` has started.

    Attributes:
        address: Where the scheduler listens.
        scheduler: Its process.
        workers: The processes of the workers.
    """

    def __init__(
        self,
        address: str,
        scheduler: subprocess.Popen[bytes],
        workers: list[subprocess.Popen[bytes]],
    ) -> None:
        self.address = address
        self.scheduler = scheduler
        self.workers = workers


@contextlib.contextmanager
def lab(
    folder: Path,
    workers: int = 2,
    threads: int = 1,
    environ: Mapping[str, str] | None = None,
    resources: str = "",
) -> Iterator[Lab]:
    """Have one while a block runs.

    Args:
        folder: Where its processes run, and write what they have to say.
        workers: Their number; they are called ``bench-1``, ``bench-2`` and so on.
        threads: Steps that each runs at the same time.
        environ: What the environment of the workers has beside that of this process.
        resources: What each worker has, as ``dask worker --resources`` takes it.
    """
    told = folder / "scheduler.json"
    # As for the sessions of tests: on a machine of CI pytest cuts no explanation short.
    known = {name: one for name, one in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    known |= environ or {}
    with contextlib.ExitStack() as stack:

        def start(name: str, module: str, *args: str) -> subprocess.Popen[bytes]:
            with (folder / f"{name}.log").open("wb") as log:
                argv = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", *args]
                one = subprocess.Popen(argv, cwd=folder, env=known, stdout=log, stderr=log)
            stack.callback(_ended, one)
            return one

        scheduler = start("scheduler", "dask_scheduler", *_SCHEDULER, f"--scheduler-file={told}")
        own = [f"--scheduler-file={told}", f"--nthreads={threads}", f"--local-directory={folder}"]
        own += [f"--resources={resources}"] if resources else []
        crew = [
            start(f"bench-{number}", "dask_worker", f"--name=bench-{number}", *own, *_WORKER)
            for number in range(1, workers + 1)
        ]
        yield Lab(_address(told, workers), scheduler, crew)


def _address(told: Path, workers: int) -> str:
    """Wait for all workers; return where their scheduler is."""
    import distributed

    with distributed.Client(
        scheduler_file=str(told), timeout=_READY, set_as_default=False
    ) as client:
        client.wait_for_workers(workers, timeout=_READY)
        address: Any = client.scheduler.address
    return str(address)


def _ended(process: subprocess.Popen[bytes]) -> None:
    """End a process, as one that is told to goes by itself."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
