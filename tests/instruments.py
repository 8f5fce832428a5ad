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

    It can misbehave, also while it is used: `freeze` and `thaw`, `drop_connections`, `restart`, and
    for single commands `refused`, `closing`, `held` and `doubled`; `behave` ends all of this. The
    list `outputs` is a log of the states of its output.

    Args:
        answers: Answers to further commands, or instead of the usual ones; a function is called
            for each.
        held: Commands that are answered only when `release` is set.
        greeting: Bytes that are sent on each new connection.

    Attributes:
        refused: Commands that are not executed: each adds an error to the queue.
        closing: Commands that are not executed: each closes the connection, without an answer.
        doubled: Commands whose answer is sent twice.
        outputs: The time (``time.monotonic``) and the state of the output, whenever it is set.
        commands: The time (``time.monotonic``) and the text of each command, in order; the data
            of a block is in `blocks` instead.
        origins: The number of the connection of each of the commands, from 1.
        connections: The number of connections that were accepted.
        release: Event for which the answers to held commands wait.
    """

    def __init__(
        self,
        answers: Mapping[str, Answer | Callable[[], Answer]] | None = None,
        held: tuple[str, ...] = (),
        greeting: bytes = b"",
    ) -> None:
        self.answers = dict(answers or {})
        self.held = set(held)
        self.greeting = greeting
        self.refused: set[str] = set()
        self.closing: set[str] = set()
        self.doubled: set[str] = set()
        self.outputs: list[tuple[float, bool]] = []
        self.commands: list[tuple[float, str]] = []
        self.origins: list[int] = []
        self.blocks: list[bytes] = []
        self.errors: list[str] = []
        self.volts, self.amps, self.is_on = 0.0, 1.0, False
        self.connections = 0
        self.release = threading.Event()
        self._changed = threading.Condition()
        self._awake = threading.Event()
        self._awake.set()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.port = 0
        self._listen()
        self.resource = f"TCPIP0::127.0.0.1::{self.port}::SOCKET"

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

    def freeze(self) -> None:
        """Read and answer nothing, as a process that was stopped; the kernel still connects."""
        self._awake.clear()

    def thaw(self) -> None:
        """End `freeze`: all that was sent meanwhile is executed, also on closed connections."""
        self._awake.set()

    def restart(self, *, keeps_output: bool = False) -> None:
        """Close the port and all connections, and listen again as after power-on.

        Args:
            keeps_output: True for an instrument whose output stays as it was; else it is off.
        """
        self._end()
        self._awake.set()
        self.release.clear()
        self.errors.clear()
        was_on = self.is_on
        self._reset()
        self._switch(was_on and keeps_output)
        self._listen()

    def behave(self) -> None:
        """End all misbehaviour; answers that were held are sent."""
        for commands in (self.refused, self.closing, self.doubled, self.held):
            commands.clear()
        self.release.set()
        self.thaw()

    def drop_connections(self) -> None:
        """Close all connections, as an instrument that loses power."""
        with self._changed:
            connections = [*self._open]
        for one in connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Refuse further connections, close the open ones, and end the threads."""
        self._end()

    def _listen(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self.port))
        self.port = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, args=(self._server,), daemon=True)]
        self._threads[0].start()

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.drop_connections()
        self.release.set()
        self._awake.set()
        for one in self._threads:
            one.join(PATIENCE)

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                self._awake.wait()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._changed:
                    self._open.add(connection)
                    self.connections += 1
                arguments = connection, self.connections
                thread = threading.Thread(target=self._serve, args=arguments, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            connection.sendall(self.greeting)
            for command in self._commands(lines, number):
                answer = self._answer(command)
                if command in self.held:
                    self._hold(connection)
                if isinstance(answer, Closing):
                    connection.sendall(answer.data)
                    break
                if answer is not None:
                    data = answer if isinstance(answer, bytes) else f"{answer}\n".encode()
                    connection.sendall(data * (2 if command in self.doubled else 1))
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

    def _commands(self, lines: BufferedReader, number: int) -> Iterator[str]:
        while line := lines.readline():
            self._awake.wait()
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
                self.origins.append(number)
                self._changed.notify_all()
            yield command

    def _answer(self, command: str) -> Answer:
        if command in self.closing:
            return Closing()
        if command in self.refused:
            self.errors.append(f'-221,"Settings conflict;{command}"')
            return None
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
        self.volts, self.amps = 0.0, 1.0
        self._switch(False)

    def _switch(self, is_on: bool) -> None:
        self.is_on = is_on
        self.outputs.append((time.monotonic(), is_on))

    def _set(self, command: str) -> None:
        name, _, value = command.partition(" ")
        try:
            if name == "VOLT":
                self.volts = float(value)
            elif name == "CURR":
                self.amps = float(value)
            elif name == "OUTP":
                self._switch({"1": True, "ON": True, "0": False, "OFF": False}[value])
            else:
                self.errors.append(f'-113,"Undefined header;{command}"')
        except (KeyError, ValueError):
            self.errors.append(f'-224,"Illegal parameter value;{command}"')
