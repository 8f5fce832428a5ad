"""Faulty programs for every way in which a step can fail, and the expected result of each.

The tests run each fault a few times (`tests/execution/test_faults.py`), `scripts/soak` a hundred
times. Every process of a fault has a token among its arguments. So the tests find each living
process, even with another environment, session or parent. A program that ignores TERM prints a
line as soon as it ignores the signal.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from pytest_orchestrator.core.files import is_readable
from pytest_orchestrator.execution.lanes.messages import CommandRequest, CommandResult

PYTHON = (sys.executable, "-I", "-S", "-c")
BOUND = 3.0
"""Seconds after its timeout within which all processes of a step have ended."""
GONE = 2.0
"""Seconds after a kill within which all processes of a step have ended."""
PATIENCE = 60.0
"""Timeout in seconds for events that must happen even on a busy machine."""

IS_THERE = "until grep -qx sleep /proc/$!/comm; do :; done"
"""Shell code that waits until the started child has executed `sleep`."""
SEEN = "for look in 1 2; do : > samples; until [ -s samples ]; do :; done; done"
"""Shell code that waits until its lane has written the file `samples` twice more.

By then the lane has sampled all children of the shell.
"""

MEGABYTE = 1000 * 1000
_numbers = itertools.count(1)


class Fault(NamedTuple):
    """A faulty program.

    Attributes:
        about: Its description.
        argv: The command; the token is appended as its last argument.
        wanted: Function that returns None for the expected result, else the difference as text.
        timeout: Timeout in seconds; None if the program ends by itself.
        own: Expected duration, in seconds, of a program that ends by itself.
        max_log: Limit of each of its logs, in bytes.
        heavy: True if the fault runs alone, because several together would only load the machine.
    """

    about: str
    argv: tuple[str, ...]
    wanted: Callable[[CommandResult], str | None]
    timeout: float | None = None
    own: float = 0.5
    max_log: int = MEGABYTE
    heavy: bool = False

    def request(self, token: str, folder: Path, grace: float) -> CommandRequest:
        """Return the request for a lane."""
        return CommandRequest(
            argv=(*self.argv, token),
            env=dict(os.environ),
            cwd=str(folder),
            timeout=self.timeout,
            stdout_log=str(folder / f"{token}.stdout"),
            stderr_log=str(folder / f"{token}.stderr"),
            max_log=self.max_log,
            grace=grace,
        )

    @property
    def bound(self) -> float:
        """Return the longest accepted duration, in seconds."""
        return BOUND + (self.own if self.timeout is None else self.timeout)


def new_token() -> str:
    """Return a unique number that is a valid argument of `sleep`."""
    return f"7{os.getpid():07d}{next(_numbers):06d}"


def alive(token: str) -> list[str]:
    """Return pid and command line of each living process that has a token in its arguments."""
    return [line for _, line in _processes(token)]


def end(token: str) -> None:
    """Kill the processes that have a token among their arguments, as a failed test leaves them."""
    for pid, _ in _processes(token):
        os.kill(pid, signal.SIGKILL)


def seconds_until_gone(token: str, limit: float) -> float | None:
    """Wait until no process with a token is alive; return the seconds, or None after the limit."""
    begun = time.monotonic()
    while pids := [pid for pid, _ in _processes(token)]:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                gone = os.pidfd_open(pid)
                left = begun + limit - time.monotonic()
                has_ended = is_readable(gone, max(0.0, left))
                os.close(gone)
                if not has_ended:
                    return None
    return time.monotonic() - begun


def _processes(token: str) -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and token.encode() in (folder / "cmdline").read_bytes():
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if ") Z" not in (folder / "stat").read_text():
                    yield int(folder.name), f"{folder.name} {line}"
        except OSError:
            continue


def shell(script: str) -> tuple[str, ...]:
    """Return the command of a shell script, in which `$0` is the token."""
    return ("/bin/sh", "-c", script)


def python(source: str) -> tuple[str, ...]:
    """Return the command of a Python program, in which `sys.argv[1]` is the token."""
    return (*PYTHON, textwrap.dedent(source))


def brood(number: int, each: str, parent: str = "signal.pause()") -> tuple[str, ...]:
    """Return the command of a Python program that, like all its children, ignores TERM.

    Args:
        number: Number of children.
        each: Python code that each child runs.
        parent: Python code that the parent runs after it has started all children.
    """
    return python(f"""
        import os, signal, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(1, b"\\n")
        for _ in range({number}):
            if os.fork() == 0:
                {each}
                os._exit(0)
        {parent}
    """)


def _ended_well(exited: CommandResult) -> str | None:
    return _of(exited, code=0, leftovers=0)


def _left(number: int) -> Callable[[CommandResult], str | None]:
    return lambda exited: _of(exited, code=0, leftovers=number)


def _timed_out(*signals: str) -> Callable[[CommandResult], str | None]:
    def wanted(exited: CommandResult) -> str | None:
        if not exited.timed_out or exited.signal not in signals:
            return f"timed_out={exited.timed_out} signal={exited.signal} code={exited.code}"
        return None

    return wanted


def _of(exited: CommandResult, *, code: int, leftovers: int) -> str | None:
    if exited.code != code or len(exited.leftovers) != leftovers or exited.unended:
        return f"code={exited.code} {exited.signal} leftovers={exited.leftovers} {exited.unended}"
    return None


def _cut(size: int, most: int = MEGABYTE) -> Callable[[CommandResult], str | None]:
    def wanted(exited: CommandResult) -> str | None:
        log = exited.stdout.log
        kept = Path(log).stat().st_size if log else 0
        if exited.stdout.size < size or not exited.stdout.cut or kept > most + 100:
            return f"size={exited.stdout.size} cut={exited.stdout.cut} kept={kept}"
        return None

    return wanted


def _both(
    one: Callable[[CommandResult], str | None], other: Callable[[CommandResult], str | None]
) -> Callable[[CommandResult], str | None]:
    return lambda exited: one(exited) or other(exited)


def _signalled(name: str) -> Callable[[CommandResult], str | None]:
    return lambda exited: None if exited.signal == name else f"{exited.code} {exited.signal}"


BOMB = """
trap '' TERM; echo
f() { [ $1 -eq 0 ] || { f $(($1 - 1)) & f $(($1 - 1)) & }; sleep $0; }
f 7
"""

FAULTS = {
    "holds-the-pipe": Fault(
        "a grandchild keeps the pipe open",
        shell("sleep $0 & echo done"),
        _left(1),
    ),
    "ignores-term": Fault(
        "a loop that ignores TERM",
        shell("trap '' TERM; echo; while :; do sleep $0; done"),
        _timed_out("SIGKILL"),
        timeout=1.0,
    ),
    "forks-on-term": Fault(
        "starts new children at TERM",
        shell("trap 'sleep $0 & sleep $0 &' TERM; echo; while :; do sleep $0; done"),
        _timed_out("SIGKILL"),
        timeout=1.0,
    ),
    "daemon": Fault(
        "a daemon in a session of its own, with an emptied environment",
        shell(f"setsid env -i sleep $0 </dev/null >/dev/null 2>&1 & {IS_THERE}"),
        _left(1),
    ),
    "double-fork": Fault(
        "forks twice, as daemons do, and ignores TERM",
        python("""
            import os, signal, sys
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    os.closerange(0, 3)
                    os.execve("/bin/sleep", ["sleep", sys.argv[1]], {})
                os._exit(0)
            os.wait()
        """),
        _left(1),
    ),
    "fork-bomb": Fault(
        "255 processes that ignore TERM, each the parent of two",
        shell(BOMB),
        _timed_out("SIGKILL"),
        timeout=1.0,
        heavy=True,
    ),
    "comets": Fault(
        "processes that ignore TERM and end at once, each replaced by its child",
        brood(4, "while os.fork() == 0: pass"),
        _timed_out("SIGKILL"),
        timeout=0.6,
        heavy=True,
    ),
    "lone-comets": Fault(
        "the same, each in a session of its own",
        brood(4, "while os.fork() == 0: os.setsid()"),
        _timed_out("SIGKILL"),
        timeout=0.6,
        heavy=True,
    ),
    "many-sessions": Fault(
        "200 children, each in a session of its own",
        brood(200, "os.setsid(); signal.pause()", parent=""),
        _left(200),
        own=1.0,
        heavy=True,
    ),
    "blocked-signals": Fault(
        "a sleep in C with all signals blocked",
        python("""
            import os, signal, sys, time
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            os.write(1, b"\\n")
            time.sleep(1000)
        """),
        _timed_out("SIGKILL"),
        timeout=1.0,
    ),
    "stopped": Fault(
        "stops itself",
        shell("kill -STOP $$; sleep $0"),
        _timed_out("SIGTERM"),
        timeout=1.0,
    ),
    "stopped-child": Fault(
        "waits for a child that is stopped and ignores TERM",
        shell("""sh -c 'trap "" TERM; kill -STOP $$; sleep $0' $0; sleep $0"""),
        _timed_out("SIGTERM", "SIGKILL"),
        timeout=1.0,
    ),
    "endless-output": Fault(
        "prints without end",
        ("/usr/bin/yes",),
        _both(_timed_out("SIGTERM"), _cut(MEGABYTE)),
        timeout=1.0,
    ),
    "endless-leftover": Fault(
        "leaves a child that prints without end",
        shell("yes $0 & echo done"),
        _both(_left(1), _cut(MEGABYTE // 50, MEGABYTE // 50)),
        max_log=MEGABYTE // 50,
    ),
    "long-line": Fault(
        "one line of 100 MB without an end",
        shell("head -c 100000000 /dev/zero"),
        _both(_ended_well, _cut(100 * MEGABYTE)),
        own=3.0,
    ),
    "closes-stdout": Fault(
        "closes its streams and continues",
        shell("exec >&- 2>&-; sleep 0.1; exit 3"),
        lambda exited: _of(exited, code=3, leftovers=0),
    ),
    "kills-itself": Fault(
        "kills itself with KILL",
        shell("kill -KILL $$"),
        _signalled("SIGKILL"),
    ),
    "crashes": Fault(
        "crashes by a segmentation fault",
        shell("ulimit -c 0; kill -SEGV $$"),
        _signalled("SIGSEGV"),
    ),
    "late-tee": Fault(
        "leaves a tee that ends by itself a moment later: no leftover",
        ("/bin/bash", "-c", "exec > >(sleep 0.02; cat); echo $0"),
        _ended_well,
    ),
}
"""Faults of a program, by name."""

GIGABYTES = {
    "gigabyte-stdout": Fault(
        "1 GB to stdout",
        shell("head -c 1000000000 /dev/zero"),
        _both(_ended_well, _cut(1000 * MEGABYTE)),
        own=30.0,
    ),
    "gigabyte-stderr": Fault(
        "1 GB to stderr",
        shell("head -c 1000000000 /dev/zero >&2"),
        lambda exited: None if exited.stderr.size == 1000 * MEGABYTE else str(exited.stderr.size),
        own=30.0,
    ),
}
"""Volumes that are too large for the gate."""


VICTIM = """
import os, sys, threading
from pytest_orchestrator.execution.lanes.messages import CommandRequest, LaneLost
from pytest_orchestrator.execution.lanes.lane import Lanes

