"""Files of a try that arrive in pieces, each written where it belongs in the folder of the run."""

import contextlib
import os
import threading
from pathlib import Path

from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.errands import COPIES, STREAMS, Piece
from pytest_orchestrator.remote.protocol import RequestRefused


class Arriving:
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

    def take(self, piece: Piece) -> None:
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
