"""Step type `scpi`: commands, answers by type, failures, the error queue, blocks and checks."""

import base64
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.extending import (
    Instrument,
    InstrumentError,
    Project,
    StepEnvironment,
    StepFailure,
    StepSpec,
    Unevaluated,
    WrittenStep,
)
from pytest_orchestrator.recipe import RecipeError, load
from pytest_orchestrator.recipe.fields.extensions import BUILT_IN
from pytest_orchestrator.step_types.scpi import Scpi, ScpiKeys


class Table:
    """Instrument that answers from a table.

    Attributes:
        answers: The answers by query: a text, bytes, or an error; a list is used up.
        sent: The commands that were sent.
    """

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        self.answers = {"SYST:ERR?": '+0,"No error"', "*OPC?": "1", **(answers or {})}
        self.sent: list[str] = []
        self.timeouts: dict[str, float] = {}

    def open(self, name: str) -> Instrument:
        if name != "psu":
            raise InstrumentError(f"no instrument '{name}'", instrument=name, kind="refused")
        return Instrument(name, self.request)

    def request(self, request: Mapping[str, Any]) -> Any:
        if request["do"] == "open":
            return "ACME,PSU,1,1.0"
        command = request["command"]
        self.sent.append(command)
        if "timeout" in request:
            self.timeouts[command] = request["timeout"]
        answer = self.answers.get(command, "")
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, InstrumentError):
            raise answer
        if request["do"] == "write":
            return None
        return base64.b64encode(answer).decode() if isinstance(answer, bytes) else answer


def environment(table: Table, **more: Any) -> StepEnvironment:
    values: dict[str, Any] = {"step": "s", "recipe": "x.yaml", "root": Path.cwd()}
    return StepEnvironment(opener=table.open, **values | more)


def answered(table: Table, *commands: Any, env: StepEnvironment | None = None, **keys: Any) -> Any:
    given = {"instrument": "psu", "commands": [*commands], **keys}
    return Scpi().run(msgspec.convert(given, ScpiKeys), Context(), env or environment(table))


def failure(
    table: Table, *commands: Any, env: StepEnvironment | None = None, **keys: Any
) -> tuple[str, tuple[str | int, ...], str]:
    with pytest.raises(StepFailure) as caught:
        answered(table, *commands, env=env, **keys)
    return caught.value.kind, caught.value.path, str(caught.value)


def no_answer(command: str) -> InstrumentError:
    return InstrumentError(
        f"psu: no answer to '{command}' within 2 s", instrument="psu", kind="timeout"
    )


def test_commands_are_sent_in_their_order_and_answers_have_names() -> None:
    table = Table({"MEAS:CURR?": "+1.250000E-01", "*IDN?": "ACME,PSU,1,1.0", "OUTP?": "1"})

    result = answered(
        table,
        "VOLT 5",
        {"query": "*IDN?", "as": "idn"},
        {"wait": "opc", "timeout": "30s"},
        {"wait": "1ms"},
        {"query": "MEAS:CURR?", "as": "amps", "unit": "A", "timeout": 0.5},
        {"check": "errors"},
        {"query": "OUTP?", "as": "on", "type": "boolean"},
    )

    assert result == {
        "status": "ok",
        "idn": "ACME,PSU,1,1.0",
        "amps": 0.125,
        "on": True,
        "units": {"amps": "A"},
    }
    ends = ["SYST:ERR?", "OUTP?", "SYST:ERR?"]
    assert table.sent == ["VOLT 5", "*IDN?", "*OPC?", "MEAS:CURR?", *ends]
    assert table.timeouts == {"*OPC?": 30.0, "MEAS:CURR?": 0.5}


def test_a_single_answer_needs_no_name() -> None:
    table = Table({"MEAS:CURR?": "0.5"})

    assert answered(table, "VOLT 5", {"query": "MEAS:CURR?"}) == {"status": "ok", "value": 0.5}


