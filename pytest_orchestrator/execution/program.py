"""Starting the program of a request in a session of its own, by posix_spawn.

posix_spawn shares the memory of the lane until the program runs: no copy, and the error of
a program that cannot be started is the call's own. The lane's own input is empty.
"""

from __future__ import annotations

import errno
import os
from _signal import (  # type: ignore[import-not-found]
    SIGCHLD,
    SIGHUP,
    SIGINT,
    SIGPIPE,
    SIGQUIT,
    SIGTERM,
    SIGXFSZ,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# Python ignores SIGPIPE and SIGXFSZ; the lane outlives the others.
_DEFAULTS = (SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD, SIGPIPE, SIGXFSZ)


def started(request: dict[str, Any], stdout: int, stderr: int) -> int:
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
