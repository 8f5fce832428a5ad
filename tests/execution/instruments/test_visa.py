"""Tests of sessions of instruments: sockets, a serial port, and devices of PyVISA-sim."""

import gc
import os
import re
import select
import socket
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import PATIENCE
from pytest_orchestrator.execution.instruments.visa import VisaSession
from pytest_orchestrator.instrument import InstrumentError
from tests.instruments import IDN, POWER_SUPPLY, Closing, ScpiInstrument

SIMULATED = f"{POWER_SUPPLY}@sim"

LEAVES_SOCKETS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""pyvisa-py does not close the socket of a LAN device (VXI-11) that it cannot connect to."""


@pytest.fixture
def psu() -> Iterator[VisaSession]:
    session = VisaSession("psu")
    yield session
    session.close()


def opened(psu: VisaSession, server: ScpiInstrument, timeout: float = PATIENCE) -> VisaSession:
    psu.open({"resource": server.resource, "backend": "@py", "timeout": timeout})
    return psu


def failure(action: Any, *arguments: Any) -> tuple[str, str]:
    """Return the sentence and the kind of the error of an action."""
    with pytest.raises(InstrumentError) as caught:
        action(*arguments)
    assert caught.value.instrument == "psu"
    return str(caught.value), caught.value.kind


def test_a_socket_carries_commands_and_answers_without_their_terminations(
    psu: VisaSession,
) -> None:
    with ScpiInstrument({"SPACE?": b" 1 \r\n", "EMPTY?": b"\n"}) as server:
        opened(psu, server)
        psu.write("VOLT 5")
        psu.write("MEAS:VOLT?")

        assert psu.read(None) == "+0.0000E+00"
        assert psu.query("VOLT?", None) == "5.000"
        assert psu.query("SPACE?", None) == " 1 "
        assert psu.query("EMPTY?", None) == ""
        assert server.texts == ["VOLT 5", "MEAS:VOLT?", "VOLT?", "SPACE?", "EMPTY?"]
        assert server.connections == 1
        psu.close()
        server.wait_until_closed()


def test_an_answer_that_comes_too_late_is_not_the_answer_to_the_next_query(
    psu: VisaSession,
) -> None:
    with ScpiInstrument(held=("MEAS:CURR?",)) as server:
        opened(psu, server)
        sentence = ("psu: no answer to 'MEAS:CURR?' within 0.05 s", "timeout")
        assert failure(psu.query, "MEAS:CURR?", 0.05) == sentence

        psu.write("OUTP 0")  # a command without an answer is sent at once
        assert server.connections == 1
        server.release.set()
        assert psu.query("VOLT?", None) == "0.000"
        assert server.texts == ["MEAS:CURR?", "OUTP 0", "VOLT?"]  # on two connections
        assert server.connections == 2


def test_the_last_command_reaches_an_instrument_whose_answer_was_late(psu: VisaSession) -> None:
    with ScpiInstrument({"CURV?": bytes(100_000)}, held=("VOLT?",)) as server:
        opened(psu, server)
        failure(psu.query, "VOLT?", 0.05)
        for _ in range(20):
            psu.write("CURV?")
        psu.write("OUTP 0")
        server.release.set()
        psu.close()  # with answers that were not read, which resets the connection

        server.wait_for("OUTP 0")


def test_an_answer_that_is_not_read_is_not_the_answer_to_the_next_query(psu: VisaSession) -> None:
    with ScpiInstrument({'DISP "?"': None}) as server:
        opened(psu, server)
        psu.write('DISP "?"')  # a text, no query
        assert psu.query("*IDN?", None) == IDN
        assert server.connections == 1

        psu.write("VOLT?")
        psu.write("CURR?")
        assert psu.read(None) == "0.000"
        assert psu.query("*IDN?", None) == IDN
        assert server.connections == 2


@pytest.mark.parametrize("asks", ["query", "block"])
def test_an_answer_that_nothing_has_asked_for_is_not_the_answer_to_the_next_query(
    psu: VisaSession, asks: str
) -> None:
    with ScpiInstrument({"TWO?": b"1\n2\r\n", "CURV?": b"#14wave\n"}) as server:
        opened(psu, server)
        assert psu.query("TWO?", None) == "1"

        assert failure(getattr(psu, asks), "CURV?", None) == (
            "psu: 'CURV?' was not sent: an answer waits that nothing has asked for: '2\\r\\n'",
            "protocol",
        )
        assert psu.block("CURV?", None) == b"wave"
        assert (server.texts, server.connections) == (["TWO?", "CURV?"], 2)


def test_an_answer_waits_between_the_write_and_the_read_of_an_author(psu: VisaSession) -> None:
    with ScpiInstrument({"TWO?": b"1\n2\n"}) as server:
        opened(psu, server)
        psu.write("TWO?")

        assert (psu.read(None), psu.read(None)) == ("1", "2")
        assert psu.query("*IDN?", None) == IDN
        assert server.connections == 1


def test_a_greeting_is_read_away_if_the_station_file_names_it(psu: VisaSession) -> None:
    with ScpiInstrument(greeting=b"Welcome\r\nready\r\n") as server:
        options = {"resource": server.resource, "timeout": PATIENCE}
        psu.open(options | {"greeting": "ready"})
        assert psu.query("*IDN?", None) == IDN

        psu.open(options)
        assert psu._socket is not None  # noqa: SLF001 - until the bytes are here
        select.select([psu._socket.fileno()], [], [], PATIENCE)  # noqa: SLF001
        assert failure(psu.query, "*IDN?", None) == (
            (
                "psu: '*IDN?' was not sent: an answer waits that nothing has asked for: "
                "'Welcome\\r\\nready\\r\\n'; say 'greeting: REGEX' in the station file if the "
                "instrument sends it"
            ),
            "protocol",
        )
        assert failure(psu.open, options | {"greeting": "hello", "timeout": 0.2}) == (
            ("psu: the greeting 'hello' did not come within 0.2 s, but 'Welcome\\r\\nready\\r\\n'"),
            "protocol",
        )


def test_a_prompt_is_read_away_after_answers_and_commands(psu: VisaSession) -> None:
    answers = {"VOLT 5": b"> ", "VOLT?": b"5.0\n> ", "CURV?": b"#14wave\n> ", "BARE?": b"1\n"}
    with ScpiInstrument(answers | {"ODD?": b"1\n$ "}) as server:
        psu.open({"resource": server.resource, "timeout": PATIENCE, "prompt": "> "})
        psu.write("VOLT 5")

        assert [psu.query("VOLT?", None), psu.query("VOLT?", None)] == ["5.0", "5.0"]
        assert psu.block("CURV?", None) == b"wave"
        psu.write("VOLT?")
        assert psu.read(None) == "5.0"
        assert server.connections == 1
        assert failure(psu.query, "BARE?", 0.1) == (
            "psu: the prompt '> ' did not come after the answer to 'BARE?' in time",
            "timeout",
        )
        assert failure(psu.query, "ODD?", None) == (
            "psu: the prompt '> ' did not come after the answer to 'ODD?', but '$ '",
            "protocol",
        )
        assert psu.query("VOLT?", None) == "5.0"


@pytest.mark.parametrize("option", ["greeting", "prompt"])
def test_a_device_that_marks_the_end_of_messages_has_no_prompt(
    psu: VisaSession, option: str
) -> None:
    resource = "TCPIP0::psu::inst0::INSTR"

    assert failure(psu.open, {"resource": resource, "backend": SIMULATED, option: "> "}) == (
        f"psu: {resource} is no socket or serial port and has no {option}",
        "refused",
    )


def test_the_status_byte_of_a_device_shows_that_an_answer_waits(
    psu: VisaSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"resource": "TCPIP0::psu::inst0::INSTR", "backend": SIMULATED}
    psu.open(options | {"timeout": PATIENCE})
    status, asked = 0, []

    def read_stb(_: object) -> int:
        asked.append(status)
        return status

    resource = psu._resource  # noqa: SLF001 - it stands for another program at the device
    monkeypatch.setattr(type(resource), "read_stb", read_stb)
    volts = psu.query("VOLT?", None)  # PyVISA-sim keeps what an earlier test has set
    resource.write("MEAS:CURR?")  # its answer waits, and this session does not know it
    status = 16

    sentence, kind = failure(psu.query, "VOLT?", None)
    assert (sentence, kind) == (
        ("psu: 'VOLT?' was not sent: an answer waits that nothing has asked for: '+1.2000E-01\\n'"),
        "protocol",
    )
    assert psu.query("VOLT?", None) == volts  # the bit is set and nothing waits
    before = len(asked)
    assert psu.query("VOLT?", None) == volts
    assert len(asked) == before, "a bit with another meaning is not asked for again"


def test_a_timeout_says_how_far_the_answer_came(psu: VisaSession) -> None:
    with ScpiInstrument({"HALF?": b"+5.0", "NOTHING?": None}) as server:
        opened(psu, server, 0.05)

        assert failure(psu.query, "HALF?", None) == (
            "psu: the answer to 'HALF?' has no end: 4 bytes came within 0.05 s, but not '\\n'",
            "timeout",
        )
        psu.write("NOTHING?")
        assert failure(psu.read, None) == ("psu: nothing to read within 0.05 s", "timeout")


def test_a_connection_closed_in_the_middle_of_an_answer_is_reported_at_once(
    psu: VisaSession,
) -> None:
    closed = {"MEAS:CURR?": Closing(b"+5."), "CURV?": Closing(b"#41000abc")}
    with ScpiInstrument(closed) as server:
        for query in (psu.query, psu.block):
            command = "CURV?" if query == psu.block else "MEAS:CURR?"
            opened(psu, server)
            lost = f"the connection was lost at '{command}': the instrument closed the connection"

            assert failure(query, command, None) == (f"psu: {lost}", "closed")
            assert failure(psu.write, "OUTP 0") == (
                f"psu: 'OUTP 0' cannot be sent: {lost}",
                "closed",
            )
        assert failure(psu.read, None)[0].startswith("psu: nothing can be read: the connection was")

        opened(psu, server)
        assert psu.query("OUTP?", None) == "0"


def test_a_lost_connection_is_reported_at_a_write_too(psu: VisaSession) -> None:
    with ScpiInstrument() as server:
        opened(psu, server).query("VOLT?", None)
        server.drop_connections()
        server.wait_until_closed()

        def write_often() -> None:
            for _ in range(1000):  # the first commands after the end are sent into the void
                psu.write("VOLT 1")

        sentence, kind = failure(write_often)
        assert re.fullmatch(
            "psu: the connection was lost at 'VOLT 1': (broken pipe|connection reset by peer)",
            sentence,
        )
        assert kind == "closed"


@LEAVES_SOCKETS
def test_a_refused_connection_is_an_error_of_open(psu: VisaSession, port: int) -> None:
    for resource in (f"TCPIP::127.0.0.1::{port}::SOCKET", f"TCPIP::127.0.0.1,{port}::INSTR"):
        assert failure(psu.open, {"resource": resource}) == (
            f"psu: cannot open {resource}: connection refused",
            "closed",
        )
        assert failure(psu.query, "*IDN?", None) == (
            f"psu: '*IDN?' cannot be sent: cannot open {resource}: connection refused",
            "closed",
        )
    gc.collect()


@LEAVES_SOCKETS
@pytest.mark.parametrize(
    ("options", "sentence", "kind"),
    [
        (
            {"resource": "my_psu"},
            (
                "cannot open my_psu: it is no VISA resource, such as TCPIP::10.0.0.5::INSTR; only "
                "backend '@ivi' knows aliases, those of its VISA library"
            ),
            "closed",
        ),
        (
            {"resource": "TCPIP::psu.invalid::5025::SOCKET"},
            "cannot open TCPIP::psu.invalid::5025::SOCKET: the host 'psu.invalid' is unknown",
            "closed",
        ),
        (
            {"resource": "TCPIP::psu.invalid::INSTR"},
            "cannot open TCPIP::psu.invalid::INSTR: the host 'psu.invalid' is unknown",
            "closed",
        ),
        (
            {"resource": "ASRL/dev/no_such_port::INSTR"},
            "cannot open ASRL/dev/no_such_port::INSTR: no such file or directory",
            "closed",
        ),
        (
            {"resource": "x", "backend": "@keysight"},
            (
                "cannot use backend '@keysight': the package pyvisa_keysight is not installed; "
                "known are '@py', '@ivi' and FILE@sim"
            ),
            "missing",
        ),
        (
            {"resource": "x", "backend": "/lib/no_visa.so@ivi"},
            (
                "cannot use backend '/lib/no_visa.so@ivi': /lib/no_visa.so: cannot open shared "
                "object file: No such file or directory"
            ),
            "missing",
        ),
        (
            {"resource": "x", "backend": "/no/psu.yaml@sim"},
            "cannot read the simulation file /no/psu.yaml: no such file or directory",
            "status",
        ),
        (
            {"resource": "TCPIP0::dmm::5025::SOCKET", "backend": SIMULATED},
            (
                "cannot open TCPIP0::dmm::5025::SOCKET: the simulation file has no such resource; "
                "it has ASRL1::INSTR, TCPIP0::psu::5025::SOCKET, TCPIP0::psu::inst0::INSTR, "
                "USB0::0x1111::0x2222::SN42::0::INSTR"
            ),
            "closed",
        ),
        (
            {"resource": "TCPIP0::psu::inst0::INSTR", "backend": SIMULATED, "baud_rate": 9600},
            "TCPIP0::psu::inst0::INSTR is no serial port and has no baud rate",
            "refused",
        ),
    ],
)
def test_an_instrument_that_cannot_be_opened_has_a_sentence_with_the_cure(
    psu: VisaSession, options: dict[str, Any], sentence: str, kind: str
) -> None:
    assert failure(psu.open, options) == (f"psu: {sentence}", kind)
    gc.collect()


def test_a_mistake_in_a_simulation_file_has_its_place(psu: VisaSession, tmp_path: Path) -> None:
    file = tmp_path / "psu.yaml"
    options = {"resource": "ASRL1::INSTR", "backend": f"{file}@sim"}

    file.write_text('spec: "1.1"\ndevices:\n  a: [\n')
    assert failure(psu.open, options) == (
        f"psu: {file}:4:1: expected the node content, but found '<stream end>'",
        "status",
    )
    file.write_text('spec: "1.1"\ndevices: {}\nresources:\n  ASRL1::INSTR: {device: a}\n')
    assert failure(psu.open, options) == (
        f"psu: the simulation file {file} has a mistake: KeyError: 'a'",
        "status",
    )


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    psu: VisaSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyvisa", None)

    assert failure(psu.open, {"resource": "x"}) == (
        "psu: PyVISA is not installed; install it with: pip install 'pytest-orchestrator[visa]'",
        "missing",
    )


def test_a_missing_vendors_library_is_named(
    psu: VisaSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyvisa.ctwrapper import IVIVisaLibrary

    monkeypatch.setattr(IVIVisaLibrary, "get_library_paths", staticmethod(lambda: ()))

    assert failure(psu.open, {"resource": "x", "backend": "@ivi"}) == (
        (
            "psu: cannot use backend '@ivi': no VISA library is installed: install the one of NI, "
            "Keysight or Rohde & Schwarz, or use backend '@py'"
        ),
        "missing",
    )


def test_text_that_is_not_ascii_is_an_error_that_shows_it(psu: VisaSession) -> None:
    with ScpiInstrument({"TEMP?": b"23.5 \xb0C\n", "CURV?": b"#13\xff\xfe\xfd\n"}) as server:
        opened(psu, server)

        assert failure(psu.query, "TEMP?", None) == (
            "psu: the answer to 'TEMP?' is not ASCII: '23.5 \\xb0C'",
            "protocol",
        )
        assert failure(psu.query, "CURV?", None) == (
            (
                "psu: the answer to 'CURV?' is not ASCII: '#13\\xff\\xfe\\xfd'; "
                "read a binary block with `type: block` or `query_block`"
            ),
            "protocol",
        )
        assert failure(psu.write, "DISP 5 \u03a9") == (
            "psu: the command 'DISP 5 \u03a9' is not ASCII",
            "protocol",
        )
        assert server.texts == ["TEMP?", "CURV?"]


def test_blocks_are_read_whatever_bytes_they_have(psu: VisaSession) -> None:
    data = bytes(range(256)) * 2
    blocks = {
        "DEFINITE?": b"#3512" + data + b"\n",
        "EMPTY?": b"#10\r\n",
        "INDEFINITE?": b"#0" + data + b"\n",
    }
    with ScpiInstrument(blocks) as server:
        opened(psu, server)

        assert psu.block("DEFINITE?", None) == data
        assert psu.block("EMPTY?", None) == b""
        assert psu.block("INDEFINITE?", None) == data
        psu.write_block("DATA wave,", data)
        assert psu.query("*IDN?", None) == IDN
        assert (server.blocks, server.connections) == ([data], 1)


def test_a_block_without_a_line_end_is_complete(psu: VisaSession) -> None:
    with ScpiInstrument({"CURV?": b"#13abc"}) as server:
        opened(psu, server)

        assert psu.block("CURV?", None) == b"abc"
        assert psu.query("*IDN?", None) == IDN
        assert server.connections == 2, "a line end that comes late would be the next answer"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"+5.00\n", "is no block: '+5.00'"),
        (b"#x12abc\n", "has a wrong block header: '#x12abc'"),
        (b"#3x12abc\n", "has a wrong block header: '#3x12'"),
        (b"#", "has an incomplete block header"),
        (b"#41", "has an incomplete block header"),
        (b"#41000" + bytes(512), "ends after 512 of the 1,000 bytes of its block"),
        (b"#15hello world\n", "has more after its block of 5 bytes: ' world'"),
        (b"#0ab\ncd", "has no '\\n' at its end"),
    ],
)
def test_a_broken_block_is_an_error_that_says_how(
    psu: VisaSession, answer: bytes, problem: str
) -> None:
    with ScpiInstrument({"CURV?": answer}) as server:
        opened(psu, server)

        assert failure(psu.block, "CURV?", 0.2) == (
            f"psu: the answer to 'CURV?' {problem}",
            "protocol",
        )
        assert psu.query("*IDN?", None) == IDN


def test_a_block_that_does_not_begin_is_late(psu: VisaSession) -> None:
    with ScpiInstrument({"CURV?": None}) as server:
        opened(psu, server)

        assert failure(psu.block, "CURV?", 0.05) == (
            "psu: no answer to 'CURV?' within 0.05 s",
            "timeout",
        )


def test_answers_of_10_megabytes_are_read(psu: VisaSession) -> None:
    data = bytes(range(250)) * 40_000
    with ScpiInstrument({"BIG?": "x" * 10_000_000, "CURV?": b"#810000000" + data}) as server:
        opened(psu, server)

        assert psu.query("BIG?", None) == "x" * 10_000_000
        assert psu.block("CURV?", None) == data


def test_an_instrument_that_takes_no_data_is_reported(psu: VisaSession) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        psu.open({"resource": f"TCPIP::127.0.0.1::{deaf.getsockname()[1]}::SOCKET", "timeout": 0.2})

        assert failure(psu.write_block, "DATA wave,", bytes(20_000_000)) == (
            "psu: 'DATA wave,' could not be sent within 0.2 s",
            "timeout",
        )


@pytest.mark.parametrize(
    "resource",
    [
        "TCPIP0::psu::5025::SOCKET",
        "TCPIP0::psu::inst0::INSTR",
        "USB0::0x1111::0x2222::SN42::0::INSTR",
        "ASRL1::INSTR",
    ],
)
def test_simulated_devices_answer_and_forget_answers_that_were_not_read(
    psu: VisaSession, resource: str
) -> None:
    psu.open({"resource": resource, "backend": SIMULATED, "timeout": PATIENCE})
    psu.write("VOLT 7.5")

    assert psu.query("VOLT?", None) == "7.500"
    assert psu.block("CURV?", None) == b"hello"
    psu.write("VOLT 31")
    assert psu.query("SYST:ERR?", None) == '-113,"Undefined header"'
    psu.write("MEAS:CURR?")
    assert psu.query("*IDN?", None) == IDN
    sentence = ("psu: no answer to 'NOTHING?' within 0.05 s", "timeout")
    assert failure(psu.query, "NOTHING?", 0.05) == sentence
    assert psu.query("*OPC?", None) == "1"


class SerialInstrument:
    """An instrument at a pseudo-terminal that answers each line by a table, in a thread."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self._ours, theirs = os.openpty()
        tty.setraw(theirs)
        self.resource = f"ASRL{os.ttyname(theirs)}::INSTR"
        self.port, self._answers = theirs, answers
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.close(self.port)
        self._thread.join(PATIENCE)
        os.close(self._ours)

    def _serve(self) -> None:
        try:
            with os.fdopen(os.dup(self._ours), "rb") as lines:
                for line in lines:
                    os.write(self._ours, self._answers.get(line.strip().decode(), b""))
        except OSError:
            return


def test_a_serial_port_has_a_baud_rate_text_and_blocks(psu: VisaSession) -> None:
    port = SerialInstrument(
        {"*IDN?": b"ACME\n", "CURV?": b"#14a\nb\n\n", "HALF?": b"+5.", "TWO?": b"1\n2\n"}
    )
    try:
        options = {"resource": port.resource, "baud_rate": 115200, "timeout": PATIENCE}
        psu.open(options)
        speed = termios.tcgetattr(port.port)[4]

        assert speed == termios.B115200
        assert psu.query("*IDN?", None) == "ACME"
        assert psu.block("CURV?", None) == b"a\nb\n"
        assert failure(psu.query, "HALF?", 0.05) == (
            "psu: no answer to 'HALF?' within 0.05 s",
            "timeout",
        )
        assert psu.query("*IDN?", None) == "ACME"
        assert psu.query("TWO?", None) == "1"
        assert failure(psu.query, "*IDN?", None) == (
            "psu: '*IDN?' was not sent: an answer waits that nothing has asked for: '2\\n'",
            "protocol",
        )
        assert psu.query("*IDN?", None) == "ACME"
    finally:
        psu.close()
        port.close()
