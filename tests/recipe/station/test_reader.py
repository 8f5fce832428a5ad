"""Reader of the station file: values, and the whole text of its problems."""

import hashlib
from datetime import date
from pathlib import Path

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.problems import RecipeError
from pytest_orchestrator.recipe.station.model import Station, calibration_of
from pytest_orchestrator.recipe.station.reader import load_station

_FULL = """\
x-serial: &serial {baud_rate: 115200, read_termination: "\\n", write_termination: "\\r\\n"}
name: bench-3
require_calibrated: true
instruments:
  psu:
    resource: TCPIP::192.0.2.7::INSTR
    timeout: 500ms
    idn: E36\\d+
    lock: bench-psu
    init: ["*CLS", SYST:REM]
    safe: [OUTP OFF]
    confirm: {query: OUTP?, matches: ^0}
    check_errors: false
    greeting: Welcome
    prompt: "> "
    calibrated: 2026-05-01
    due: "2027-05-01"
  dmm: {<<: *serial, resource: ASRL1::INSTR, backend: sims/dmm.yaml@sim}
  load: {resource: LOAD, confirm: none}
vars: {cable_loss_db: 0.4, nobody_declares_it: [no, 22:30]}
hosts: {dut: root@192.0.2.20}
resources: {scope: 2, none: 0}
"""


def read(folder: Path, text: str) -> Station:
    file = folder / "lab" / "station.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return load_station(file, folder)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        read(folder, text)
    return [
        f"{one.place.line}:{one.place.column} {one.text}".replace(str(folder), "ROOT")
        for one in caught.value.problems
    ]


def test_a_station_has_the_values_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "lab" / "sims").mkdir(parents=True)
    simulation = tmp_path / "lab" / "sims" / "dmm.yaml"
    simulation.write_text("spec: '1.1'\n")

    station = read(tmp_path, _FULL)

    psu, dmm, load = station.instruments.values()
    assert (station.id, station.name, station.title) == ("lab/station.yaml", "bench-3", "bench-3")
    assert station.digest == station.sha256 == hashlib.sha256(_FULL.encode()).hexdigest()
    assert station.require_calibrated
    assert station.vars == {"cable_loss_db": 0.4, "nobody_declares_it": ["no", "22:30"]}
    assert station.hosts == {"dut": "root@192.0.2.20"}
    assert station.resources == {"scope": 2, "none": 0}
    assert (psu.name, psu.resource, psu.backend) == ("psu", "TCPIP::192.0.2.7::INSTR", "@py")
    assert (psu.timeout, psu.idn, psu.lock_name) == (0.5, r"E36\d+", "bench-psu")
    assert (psu.init, psu.safe) == (("*CLS", "SYST:REM"), ("OUTP OFF",))
    assert (psu.calibrated, psu.due) == (date(2026, 5, 1), date(2027, 5, 1))
    assert (psu.confirm, psu.check_errors) == (("OUTP?", "^0"), False)
    assert (psu.greeting, psu.prompt) == ("Welcome", "> ")
    assert (dmm.confirm, dmm.check_errors, dmm.greeting) == (("*OPC?", r"^\+?1$"), True, None)
    assert load.confirm is None
    assert (psu.read_termination, psu.write_termination, psu.baud_rate) == (None, None, None)
    assert dmm.backend == f"{simulation}@sim"
    assert (dmm.read_termination, dmm.write_termination) == ("\n", "\r\n")
    assert (dmm.baud_rate, dmm.timeout) == (115_200, 2.0)
    assert dmm.lock_name == f"ASRL1::INSTR@{simulation}"
    assert (load.lock_name, load.init, load.safe, load.due) == ("LOAD", (), (), None)


def test_a_station_has_the_places_of_its_values(tmp_path: Path) -> None:
    station = read(
        tmp_path, "vars: {a: 1}\ninstruments:\n  psu: {resource: A, safe: [X, OUTP 0]}\n"
    )

    assert station.at["vars.a"] == Place(1, 11, 1)
    assert station.at["instruments.psu"] == station.instruments["psu"].at[""] == Place(3, 8, 32)
    assert station.instruments["psu"].at["safe/1"] == Place(3, 32, 6)


def test_a_station_file_may_begin_with_a_byte_order_mark_and_have_no_instruments(
    tmp_path: Path,
) -> None:
    station = read(tmp_path, "\ufeffvars: {gain: 2}\n")

    assert (station.vars, station.instruments) == ({"gain": 2}, {})
    assert station.title == "lab/station.yaml"


