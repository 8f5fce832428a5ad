"""Simulated instruments of tests: a TCP server that speaks SCPI, and a file for PyVISA-sim."""

import contextlib
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Self

from benchmarks.faults import PATIENCE

POWER_SUPPLY = Path(__file__).with_name("power_supply.yaml")
"""A file for PyVISA-sim with one power supply, as a socket, a LAN, a USB and a serial device."""

SIMULATED = "TCPIP0::psu::5025::SOCKET"
"""The socket in `POWER_SUPPLY`."""

IDN = "ACME,PSU-30,SN42,1.0"

NO_ERROR = '0,"No error"'

_HEADER = re.compile(rb"#[1-9]([0-9]+)")


class Closing:
    """An answer after whose bytes the instrument closes the connection."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data


Answer = str | bytes | Closing | None
"""Text gets a line end, bytes are sent as they are, None is no answer."""


class ScpiInstrument:
    """A power supply on a TCP port of this machine, in threads of this process.

    It knows `VOLT`, `CURR`, `OUTP` and their queries, `MEAS:VOLT?`, `MEAS:CURR?` (into 10 ohms),
    `*IDN?`, `*OPC?`, `*RST`, `*CLS` and `SYST:ERR?`. Any other command adds an error to its queue.

    Args:
        answers: Answers to further commands, or instead of the usual ones; a function is called
            for each.
        held: Commands that are answered only when `release` is set.

    Attributes:
        commands: The time (``time.monotonic``) and the text of each command, in order; the data
            of a block is in `blocks` instead.
        connections: The number of connections that were accepted.
        release: Event for which the answers to held commands wait.
    """

    def __init__(
        self,
        answers: Mapping[str, Answer | Callable[[], Answer]] | None = None,
        held: tuple[str, ...] = (),
    ) -> None:
        self.answers = dict(answers or {})
        self.held = set(held)
        self.commands: list[tuple[float, str]] = []
        self.blocks: list[bytes] = []
        self.errors: list[str] = []
        self.volts, self.amps, self.is_on = 0.0, 1.0, False
        self.connections = 0
        self.release = threading.Event()
        self._changed = threading.Condition()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.port: int = self._server.getsockname()[1]
        self.resource = f"TCPIP0::127.0.0.1::{self.port}::SOCKET"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def texts(self) -> list[str]:
        """The commands without their times."""
        return [text for _, text in self.commands]

    def wait_for(self, command: str, times: int = 1) -> None:
        """Wait until a command was received; fail after a long time."""
        with self._changed:
            came = self._changed.wait_for(lambda: self.texts.count(command) >= times, PATIENCE)
        assert came, f"{command} was not received {times} times: {self.texts}"

    def wait_until_closed(self) -> None:
        """Wait until the other ends have closed all connections; fail after a long time."""
        with self._changed:
            closed = self._changed.wait_for(lambda: not self._open, PATIENCE)
        assert closed, f"{len(self._open)} connections are still open"

    def drop_connections(self) -> None:
        """Close all connections, as an instrument that loses power."""
        with self._changed:
            connections = [*self._open]
        for one in connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Refuse further connections, close the open ones, and end the threads."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.release.set()
        self.drop_connections()
        for one in self._threads:
            one.join(PATIENCE)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._changed:
                    self._open.add(connection)
                    self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            for command in self._commands(lines):
                answer = self._answer(command)
                if command in self.held:
                    self._hold(connection)
                if isinstance(answer, Closing):
                    connection.sendall(answer.data)
                    break
                if answer is not None:
                    connection.sendall(
                        answer if isinstance(answer, bytes) else f"{answer}\n".encode()
                    )
        with self._changed:
            self._open.discard(connection)
            connection.close()
            self._changed.notify_all()

    def _hold(self, connection: socket.socket) -> None:
        """Wait until the answers are released or the other end has closed the connection."""
        poll = select.poll()
        poll.register(connection, getattr(select, "POLLRDHUP", select.POLLHUP))
        while not self.release.is_set() and not poll.poll(10):
            pass

    def _commands(self, lines: BufferedReader) -> Iterator[str]:
        while line := lines.readline():
            header = _HEADER.search(line)
            if header is not None:
                start, digits = (
                    header.start() + 2,
                    int(line[header.start() + 1 : header.start() + 2]),
                )
                size, data = int(line[start : start + digits]), line[start + digits :]
                data += lines.read(max(0, size - len(data)))
                if len(data) == size:
                    lines.readline()
                self.blocks.append(data[:size])
                line = line[: header.start()]
            command = line.strip().decode("latin-1")
            with self._changed:
                self.commands.append((time.monotonic(), command))
                self._changed.notify_all()
            yield command

    def _answer(self, command: str) -> Answer:
        if command in self.answers:
            answer = self.answers[command]
            return answer() if callable(answer) else answer
        usual: dict[str, Callable[[], Answer]] = {
            "*IDN?": lambda: IDN,
            "*OPC?": lambda: "1",
            "*RST": self._reset,
            "*CLS": self.errors.clear,
            "SYST:ERR?": lambda: self.errors.pop(0) if self.errors else NO_ERROR,
            "VOLT?": lambda: f"{self.volts:.3f}",
            "CURR?": lambda: f"{self.amps:.3f}",
            "OUTP?": lambda: str(int(self.is_on)),
            "MEAS:VOLT?": lambda: f"{self.volts if self.is_on else 0.0:+.4E}",
            "MEAS:CURR?": lambda: f"{self.volts / 10 if self.is_on else 0.0:+.4E}",
        }
        if command in usual:
            return usual[command]()
        self._set(command)
        return None

    def _reset(self) -> None:
        self.volts, self.amps, self.is_on = 0.0, 1.0, False

    def _set(self, command: str) -> None:
        name, _, value = command.partition(" ")
        try:
            if name == "VOLT":
                self.volts = float(value)
            elif name == "CURR":
                self.amps = float(value)
            elif name == "OUTP":
                self.is_on = {"1": True, "ON": True, "0": False, "OFF": False}[value]
            else:
                self.errors.append(f'-113,"Undefined header;{command}"')
        except (KeyError, ValueError):
            self.errors.append(f'-224,"Illegal parameter value;{command}"')
