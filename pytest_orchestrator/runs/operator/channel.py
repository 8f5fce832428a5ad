"""Channel of the open questions of a run: messages, address file, client of a monitor.

The session listens at a Unix socket while it waits for a person. A connection carries a greeting
of the session, one request and one reply, each one line of JSON. Both sides belong to the same
user, which the kernel confirms; being on this machine gives no other right.
"""

import json
import os
import socket
import stat
import struct
import time
from pathlib import Path
from typing import Final

import msgspec

from pytest_orchestrator.core.files import READ_FILE
from pytest_orchestrator.core.questions import Asked

FILE: Final = "questions.json"
"""File in the run folder with the path of the socket; it exists while a question is open."""

SERVICE: Final = "pytest_orchestrator questions"
MAX_LINE: Final = 4 << 20
"""Highest number of bytes of a line."""

TIMEOUT: Final = 5.0
"""Seconds after which a side gives up; a pattern with repetitions may take two to compare."""

_MAX_FILE: Final = 4096
_CHUNK: Final = 1 << 16
_CREDENTIALS: Final = struct.Struct("3i")


class Greeting(msgspec.Struct, frozen=True):
    """First line of a connection, by which the client recognises the session of a run."""

    service: str
    run: str


class Look(msgspec.Struct, frozen=True, tag="look"):
    """Request for the open questions."""


class Answering(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """Request that answers a question.

    Attributes:
        nonce: The nonce of the question.
        lines: The line that was typed into each field, by name.
        button: The button.
        who: The name of the operator.
    """

    nonce: str
    lines: dict[str, str] = {}
    button: str = ""
    who: str = ""


Request = Look | Answering


class ShownQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Open question as a page shows it.

    Attributes:
        nonce: Secret number of the question, without which it cannot be answered.
        asked: The question and its step; secrets are masked.
        seconds_left: Seconds until its step times out; None if it never does.
    """

    nonce: str
    asked: Asked
    seconds_left: float | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Reply of the session.

    Attributes:
        questions: The open questions; the first one is shown at the terminal.
        refusal: Reason why an answer is refused; empty if it was taken.
        problems: For an answer that violates rules: the rule by the name of the field, ``button``
            or ``who``.
    """

    questions: tuple[ShownQuestion, ...] = ()
    refusal: str = ""
    problems: dict[str, str] = {}


class ChannelClosed(Exception):
    """Error: the session of a run cannot be asked for its questions, or has none."""


def request(folder: Path, message: Request) -> Reply:
    """Send a request to the session of a run, and return its reply.

    Args:
        folder: The folder of the run.
        message: The request.

    Raises:
        ChannelClosed: The session waits for no person, has ended, or is not this user's.
    """
    path, pid = _address(folder)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(TIMEOUT)
            link.connect(path)
            if not is_own(link, pid):
                raise ChannelClosed("another process listens at the socket of the questions")
            lines = LineReader(link)
            greeting = msgspec.json.decode(lines.read(), type=Greeting)
            if greeting != Greeting(SERVICE, folder.name):
                raise ChannelClosed("the socket of the questions belongs to another run")
            link.sendall(msgspec.json.encode(message) + b"\n")
            return msgspec.json.decode(lines.read(), type=Reply)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ChannelClosed(f"the session does not answer: {error}") from None


class LineReader:
    """Reader of lines from a socket, with a limit of bytes and of seconds for all of them.

    Args:
        link: The socket.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link, self._rest = link, b""
        self._deadline = time.monotonic() + TIMEOUT

    def read(self) -> bytes:
        """Return the next line.

        Raises:
            OSError: The line is too long, is incomplete, or does not come in time.
        """
        pieces, size = [], 0
        piece = self._rest
        while b"\n" not in piece:
            pieces.append(piece)
            size += len(piece)
            left = self._deadline - time.monotonic()
            if size > MAX_LINE or left <= 0:
                raise OSError("the line is too long" if left > 0 else "timed out")
            self._link.settimeout(left)
            piece = self._link.recv(_CHUNK)
            if not piece:
                raise OSError("the connection was closed")
        line, _, self._rest = piece.partition(b"\n")
        return b"".join((*pieces, line))


def is_own(link: socket.socket, pid: int | None = None) -> bool:
    """Return True if the other end of a Unix socket is a process of this user.

    Args:
        link: The connected socket.
        pid: The process that is expected; None for any.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the folder of the socket has mode 0o700, so no other user reaches it
    sent = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    peer, user, _ = _CREDENTIALS.unpack(sent)
    return user == os.geteuid() and pid in (None, peer)


def address_text(socket_path: str) -> bytes:
    """Return the content of the address file of this process."""
    return json.dumps({"socket": socket_path, "pid": os.getpid()}).encode()


def _address(folder: Path) -> tuple[str, int]:
    """Return the path of the socket of a run, and the process that listens there.

    A run folder may come from another machine, so the file counts only if no other user can have
    written it.

    Raises:
        ChannelClosed: The file does not exist, or does not count.
    """
    try:
        fd = os.open(folder / FILE, READ_FILE)
    except OSError:
        raise ChannelClosed("the session waits for no person") from None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if (
            not stat.S_ISREG(status.st_mode)
            or status.st_uid != os.geteuid()
            or (stat.S_IMODE(status.st_mode) & 0o077)
        ):
            raise ChannelClosed(f"{FILE} can be changed by other users")
        try:
            found = json.loads(file.read(_MAX_FILE))
            return str(found["socket"]), int(found["pid"])
        except (ValueError, LookupError, TypeError):
            raise ChannelClosed(f"{FILE} names no socket") from None