_WANTED = "(a station file has keys such as 'instruments')"
_PSU = '{resource: "TCPIP::192.0.2.7::INSTR"}'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f"1:1 the file is empty {_WANTED}"),
        ("# nothing yet\n", f"1:1 the file is empty {_WANTED}"),
        ("- psu\n", f"1:1 the file is a list, should be a mapping {_WANTED}"),
        ("psu\n", f"1:1 the file is one text or number, should be a mapping {_WANTED}"),
        ("instruments:\n\tpsu: {}\n", "2:1 a tab cannot indent YAML (use spaces)"),
        (
            "name: a\n---\nname: b\n",
            "2:1 a second document begins here (a file holds one document)",
        ),
        (
            "instruments:\n- name: psu\n",
            (
                "2:1 'instruments' is a list, should be a mapping "
                f"(write instruments: {{psu: {_PSU}}})"
            ),
        ),
        ("vars: [a]\n", "1:7 'vars' is a list, should be a mapping (write vars: {gain: 2})"),
        ("name: a\nname: b\n", "2:1 the key 'name' is given twice, in lines 1 and 2"),
        (
            "vars: {url: '${{ env.URL }}'}\n",
            "1:13 an expression cannot stand here (write the value itself; $${{ is plain text)",
        ),
        (
            "require_calibrated: yes\n",
            "1:21 'require_calibrated' is text, should be true or false (write true)",
        ),
        (
            "instruments: {2nd: {resource: A}}\n",
            (
                "1:15 'instruments' has the key '2nd', should be letters, digits, _ and -, "
                "beginning with a letter or _"
            ),
        ),
        ("resources: {scope: -1}\n", "1:20 'resources.scope' is -1, should be 0 or more"),
        (
            "hosts: {-oProxyCommand: dut}\n",
            "1:9 'hosts' has the key '-oProxyCommand', should be a name as `host` of a step has it",
        ),
        (
            "hosts: {dut: -oProxyCommand}\n",
            "1:14 'hosts.dut' is '-oProxyCommand', should be the name of a host, as ssh takes it",
        ),
    ],
)
def test_a_wrong_station_file_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]


_KEYS = (
    "resource, backend, timeout, read_termination, write_termination, baud_rate, greeting, prompt, "
    "idn, lock, init, safe, confirm, check_errors, shared, calibrated, due, uncertainty, "
    "manufacturer, model, serial or certificate"
)


