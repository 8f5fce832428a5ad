"""Program that feeds an OpenSSH client, so that the end of this process ends the remote command.

The script on the other machine reads its input to the end and then ends the processes of the step.
Its input ends when this process is killed, the connection is lost or this machine is switched off.

`python ssh_link.py step ssh ...` copies its own input to the client and then keeps the client's
input open; `python ssh_link.py master ssh ...` ends the client at the end of its own input.
"""

from __future__ import annotations

import os
import sys
from _signal import SIG_DFL, SIGCHLD, SIGTERM, signal  # type: ignore[import-not-found]

_CHUNK = 1 << 16


def main(role: str, argv: list[str]) -> int:
    """Start an OpenSSH client, serve its input as ``role`` says, and wait for its end.

    Returns:
        The client's exit code, or the negative number of the signal that ended it.
    """
    signal(SIGCHLD, SIG_DFL)  # if pytest ignored SIGCHLD, waitpid would lose the exit code
    reader, writer = os.pipe2(os.O_CLOEXEC)
    if role == "master":
        os.close(reader)
        reader = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, reader, 0)]
    client = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
    os.close(reader)
    if role == "master":
        _end_with_input(client)
    else:
        _feed(writer)
    _, status = os.waitpid(client, 0)
    return os.waitstatus_to_exitcode(status)


def _feed(writer: int) -> None:
    """Copy stdin to the client's pipe, and leave the pipe open at the end of stdin."""
    try:
        while piece := os.read(0, _CHUNK):
            while piece:
                piece = piece[os.write(writer, piece) :]
    except BrokenPipeError:
        pass  # the client has ended; its stderr has the reason


def _end_with_input(client: int) -> None:
    """Wait for the end of stdin or of the client; at the end of stdin, send TERM to the client."""
    import select

    pidfd = os.pidfd_open(client)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    while pidfd not in dict(poll.poll()):
        if not os.read(0, 1):
            os.kill(client, SIGTERM)
            return


if __name__ == "__main__":
    code = main(sys.argv[1], sys.argv[2:])
    os._exit(code if code >= 0 else 128 - code)
