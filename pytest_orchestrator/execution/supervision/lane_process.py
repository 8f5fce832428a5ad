"""Lane process: runs one program at a time and adopts all it leaves behind.

It ends, with everything below it, as soon as pytest or the supervisor is gone. Signals do not
end it: what a continuous integration sends to all processes is for pytest to answer.

posix_spawn shares the memory of the lane until the program runs: no copy, and the error of
a program that cannot be started is the call's own. The lane's own input is empty.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIG_IGN,
    SIGCHLD,
    SIGHUP,
    SIGINT,
    SIGPIPE,
    SIGQUIT,
    SIGTERM,
    SIGXFSZ,
    getsignal,
    signal,
)

from pytest_orchestrator.execution.supervision import framing
from pytest_orchestrator.execution.supervision.process_tree import process_tree_of
from pytest_orchestrator.execution.supervision.run_loop import CommandLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Iterator
    from typing import Any

    from pytest_orchestrator.execution.supervision.os_support import SystemFeatures
    from pytest_orchestrator.execution.supervision.run_loop import Start

# Python ignores SIGPIPE and SIGXFSZ; the lane outlives the others.
_DEFAULTS = (SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD, SIGPIPE, SIGXFSZ)
_MOST_FILES = 256  # a lane has some ten


def start_program(request: dict[str, Any], stdout: int, stderr: int) -> int:
    """Start the program of a request.

    Args:
        request: Its ``argv``, ``env``, ``cwd`` and ``stdin``, the path of a file or None.
        stdout: Where its standard output goes.
        stderr: Where its standard error goes.

    Returns:
        Its pid.

    Raises:
        OSError: It cannot be started; the ``filename`` is what was not there or may not be used.
        ValueError: A text holds a null byte, or the name of a variable ``=``.
    """
    os.chdir(request["cwd"])
    try:
        path = request["stdin"]
        stdin = 0 if path is None else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _spawned(request["argv"], request["env"], (stdin, stdout, stderr))
        finally:
            if stdin:
                os.close(stdin)
    finally:
        os.chdir("/")  # no step's folder is held while no step runs


def forked(request: dict[str, Any], stdout: int, stderr: int) -> int:
    """Fork a process that works something out, so that it can be ended as a program is.

    Args:
        request: Its ``module``, whose function ``answer`` is called with ``given`` and with the
            one descriptor ``handed``, which the answer is written to; and the ``sys_path`` for
            that, None where the standard library is enough.
        stdout: Where its standard output goes.
        stderr: Where its standard error goes.

    Returns:
        Its pid.
    """
    (answer,) = request["handed"]
    path = request["sys_path"]
    if path is None:
        # Once for all forks, but not before one asks: it would double the start of a lane.
        __import__(request["module"])
    pid = os.fork()
    if pid:
        os.close(answer)
        return pid
    try:
        os.setsid()
        for number in _DEFAULTS:
            signal(number, SIG_DFL)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.closerange(3, answer)
        os.closerange(answer + 1, _MOST_FILES)
        sys.path[:] = path or sys.path
        __import__(request["module"], fromlist=["answer"]).answer(request["given"], answer)
    except BaseException as error:  # noqa: BLE001 - the copy of the lane must not go on
        os.write(2, f"{type(error).__name__}: {error}".encode(errors="backslashreplace"))
        os._exit(1)
    os._exit(0)


def _spawned(argv: list[str], env: dict[str, str], streams: tuple[int, int, int]) -> int:
    actions = [
        (os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(streams) if fd != number
    ]
    refused = None
    for path in _candidates(argv[0], env):
        try:
            return os.posix_spawn(
                path,
                argv,
                env,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=_DEFAULTS,
            )
        except PermissionError as error:
            refused = error
    raise refused or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])


def _candidates(program: str, env: dict[str, str]) -> Iterator[str]:
    """Return the files that a program's name may mean, by the PATH that it will run with."""
    if "/" in program:
        return iter([program])
    folders = env.get("PATH", os.defpath).split(os.pathsep)
    paths = (f"{folder or '.'}/{program}" for folder in folders)
    return (path for path in paths if os.path.exists(path))


SIGNALS = (SIGHUP, SIGINT, SIGQUIT, SIGTERM)
"""Those that a lane outlives; programs that are started get them as they were."""
DEFAULTS = (*SIGNALS, SIGCHLD)
"""Those that a program is started with as the system sets them."""


def outlive_signals() -> None:
    """Take no notice of signals; programs that are started get them as they were.

    But SIGCHLD: whoever has started pytest may ignore it, or a module that a lane has imported,
    and then the kernel keeps no exit status of any child.
    """
    signal(SIGCHLD, SIG_DFL)
    for number in SIGNALS:
        if getsignal(number) != SIG_IGN:
            # Not SIG_IGN, which a program would inherit.
            signal(number, lambda *_: None)


def serve(
    control: socket, alive: int, abilities: SystemFeatures, start: Start = start_program
) -> None:
    """Run what is asked for until nobody asks any more.

    Args:
        control: Requests come by it, replies go by it.
        alive: Its end tells that the supervisor is gone.
        abilities: What may be used of the system.
        start: Starts the program of a request.
    """
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(alive, select.POLLIN)
    descendants = process_tree_of(abilities)
    while all(fd != alive for fd, _ in poll.poll()):
        try:
            request, fds = framing.receive(control)
            kept = request["kept"] = [fds.pop(0) for _ in range(request.get("kept", 0))]
            # The last of the files are the program's own, the others copies of its output.
            live = len(fds) - request.get("handed", 0)
            request["handed"] = fds[live:]
            if "cancel" in request:  # it came too late
                continue
            watch = CommandLoop(
                request,
                fds[:live],
                control=control,
                alive=alive,
                abilities=abilities,
                descendants=descendants,
            )
            reply = watch.run(forked if "module" in request else start)
            if watch.gone:
                return
            for fd in kept:
                os.close(fd)
            framing.send(control, reply)
        except (EOFError, ConnectionError):
            return