@pytest.mark.parametrize(
    ("kind", "answer", "value"),
    [
        ("number", "+5.00000E+00", 5.0),
        ("number", " 5 ", 5),
        ("number", "-.5", -0.5),
        ("number", "5.", 5.0),
        ("number", "#H1F", 31),
        ("number", "#b101", 5),
        ("integer", "+1.0E+01", 10),
        ("boolean", "on", True),
        ("boolean", "+0", False),
        ("text", '"5 ""V"""', '5 "V"'),
        ("text", "'it''s'", "it's"),
        ("text", '"a","b"', '"a","b"'),
        ("text", "0042", "0042"),
        ("list", "1,+2.5E+00, 3", [1, 2.5, 3]),
        ("list", '1,"a,b",2', ["1", "a,b", "2"]),
        ("list", "", []),
    ],
)
def test_an_answer_is_a_value_of_its_type(kind: str, answer: str, value: Any) -> None:
    result = answered(Table({"A?": answer}), {"query": "A?", "type": kind})["value"]

    assert result == value
    assert type(result) is type(value)


def test_a_unit_behind_a_number_is_left_out() -> None:
    table = Table({"A?": "1.25 V", "B?": "1V,2v"})

    result = answered(
        table,
        {"query": "A?", "as": "a", "unit": "V"},
        {"query": "B?", "as": "b", "unit": "V", "type": "list"},
    )

    assert (result["a"], result["b"]) == (1.25, [1, 2])


TEXT, LIST, NUMBER = (
    f" (write type: {name} if that is right)" for name in ("text", "list", "number")
)
NO_VALUE = "which means not a number: there is no measured value"
OVERLOAD = "infinity: the value is out of range, an overload"


@pytest.mark.parametrize(
    ("kind", "answer", "reason"),
    [
        ("number", "9.91E37", f"was answered with '9.91E37', {NO_VALUE}"),
        ("number", "+9.91000000E+37", f"was answered with '+9.91000000E+37', {NO_VALUE}"),
        ("number", "NAN", f"was answered with 'NAN', {NO_VALUE}"),
        ("number", "+9.9E37", f"was answered with '+9.9E37', which means {OVERLOAD}"),
        ("integer", "-9.90E+37", f"was answered with '-9.90E+37', which means minus {OVERLOAD}"),
        ("number", "-INF", f"was answered with '-INF', which means minus {OVERLOAD}"),
        ("number", "1e999", f"was answered with '1e999', which means {OVERLOAD}"),
        ("list", "1,9.9E37", f"was answered with '1,9.9E37', whose value 2 of 2 means {OVERLOAD}"),
        ("number", "A,B", f"was answered with 'A,B', which is no number{TEXT}"),
        ("number", "OVLD", f"was answered with 'OVLD', which is no number{TEXT}"),
        ("number", "1,2", f"was answered with '1,2', which is no number{LIST}"),
        ("number", "", f"was answered with '', which is no number{TEXT}"),
        ("number", "5\r6", f"was answered with '5\\r6', which is no number{TEXT}"),
        ("integer", "1.5", f"was answered with '1.5', which is no whole number{NUMBER}"),
        ("boolean", "2", "was answered with '2', which is none of 1, 0, ON and OFF"),
    ],
)  # fmt: skip
def test_an_answer_of_another_type_fails_the_step(kind: str, answer: str, reason: str) -> None:
    table = Table({"A?": answer})

    expected = ("protocol", ("commands", 1), f"psu: 'A?' {reason}")
    assert failure(table, "VOLT 5", {"query": "A?", "type": kind}) == expected


def test_numbers_of_expressions_are_sent_without_an_exponent() -> None:
    table = Table()

    answered(table, "VOLT 1e-05", "CURR 1.5e-07;VOLT 2e+16", "DISP 'a 1e-05'", "X 1E-05,A1e-05")

    assert table.sent[:4] == [
        "VOLT 0.00001",
        "CURR 0.00000015;VOLT 2e+16",
        "DISP 'a 1e-05'",
        "X 1E-05,A1e-05",
    ]


