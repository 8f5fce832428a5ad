"""Answers of sockets and serial ports, which have bytes only and no marked end of a message."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.execution.instruments import sentences
from pytest_orchestrator.execution.instruments.blocks import BlockProblem, ShortAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 1 << 16
_PIECE = 4096
_REST = 250  # milliseconds in which the end of a block arrives after its data
_LINE_END = "\n"


class Interrupted(Exception):
    """A wait for an answer was ended by `PromptSocket.interrupt`."""


class PromptSocket(socket.socket):
    """Socket of pyvisa-py that reports a closed connection at once, and whose wait can be ended.

    pyvisa-py takes the end of a connection for an answer that is late, and waits for its timeout
    in a busy loop; it waits without a limit until it can send.

    Args:
        fd: The descriptor of the connected socket.
        pending: Returns the buffer of the bytes that pyvisa-py has received and that were not
            read yet.

    Attributes:
        received: The number of bytes that were received since `begin`.
    """

    def __init__(self, fd: int, pending: Callable[[], bytearray]) -> None:
        super().__init__(fileno=fd)
        self.received = 0
        self._pending = pending
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        # Without it, a query after a write waits 40 ms for the acknowledgement of the write.
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def begin(self) -> None:
        """Begin a command: count received bytes from 0, and forget earlier interrupts."""
        self.received = 0
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(_CHUNK)

    def interrupt(self) -> None:
        """End the wait of the command that runs. Thread-safe."""
        with contextlib.suppress(OSError):
            self._waker.send(b".")

    def wait_for_answer(self, seconds: float) -> None:
        """Wait for the next bytes of an answer.

        Raises:
            TimeoutError: No bytes came in time.
            Interrupted: `interrupt` was called.
        """
        if self._pending():
            return
        poll = select.poll()
        poll.register(self, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(seconds * 1000)}
        if self._wake.fileno() in ready:
            raise Interrupted
        if not ready:
            raise TimeoutError

    def arrived(self) -> bytes:
        """Take the bytes that have arrived and were not read yet, without waiting.

        Raises:
            ConnectionResetError: There are none, and the other end has closed the connection.
        """
        pending = self._pending()
        data = bytes(pending)
        pending.clear()
        with contextlib.suppress(BlockingIOError):
            data += self.recv(_CHUNK, socket.MSG_DONTWAIT)
        return data

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive bytes.

        Raises:
            ConnectionResetError: The other end has closed the connection.
        """
        data = super().recv(size, flags)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, sentences.CLOSED)
        self.received += len(data)
        return data

    def writable_pieces(self, data: bytes, seconds: float) -> Iterator[bytes]:
        """Yield data in pieces, each as soon as it can be sent.

        Raises:
            TimeoutError: The other end does not take the data in time.
        """
        poll = select.poll()
        poll.register(self, select.POLLOUT)
        for start in range(0, len(data), _PIECE):
            if not poll.poll(seconds * 1000):
                raise TimeoutError
            yield data[start : start + _PIECE]

    def finish(self, seconds: float) -> None:
        """Wait until the other end has read all commands and has closed its end too.

        The commands that it has not read could be lost if this end were closed before.
        """
        until = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_WR)
            while (left := until - time.monotonic()) > 0:
                self.settimeout(left)
                self.recv(_CHUNK)

    def close(self) -> None:
        """Close the socket."""
        super().close()
        self._wake.close()
        self._waker.close()


def prompt_socket(resource: Any) -> PromptSocket | None:
    """Replace the socket of an open resource of pyvisa-py, and return it.

    pyvisa-py opens a socket without an error if the connection is refused.

    Args:
        resource: A resource of PyVISA.

    Returns:
        None if the resource is no socket of pyvisa-py.

    Raises:
        OSError: The connection was refused.
    """
    session: Any = getattr(resource.visalib, "sessions", {}).get(resource.session)
    interface = getattr(session, "interface", None)
    if resource.resource_class != "SOCKET" or not isinstance(interface, socket.socket):
        return None
    number = interface.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))
    prompt = PromptSocket(interface.detach(), lambda: session._pending_buffer)  # noqa: SLF001
    session.interface = prompt
    return prompt


def raw_answer(resource: Any, prompt: PromptSocket | None) -> bytes:
    """Return the next answer of a resource with its termination.

    Args:
        resource: A resource of PyVISA.
        prompt: Its socket, if it is one of pyvisa-py.
    """
    if prompt is not None:
        prompt.wait_for_answer(resource.timeout / 1000)
    return bytes(resource.read_raw())


def arrival(resource: Any, prompt: PromptSocket | None, seconds: float) -> bytes:
    """Wait for the next bytes of a socket or serial port; return none if none come in time.

    Args:
        resource: A resource of PyVISA.
        prompt: Its socket, if it is one of pyvisa-py.
        seconds: The longest time to wait.
    """
    try:
        if prompt is not None:
            prompt.wait_for_answer(max(0.0, seconds))
            return prompt.arrived()
        resource.timeout = max(1, round(seconds * 1000))
        return bytes(resource.read_bytes(1))
    except Exception as error:
        if sentences.is_timeout(error):
            return b""
        raise


class StreamSource:
    """Bytes of the answer of a socket or serial port; a `BlockSource`.

    Args:
        resource: A resource of PyVISA, whose read termination is None.
        prompt: Its socket, if it is one of pyvisa-py.
        termination: The read termination of the instrument, if it has one.

    Attributes:
        has_ended: True if the end of the answer was received.
    """

    def __init__(self, resource: Any, prompt: PromptSocket | None, termination: str | None) -> None:
        self.has_ended = False
        self._resource, self._prompt = resource, prompt
        self._termination = termination or _LINE_END
        self._taken = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes; see `BlockSource`."""
        data = bytearray()
        while len(data) < count:
            piece = self._piece(min(count - len(data), _CHUNK))
            if piece is None:
                raise ShortAnswer(len(data) if self._prompt is None else self._unread(self._prompt))
            data += piece
        self._taken += count
        return bytes(data)

    def end(self) -> bytes:
        """Return the bytes after a block; see `BlockSource`."""
        self._resource.read_termination = self._termination
        self._resource.timeout = _REST
        line = self._line()
        self.has_ended = line is not None
        return line or b""

    def rest(self) -> bytes:
        """Return all further bytes.

        Raises:
            BlockProblem: The last bytes are no line end.
            TimeoutError: No line end came at all.
        """
        self._resource.read_termination = self._termination
        data = line = self._line()
        if data is None:
            raise TimeoutError
        self._resource.timeout = _REST
        while line:  # the data may contain line ends; a pause is the end
            line = self._line()
            data += line or b""
        if self._prompt is not None and self._unread(self._prompt) > len(data):
            raise BlockProblem(f"has no {self._termination!r} at its end")
        self.has_ended = True
        return data

    def _unread(self, prompt: PromptSocket) -> int:
        return prompt.received - self._taken

    def _piece(self, count: int) -> bytes | None:
        from pyvisa.constants import StatusCode

        try:
            if self._prompt is not None:
                self._prompt.wait_for_answer(self._resource.timeout / 1000)
            with self._resource.ignore_warning(StatusCode.success_max_count_read):
                piece, _ = self._resource.visalib.read(self._resource.session, count)
        except Exception as error:
            if sentences.is_timeout(error):
                return None
            raise
        return bytes(piece)

    def _line(self) -> bytes | None:
        try:
            return raw_answer(self._resource, self._prompt)
        except Exception as error:
            if sentences.is_timeout(error):
                return None
            raise
