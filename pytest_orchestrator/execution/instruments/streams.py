"""Answers as bytes: those of sockets and serial ports, which mark no end, and binary blocks."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.execution.instruments import sentences
from pytest_orchestrator.instrument import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST_SHOWN = 40
_CHUNK = 1 << 16
_PIECE = 4096
_REST = 250  # milliseconds in which the end of a block arrives after its data
_LINE_END = "\n"


class ShortAnswer(Exception):
    """An answer ended before the bytes that were asked for.

    Attributes:
        count: The number of these bytes that came.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class BlockProblem(Exception):
    """An answer is no valid block; the text continues "the answer to 'CURV?'"."""


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


class Answer:
    """Bytes that come from a resource, above all an answer that is a block of IEEE 488.2.

    A block is ``#210`` and ten bytes of data, or ``#0`` and data to the end.

    Args:
        resource: A resource of PyVISA.
        prompt: Its socket, if it is one of pyvisa-py.
        is_stream: True for a socket or serial port, which does not mark the end of an answer.

    Attributes:
        has_ended: True if the end of the answer was received.
    """

    def __init__(self, resource: Any, prompt: PromptSocket | None, *, is_stream: bool) -> None:
        self.has_ended = not is_stream
        self._resource, self._prompt, self._is_stream = resource, prompt, is_stream
        self._left = bytearray()  # received, and not taken yet
        self._taken = 0

    def block(self) -> bytes:
        """Read a block, and return its data.

        Raises:
            BlockProblem: The answer is no complete block.
            TimeoutError: There is no answer.
        """
        termination = self._resource.read_termination
        self._resource.read_termination = None  # each one in the data would end a read
        try:
            return self._block(termination or _LINE_END)
        finally:
            with contextlib.suppress(Exception):  # the connection may be lost
                self._resource.read_termination = termination

    def take(self, count: int) -> bytes:
        """Return the next bytes.

        Raises:
            ShortAnswer: Not as many bytes came in time.
        """
        while (missing := count - len(self._left)) > 0:
            piece = self._next(missing)
            if piece is None:
                came = len(self._left) if self._prompt is None else self._unread(self._prompt)
                raise ShortAnswer(came)
            self._left += piece
        data = bytes(self._left[:count])
        del self._left[:count]
        self._taken += count
        return data

    def _block(self, termination: str) -> bytes:
        digits = self._digits(termination)
        if digits == 0:
            return self._rest(termination).removesuffix(b"\n")
        try:
            size = self.take(digits)
        except ShortAnswer:
            raise BlockProblem("has an incomplete block header") from None
        if not size.isdigit():
            raise BlockProblem(f"has a wrong block header: {_quoted(b'#%d' % digits + size)}")
        whole = f"{int(size):,}"
        try:
            data = self.take(int(size))
        except ShortAnswer as short:
            problem = f"ends after {short.count:,} of the {whole} bytes of its block"
            raise BlockProblem(problem) from None
        if self._is_stream:
            self._resource.read_termination, self._resource.timeout = termination, _REST
            line = self._next()
            self.has_ended = line is not None
            self._left += line or b""
        more = self._left.rstrip(b"\r\n")
        if more:
            raise BlockProblem(f"has more after its block of {whole} bytes: {_quoted(more)}")
        return data

    def _digits(self, termination: str) -> int:
        """Read the first two bytes of a block; return the number of digits of its length."""
        try:
            start = self.take(2)
        except ShortAnswer as short:
            if not short.count:
                raise TimeoutError from None
            raise BlockProblem("has an incomplete block header") from None
        if start[:1] == b"#" and start[1:].isdigit():
            return int(start[1:])
        problem = "has a wrong block header" if start[:1] == b"#" else "is no block"
        with contextlib.suppress(Exception):  # the bytes are for a message only
            start += self._rest(termination).rstrip(b"\r\n")
        raise BlockProblem(f"{problem}: {_quoted(start)}")

    def _rest(self, termination: str) -> bytes:
        """Return all further bytes.

        Raises:
            BlockProblem: The last bytes are no line end.
            TimeoutError: No line end came at all.
        """
        if not self._is_stream:
            return bytes(self._left)
        self._resource.read_termination = termination
        data = line = self._next()
        if data is None:
            raise TimeoutError
        self._resource.timeout = _REST
        while line:  # the data may contain line ends; a pause is the end
            line = self._next()
            data += line or b""
        if self._prompt is not None and self._unread(self._prompt) > len(data):
            raise BlockProblem(f"has no {termination!r} at its end")
        self.has_ended = True
        return data

    def _unread(self, prompt: PromptSocket) -> int:
        return prompt.received - self._taken

    def _next(self, most: int = 0) -> bytes | None:
        """Return the next bytes of a stream, or up to its termination; None if none come in time.

        All other resources return a piece of the answer, which has several if it is long.
        """
        try:
            if not (most and self._is_stream):
                return raw_answer(self._resource, self._prompt)
            if self._prompt is not None:
                self._prompt.wait_for_answer(self._resource.timeout / 1000)
            count = min(most, _CHUNK)
            return bytes(self._resource.read_bytes(count, chunk_size=count))
        except Exception as error:
            if sentences.is_timeout(error):
                return None
            raise


def _quoted(data: bytes | bytearray) -> str:
    return f"'{shown(data.decode('ascii', 'backslashreplace'), _MOST_SHOWN)}'"