def test_a_failure_names_the_command_and_its_line() -> None:
    closed = InstrumentError("psu: the connection was closed by 'VOLT 5'", kind="closed")
    unclear = InstrumentError("psu: 'A?' has a broken block", kind="protocol")
    table = Table({"VOLT 5": closed, "A?": unclear})

    assert failure(table, "CURR 1", "VOLT 5") == ("status", ("commands", 1), str(closed))
    assert failure(table, {"query": "A?"}) == ("protocol", ("commands", 0), str(unclear))
    assert failure(table, "A", instrument="pus") == (
        "status",
        ("instrument",),
        "no instrument 'pus'",
    )
    env = StepEnvironment(step="s", recipe="x.yaml", root=Path.cwd())
    reason = "psu: step 's' cannot use instruments here"
    assert failure(table, "A", env=env) == ("status", ("instrument",), reason)


def test_an_entry_of_the_error_queue_fails_the_step() -> None:
    entries = ['-222,"Data out of range"', '-113,"Undefined header"', '+0,"No error"']

    one = failure(Table({"SYST:ERR?": entries[1:]}), "VOLT 99")
    several = failure(Table({"SYST:ERR?": entries[:]}), "VOLT 99", {"wait": "1ms"}, "OUTP ON")
    checked = failure(Table({"SYST:ERR?": entries[1:]}), "VOLT 9", {"check": "errors"}, "OUTP ON")

    queue = "psu: the error queue has"
    assert one == (
        "status",
        ("commands", 0),
        f"{queue} -113,\"Undefined header\" after 'VOLT 99'",
    )
    assert several == (
        "status",
        ("commands",),
        f"{queue} {entries[0]}, then {entries[1]} after 'VOLT 99' to 'OUTP ON'",
    )
    assert checked == (
        "status",
        ("commands", 1),
        f"{queue} -113,\"Undefined header\" after 'VOLT 9'",
    )
    many = [*(f"-{number},e" for number in range(1, 6)), "0"]
    assert failure(Table({"SYST:ERR?": many}), "A")[2] == (
        f"{queue} -1,e, then -2,e, then -3,e, and 2 more after 'A'"
    )


def test_the_error_queue_is_read_as_the_step_says() -> None:
    table = Table({"ERR?": "0"})
    answered(table, "VOLT 5", check_errors=False)
    assert table.sent == ["VOLT 5"]

    answered(table, "VOLT 5", {"check": "errors"}, check_errors="ERR?")
    assert table.sent[1:] == ["VOLT 5", "ERR?"]

    answered(table, {"wait": "1ms"})
    assert table.sent[3:] == []


def test_the_error_queue_explains_a_missing_answer() -> None:
    entries = ['-113,"Undefined header"', '+0,"No error"']
    table = Table({"MEAS:CUR?": no_answer("MEAS:CUR?"), "SYST:ERR?": entries})
    query = {"query": "MEAS:CUR?"}

    assert failure(table, query) == (
        "status",
        ("commands", 0),
        "psu: no answer to 'MEAS:CUR?' within 2 s; the error queue has -113,\"Undefined header\"",
    )
    assert failure(table, query, check_errors=False)[2] == str(no_answer("MEAS:CUR?"))
    mute = Table({"VOLT": no_answer("VOLT"), "SYST:ERR?": no_answer("SYST:ERR?")})
    assert failure(mute, {"query": "VOLT"})[2] == (
        f"{no_answer('VOLT')} (the command has no '?': is it a query?)"
    )


