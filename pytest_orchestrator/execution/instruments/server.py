"""Main program of the instrument process, which owns the sessions of all instruments of a recipe.

Each instrument has a thread, so its commands run in the order in which they arrive, and an
instrument that does not answer delays no other. The process ends, and closes all sessions, as soon
as pytest has closed the connection or the supervisor is gone. Signals do not end it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import select
import socket
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.execution.instruments.visa import VisaSession
from pytest_orchestrator.execution.supervision import framing, lane_process, os_support
from pytest_orchestrator.instrument import InstrumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CONTROL, _ALIVE = 3, 4
_LONGEST_END = 10.0
"""Seconds for the commands that run at the end; the client or the supervisor ends them earlier."""


def main() -> None:
    """Serve requests until pytest or the supervisor has ended."""
    lane_process.outlive_signals()
    os_support.SystemFeatures().adopt_orphans(b"recipe-visa")
    for fd in (_CONTROL, _ALIVE):
        os.set_inheritable(fd, False)
    warnings.simplefilter("ignore")  # the messages here say all that PyVISA warns of and logs
    logging.disable()
    with open(os.devnull, "w") as null:
        sys.stdout = null
        _Server(socket.socket(fileno=_CONTROL)).serve()
    os._exit(0)  # a thread may wait for an instrument


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._sending = threading.Lock()
        self._instruments: dict[str, _InstrumentThread] = {}

    def serve(self) -> None:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(_ALIVE, select.POLLIN)
        with contextlib.suppress(EOFError, ConnectionError):
            while all(fd != _ALIVE for fd, _ in poll.poll()):
                request, _ = framing.receive(self._control)
                thread = self._thread_of(request["name"])
                if request["do"] == "interrupt":
                    self._send({"id": request["id"], "value": thread.interrupt()})
                else:
                    thread.requests.put(request)
        self._end()

    def _thread_of(self, name: str) -> _InstrumentThread:
        if name not in self._instruments:
            self._instruments[name] = _InstrumentThread(name, self._send)
            self._instruments[name].start()
        return self._instruments[name]

    def _send(self, reply: dict[str, Any]) -> None:
        with self._sending, contextlib.suppress(OSError):  # pytest may have ended
            framing.send(self._control, reply)

    def _end(self) -> None:
        """Close the sessions; commands that have not begun are dropped."""
        until = time.monotonic() + _LONGEST_END
        for thread in self._instruments.values():
            thread.end()
        for thread in self._instruments.values():
            thread.join(max(0.0, until - time.monotonic()))


class _InstrumentThread(threading.Thread):
    """Thread that executes the requests to one instrument.

    Args:
        name: The name of the instrument.
        send: Sends a reply.
    """

    def __init__(self, name: str, send: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(name=name, daemon=True)
        self.requests: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self._session = VisaSession(name)
        self.interrupt = self._session.interrupt
        self._send = send
        self._is_ending = False

    def end(self) -> None:
        """Close the session after the command that runs."""
        self._is_ending = True
        self.requests.put(None)

    def run(self) -> None:
        """Execute requests until the end."""
        while (request := self.requests.get()) is not None and not self._is_ending:
            self._send({"id": request["id"], **self._outcome(request)})
        self._session.close()

    def _outcome(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"value": self._value(request)}
        except InstrumentError as error:
            return {"error": str(error), "kind": error.kind}
        except Exception as error:  # noqa: BLE001 - the other instruments continue
            return {"error": f"{self.name}: {type(error).__name__}: {error}", "kind": "status"}

    def _value(self, request: Mapping[str, Any]) -> str | bytes | None:
        session, timeout = self._session, request.get("timeout")
        command: str = request.get("command") or ""
        match request["do"]:
            case "open":
                session.open(request["options"])
            case "write":
                session.write(command)
            case "write_block":
                session.write_block(command, request["data"])
            case "query":
                return session.query(command, timeout)
            case "block":
                return session.block(command, timeout)
            case "read":
                return session.read(timeout)
            case "renew":
                session.renew()
            case "close":
                session.close()
            case other:
                raise InstrumentError(f"{self.name}: unknown operation '{other}'")
        return None