token, victim = os.environ["TOKEN"], sys.argv[1]
script = '''trap '' TERM; setsid env -i sleep $0 >/dev/null 2>&1 & echo; sleep $0'''
started = os.pipe()

def run(lane):
    argv = ("/bin/sh", "-c", script, token)
    try:
        request = CommandRequest(argv=argv, env=dict(os.environ), cwd="/")
        lane.run(request, live=(started[1], started[1]))
    except LaneLost as lost:
        os.write(1, f"{lost}\\n".encode())

with Lanes(limited="LIMITED" in os.environ) as lanes:
    supervisor = lanes.start()
    three = [lanes.shell() for _ in range(3)]
    threads = [threading.Thread(target=run, args=(lane,)) for lane in three]
    for thread in threads:
        thread.start()
    for _ in threads:
        os.read(started[0], 1)
    keeper = os.fork() if victim == "forked" else None
    if keeper == 0:
        threading.Event().wait()
    print(os.getpid(), supervisor, *(lane.pid for lane in three), keeper or 0, flush=True)
    for thread in threads:
        thread.join()
    print("over", flush=True)
"""

EXPECTED_OUTPUT = {
    "supervisor": r"(the supervisor \(pid \d+\) was ended by SIGKILL\n){3}over\n",
    "lanes": r"(the process that runs this step \(pid \d+\) was ended by SIGKILL\n){3}over\n",
}
"""Pattern of the expected output of a pytest that was not killed itself, by victim."""

VICTIMS = {
    "pytest": "SIGKILL of pytest",
    "forked": "SIGKILL of pytest while a fork of it holds its sockets open",
    "supervisor": "SIGKILL of the supervisor",
    "lanes": "SIGKILL of all lanes at once",
    "pytest-and-lanes": "SIGKILL of pytest and of all lanes at once",
    "stopped-lanes": "SIGKILL of pytest while its lanes are stopped",
}
"""Processes that are killed while three steps run in parallel, by name."""


def killed(
    victim: str, token: str, limit: float = GONE, *, limited: bool = False
) -> tuple[float | None, str]:
    """Kill processes while three steps that ignore TERM run in parallel.

    Args:
        victim: One of `VICTIMS`.
        token: The token of the processes of the steps.
        limit: Seconds within which all processes of the steps must have ended.
        limited: True if the lanes use only features that every system has.

    Returns:
        The seconds until no process of the steps is alive, None after the limit;
        and the output of pytest if it was not killed itself.
    """
    root = str(Path(__file__).parents[1])
    env = os.environ | {"TOKEN": token, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
    env |= {"LIMITED": ""} if limited else {}
    argv = [sys.executable, "-W", "ignore", "-c", VICTIM, victim]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = [int(pid) for pid in process.stdout.readline().split()]
        pytest, supervisor, lanes, keeper = line[0], line[1], line[2:-1], line[-1]
        targets = {"supervisor": [supervisor], "lanes": lanes, "pytest-and-lanes": [pytest, *lanes]}
        try:
            if victim == "stopped-lanes":
                _signal(lanes, signal.SIGSTOP)
            _signal(targets.get(victim, [pytest]), signal.SIGKILL)
            seconds = seconds_until_gone(token, limit)
        finally:
            end(token)
            _signal([keeper] if keeper else [], signal.SIGKILL)
        output = process.stdout.read() if victim in EXPECTED_OUTPUT else ""
    return seconds, output


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)