def test_a_block_is_written_to_a_file(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    picture = b"\x89PNG\r\n\x1a\n..."
    table = Table({"DISP?": picture, "CURV?": b"\x00\x01"})
    env = environment(table, root=tmp_path, logs=logs, step="scope/a", attempt=2)
    shot = {"query": "DISP?", "as": "shot", "type": "block"}
    curve = {"query": "CURV?", "as": "curve", "type": "block", "file": "out/curve.bin"}

    first = answered(table, shot, curve, env=env)
    second = answered(table, shot, env=env)

    assert first["shot"] == {"file": "logs/scope_a.2.shot.png", "bytes": len(picture)}
    assert first["curve"] == {"file": "out/curve.bin", "bytes": 2}
    assert second["shot"]["file"] == "logs/scope_a.2.shot.2.png"
    assert (tmp_path / first["shot"]["file"]).read_bytes() == picture
    assert (tmp_path / "out/curve.bin").read_bytes() == b"\x00\x01"
    bare = environment(table, root=tmp_path)
    assert failure(table, shot, env=bare) == (
        "not_found",
        ("commands", 0),
        "psu: no folder keeps the block of 'DISP?': write file: PATH beside it",
    )
    kind, path, reason = failure(table, {**curve, "file": "logs"}, env=env)
    assert (kind, path) == ("not_found", ("commands", 0))
    assert reason.startswith("psu: the block of 'CURV?' cannot be written: [Errno 21]")


def test_the_transcript_is_the_log(caplog: pytest.LogCaptureFixture) -> None:
    answered(Table({"CURR?": "1"}), "VOLT 5", {"query": "CURR?"}, check_errors=False)

    assert [one.getMessage() for one in caplog.records] == ["> VOLT 5", "> CURR?", "< 1"]
    assert {one.levelno for one in caplog.records} == {logging.INFO}


def written(**keys: Any) -> WrittenStep:
    given = {"instrument": "psu", "check_errors": True, **keys}
    return WrittenStep(step="s", recipe="x.yaml", keys=given, common={}, places={})


def test_the_instrument_of_a_step_is_known_before_it_runs() -> None:
    late = Unevaluated("${{ vars.name }}")

    assert list(Scpi.instruments(StepSpec(step="s", recipe="x", keys={"instrument": "psu"})))
    assert list(Scpi.instruments(written(instrument=late))) == [late]


def test_a_missing_library_is_an_error_unless_the_recipe_requires_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    step = written(commands=["VOLT 5"])

    [problem] = Scpi.check(step, Project(root=Path.cwd()))

    assert (problem.path, problem.message) == (("type",), "is scpi, which needs PyVISA")
    assert problem.hint == "python -m pip install 'pytest-orchestrator[visa]'"
    assert not list(Scpi.check(step, Project(root=Path.cwd(), extras=("visa",))))


def first_line(path: Path) -> str:
    try:
        load(path, root=path.parent, known=BUILT_IN.with_instruments(["psu"]))
    except RecipeError as error:
        return str(error).partition("\n")[0]
    return ""


MISTAKES = r"""
VOLT 5
  52: 'commands' @ is text, should be a list (write [VOLT 5])
[]
  52: 'commands' @ is [], should be a list of length >= 1
[5]
  53: 'commands[0]' @ is a number, should be text (quote it: '5')
['']
  53: 'commands[0]' @ is empty, should be a command such as 'VOLT 5'
['A?']
  53: 'commands[0]' @ is a query, whose answer nothing reads (write {query: 'A?', as: NAME}, so
  that its answer is read)
['A 5;:B? (@1)']
  53: 'commands[0]' @ is a query, whose answer nothing reads (write {query: 'A 5;:B? (@1)', as:
  NAME}, so that its answer is read)
['A? ${{ vars.x }}']
  53: 'commands[0]' @ is a query, whose answer nothing reads (write {query: 'A? ${{ vars.x }}',
  as: NAME}, so that its answer is read)
[{}]
  53: 'commands[0]' @ has no 'query', 'wait' or 'check' (write {query: 'MEAS:CURR?', as: amps},
  {wait: opc} or {check: errors})
[{query: 'A?', ass: a}]
  72: 'commands[0].ass' @ is no key of a query (did you mean 'as'?)
[{querry: 'A?', as: a}]
  62: 'commands[0].querry' @ is no key of a command (did you mean 'query'?)
[{write: VOLT 5}]
  61: 'commands[0].write' @ is no key of a command (a command without an answer is a text, such
  as 'VOLT 5')
[{query: 'A?', type: float}]
  73: 'commands[0].type' @ is 'float', should be number, integer, boolean, text, list or block
  (did you mean 'number'?)
[{query: 'A?', type: lists}]
  73: 'commands[0].type' @ is 'lists', should be number, integer, boolean, text, list or block
  (did you mean 'list'?)
[{query: 'A?', type: 5}]
  73: 'commands[0].type' @ is 5, should be number, integer, boolean, text, list or block
[{query: 'A?', as: 5}]
  71: 'commands[0].as' @ is 5, should be a text that is not empty
[{query: 'A?', as: a b}]
  71: 'commands[0].as' @ is 'a b', should be a name of letters, digits and _
[{query: 'A?', as: status}]
  71: 'commands[0].as' @ is 'status', should be another name, which the result has itself
[{query: 'A?'}, {query: 'B?', as: b}]
  53: 'commands[0]' @ has no 'as'; the step has more than one query (as: NAME is the key of its
  answer in the result)
[{query: 'A?', as: b}, {query: 'B?', as: b}]
  93: 'commands[1].as' @ is 'b', which commands[0] has too (each answer needs a name of its own)
[{query: 'A?', type: text, unit: V}]
  85: 'commands[0].unit' @ stands beside type: text (a number has a unit)
[{query: 'A?', file: a.png}]
  73: 'commands[0].file' @ stands beside type: number (write type: block)
[{query: 'A?', timeout: soon}]
  76: 'commands[0].timeout' @ is 'soon', should be seconds, or a text such as 500ms, 30s or 2m
[{wait: 5 s}]
  60: 'commands[0].wait' @ is '5 s', should be opc, seconds, or a text such as 100ms
[{wait: true}]
  60: 'commands[0].wait' @ is true, should be opc, seconds, or a text such as 100ms
[{wait: opc, as: x}]
  69: 'commands[0].as' @ is no key of a wait ('as' belongs to a query)
[{wait: 1s, timeout: 5}]
  73: 'commands[0].timeout' @ stands beside a time (only wait: opc has a timeout)
[{wait: opc, query: 'A?'}]
  60: 'commands[0].wait' @ stands beside 'query' (write two items)
[{check: [errors]}]
  61: 'commands[0].check' @ is a list, should be errors
[A], check_errors: some
  71: 'check_errors' @ is a text that is no query (write the query of the error queue, such as
  'SYST:ERR?', or false)
"""
"""Keys, and below them column and text of the error; ``@`` stands for the name of the step."""

GOOD = (
    "['DISP \"Ready? yes\"', {wait: 5}, {wait: OPC}, {query: 'A?', unit: V}]",
    "['VOLT ${{ vars.x }}', '${{ vars.a }}', {query: '${{ vars.a }}', type: '${{ vars.a }}'}]",
    "'${{ vars.all }}'",
    "[VOLT 5], check_errors: 'SYST:ERR:NEXT?'",
)


def test_a_mistake_in_a_step_is_an_error_with_its_cure(tmp_path: Path) -> None:
    path, found, expected = tmp_path / "x.yaml", {}, dict.fromkeys(GOOD, "")
    for keys, text in re.findall(r"^(\S.*)\n((?:  .*\n)+)", MISTAKES, re.MULTILINE):
        one_line = " ".join(text.split()).replace("@", "in scpi step 's'", 1)
        expected[keys] = f"x.yaml:3:{one_line}"
    for keys in expected:
        head = "vars: {x: 1, a: A, all: [A]}\nsteps:\n"
        path.write_text(f"{head}- {{name: s, type: scpi, instrument: psu, commands: {keys}}}\n")
        found[keys] = first_line(path)

    assert len(expected) == 33
    assert found == expected


def test_a_mistake_in_a_value_of_an_expression_fails_the_step() -> None:
    table = Table()

    assert failure(table, "VOLT 5", {"query": "A?", "type": "float"}) == (
        "validation",
        ("commands", 1, "type"),
        (
            "'commands[1].type' is 'float', should be number, integer, boolean, text, list or "
            "block (did you mean 'number'?)"
        ),
    )
    assert failure(table, " ") == (
        "validation",
        ("commands", 0),
        "'commands[0]' is empty, should be a command such as 'VOLT 5'",
    )
    assert table.sent == []
