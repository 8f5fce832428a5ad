"""Step type `serial`: dialogs, groups, failures, ports, and checks, at a pseudo-terminal."""

import fcntl
import logging
import os
import pty
import re
import socket
import threading
import tty
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.extending import (
    Project,
    StepEnvironment,
    StepFailure,
    StepSpec,
    WrittenStep,
)
from pytest_orchestrator.recipe import RecipeError, load
from pytest_orchestrator.step_types.serial import Serial, SerialKeys

Answers = Sequence[tuple[bytes, bytes]]


class Device:
    """Device behind a pseudo-terminal, which answers each text that it waits for.

    Attributes:
        port: The path of the terminal.
        received: All bytes that the device has received.
    """

    def __init__(self, *answers: tuple[bytes, bytes], hangs_up: bool = False) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.received = bytearray()
        self._hangs_up = hangs_up
        self._thread = threading.Thread(target=self._serve, args=(answers,))
        self._thread.start()

    def _serve(self, answers: Answers) -> None:
        end = 0
        for wanted, answer in answers:
            while wanted not in self.received[end:]:
                try:
                    self.received += os.read(self._master, 1024)
                except OSError:  # the test has ended
                    return
            end = len(self.received)
            os.write(self._master, answer)
        if self._hangs_up:
            os.close(self._slave)
            os.close(self._master)

    def close(self) -> None:
        if not self._hangs_up:
            os.close(self._slave)
        self._thread.join(20)
        if not self._hangs_up:
            os.close(self._master)


Connect = Callable[..., Device]


@pytest.fixture
def connect() -> Iterator[Connect]:
    devices: list[Device] = []

    def connected(greeting: bytes, *answers: tuple[bytes, bytes], **more: Any) -> Device:
        devices.append(Device((b"!", greeting), *answers, **more))
        return devices[-1]

    yield connected
    for device in devices:
        device.close()


START = {"send": "!"}
"""First line of each dialog, because what a device sends before the port is open is discarded."""


def held(port: str, *dialog: Any, **keys: Any) -> Any:
    """Return the result of a step."""
    env = StepEnvironment(step="s", recipe="x.yaml", root=Path.cwd())
    given = {"port": port, "dialog": [*dialog], **keys}
    return Serial().run(msgspec.convert(given, SerialKeys), Context(), env)


def failure(port: str, *dialog: Any, **keys: Any) -> tuple[str, tuple[str | int, ...], str]:
    with pytest.raises(StepFailure) as caught:
        held(port, *dialog, **keys)
    return caught.value.kind, caught.value.path, str(caught.value).replace(port, "PORT")


def test_a_dialog_gives_the_groups_of_its_matches(connect: Connect) -> None:
    boot = "U-Boot 2024.01\r\n\r\nDRAM:  512 MiB °C\r\ndut login: ".encode()
    answers = [
        (b"root\n", b"Password: "),
        (b"hunter2\n", b"\r\n# "),
        (b"cat /v\n", b"fw 1.2.3\r\n# "),
    ]
    device = connect(boot, *answers)

    result = held(
        device.port,
        START,
        {"expect": r"U-Boot (?P<uboot>\S+)$"},
        {"expect": r"DRAM: +(\d+) (\S+)", "as": "dram"},
        {"expect": "login: "},
        {"send": "root\n"},
        {"expect": "Password:", "within": 5},
        {"send": "hunter2\n"},
        {"expect": "# ", "as": "prompt"},
        {"send": "cat /v\n"},
        {"expect": r"^fw (\S+)\n", "as": "version", "within": "5s"},
        {"expect": "(?P<sign>#)(?P<none>x)?", "as": "end"},
    )

    assert result == {
        "status": "ok",
        "uboot": "2024.01",
        "dram": ["512", "MiB"],
        "prompt": "# ",
        "version": "1.2.3",
        "end": {"sign": "#", "none": None},
    }
    assert bytes(device.received) == b"!root\nhunter2\ncat /v\n"


