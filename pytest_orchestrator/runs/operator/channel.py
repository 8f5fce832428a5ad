"""Channel of the open questions of a run: messages, address file, client of a monitor.

While it waits for a person, the session serves them as a Context is served, at a Unix socket in a
folder of its user. The name of the run is the token, so that no other run gets an answer. The
kernel confirms to the monitor which process listens.
"""

import json
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

import msgspec

from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.protocol import RequestRefused
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.files import READ_FILE
from pytest_orchestrator.core.questions import Asked

FILE: Final = "questions.json"
"""File in the run folder with the path of the socket; it exists while a question is open."""

OPERATION: Final = "questions"
"""Operation of a request with a message of this module."""

MAX_LINE: Final = 16 << 20
"""Highest number of bytes of a request; escaped, an answer of 2 MiB may take 12."""

TIMEOUT: Final = 5.0
"""Seconds after which a side gives up; a pattern with repetitions may take two to compare."""

_MAX_FILE: Final = 4096
_CREDENTIALS: Final = struct.Struct("3i")


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
            if not _is_own(link, pid):
                raise ChannelClosed("another process listens at the socket of the questions")
            remote = RemoteContext(link, token=folder.name)
            reply = remote.request(OPERATION, msgspec.to_builtins(message))
            return msgspec.convert(reply, Reply)
    except RequestRefused:
        raise ChannelClosed("the socket of the questions belongs to another run") from None
    except (OSError, ValueError, OrchestratorError) as error:
        raise ChannelClosed(f"the session does not answer: {error}") from None


def _is_own(link: socket.socket, pid: int) -> bool:
    """Return True if the other end of a Unix socket is a process of this user with an id."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the folder of the socket has mode 0o700, so no other user reaches it
    sent = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    peer, user, _ = _CREDENTIALS.unpack(sent)
    return (peer, user) == (pid, os.geteuid())


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
