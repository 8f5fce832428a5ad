"""Station and its instruments, as the station file describes them.

Each field with a description and an example is a key of the station file; the reference and the
JSON Schema are generated from these fields. The reader computes the other fields.
"""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from pytest_orchestrator.core.location import Places
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.instrument import is_query, shown
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.key_types import Json, Text, key
from pytest_orchestrator.recipe.model.measurements import Source, Uncertainty

_BACKENDS: Final = ("@py", "@ivi", "@sim")
BACKEND: Final = r"(\S([\s\S]*\S)?)?@(py|ivi|sim)"


def backend_name(text: str) -> str:
    """Check a backend of PyVISA: `@py`, `@ivi`, or a file in front of `@sim` or `@ivi`."""
    if not re.fullmatch(BACKEND, text):
        near = (
            "" if "@" in text[1:] else nearest(text if text[:1] == "@" else f"@{text}", _BACKENDS)
        )
        raise ValueError(f"should be @py, @ivi or FILE@sim{near}")
    return text


_ESCAPE: Final = r"\\[nrt0]"
_ASCII: Final = {"pattern": r"^(?![\s\S]*\\[nrt0])[\x00-\x7F]*$"}


def termination(text: str) -> str:
    """Check the characters that end a command or an answer."""
    if re.search(_ESCAPE, text):
        raise ValueError(f'a backslash and a letter; write "{text}" in double quotes')
    if not text.isascii():
        raise ValueError("should be ASCII")
    return text


host_label = key_types.matching(key_types.HOST, "a name as `host` of a step has it")
"""Rule for names of hosts that the station file defines."""


_SLOWEST, _FASTEST = 50, 10_000_000


def baud(number: int) -> int:
    """Check the speed of a serial line."""
    if not _SLOWEST <= number <= _FASTEST:
        raise ValueError(f"should be {_SLOWEST} to {_FASTEST}")
    return number


class Confirmation(NamedTuple):
    """Query whose answer shows that an instrument has reached its safe state.

    Attributes:
        query: The query.
        matches: A regular expression that is searched in the answer.
    """

    query: str
    matches: str


OPERATION_COMPLETE: Final = Confirmation("*OPC?", r"^\+?1$")
"""Query of IEEE 488.2 that an instrument answers once it has executed all earlier commands."""


def confirmation(value: dict[str, str] | str) -> Confirmation | None:
    """Return the confirmation of a safe state; None for an instrument that cannot answer."""
    if value == "none":
        return None
    if isinstance(value, str):
        raise ValueError('should be none, or a mapping: {query: "OUTP?", matches: "^0"}')
    if value.keys() != set(Confirmation._fields):
        raise ValueError("should have the keys query and matches, and no other")
    rules = {"query": key_types.scpi, "matches": key_types.pattern}
    for name, rule in rules.items():
        try:
            rule(value[name])
        except ValueError as error:
            raise ValueError(f"whose {name} is '{shown(value[name], 80)}', {error}") from None
    if not is_query(value["query"]):
        raise ValueError(f"whose query is '{value['query']}', and has no '?'")
    return Confirmation(**value)


Command = Annotated[str, Meta(extra={"rule": key_types.scpi})]
Host = Annotated[str, Meta(extra={"rule": key_types.host})]
HostLabel = Annotated[str, Meta(extra={"rule": host_label}, pattern=f"^{key_types.HOST}$")]
Units = Annotated[int, Meta(extra={"rule": key_types.not_negative})]