def test_output_between_two_expected_texts_is_kept(connect: Connect) -> None:
    long = b"x" * 20_000  # more than a terminal buffers
    device = connect(b"ready\r\n" + long + b"\r\ndone\r\n")

    result = held(
        device.port,
        START,
        {"wait": "1ms"},
        {"send": "x" * 3000},
        {"expect": "ready"},
        {"expect": "^(x+)\ndone", "as": "xs"},
    )

    assert len(result["xs"]) == len(long)


def test_the_transcript_is_the_log_and_the_output_is_stdout(
    connect: Connect, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    device = connect(b"one\r\ntwo\x1b[0m\r\nlogin: ", (b"root\n", b"#"))

    held(device.port, START, {"expect": "login: "}, {"send": "root\n"}, {"expect": "#"})

    records = [one.getMessage() for one in caplog.records]
    assert records == [
        "> !",
        "< one",
        r"< two\x1b[0m",
        "< login: ",
        r"> root\n",
        "< #",
    ]
    assert capsys.readouterr().out == "one\ntwo\x1b[0m\nlogin: #"


def test_a_text_that_is_not_received_fails_the_step_with_the_last_received(
    connect: Connect,
) -> None:
    device = connect(b"U-Boot\r\nKernel panic\xff\r\n")
    panic = {"expect": "login: ", "within": "20ms"}

    assert failure(device.port, START, {"expect": "U-Boot"}, {"wait": "1ms"}, panic) == (
        "status",
        ("dialog", 3),
        r"PORT: no match for 'login: ' within 0.02 s; last received: '\nKernel panic�\n'",
    )
    assert failure(device.port, panic) == (
        "status",
        ("dialog", 0),
        "PORT: no match for 'login: ' within 0.02 s; nothing was received",
    )
    device = connect(b"ok" + b"y" * 300 + b"end")
    late = failure(device.port, START, {"expect": "ok"}, {"expect": "end"}, panic)
    assert late[2] == (
        "PORT: no match for 'login: ' within 0.02 s; nothing was received after the last match"
    )
    device = connect(b"y" * 300 + b"end")
    assert failure(device.port, START, {"expect": "(?=y{300}end)"}, panic)[2] == (
        f"PORT: no match for 'login: ' within 0.02 s; last received: '…{'y' * 197}end'"
    )


def test_a_device_that_vanishes_fails_the_step(connect: Connect) -> None:
    device = connect(b"boot\r\n", (b"off\n", b"bye"), hangs_up=True)

    kind, path, reason = failure(
        device.port, START, {"expect": "boot"}, {"send": "off\n"}, {"expect": "never"}
    )

    assert (kind, path) == ("status", ("dialog", 3))
    lost = "PORT: the connection was lost while 'never' was expected: "
    assert reason.startswith(lost)
    assert re.search(r"; last received: '\\n(bye)?'$", reason)


def test_a_port_that_cannot_be_opened_is_named(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Port:
        device = "/dev/ttyUSB0"

    dialog = {"expect": "x"}
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    none = "no port 'PORT' (this machine has no serial port)"
    assert failure("/dev/ttyUSB7", dialog) == ("not_found", ("port",), none)
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: [Port])
    assert failure("/dev/ttyUSB7", dialog)[2] == "no port 'PORT' (did you mean '/dev/ttyUSB0'?)"
    assert failure("COM1", dialog)[2] == "no port 'PORT' (there is /dev/ttyUSB0)"
    (tmp_path / "usb-FTDI-if00").touch()
    near = failure(str(tmp_path / "usb-FTDI-if01"), dialog)[2]
    assert near == f"no port 'PORT' (did you mean '{tmp_path}/usb-FTDI-if00'?)"
    kind, path, reason = failure(str(tmp_path / "usb-FTDI-if00"), dialog)
    assert (kind, path) == ("status", ("port",))
    assert reason.startswith("PORT: the port cannot be opened: ")
    assert "Could not configure port" in reason
    assert failure("sockt://x", dialog) == (
        "validation",
        ("port",),
        "PORT: invalid URL, protocol 'sockt' not known",
    )
    device = connect(b"")
    with Path(device.port).open("rb", buffering=0) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert failure(device.port, dialog) == (
            "status",
            ("port",),
            "PORT: the port is in use by another program",
        )


def test_addresses_of_pyserial_are_ports() -> None:
    assert held("loop://", {"send": "ping\n"}, {"expect": "p(.)ng", "as": "it"})["it"] == "i"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1)
                connection.sendall(b"login: ")
                connection.recv(5)

        thread = threading.Thread(target=serve)
        thread.start()
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
        kind, path, reason = failure(
            port, START, {"expect": "login: "}, {"send": "root\n"}, {"expect": "# "}
        )
        thread.join()
    assert (kind, path) == ("status", ("dialog", 3))
    assert reason == (
        "PORT: the connection was lost while '# ' was expected: read failed: socket disconnected; "
        "nothing was received after the last match"
    )
    kind, path, reason = failure(port, {"expect": "x"})
    assert (kind, path) == ("status", ("port",))
    assert reason.startswith("PORT: the port cannot be opened: Could not open port PORT: ")


