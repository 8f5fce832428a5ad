"""A Dask cluster of processes: all on this machine, or each on a simulated machine of its own.

A simulated machine is a network namespace. Its virtual cable to a switch can be disconnected.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final, Self

import psutil

PATIENCE: Final = 120.0
"""Timeout in seconds for operations that take two seconds on an idle machine."""
MARK: Final = "ORCHESTRATOR_CLUSTER"
"""Name of an environment variable that all processes of a cluster and of its sessions have."""
_PAUSE: Final = 0.02


def until(holds: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Wait until a condition holds; return False after the timeout."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(_PAUSE)
    return True


class Machine:
    """A machine on which processes run.

    Attributes:
        address: Its address for other machines.
        argv: Prefix of the commands that start programs on it.
    """

    address = "127.0.0.1"
    argv: tuple[str, ...] = ()

    def plug(self, *, is_in: bool) -> None:
        """Connect or disconnect the cable.

        Raises:
            RuntimeError: The machine has no cable.
        """
        action = "connect" if is_in else "disconnect"
        raise RuntimeError(f"{self.address} has no cable to {action}")

    def reset(self, other: str) -> int:
        """Reset all connections to another machine; return their number.

        Raises:
            RuntimeError: The machines are not simulated.
        """
        raise RuntimeError(f"{self.address} and {other} are the same machine")


class _Namespace(Machine):
    def __init__(self, switch: str, number: int) -> None:
        self.name, self._switch = f"{switch}-{number}", switch
        self.address = f"10.213.7.{number}"
        self.argv = ("ip", "netns", "exec", self.name)
        self._port = f"p{number}"
        _ip("netns", "add", self.name)
        peer = ("peer", "name", "eth0", "netns", self.name)
        _ip("-n", switch, "link", "add", self._port, "type", "veth", *peer)
        _ip("-n", switch, "link", "set", self._port, "master", "br0", "up")
        _ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", "eth0")
        for one in ("lo", "eth0"):
            _ip("-n", self.name, "link", "set", one, "up")

    def reset(self, other: str) -> int:
        closed = _ip("netns", "exec", self.name, "ss", "-HtnK", "dst", other)
        return len(closed.splitlines())

    def plug(self, *, is_in: bool) -> None:
        _ip("-n", self._switch, "link", "set", self._port, "up" if is_in else "down")


def why_not_apart() -> str:
    """Return the reason why machines cannot be simulated; an empty text if they can."""
    name = f"orc-{os.urandom(4).hex()}"
    try:
        _ip("netns", "add", name)
        try:
            _ip("-n", name, "link", "add", "br0", "type", "bridge")
        finally:
            _ip("netns", "delete", name)
    except FileNotFoundError:
        return "the program ip is missing: install iproute2"
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be created: {error.stderr.strip()}"
    return ""


@contextlib.contextmanager
def machines(number: int, *, apart: bool) -> Iterator[list[Machine]]:
    """Provide machines for the duration of a block.

    Args:
        number: Number of machines.
        apart: Simulate each machine with a network of its own.
    """
    if not apart:
        yield [Machine()] * number
        return
    switch = f"orc-{os.urandom(4).hex()}"
    names = [switch, *(f"{switch}-{each}" for each in range(1, number + 1))]
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", switch, "link", "set", "br0", "up")
        yield [_Namespace(switch, each) for each in range(1, number + 1)]
    finally:
        for name in names:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", name)


def reaches(one: Machine, other: Machine) -> bool:
    """Return True if a machine gets an answer from another; a refusal counts as an answer."""
    code = (
        "import socket, sys\n"
        "with socket.socket() as probe:\n"
        "    probe.settimeout(1.0)\n"
        "    sys.exit(probe.connect_ex((sys.argv[1], 9)) not in (0, 111))"
    )
    argv = [*one.argv, sys.executable, "-I", "-S", "-c", code, other.address]
    return subprocess.run(argv, check=False).returncode == 0


def _ip(*args: str) -> str:
    return subprocess.run(["ip", *args], check=True, capture_output=True, text=True).stdout


class Cluster:
    """A Dask scheduler with workers of one thread each, and the pytest sessions that use it.

    Args:
        folder: The folder for the files of scheduler and workers.
        where: The machine of the sessions, that of the scheduler, and one for each worker.
        nanny: Run each worker below a nanny, which restarts it.
    """

    def __init__(self, folder: Path, where: Sequence[Machine], *, nanny: bool = False) -> None:
        self.folder, self._nanny = folder, nanny
        self._session_machine, self._scheduler_machine, *self._worker_machines = where
        self.file = folder / "scheduler.json"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._sessions: list[subprocess.Popen[bytes]] = []
        self._log: IO[bytes] = (folder / "cluster.log").open("ab")
        self._environ = os.environ | {
            MARK: f"{os.getpid()}-{id(self)}",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), str(folder)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DASK_DISTRIBUTED__ADMIN__LOG_FORMAT": "%(message)s",
        }
        for name in ("PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "COVERAGE_PROCESS_CONFIG"):
            self._environ.pop(name, None)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the scheduler if it is not running, and the missing workers."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self._end_workers()
            self.file.unlink(missing_ok=True)
            self.scheduler = self._started(
                self._scheduler_machine,
                "scheduler",
                "--host",
                self._scheduler_machine.address,
                "--port",
                "0",
            )
            if not until(self.file.exists):
                raise RuntimeError(f"no scheduler: {(self.folder / 'cluster.log').read_text()}")
        if not until(self._is_whole):
            raise RuntimeError(f"no workers: {(self.folder / 'cluster.log').read_text()}")

    def _is_whole(self) -> bool:
        """Start the missing workers; return True if the scheduler knows all workers."""
        for number, machine in enumerate(self._worker_machines, 1):
            worker = self.workers.get(f"w{number}")
            if worker is None or worker.poll() is not None:
                self.workers[f"w{number}"] = self._worker(f"w{number}", machine)
        return self._joined() >= len(self._worker_machines)

    def _end_workers(self) -> None:
        """Wait up to 30 s for the end of workers without a scheduler; kill those that still run."""
        until(lambda: all(one.poll() is not None for one in self.workers.values()), 30.0)
        for one in self.workers.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                for each in psutil.Process(one.pid).children(recursive=True):
                    each.kill()
            one.kill()
            one.wait()

    def process(self, worker: str) -> psutil.Process:
        """Return the process in which the steps of a worker run; below a nanny, its child."""
        own = psutil.Process(self.workers[worker].pid)
        if not self._nanny:
            return own
        return next(one for one in own.children() if "spawn_main" in " ".join(one.cmdline()))

    def _joined(self) -> int:
        """Return the number of workers that the scheduler knows; the query runs on its machine."""
        code = (
            "import sys; from distributed import Client\n"
            "with Client(scheduler_file=sys.argv[1], timeout=60) as one:\n"
            "    one.wait_for_workers(int(sys.argv[2]), timeout=20)\n"
            "    print(len(one.scheduler_info(n_workers=-1)['workers']))"
        )
        args = (str(self.file), str(len(self._worker_machines)))
        argv = [*self._scheduler_machine.argv, sys.executable, "-c", code, *args]
        done = subprocess.run(argv, capture_output=True, check=False, env=self._environ)
        return int(done.stdout or 0)

    def _worker(self, name: str, machine: Machine) -> "subprocess.Popen[bytes]":
        kind = "--nanny" if self._nanny else "--no-nanny"
        own = ("--name", name, "--host", machine.address, kind, "--nthreads", "1")
        where = ("--local-directory", str(self.folder / "dask"))
        return self._started(machine, "worker", *own, *where)

    def _started(self, machine: Machine, *args: str) -> "subprocess.Popen[bytes]":
        argv = [*machine.argv, sys.executable, "-m", "dask", *args, "--no-dashboard"]
        return subprocess.Popen(
            [*argv, "--scheduler-file", str(self.file)],
            env=self._environ,
            cwd=self.folder,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def session(self, folder: Path, args: Sequence[str], output: Path) -> "subprocess.Popen[bytes]":
        """Start pytest on the machine of sessions.

        Args:
            folder: The project.
            args: The arguments of pytest.
            output: The file for the output of pytest.
        """
        argv = [
            *self._session_machine.argv,
            sys.executable,
            "-m",
            "pytest",
            f"--recipe-dask={self.file}",
        ]
        with output.open("wb") as file:
            session = subprocess.Popen(
                [*argv, *args],
                env=self._environ,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._sessions.append(session)
        return session

    def worker_of(self, pid: int) -> tuple[str, psutil.Process]:
        """Return the name of the worker that has started a process, and the worker's process.

        Raises:
            LookupError: No worker has started the process.
        """
        chain = [psutil.Process(pid), *psutil.Process(pid).parents()]
        for name in self.workers:
            worker = self.process(name)
            if worker in chain:
                return name, worker
        raise LookupError(f"process {pid} belongs to no worker")

    def cable(self, worker: str, *, is_in: bool) -> None:
        """Connect or disconnect the cable of a worker's machine."""
        self._worker_machines[int(worker[1:]) - 1].plug(is_in=is_in)

    def reset(self, worker: str) -> int:
        """Reset the connections of a worker's machine to that of sessions; return their number."""
        return self._worker_machines[int(worker[1:]) - 1].reset(self._session_machine.address)

    def own_cable(self, *, is_in: bool) -> None:
        """Connect or disconnect the cable of the machine of sessions."""
        self._session_machine.plug(is_in=is_in)

    def left(self) -> list[str]:
        """Return pid and command line of each process that the sessions have left behind."""
        own_pids = [one.pid for one in (self.scheduler, *self.workers.values()) if one is not None]
        left = []
        for one in self._all():
            with contextlib.suppress(psutil.Error):
                is_below_nanny = self._nanny and one.ppid() in own_pids
                if one.pid in own_pids or is_below_nanny or one.status() == psutil.STATUS_ZOMBIE:
                    continue
                words = " ".join(one.cmdline())
                if "multiprocessing.resource_tracker" not in words:
                    left.append(f"{one.pid} {words[:160]}")
        return left

    def _all(self) -> Iterator[psutil.Process]:
        mark = f"{MARK}={self._environ[MARK]}".encode()
        for one in psutil.process_iter():
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{one.pid}/environ").read_bytes().split(b"\0"):
                    yield one

    def close(self) -> None:
        """Kill all processes."""
        for one in self._all():
            with contextlib.suppress(psutil.Error):
                one.send_signal(signal.SIGKILL)
        for each in (self.scheduler, *self.workers.values(), *self._sessions):
            if each is not None:
                each.wait()
        self._log.close()
