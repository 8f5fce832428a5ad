"""Chunked file transfer: growing files sent in chunks until acknowledged."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from pytest_orchestrator.context.rpc.protocol import RequestRefused
from pytest_orchestrator.execution.dask.messages import COPIES, LARGEST, STREAMS, Chunk
from pytest_orchestrator.execution.environment import Environment


class ChunkReceiver:
    """What one try sends: logs, samples and copies of files.

    Args:
        step: The name of the step.
        env: The surroundings of the run, which say where files belong.
    """

    def __init__(self, step: str, env: Environment) -> None:
        self._step, self._env = step, env
        self._lock = threading.Lock()
        self._files: dict[str, int] = {}
        self._is_closed = False
        self._has_logs = False

    def take(self, piece: Chunk) -> None:
        """Write some bytes; a piece may come twice, and in any order.

        Of a log that cannot be written, as on a full disk, nothing is told: the step goes on.

        Raises:
            RequestRefused: No such file is kept.
            OSError: A copy cannot be written.
        """
        path, is_log = self._path(piece.stream), not piece.stream.startswith(COPIES)
        with self._lock, contextlib.suppress(*((OSError,) if is_log else ())):
            if path is None or (is_log and self._has_logs) or self._is_closed:
                return
            file = self._files.get(piece.stream)
            if file is None:
                if os.path.dirname(path):
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                file = self._files[piece.stream] = os.open(path, flags, 0o666)
            rest, at = memoryview(piece.data), piece.at
            while rest:
                written = os.pwrite(file, rest, at)
                rest, at = rest[written:], at + written

    def end_logs(self) -> None:
        """Take note that its logs are whole: what comes yet is old, and masked by now."""
        with self._lock:
            self._has_logs = True

    def close(self) -> None:
        """Let nothing arrive any more."""
        with self._lock:
            self._is_closed = True
            while self._files:
                os.close(self._files.popitem()[1])

    def _path(self, stream: str) -> str | None:
        if stream in STREAMS:
            return self._env.log(self._step, stream)
        if stream == "samples":
            return self._env.samples(self._step)
        copy = Path(stream.removeprefix(COPIES))
        if not stream.startswith(COPIES) or copy.is_absolute() or ".." in copy.parts:
            raise RequestRefused(f"nothing is kept of {stream!r}")
        return None if self._env.artifacts is None else str(self._env.artifacts / copy)


_FEW: Final = 1 << 14


class ChunkSender:
    """A file from its beginning.

    Args:
        stream: What it is called where it arrives.
        path: Where it is; it may not be there yet.
    """

    def __init__(self, stream: str, path: str) -> None:
        self._stream, self._path = stream, path
        self._sent = 0

    def pieces(self, ticket: str, most: int = LARGEST) -> Iterator[Chunk]:
        """Give the next piece of so many bytes at most, where there is one."""
        data = b""
        with contextlib.suppress(OSError), open(self._path, "rb") as file:
            file.seek(self._sent)
            data = file.read(most)
        if data:
            yield Chunk(ticket, self._stream, self._sent, data)

    def told(self, piece: Chunk) -> None:
        """Take note of a piece that has arrived."""
        if piece.stream == self._stream and piece.at <= self._sent:
            self._sent = max(self._sent, piece.at + len(piece.data))


def send_rest(
    files: Iterable[ChunkSender], ticket: str, send: Callable[[Chunk], object]
) -> tuple[Chunk, ...]:
    """Send what has not arrived of files that grow no more, but for their last few bytes.

    Args:
        files: The files.
        ticket: Whose they are.
        send: Sends a piece, and returns once it has arrived.

    Returns:
        These, to be sent with what comes next; they are told once that has arrived.
    """
    few: list[Chunk] = []
    for file in files:
        while pieces := list(file.pieces(ticket)):
            if len(pieces[0].data) <= _FEW:
                few += pieces
                break
            send(pieces[0])
            file.told(pieces[0])
    return tuple(few)