class InstrumentSettings(Struct, frozen=True, kw_only=True):
    """Settings of one instrument of a station.

    Attributes:
        name: The name by which recipes use it.
        at: The place of the value of each key in the file; below ``""`` the place of the entry,
            below names such as ``safe/0`` the places of single commands.
    """

    resource: Annotated[
        str,
        key(
            "The VISA resource: its address, or an alias that the VISA library knows.",
            "TCPIP::192.0.2.7::INSTR",
            rule=key_types.filled_word,
        ),
    ]
    backend: Annotated[
        str,
        key(
            "The VISA library: `@py` is pyvisa-py (default), `@ivi` the library of a vendor, "
            "`FILE@sim` a simulation of pyvisa-sim; the file is relative to the station file.",
            "@py",
            rule=backend_name,
            limits={"pattern": f"^{BACKEND}$"},
        ),
    ] = "@py"
    timeout: Annotated[
        float,
        key(
            "Longest time for an answer: seconds, or a text such as `500ms`. The default is 2 s.",
            "500ms",
            written=int | float | str,
            rule=key_types.seconds,
        ),
    ] = 2.0
    read_termination: Annotated[
        str | None,
        key(
            "The characters that end an answer, in double quotes. The default is that of PyVISA.",
            "\n",
            rule=termination,
            limits=_ASCII,
        ),
    ] = None
    write_termination: Annotated[
        str | None,
        key(
            "The characters that end a command, in double quotes. The default is that of PyVISA.",
            "\r\n",
            rule=termination,
            limits=_ASCII,
        ),
    ] = None
    baud_rate: Annotated[
        int | None,
        key(
            "The speed of a serial line in baud.",
            115200,
            rule=baud,
            limits={"minimum": _SLOWEST, "maximum": _FASTEST},
        ),
    ] = None
    greeting: Annotated[
        str | None,
        key(
            "A regular expression for the text that a socket or serial port sends when it is "
            "opened; all up to its match, and what follows at once, is read away.",
            "Welcome",
            rule=key_types.pattern,
        ),
    ] = None
    prompt: Annotated[
        str | None,
        key(
            "The text that a socket or serial port sends after each answer, as a console does.",
            "SCPI> ",
            rule=termination,
            limits=_ASCII,
        ),
    ] = None
    idn: Annotated[
        str | None,
        key(
            "A regular expression that is searched in the answer to `*IDN?` before the first use; "
            "another instrument is refused.",
            "E36312A",
            rule=key_types.pattern,
        ),
    ] = None
    lock: Annotated[
        Text | None,
        key(
            "The name of the lock that a recipe holds while it uses the instrument. The default "
            "is the resource.",
            "psu",
        ),
    ] = None
    init: Annotated[
        tuple[Command, ...],
        key("Commands that are sent before the first use.", ["*CLS", "SYST:REM"]),
    ] = ()
    safe: Annotated[
        tuple[Command, ...],
        key(
            "Commands that make the instrument safe, sent after its last use. They may be sent "
            "more than once.",
            ["OUTP OFF"],
        ),
    ] = ()
    confirm: Annotated[
        Confirmation | None,
        key(
            "The query that is sent after the last command of `safe`, and a regular expression "
            "that is searched in its answer: only then the safe state is reached. The default is "
            "`*OPC?` with the answer `1`. `none`: the instrument cannot answer, and reports say "
            "*sent, not confirmed*.",
            {"query": "OUTP?", "matches": "^0"},
            written=dict[str, str] | str,
            rule=confirmation,
        ),
    ] = OPERATION_COMPLETE
    check_errors: Annotated[
        bool,
        key(
            "`false`: the error queue, `SYST:ERR?`, is not read after the commands of `safe`. Else "
            "it has to be empty. With `confirm: none` it is not read.",
            False,
        ),
    ] = True
    shared: Annotated[
        bool,
        key(
            "`true`: steps that use the instrument do not depend on each other, so the units of a "
            "panel need no turns for it.",
            True,
        ),
    ] = False
    calibrated: Annotated[
        date | None, key("The day of the last calibration.", "2026-05-01", own=True)
    ] = None
    due: Annotated[
        date | None,
        key("The last day for which the calibration is valid.", "2027-05-01", own=True),
    ] = None

    uncertainty: Annotated[
        dict[str, Uncertainty],
        key(
            "The uncertainty of its values by unit: a number with k = 2, or a mapping of `value`, "
            "`percent` and `k`; measurements name the instrument.",
            {"V": {"value": 0.003, "percent": 0.02}},
            own=True,
        ),
    ] = {}
    manufacturer: Annotated[
        str, key("The manufacturer, for certificates.", "ACME", rule=key_types.filled)
    ] = ""
    model: Annotated[str, key("The model, for certificates.", "PSU-30", rule=key_types.filled)] = ""
    serial: Annotated[
        str, key("The serial number, for certificates.", "SN42", rule=key_types.filled)
    ] = ""
    certificate: Annotated[
        str,
        key(
            "The number of its certificate of calibration, for certificates.",
            "CAL-2026-0417",
            rule=key_types.filled,
        ),
    ] = ""

    name: str
    at: Places

    @property
    def lock_name(self) -> str:
        """The name of its lock: ``lock``, else the resource, with the file of a simulation."""
        if self.lock is not None:
            return self.lock
        return f"{self.resource}@{self.simulation}" if self.simulation else self.resource

    @property
    def simulation(self) -> str:
        """The file of its simulation; empty for a real instrument."""
        return simulation_of(self.backend)


