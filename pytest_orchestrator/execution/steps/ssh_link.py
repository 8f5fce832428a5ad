"""Program that feeds an OpenSSH client, so that its end ends the remote command.

The far side reads its input to the end, and ends the step's processes when that comes: when
this process is killed, when the connection is lost, when the machine is switched off.

`python ssh_link.py step ssh ...` hands its own input on and then keeps the client's open;
`python ssh_link.py master ssh ...` ends the client when its own input ends.
"""

from __future__ import annotations

import os
import sys
from _signal import SIG_DFL, SIGCHLD, SIGTERM, signal  # type: ignore[import-not-found]

_PIECE = 1 << 16


def main(role: str, argv: list[str]) -> int:
    """Start the client and wait for its end; end as it does.

    Returns:
        Its exit code, or the negative number of the signal that ended it.
    """
    signal(SIGCHLD, SIG_DFL)  # where pytest ignores it, this process would never know the end
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
    """Hand the input on, and leave the pipe open."""
    try:
        while piece := os.read(0, _PIECE):
            while piece:
                piece = piece[os.write(writer, piece) :]
    except BrokenPipeError:
        pass  # the client is gone, and tells why


def _end_with_input(client: int) -> None:
    """Wait until nobody holds the other end of the input, or the client is gone."""
    import select

    gone = os.pidfd_open(client)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(gone, select.POLLIN)
    while gone not in dict(poll.poll()):
        if not os.read(0, 1):
            os.kill(client, SIGTERM)
            return


if __name__ == "__main__":
    code = main(sys.argv[1], sys.argv[2:])
    os._exit(code if code >= 0 else 128 - code)
