"""A lane as pytest sees it: what runs one program at a time, and tells how each ended."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.execution import wire
from pytest_orchestrator.execution.exited import Asked, Exited, LaneLost, exited_of, patience_with
from pytest_orchestrator.execution.supervision import ANSWER, ending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_orchestrator.execution.lanes import Lanes


class Lane:
    """A process that runs one program at a time, and ends all that it leaves behind.

    Args:
        lanes: Where its process is started.

    Attributes:
        pid: Of its process; None where there is none yet, or none any more.
    """

    def __init__(self, lanes: Lanes) -> None:
        self.pid: int | None = None
        self._lanes = lanes
        self._socket: socket.socket | None = None
        self._sending = threading.Lock()
        self._number, self._running = 0, False

    def run(
        self,
        request: Asked,
        *,
        live: tuple[int, int] | None = None,
        handed: Sequence[int] = (),
        kept: Sequence[int] = (),
        meanwhile: Callable[[socket.socket, float | None], None] | None = None,
    ) -> Exited:
        """Run a program to its end, and end all that it started.

        Args:
            request: What to run.
            live: Descriptors that its stdout and stderr are copied to as they come.
            handed: Descriptors for the program itself.
            kept: Descriptors that the lane keeps open until nothing of the program is left.
            meanwhile: Waits until there is something to read, or raises TimeoutError at a
                moment of ``time.monotonic``.

        Returns:
            How it ended, what it printed, what it used.

        Raises:
            OSError: It cannot be started; the filename tells what is missing.
            ValueError: An argument or a variable holds what none can hold.
            LaneLost: The lane or the supervisor died, or did not answer in time.
        """
        fds = (*kept, *(live or ()), *handed)
        connection, pid = self._connected()
        try:
            try:
                self._send(connection, request, fds, len(kept))
            except ConnectionError:  # it died while it was idle
                self.close()
                connection, pid = self._connected()
                self._send(connection, request, fds, len(kept))
            told = self._told(connection, request, meanwhile)
        except TimeoutError:
            raise self._lost(connection, pid, timed_out=True) from None
        except (EOFError, ConnectionError):
            raise self._lost(connection, pid, timed_out=False) from None
        except BaseException:
            self._hang_up(connection, pid)
            raise
        for fd, unsent in zip(live or (), told.pop("unsent"), strict=True):
            rest = unsent
            while rest:
                rest = rest[os.write(fd, rest) :]
        return exited_of(request, told)

    def cancel(self, *, at_once: bool = False) -> None:
        """Have the program ended that runs now, if one does; may be called from any thread.

        Args:
            at_once: No grace: KILL now, also where a first cancel has not yet ended it.
        """
        with self._sending, contextlib.suppress(OSError):
            if self._running and self._socket is not None:
                wire.send(self._socket, {"cancel": self._number, "at_once": at_once})

    def end(self) -> None:
        """End the process of the lane at once, whatever it does; from any thread.

        Who waits for its run is told that it was lost; the next run starts another one.
        """
        pid = self.pid
        if self._running and pid is not None:
            with contextlib.suppress(LaneLost):
                self._lanes.drop(pid, grace=0.0)

    def close(self) -> None:
        """End the process of the lane, and what it runs."""
        with self._sending:
            connection, self._socket, self.pid = self._socket, None, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # also where a fork of pytest has it too
            connection.close()

    def _connected(self) -> tuple[socket.socket, int]:
        if self._socket is None or self.pid is None:
            self._socket, self.pid = self._connect()
        return self._socket, self.pid

    def _connect(self) -> tuple[socket.socket, int]:
        return self._lanes.connect()

    def _send(
        self, connection: socket.socket, request: Asked, fds: Sequence[int], kept: int
    ) -> None:
        asked = {name: getattr(request, name) for name in request.__struct_fields__}
        with self._sending:
            self._number += 1
            asked |= {"id": self._number, "kept": kept}
            connection.settimeout(None)
            wire.send(connection, asked, fds)
            self._running = True

    def _told(
        self,
        connection: socket.socket,
        request: Asked,
        meanwhile: Callable[[socket.socket, float | None], None] | None,
    ) -> dict[str, Any]:
        try:
            patience = patience_with(request)
            if meanwhile is not None:
                meanwhile(connection, None if patience is None else time.monotonic() + patience)
            connection.settimeout(patience)
            told: dict[str, Any] = wire.answer(connection)
        finally:
            self._running = False
        return told

    def _lost(self, connection: socket.socket, pid: int, *, timed_out: bool) -> LaneLost:
        """Have everything ended that the lane has run, and tell what became of it."""
        self.close()
        connection.close()
        try:
            status, strays = self._lanes.drop(pid, grace=0.0 if timed_out else 1.0)
        except LaneLost as lost:
            lost.timed_out = timed_out
            return lost
        reason = f"the lane (pid {pid}) {'did not answer' if timed_out else ending(status)}"
        return LaneLost(reason, timed_out=timed_out, strays=strays)

    def _hang_up(self, connection: socket.socket, pid: int) -> None:
        """End what runs and wait for its end, as whoever pressed Ctrl-C does."""
        with self._sending:
            self._socket, self.pid = None, None
        try:
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(ANSWER)
            while connection.recv(1 << 16):
                pass
        except BaseException as error:  # a second Ctrl-C among them
            with contextlib.suppress(LaneLost):
                self._lanes.drop(pid, grace=0.0)
            if not isinstance(error, OSError):
                raise
        finally:
            connection.close()