def written(**keys: Any) -> WrittenStep:
    given = {"port": "/dev/ttyUSB0", "stopbits": 1, "dialog": [{"expect": "x"}], **keys}
    return WrittenStep(step="s", recipe="x.yaml", keys=given, common={}, places={})


def test_a_port_is_a_lock_by_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "console").symlink_to("/dev/ttyUSB0")

    def locks(port: str) -> list[str]:
        return list(Serial.locks(StepSpec(step="s", recipe="x", keys={"port": port})))

    assert locks(str(tmp_path / "console")) == ["/dev/ttyUSB0"]
    assert locks("socket://bench:7000") == ["socket://bench:7000"]
    assert locks("loop://") == []


def test_a_missing_library_is_an_error_unless_the_recipe_requires_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    [problem] = Serial.check(written(), Project(root=Path.cwd()))

    assert (problem.path, problem.message) == (("type",), "is serial, which needs pyserial")
    assert problem.hint == "python -m pip install 'pytest-orchestrator[serial]'"
    assert not list(Serial.check(written(), Project(root=Path.cwd(), extras=("serial",))))


MISTAKES = r"""
dialog: login
  47: 'dialog' @ is text, should be a list (write [login])
dialog: []
  47: 'dialog' @ is [], should be a list of length >= 1
dialog: [login]
  48: 'dialog[0]' @ is text, should be a mapping
dialog: [{}]
  48: 'dialog[0]' @ has no 'send', 'expect' or 'wait'
  (write {send: "root\n"}, {expect: "login: "} or {wait: 100ms})
dialog: [{send: 'root\n'}]
  55: 'dialog[0].send' @ ends with a backslash and n, which is no line end
  (write the text in double quotes)
dialog: [{send: ''}]
  55: 'dialog[0].send' @ should not be empty
dialog: [{send: 5}]
  55: 'dialog[0].send' @ should be text
dialog: [{expect: '('}]
  57: 'dialog[0].expect' @ is no regular expression:
  missing ), unterminated subpattern at position 0
dialog: [{expect: '.*'}]
  57: 'dialog[0].expect' @ matches an empty text, so it waits for nothing
dialog: [{expect: x, as: 1a}]
  64: 'dialog[0].as' @ should be a name of letters, digits and _
dialog: [{expect: x, as: status}]
  64: 'dialog[0].as' @ has the name 'status', which the result has itself (choose another name)
dialog: [{expect: '(?P<reason>x)'}]
  57: 'dialog[0].expect' @ has the name 'reason', which the result has itself
  (choose another name)
dialog: [{expect: '(?P<a>x)'}, {expect: y, as: a}]
  86: 'dialog[1].as' @ has the name 'a', which dialog[0] has too
  (each needs a name of its own)
dialog: [{expect: x, within: 0}]
  68: 'dialog[0].within' @ should be seconds, or a text such as 500ms, 30s or 2m
dialog: [{expect: x, timeout: 5}]
  69: 'dialog[0].timeout' @ is no key of a line with 'expect' (did you mean 'within'?)
dialog: [{exspect: x}]
  58: 'dialog[0].exspect' @ is no key of a line (did you mean 'expect'?)
dialog: [{expect: x, send: y}]
  57: 'dialog[0].expect' @ stands beside 'send' (write two lines)
dialog: [{send: x, as: y}]
  62: 'dialog[0].as' @ is no key of a line with 'send' (leave it out)
dialog: [{wait: true}]
  55: 'dialog[0].wait' @ should be seconds, or a text such as 500ms, 30s or 2m
dialog: [{wait: 1s}], stopbits: 1.2
  71: 'stopbits' @ should be 1, 1.5 or 2
dialog: [{wait: 1s}], parity: even
  69: 'parity' @ is 'even', should be 'N', 'E', 'O', 'M' or 'S'
dialog: [{wait: 1s}], baudrate: 9600
  61: unknown key 'baudrate' @ (did you mean 'baud'?)
"""
"""Keys, and below them column and text of the error; ``@`` stands for the name of the step."""

