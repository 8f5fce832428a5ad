"""Dask cluster on this machine: a scheduler and its workers, each a process of its own.

The processes end by SIGTERM, so that coverage writes their data.
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
_END_TIMEOUT = 20.0
_IDLE_TIMEOUT: Final = "900"
"""Idle seconds after which a scheduler and its workers end, so that none outlives a killed test."""
_SCHEDULER: Final = [
    "--host=127.0.0.1",
    "--port=0",
    "--no-dashboard",
    "--idle-timeout",
    _IDLE_TIMEOUT,
]
_WORKER: Final = ["--no-nanny", "--no-dashboard", "--memory-limit=0", "--death-timeout=60"]


class Lab:
    """Processes that `lab` has started.

    Attributes:
        address: The address of the scheduler.
        scheduler: The process of the scheduler.
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
    """Start a cluster, yield it, and end it.

    Args:
        folder: Working folder of the processes, which also holds their logs.
        workers: Number of workers; their names are ``bench-1``, ``bench-2`` and so on.
        threads: Number of steps that each worker runs at the same time.
        environ: Additional environment variables of the processes.
        resources: Resources of each worker, in the form of ``dask worker --resources``.
    """
    scheduler_file = folder / "scheduler.json"
    # Without the variables of CI, under which pytest truncates explanations differently.
    env = {name: one for name, one in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    env |= environ or {}
    with contextlib.ExitStack() as stack:

        def start(name: str, module: str, *args: str) -> subprocess.Popen[bytes]:
            with (folder / f"{name}.log").open("wb") as log:
                argv = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", *args]
                process = subprocess.Popen(argv, cwd=folder, env=env, stdout=log, stderr=log)
            stack.callback(_end, process)
            return process

        option = f"--scheduler-file={scheduler_file}"
        scheduler = start("scheduler", "dask_scheduler", *_SCHEDULER, option)
        options = [option, f"--nthreads={threads}", f"--local-directory={folder}"]
        options += [f"--resources={resources}"] if resources else []
        processes = [
            start(f"bench-{number}", "dask_worker", f"--name=bench-{number}", *options, *_WORKER)
            for number in range(1, workers + 1)
        ]
        yield Lab(_address(scheduler_file, workers), scheduler, processes)


def _address(scheduler_file: Path, workers: int) -> str:
    """Wait for all workers; return the address of the scheduler."""
    import distributed

    with distributed.Client(
        scheduler_file=str(scheduler_file), timeout=_READY, set_as_default=False
    ) as client:
        client.wait_for_workers(workers, timeout=_READY)
        address: Any = client.scheduler.address
    return str(address)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process by SIGTERM, and by SIGKILL after 20 s."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
