"""Lane process: runs one program at a time and adopts the processes that the program leaves.

The lane ends, with its process tree, as soon as pytest or the supervisor is gone. Signals do not
end it: a signal that a CI system sends to all processes is handled by pytest.

Programs are started by posix_spawn, which copies no memory and raises the error of a program that
cannot be started. The standard input of the lane is empty.
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

# The interpreter ignores SIGPIPE and SIGXFSZ, and the lane handles the others.
_DEFAULTS = (SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD, SIGPIPE, SIGXFSZ)
_MOST_FILES = 256  # a lane has about ten open


def start_program(request: dict[str, Any], stdout: int, stderr: int) -> int:
    """Start the program that a request describes.

    Args:
        request: ``argv``, ``env``, ``cwd``, and ``stdin``: the path of a file, or None.
        stdout: The descriptor for the standard output of the new process.
        stderr: The descriptor for the standard error of the new process.

    Returns:
        The pid of the program.

    Raises:
        OSError: The program cannot be started; ``filename`` is the path that is missing or that
            may not be used.
        ValueError: A text contains a null byte, or the name of a variable contains ``=``.
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
        os.chdir("/")  # an idle lane must not keep the folder of a step busy


def forked(request: dict[str, Any], stdout: int, stderr: int) -> int:
    """Fork a process that computes an answer and that can be ended like a program.

    Args:
        request: ``module``, whose function ``answer`` is called with ``argument`` and with the one
            descriptor ``handed``, to which the answer is written; and the ``sys_path`` for the
            import.
        stdout: The descriptor for the standard output of the new process.
        stderr: The descriptor for the standard error of the new process.

    Returns:
        The pid of the fork.
    """
    (answer,) = request["handed"]
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
        sys.path[:] = request["sys_path"]
        __import__(request["module"], fromlist=["answer"]).answer(request["argument"], answer)
    except BaseException as error:  # noqa: BLE001 - the copy of the lane must not continue
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
    """Yield the path of a program, or the files of that name in the PATH of its environment."""
    if "/" in program:
        return iter([program])
    folders = env.get("PATH", os.defpath).split(os.pathsep)
    paths = (f"{folder or '.'}/{program}" for folder in folders)
    return (path for path in paths if os.path.exists(path))


SIGNALS = (SIGHUP, SIGINT, SIGQUIT, SIGTERM)
"""Signals that a lane ignores; the programs that it starts do not ignore them."""
DEFAULTS = (*SIGNALS, SIGCHLD)
"""Signals that have their default disposition in a started program."""


def outlive_signals() -> None:
    """Ignore HUP, INT, QUIT and TERM in this process, but not in the programs that it starts.

    SIGCHLD gets its default disposition. The program that started pytest, or a module that the lane
    has imported, may ignore SIGCHLD; the kernel would then keep no exit status of any child.
    """
    signal(SIGCHLD, SIG_DFL)
    for number in SIGNALS:
        if getsignal(number) != SIG_IGN:
            # A program would inherit SIG_IGN, but not a handler.
            signal(number, lambda *_: None)


def serve(
    control: socket, alive: int, features: SystemFeatures, start: Start = start_program
) -> None:
    """Execute the requests of pytest until pytest or the supervisor has ended.

    Args:
        control: The socket for requests and replies.
        alive: A pipe that reaches its end when the supervisor has ended.
        features: The features of the operating system that may be used.
        start: Starts the program of a request.
    """
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(alive, select.POLLIN)
    descendants = process_tree_of(features)
    while all(fd != alive for fd, _ in poll.poll()):
        try:
            request, fds = framing.receive(control)
            kept = request["kept"] = [fds.pop(0) for _ in range(request.get("kept", 0))]
            # The last descriptors belong to the program; its output is copied to the others.
            live = len(fds) - request.get("handed", 0)
            request["handed"] = fds[live:]
            if "cancel" in request:  # the command has ended before
                continue
            watch = CommandLoop(
                request,
                fds[:live],
                control=control,
                alive=alive,
                features=features,
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