def test_an_unknown_key_is_reported_with_the_key_that_is_meant(tmp_path: Path) -> None:
    text = """\
nam: bench
steps: []
idn: E36
timeot: 2
instruments:
  psu: {adress: "TCPIP::1::INSTR", savee: [], vars: 1, 1st: 2}
  dmm: {resource: A, address: B}
devices: {}
"""

    assert problems(tmp_path, text) == [
        "1:1 unknown key 'nam' in the station file (did you mean 'name'?)",
        "2:1 unknown key 'steps' in the station file (this looks like a recipe)",
        (
            "3:1 unknown key 'idn' in the station file ('idn' is a key of an instrument, below "
            "'instruments')"
        ),
        (
            "4:1 unknown key 'timeot' in the station file (it may have name, laboratory, "
            "place, vars, hosts, resources or require_calibrated)"
        ),
        "6:9 unknown key 'adress' in 'instruments.psu' (did you mean 'resource'?)",
        "6:36 unknown key 'savee' in 'instruments.psu' (did you mean 'safe'?)",
        (
            "6:47 unknown key 'vars' in 'instruments.psu' ('vars' is a key of the station file, "
            "beside 'instruments')"
        ),
        f"6:56 unknown key '1st' in 'instruments.psu' (it may have {_KEYS})",
        "7:22 unknown key 'address' in 'instruments.dmm' ('resource' is there already)",
        "8:1 unknown key 'devices' in the station file ('instruments' is there already)",
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            "TCPIP::1::INSTR",
            'is text, should be a mapping (write psu: {resource: "TCPIP::1::INSTR"})',
        ),
        ("[A]", f"is a list, should be a mapping (write psu: {_PSU})"),
        ("", f"is empty, should be a mapping (write psu: {_PSU})"),
        ("{idn: A}", "is missing 'resource'"),
    ],
)
def test_an_instrument_is_a_mapping_with_a_resource(
    tmp_path: Path, entry: str, problem: str
) -> None:
    assert [
        one.partition(" ")[2] for one in problems(tmp_path, f"instruments: {{psu: {entry}}}")
    ] == [f"'instruments.psu' {problem}"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("timeout: -1", "timeout' is -1, should be more than 0 seconds"),
        (
            "timeout: 2 minutes",
            "timeout' is '2 minutes', should be seconds, or a text such as 500ms, 30s, 2m or 1h",
        ),
        ("safe: OUTP OFF", "safe' is text, should be a list (write [OUTP OFF])"),
        ("safe: [A, '']", "safe[1]' is '', should not be empty"),
        ("init: [VOLT 5µ]", "init[0]' is 'VOLT 5µ', should be ASCII, and has 'µ' in it"),
        (
            'init: ["A\\nB"]',
            "init[0]' is 'A\\nB', should be one line with one command",
        ),
        (
            "idn: 'E36['",
            "idn' is 'E36[', no regular expression: unterminated character set, at character 4",
        ),
        ("backend: py", "backend' is 'py', should be @py, @ivi or FILE@sim (did you mean '@py'?)"),
        ("backend: lib.so", "backend' is 'lib.so', should be @py, @ivi or FILE@sim"),
        (
            "backend: dmm.yml@sim",
            (
                "backend' is 'dmm.yml@sim', and the file ROOT/lab/dmm.yml does not "
                "exist (did you mean 'dmm.yaml'?)"
            ),
        ),
        (
            "backend: none/x@sim",
            (
                "backend' is 'none/x@sim', and the file ROOT/lab/none/x does not "
                "exist (the file is relative to the station file)"
            ),
        ),
        (
            "read_termination: \\n",
            (
                "read_termination' is '\\\\n', a backslash and a letter; write \"\\n\" "
                "in double quotes"
            ),
        ),
        ("baud_rate: fast", "baud_rate' is text, should be a whole number"),
        ("baud_rate: 3", "baud_rate' is 3, should be 50 to 10000000"),
        (
            "confirm: OUTP?",
            'confirm\' is \'OUTP?\', should be none, or a mapping: {query: "OUTP?", matches: "^0"}',
        ),
        ("confirm: [OUTP?]", "confirm' is a list, should be text, or a mapping"),
        (
            "confirm: {query: OUTP?}",
            "confirm' is a mapping, should have the keys query and matches, and no other",
        ),
        (
            "confirm: {query: OUTP?, match: 0}",
            "confirm.match' is a number, should be text (quote it: '0')",
        ),
        (
            "confirm: {query: OUTP, matches: ^0}",
            "confirm' is a mapping, whose query is 'OUTP', and has no '?'",
        ),
        (
            "confirm: {query: OUTP?, matches: (0}",
            (
                "confirm' is a mapping, whose matches is '(0', no regular expression: missing ), "
                "unterminated subpattern, at character 1"
            ),
        ),
        (
            "confirm: {query: '', matches: ^0}",
            "confirm' is a mapping, whose query is '', should not be empty",
        ),
        ("check_errors: no", "check_errors' is text, should be true or false (write false)"),
        (
            "greeting: '['",
            "greeting' is '[', no regular expression: unterminated character set, at character 1",
        ),
        ("prompt: µ>", "prompt' is 'µ>', should be ASCII"),
        ("calibrated: May 2026", "calibrated' is 'May 2026', should be a day such as 2026-05-01"),
        ("calibrated: 20260501", "calibrated' is 20260501, should be a day such as 2026-05-01"),
        ("due: 2026-02-30", "due' is '2026-02-30', no day of the calendar"),
        ("due: [2026]", "due' is a list, should be a day such as 2026-05-01"),
        ("due: ", "due' is empty, should be a day such as 2026-05-01"),
        (
            "calibrated: 2026-05-02\n    due: 2026-05-01",
            "due' is 2026-05-01, before the calibration on 2026-05-02",
        ),
    ],
)
def test_a_wrong_value_of_an_instrument_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "dmm.yaml").touch()
    found = problems(tmp_path, f"instruments:\n  psu:\n    resource: A\n    {line}\n")

    assert [one.partition(" ")[2] for one in found] == [f"'instruments.psu.{problem}"]


def test_an_error_shows_all_problems_with_their_lines(tmp_path: Path) -> None:
    text = "instruments:\n  dmm: {resource: A, idn: ''}\n  psu: {resource: B, safe: OUTP OFF}\n"
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, text)

    assert (
        str(caught.value)
        == """\
lab/station.yaml:2:27: 'instruments.dmm.idn' is '', should not be empty

   1 | instruments:
   2 |   dmm: {resource: A, idn: ''}
     |                           ^^
lab/station.yaml:3:28: 'instruments.psu.safe' is text, should be a list (write [OUTP OFF])

   1 | instruments:
   2 |   dmm: {resource: A, idn: ''}
   3 |   psu: {resource: B, safe: OUTP OFF}
     |                            ^^^^^^^^
2 problems"""
    )


def test_a_missing_station_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the file cannot be read: No such file or directory"):
        load_station(tmp_path / "station.yaml", tmp_path)


@pytest.mark.parametrize(
    ("today", "sentence"),
    [
        (date(2026, 5, 1), ""),
        (date(2026, 5, 2), "calibration of 'psu' was due on 2026-05-01 (yesterday)"),
        (date(2026, 11, 24), "calibration of 'psu' was due on 2026-05-01 (207 days ago)"),
    ],
)
def test_a_calibration_is_valid_until_the_day_when_it_is_due(
    tmp_path: Path, today: date, sentence: str
) -> None:
    text = "instruments:\n  psu: {resource: A, due: 2026-05-01}\n  dmm: {resource: B}\n"
    psu, dmm = read(tmp_path, text).instruments.values()

    assert calibration_of(psu, today) == sentence
    assert calibration_of(dmm, today) == ""