GOOD = (
    "dialog: [{send: \"x\\n\"}, {expect: '[$#] ', within: 5}, {wait: 1}], stopbits: 1.5, parity: E",
    "dialog: [{send: '${{ vars.x }}'}, '${{ vars.x }}'], stopbits: '${{ vars.x }}'",
    "dialog: '${{ vars.x }}'",
)


def first_line(path: Path) -> str:
    try:
        load(path, root=path.parent)
    except RecipeError as error:
        return str(error).partition("\n")[0]
    return ""


def test_a_mistake_in_a_step_is_an_error_with_its_cure(tmp_path: Path) -> None:
    path, found, expected = tmp_path / "x.yaml", {}, dict.fromkeys(GOOD, "")
    for keys, text in re.findall(r"^(\S.*)\n((?:  .*\n)+)", MISTAKES, re.MULTILINE):
        one_line = " ".join(text.split()).replace("@", "in serial step 's'", 1)
        expected[keys] = f"x.yaml:3:{one_line}"
    for keys in expected:
        step = f"{{name: s, type: serial, port: COM1, {keys}}}"
        path.write_text(f"vars: {{x: 1}}\nsteps:\n- {step}\n")
        found[keys] = first_line(path)

    assert len(expected) == 25
    assert found == expected


def test_a_mistake_in_a_value_of_an_expression_fails_the_step() -> None:
    assert failure("loop://", {"send": "x"}, {"expect": "("}) == (
        "validation",
        ("dialog", 1, "expect"),
        (
            "'dialog[1].expect' is no regular expression: "
            "missing ), unterminated subpattern at position 0"
        ),
    )


def test_each_line_is_recorded_with_what_was_received_and_its_error(connect: Connect) -> None:
    device = connect("v1 °C\r\n".encode(), (b"bye", b"so"), hangs_up=True)
    events: list[Any] = []
    env = StepEnvironment(step="s", recipe="x.yaml", root=Path.cwd(), add_exchange=events.append)
    dialog = [START, {"expect": "C\n", "as": "t"}, {"send": "bye"}, {"expect": "never"}]

    keys = msgspec.convert({"port": device.port, "dialog": dialog}, SerialKeys)

    with pytest.raises(StepFailure):
        Serial().run(keys, Context(), env)

    *lines, lost = [(one.do, one.command, one.answer, one.kind) for one in events]
    assert lines == [
        ("write", "!", None, ""),
        ("read", "C\n", "v1 °C\n", ""),
        ("write", "bye", None, ""),
    ]
    assert lost == ("read", "never", None, "closed")
    assert "the connection was lost while 'never' was expected" in events[-1].error
    assert {one.instrument for one in events} == {device.port}
