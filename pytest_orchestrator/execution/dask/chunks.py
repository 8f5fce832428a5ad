"""Chunked file transfer: growing files are sent in chunks, each until it is acknowledged."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from pytest_orchestrator.context.rpc.protocol import RequestRefused
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.dask.messages import COPY_PREFIX, LOGS, MAX_CHUNK, Chunk


class ChunkReceiver:
    """Receiver that writes the chunks of one attempt to files: logs, samples, copied files.

    Args:
        step: Name of the step.
        attempt_context: The context of the attempt, which has the paths of the files.
    """

    def __init__(self, step: str, attempt_context: AttemptContext) -> None:
        self._step, self._attempt_context = step, attempt_context
        self._lock = threading.Lock()
        self._files: dict[str, int] = {}
        self._is_closed = False
        self._logs_are_complete = False

    def receive(self, chunk: Chunk) -> None:
        """Write a chunk; chunks may be repeated and arrive in any order.

        Errors of writing a log, such as a full disk, are ignored so that the step can continue.

        Raises:
            RequestRefused: The session does not accept the stream.
            OSError: A copy cannot be written.
        """
        path, is_log = self._path(chunk.stream), not chunk.stream.startswith(COPY_PREFIX)
        with self._lock, contextlib.suppress(*((OSError,) if is_log else ())):
            if path is None or (is_log and self._logs_are_complete) or self._is_closed:
                return
            file = self._files.get(chunk.stream)
            if file is None:
                if os.path.dirname(path):
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                file = self._files[chunk.stream] = os.open(path, flags, 0o666)
            rest, at = memoryview(chunk.data), chunk.at
            while rest:
                written = os.pwrite(file, rest, at)
                rest, at = rest[written:], at + written

    def end_logs(self) -> None:
        """Ignore later chunks of logs and samples, whose secrets would not be masked any more."""
        with self._lock:
            self._logs_are_complete = True

    def close(self) -> None:
        """Close the files, and ignore further chunks."""
        with self._lock:
            self._is_closed = True
            while self._files:
                os.close(self._files.popitem()[1])

    def _path(self, stream: str) -> str | None:
        if stream in LOGS:
            return self._attempt_context.log(self._step, stream)
        if stream == "samples":
            return self._attempt_context.samples(self._step)
        copy = Path(stream.removeprefix(COPY_PREFIX))
        if not stream.startswith(COPY_PREFIX) or copy.is_absolute() or ".." in copy.parts:
            raise RequestRefused(f"nothing is kept of {stream!r}")
        return (
            None
            if self._attempt_context.artifacts is None
            else str(self._attempt_context.artifacts / copy)
        )


_SMALL_CHUNK: Final = 1 << 14


class ChunkSender:
    """Reader of a growing file, in chunks to be sent.

    Args:
        stream: Name of the stream for the receiver.
        path: Path of the file, which may not exist yet.
    """

    def __init__(self, stream: str, path: str) -> None:
        self._stream, self._path = stream, path
        self._sent = 0

    def chunks(self, attempt_id: str, most: int = MAX_CHUNK) -> Iterator[Chunk]:
        """Yield the next chunk of at most `most` bytes, if the file has more data."""
        data = b""
        with contextlib.suppress(OSError), open(self._path, "rb") as file:
            file.seek(self._sent)
            data = file.read(most)
        if data:
            yield Chunk(attempt_id, self._stream, self._sent, data)

    def acknowledge(self, chunk: Chunk) -> None:
        """Mark a chunk as received, so that `chunks` continues after it."""
        if chunk.stream == self._stream and chunk.at <= self._sent:
            self._sent = max(self._sent, chunk.at + len(chunk.data))


def send_rest(
    files: Iterable[ChunkSender], attempt_id: str, send: Callable[[Chunk], object]
) -> tuple[Chunk, ...]:
    """Send the rest of files that are complete; return their small last chunks unsent.

    Args:
        files: The files.
        attempt_id: Id of the attempt.
        send: Sends a chunk, and returns when it has arrived.

    Returns:
        The last chunks of up to 16 KiB. The caller sends them with its next message, and
        acknowledges them when that message has arrived.
    """
    last_chunks: list[Chunk] = []
    for file in files:
        while chunks := list(file.chunks(attempt_id)):
            if len(chunks[0].data) <= _SMALL_CHUNK:
                last_chunks += chunks
                break
            send(chunks[0])
            file.acknowledge(chunks[0])
    return tuple(last_chunks)
