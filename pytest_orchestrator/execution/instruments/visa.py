"""Instrument process, which owns the sessions of all instruments of a recipe, through PyVISA.

Each instrument has a thread, so its commands run in the order in which they arrive, and an
instrument that does not answer delays no other. The process ends, and closes all sessions, as soon
as pytest has closed the connection or the supervisor is gone. Signals do not end it.

Two kinds of resources differ in how an answer ends. A *stream* (a TCP socket, a serial port) has
bytes only, so an answer ends at a character. All other resources mark the end of a message.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import re
import select
import socket
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.execution.instruments import sentences
from pytest_orchestrator.execution.instruments.streams import (
    Answer,
    BlockProblem,
    Interrupted,
    PromptSocket,
    ShortAnswer,
    prompt_socket,
    raw_answer,
)
from pytest_orchestrator.execution.supervision import framing, lane_process, os_support
from pytest_orchestrator.instrument import ErrorKind, InstrumentError, is_query, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_CONTROL, _ALIVE = 3, 4
_LONGEST_END = 10.0
"""Seconds for the commands that run at the end; the client or the supervisor ends them earlier."""

_DRAIN = 50  # milliseconds without a byte after which no more are expected
_FINISH = 1.0  # seconds for the instrument to read the last commands before the end
_MESSAGE_AVAILABLE = 16  # bit of the status byte of IEEE 488.2: an answer waits
_NOT_OPEN = "it is not open"
_LOADING = threading.Lock()


class VisaSession:
    """Session of one instrument; only one thread may use it.

    After an answer that did not arrive in time, or that was not read, the answer may still come,
    and the next query would receive it. So the session is renewed before that query: a socket is
    connected again, and other resources are cleared. A command without an answer, such as one
    that switches an output off, is sent at once.

    Args:
        name: The name of the instrument, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._options: Mapping[str, Any] = {}
        self._resource: Any = None
        self._socket: PromptSocket | None = None
        self._is_socket = self._is_stream = False
        self._is_unsure = False  # True if bytes of an earlier answer may still come
        self._unread = 0  # answers to commands of `write` that `read` has not received yet
        self._has_written = False  # True if the instrument may not have read the last command
        self._has_asked = False  # True once a query was sent since the session was opened
        self._has_status = True  # False if the status byte has no bit for an answer that waits
        self._prompt = b""
        self._lost = _NOT_OPEN
        self._timeout = 2.0

    def open(self, options: Mapping[str, Any]) -> None:
        r"""Open the instrument; an open session is closed before.

        Args:
            options: ``resource``, ``backend``, ``timeout`` in seconds, and, where they are not
                None, ``read_termination``, ``write_termination``, ``baud_rate``, ``greeting`` (a
                regular expression) and ``prompt``. A socket has
                the read termination ``\n`` unless another one is given: PyVISA's default, none,
                would find no end of an answer.

        Raises:
            InstrumentError: The instrument cannot be opened.
        """
        self._clear_device()
        self.close()
        self._options, self._has_asked = options, False
        self._prompt = (options.get("prompt") or "").encode("ascii")
        self._timeout = options.get("timeout") or self._timeout
        resource = options["resource"]
        library = self._library(options.get("backend") or "@py")
        try:
            limit = max(1, round(self._timeout * 1000))
            self._resource = library.open_resource(resource, open_timeout=limit)
            self._configure(library, self._resource)
            self._read_greeting()
        except InstrumentError as error:
            self._lose(str(error))
            raise
        except Exception as error:
            failure = sentences.cannot_open(self._name, resource, error)
            self._lose(str(failure))
            raise failure from error

    def renew(self) -> None:
        """Make sure that no bytes of an earlier answer come from now on, before safe commands.

        Raises:
            InstrumentError: The instrument cannot be opened again.
        """
        self._is_unsure = self._is_unsure or bool(self._waiting())
        self._renew("")

    def close(self) -> None:
        """Close the session, if it is open."""
        if self._socket is not None and self._has_written and (self._is_unsure or self._unread):
            self._socket.finish(_FINISH)
        resource, self._resource, self._socket = self._resource, None, None
        self._lost = _NOT_OPEN
        self._sure()
        if resource is not None:
            with contextlib.suppress(Exception):  # a lost connection cannot be closed
                resource.close()

    def interrupt(self) -> bool:
        """End the wait for an answer, so that another command can be sent now. Thread-safe.

        Returns:
            False if the backend cannot do so; the wait then ends at its timeout.
        """
        prompt = self._socket
        if prompt is not None:
            prompt.interrupt()
        return prompt is not None

    def write(self, command: str) -> None:
        """Send a command.

        Raises:
            InstrumentError: The command cannot be sent.
        """
        self._write(command, b"")
        self._has_written = True
        self._unread += is_query(command)

    def write_block(self, command: str, data: bytes) -> None:
        """Send a command with a block of definite length.

        Raises:
            InstrumentError: The command cannot be sent.
        """
        size = str(len(data)).encode()
        self._write(command, b"#%d%b%b" % (len(size), size, data))
        self._has_written = True

    def read(self, timeout: float | None) -> str:
        """Return the next answer without its termination.

        Raises:
            InstrumentError: There is no valid answer.
        """
        with self._reported("", timeout):
            answer = self._text("", raw_answer(self._resource, self._socket))
            self._read_prompt("")
        self._unread = max(0, self._unread - 1)
        return answer

    def query(self, command: str, timeout: float | None) -> str:
        """Send a command and return its answer without its termination.

        Raises:
            InstrumentError: The command cannot be sent, or there is no valid answer.
        """
        self._prepare(command)
        self._write(command, b"")
        with self._reported(command, timeout):
            answer = self._text(command, raw_answer(self._resource, self._socket))
            self._read_prompt(command)
        self._has_written = False
        return answer

    def block(self, command: str, timeout: float | None) -> bytes:
        """Send a command and return the data of the block that answers it.

        Raises:
            InstrumentError: The command cannot be sent, or the answer is no complete block.
        """
        self._prepare(command)
        self._write(command, b"")
        with self._reported(command, timeout):
            answer = Answer(self._resource, self._socket, is_stream=self._is_stream)
            try:
                data = answer.block()
            except BlockProblem as problem:
                message = f"{self._name}: the answer to '{command}' {problem}"
                raise self._error(message, command, "protocol") from None
            self._read_prompt(command)
        self._is_unsure, self._has_written = not answer.has_ended, False
        return data

    def _library(self, backend: str) -> Any:
        """Return the resource manager of a backend, which all sessions of the backend share."""
        with _LOADING:
            try:
                import pyvisa
            except ImportError:
                raise sentences.no_pyvisa(self._name) from None
            try:
                return pyvisa.ResourceManager(backend)
            except Exception as error:
                raise sentences.no_backend(self._name, backend, error) from error

    def _configure(self, library: Any, resource: Any) -> None:
        """Set the terminations and the baud rate, and check that the session is connected."""
        options = self._options
        if not resource.session:  # pyvisa-sim does not raise an exception
            known = ", ".join(sorted(library.list_resources("?*")))
            cure = f"the simulation file has no such resource; it has {known}"
            raise self._error(
                f"{self._name}: cannot open {options['resource']}: {cure}", "", "closed"
            )
        self._is_socket = resource.resource_class == "SOCKET"
        self._is_stream = self._is_socket or hasattr(resource, "baud_rate")
        self._socket = prompt_socket(resource)
        for option in ("read_termination", "write_termination"):
            if options.get(option) is not None:
                setattr(resource, option, options[option])
        if self._is_socket and options.get("read_termination") is None:
            resource.read_termination = "\n"
        for option in ("greeting", "prompt"):
            if options.get(option) and not self._is_stream:
                message = f"{self._name}: {options['resource']} is no socket or serial port and "
                raise self._error(f"{message}has no {option}", "", "refused")
        if options.get("baud_rate") is not None:
            if not hasattr(resource, "baud_rate"):
                message = (
                    f"{self._name}: {options['resource']} is no serial port and has no baud rate"
                )
                raise self._error(message, "", "refused")
            resource.baud_rate = options["baud_rate"]

    def _prepare(self, command: str) -> None:
        """Make sure that the next bytes are the answer to a query that is about to be sent.

        Raises:
            InstrumentError: Bytes wait that nothing has asked for: the instrument has answered an
                earlier command twice, or has sent a greeting. The next query has a new connection.
        """
        self._renew(command)
        waiting = self._waiting()
        if waiting:
            self._is_unsure = True
            text = shown(waiting.decode("ascii", "backslashreplace"), 80)
            message = f"{self._name}: '{command}' was not sent: an answer waits that nothing has "
            message += f"asked for: '{text}'"
            if not self._has_asked:
                message += "; say 'greeting: REGEX' in the station file if the instrument sends it"
            raise self._error(message, command, "protocol")
        self._has_asked = True

    def _waiting(self) -> bytes:
        """Return the bytes that wait to be read, if the interface counts them."""
        resource = self._resource
        if resource is None or self._is_unsure or self._unread:
            return b""
        with contextlib.suppress(Exception):  # the query reports a lost connection
            return self._without_prompts(self._arrived(resource))
        return b""

    def _without_prompts(self, data: bytes) -> bytes:
        """Return bytes without the prompts before them, of commands that have no answer."""
        while self._prompt and data.startswith(self._prompt):
            data = data.removeprefix(self._prompt)
        return data

    def _read_prompt(self, command: str) -> None:
        """Read the prompt after an answer, if the instrument has one."""
        got = b""
        if self._prompt:
            with contextlib.suppress(ShortAnswer):
                answer = Answer(self._resource, self._socket, is_stream=True)
                got = answer.take(len(self._prompt))
        if got != self._prompt:
            prompt, came = shown(self._prompt.decode()), shown(got.decode("ascii", "replace"))
            message = f"{self._name}: the prompt '{prompt}' did not come after the answer"
            message += f" to '{command}'" if command else ""
            message += f", but '{came}'" if got else " in time"
            raise self._error(message, command, "protocol" if got else "timeout")

    def _read_greeting(self) -> None:
        """Read away the text that the instrument sends when it is opened, if it sends one."""
        pattern, text, has_come = self._options.get("greeting"), "", False
        until = time.monotonic() + self._timeout
        answer = Answer(self._resource, self._socket, is_stream=True)
        with contextlib.suppress(ShortAnswer):
            while pattern and (left := until - time.monotonic()) > 0:
                self._resource.timeout = _DRAIN if has_come else max(1, round(left * 1000))
                text += answer.take(1).decode("ascii", "backslashreplace")
                has_come = has_come or bool(re.search(pattern, text))
        if pattern and not has_come:
            message = f"{self._name}: the greeting '{pattern}' did not come within "
            message += f"{sentences.seconds(self._timeout)}, but '{shown(text, 80)}'"
            raise self._error(message, "", "protocol")

    def _arrived(self, resource: Any) -> bytes:
        """Read all that has arrived, if the interface counts it."""
        if self._socket is not None:
            return self._socket.arrived()
        if self._is_stream:
            count = resource.bytes_in_buffer
            return bytes(resource.read_bytes(count)) if count else b""
        if not self._has_status or not resource.read_stb() & _MESSAGE_AVAILABLE:
            return b""
        self._has_status = False  # the bit has another meaning where no answer can be read
        resource.timeout = _DRAIN
        data = bytes(resource.read_raw())
        self._has_status = True
        return data

    def _clear_device(self) -> None:
        """Have a device forget its answers; opening it again does not do so on all interfaces."""
        if self._resource is not None and not self._is_socket and (self._is_unsure or self._unread):
            with contextlib.suppress(Exception):  # not all backends can
                self._resource.timeout = max(1, round(self._timeout * 1000))
                self._resource.clear()

    def _renew(self, command: str) -> None:
        """Make sure that no bytes of an earlier answer come before the answer to a command."""
        if not (self._is_unsure or self._unread) or self._resource is None:
            return
        if self._is_socket:
            self.open(self._options)
        with self._reported(command, None):
            try:
                if self._socket is None:
                    self._resource.clear()
            except Exception as error:
                if sentences.is_timeout(error):
                    raise
                self._drain()  # the backend cannot clear this resource
        self._sure()

    def _sure(self) -> None:
        """Note that the instrument has read all commands, and that no more bytes will come."""
        self._is_unsure = self._has_written = False
        self._unread = 0

    def _drain(self) -> None:
        """Read and drop all that has arrived."""
        self._resource.timeout = _DRAIN
        with contextlib.suppress(Exception):
            while self._resource.read_raw():
                pass

    def _write(self, command: str, data: bytes) -> None:
        """Send a command, data and the termination."""
        try:
            encoded = command.encode("ascii")
        except UnicodeEncodeError:
            text = f"{self._name}: the command '{shown(command, 80)}' is not ASCII"
            raise self._error(text, command, "protocol") from None
        with self._reported(command, None, is_sent=False):
            end = (self._resource.write_termination or "").encode("ascii")
            message = encoded + data + end
            pieces = (
                [message]
                if self._socket is None
                else self._socket.writable_pieces(message, self._timeout)
            )
            for piece in pieces:
                self._resource.write_raw(piece)

    def _text(self, command: str, data: bytes) -> str:
        """Return an answer as text without its termination."""
        end = (self._resource.read_termination or "").encode("ascii")
        data = self._without_prompts(data).removesuffix(end).rstrip(b"\r\n")
        try:
            return data.decode("ascii")
        except UnicodeDecodeError:
            answer = shown(data.decode("ascii", "backslashreplace"), 80)
            to = f" to '{command}'" if command else ""
            is_block = data.startswith(b"#")
            cure = "; read a binary block with `type: block` or `query_block`" if is_block else ""
            message = f"{self._name}: the answer{to} is not ASCII: '{answer}'{cure}"
            raise self._error(message, command, "protocol") from None

    @contextlib.contextmanager
    def _reported(
        self, command: str, timeout: float | None, *, is_sent: bool = True
    ) -> Iterator[None]:
        """Turn exceptions of PyVISA into an InstrumentError; close the session if it is lost."""
        if self._resource is None:
            what = f"'{command}' cannot be sent" if command else "nothing can be read"
            raise self._error(f"{self._name}: {what}: {self._lost}", command, "closed")
        limit = timeout or self._timeout
        # An interrupt between a command and the wait for its answer ends that wait.
        if self._socket is not None and not (is_sent and command):
            self._socket.begin()
        try:
            self._resource.timeout = max(1, round(limit * 1000))
            yield
        except InstrumentError:
            self._is_unsure = True
            raise
        except Interrupted:
            self._is_unsure = True
            what = f"'{command}'" if command else "read"
            raise self._error(f"{self._name}: {what} was interrupted", command, "status") from None
        except Exception as error:
            self._is_unsure = True
            if sentences.is_timeout(error):
                raise self._error(
                    self._late(command, limit, is_sent), command, "timeout"
                ) from error
            failure = sentences.command_failed(self._name, command, error)
            if failure.kind == "closed":
                self._lose(str(failure))
            raise failure from error

    def _late(self, command: str, limit: float, is_sent: bool) -> str:
        """Return the sentence about a command or answer that takes too long."""
        within = f"within {sentences.seconds(limit)}"
        if not is_sent:
            return f"{self._name}: '{command}' could not be sent {within}"
        if self._socket is not None and self._socket.received:
            end = shown(self._resource.read_termination or "")
            to = f" to '{command}'" if command else ""
            came = f"{self._socket.received:,} bytes came {within}, but not '{end}'"
            return f"{self._name}: the answer{to} has no end: {came}"
        what = f"no answer to '{command}'" if command else "nothing to read"
        return f"{self._name}: {what} {within}"

    def _lose(self, reason: str) -> None:
        """Close a session whose connection is lost; later commands are refused with the reason."""
        self.close()
        self._lost = reason.removeprefix(f"{self._name}: ")

    def _error(self, message: str, command: str, kind: ErrorKind) -> InstrumentError:
        return InstrumentError(message, instrument=self._name, command=command, kind=kind)


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