class Laboratory(Struct, frozen=True, kw_only=True):
    """The laboratory that tests."""

    name: Annotated[str, key("Its name.", "ACME Test Laboratory", rule=key_types.filled)]
    address: Annotated[
        str, key("Its address.", "1 Main Street, Springfield", rule=key_types.filled)
    ] = ""


class Station(Struct, frozen=True, kw_only=True):
    """A station file.

    Attributes:
        path: The file.
        id: The path relative to the rootdir, with forward slashes; absolute if the file is not
            below the rootdir.
        text: Its text, without a byte order mark.
        sha256: Digest of its bytes, in hexadecimal.
        at: The place of the value of each key in the file, and of each entry below a key, such as
            ``vars.gain``.
    """

    name: Annotated[
        str, key("The name of the station, for reports.", "bench-3", rule=key_types.filled)
    ] = ""
    instruments: Annotated[
        dict[str, InstrumentSettings],
        key(
            "The instruments by the names that recipes use.",
            {"psu": {"resource": "TCPIP::192.0.2.7::INSTR"}},
            own=True,
        ),
    ] = {}
    laboratory: Annotated[
        Laboratory | None,
        key(
            "The laboratory, for certificates.",
            {"name": "ACME Test Laboratory", "address": "1 Main Street, Springfield"},
            own=True,
        ),
    ] = None
    place: Annotated[
        str,
        key("The place of the tests, for certificates.", "Building 2, room 14"),
    ] = ""
    vars: Annotated[
        dict[str, Json],
        key(
            "Values for vars of the recipes that declare them; vars files and `--recipe-var` "
            "override them.",
            {"station": "bench_3", "cable_loss_db": 0.4},
        ),
    ] = {}
    hosts: Annotated[
        dict[HostLabel, Host],
        key(
            "Hosts of OpenSSH by the names that `host` of steps of type `ssh` has.",
            {"dut": "root@192.0.2.20"},
        ),
    ] = {}
    resources: Annotated[
        dict[Text, Units],
        key(
            "Units of named resources; the ini key `recipe_resources` and `--recipe-resource` "
            "override them.",
            {"scope": 2},
        ),
    ] = {}
    require_calibrated: Annotated[
        bool,
        key(
            "`true`: a step that uses an instrument after its calibration was due fails. The "
            "default is a warning.",
            True,
        ),
    ] = False

    path: Path
    id: str
    text: str
    sha256: str
    at: Places

    @property
    def digest(self) -> str:
        """The SHA-256 digest of the bytes of the file, in hexadecimal."""
        return self.sha256

    @property
    def sources(self) -> dict[str, Source]:
        """Its instruments by name, with their uncertainties and calibrations."""
        return {
            name: Source(name=name, uncertainties=one.uncertainty, due=one.due)
            for name, one in self.instruments.items()
        }

    @property
    def title(self) -> str:
        """The name of the station; the path of its file if it has none."""
        return self.name or self.id


def simulation_of(backend: str) -> str:
    """Return the file of a simulation, for a backend ``FILE@sim``; else an empty text."""
    return backend.removesuffix("@sim") if backend.endswith("@sim") else ""


def calibration_of(settings: InstrumentSettings | Source, today: date) -> str:
    """Return a sentence if the calibration of an instrument is no longer valid; else empty.

    Args:
        settings: The instrument.
        today: The day on which it is used; a calibration is valid on the day when it is due.

    Returns:
        Text such as ``calibration of 'psu' was due on 2026-05-01 (207 days ago)``.
    """
    if settings.due is None or today <= settings.due:
        return ""
    days = (today - settings.due).days
    ago = "yesterday" if days == 1 else f"{days:,} days ago"
    return f"calibration of '{settings.name}' was due on {settings.due} ({ago})"
