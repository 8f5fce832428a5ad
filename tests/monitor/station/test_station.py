"""The station without a browser and without pytest: start, refusals, end, taking over."""

import contextlib
import json
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from pytest_orchestrator.core.events import InstrumentOpened, RecipeStarted
from pytest_orchestrator.monitor.app import application
from pytest_orchestrator.monitor.station.station import OUT_OF_DATE, Station, StationRuns
from pytest_orchestrator.recipe import Recipe, RecipeError, load
from pytest_orchestrator.runs.operator import batch, page_lease
from tests.monitor.live_monitor import TOKEN
from tests.runs.built import Built

OPERATING = "operating-token"
OWN = {"Origin": "http://localhost"}
RUN = "20261126T080000Z-a5a5"
RECIPE = r"""
name: Board test
inputs:
  note: {required: false}
  pin: {secret: true, default: "0"}
  serial: {pattern: 'SN\d{6}', label: Serial number, error: Scan the label.}
test_meta: {dut: {serial_number: "${{ vars.serial }}"}}
steps: [{name: a, type: shell, cmd: "true", parse: text}]
"""
# It ends with the status in the file `end`, and with 3 at SIGTERM.
PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
path = Path(sys.argv[2].partition("=")[2])
Path("values").write_text(path.read_text())
Path("argv").write_text(json.dumps(sys.argv[1:]))
with Path("started").open("a") as file:
    file.write(f"{os.getpid()} ")
(path.parent / "session.json").write_text(json.dumps({"pid": os.getpid(), "run": "%s"}))
print("the last line", flush=True)
while not Path("end").exists():
    time.sleep(0.02)
os._exit(int(Path("end").read_text()))
"""


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


class Bench:
    """A project with a station, whose sessions are small programs."""

    def __init__(self, root: Path) -> None:
        self.root, self.runs = root, root / ".orchestrator" / "runs"
        self.runs.mkdir(parents=True)
        (root / "x.yaml").write_text(RECIPE)
        self.station = self.new_station()
        self.server = application(self.runs, TOKEN, {"localhost"}, OPERATING, self.station)
        self.operator = self.client(OPERATING)

    def new_station(self) -> Station:
        program = [sys.executable, "-c", PROGRAM % RUN]
        return Station(self.runs, self.root, "x.yaml", self.load, ["-q"], program)

    def load(self) -> Recipe | RecipeError:
        try:
            return load(self.root / "x.yaml", root=self.root)
        except RecipeError as error:
            return error

    def client(self, token: str = "") -> FlaskClient:
        client = self.server.test_client()
        if token:
            client.get(f"/?token={token}")
        return client

    @property
    def nonce(self) -> str:
        found = re.search(r'name="nonce" value="([^"]+)"', self.operator.get("/operator").text)
        return found[1] if found else ""

    def form(self, **changed: str) -> dict[str, str]:
        given = {"nonce": self.nonce, "f.serial": "SN000123", "who": "Ann", **changed}
        return {name.replace("f_", "f."): text for name, text in given.items()}

    def start(self) -> None:
        reply = self.operator.post("/station/start", data=self.form(f_pin="8642"), headers=OWN)
        assert (reply.status_code, reply.location) == (303, "/operator")
        until((self.root / "started").exists)

    def end(self, status: int) -> None:
        written = self.root / "written"
        written.write_text(str(status))
        written.replace(self.root / "end")  # the program reads it as soon as it is there
        until(lambda: self.station.now.state == "ended")

    @property
    def started(self) -> int:
        with contextlib.suppress(OSError):
            return len((self.root / "started").read_text().split())
        return 0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    (tmp_path / "end").write_text("0")
    made.station.close()


def test_values_reach_the_session_by_a_file_of_its_user_alone(bench: Bench) -> None:
    bench.start()

    given = json.loads((bench.root / "values").read_text())
    assert given == {"values": {"serial": "SN000123", "pin": "8642"}, "operator": "Ann"}
    file = Path(json.loads((bench.root / "argv").read_text())[1].partition("=")[2])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads((bench.root / "argv").read_text()) == [
        "x.yaml",
        f"--recipe-batch={file}",
        "-q",
    ]
    bench.end(0)
    assert not file.exists()


def test_a_batch_shows_pass_of_its_unit_then_repeat_uses_the_values_again(bench: Bench) -> None:
    built = Built(bench.runs, RUN, test_meta={"dut": {"serial_number": "SN000123"}}).begin("a")
    assert "Board test" in bench.operator.get("/operator").text
    bench.start()
    until(lambda: bench.station.now.run == RUN)
    assert "SN000123" in bench.operator.get("/operator").text
    built.step("a")
    built.seal()
    bench.end(0)
    until(lambda: 'data-word="pass"' in bench.operator.get("/operator").text)
    page = bench.operator.get("/operator").text
    assert re.search(r"ended .*ago", page)

    (bench.root / "end").unlink()
    nonce = bench.nonce
    assert (
        bench.operator.post("/station/repeat", data={"nonce": nonce}, headers=OWN).status_code
        == 303
    )
    until(lambda: bench.started == 2)
    assert json.loads((bench.root / "values").read_text())["values"]["pin"] == "8642"
    bench.end(1)
    bench.operator.post("/station/next", data={"nonce": bench.nonce}, headers=OWN)
    assert bench.station.now.state == "idle"
    assert 'value="Ann"' in bench.operator.get("/operator").text


def test_an_exit_status_that_no_unit_explains_is_no_pass(bench: Bench) -> None:
    Built(bench.runs, RUN).begin("a").step("a").seal()
    bench.start()
    bench.end(1)
    page = bench.operator.get("/operator").text
    assert 'data-word="fail"' in page
    assert "The session ended with exit status 1." in page


@pytest.mark.parametrize(
    ("changed", "problems"),
    [
        ({"f_serial": "12"}, {"serial": r"should match SN\d{6}"}),
        ({"f_serial": ""}, {"serial": "should not be empty"}),
        ({"who": " "}, {"who": "should not be empty"}),
        ({"who": "SN000777"}, {"who": "should be a name, not the code of a label"}),
        ({"f_cmd": "rm"}, {"cmd": "is no input of the recipe"}),
    ],
)
def test_wrong_values_start_nothing(
    bench: Bench, changed: dict[str, str], problems: dict[str, str]
) -> None:
    headers = {**OWN, "Accept": "application/json"}
    reply = bench.operator.post("/station/start", data=bench.form(**changed), headers=headers)
    assert (reply.status_code, reply.get_json()["problems"]) == (422, problems)
    assert (bench.station.now.state, bench.started) == ("idle", 0)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        (OWN | {"Sec-Fetch-Site": "cross-site"}, 403),
        (OWN | {"Host": "evil.example"}, 421),
    ],
)
def test_a_start_from_elsewhere_is_refused(
    bench: Bench, headers: dict[str, str], status: int
) -> None:
    given = bench.form()
    assert bench.operator.post("/station/start", data=given, headers=headers).status_code == status
    assert bench.started == 0


def test_only_the_operating_cookie_operates(bench: Bench) -> None:
    given = bench.form()
    for client in (bench.client(), bench.client(TOKEN), bench.client("old-token")):
        for action in ("start", "abort", "next", "repeat", "other"):
            reply = client.post(f"/station/{action}", data=given, headers=OWN)
            assert reply.status_code in (403, 405)
        for query in (f"?token={OPERATING}", f"?token={TOKEN}"):  # a link gives no right to write
            reply = client.post(f"/station/start{query}", data=given, headers=OWN)
            assert reply.status_code == 403
    assert bench.started == 0
    viewer = bench.client(TOKEN).get("/operator").text
    assert "This link only shows the station." in viewer
    assert given["nonce"] not in viewer
    assert "<form" not in viewer


def test_the_operating_cookie_is_strict_and_no_page_of_others_may_frame_the_station(
    bench: Bench,
) -> None:
    reply = bench.client().get(f"/operator?token={OPERATING}")
    cookies = dict(one.split("=", 1) for one in reply.headers.getlist("Set-Cookie"))
    own = next(text for name, text in cookies.items() if name.startswith("orchestrator_station"))
    assert "HttpOnly" in own
    assert "SameSite=Strict" in own
    assert not any(OPERATING in text for name, text in cookies.items() if "monitor" in name)
    page = bench.operator.get("/operator")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


def test_of_two_browsers_that_press_start_one_starts_a_session(bench: Bench) -> None:
    given, other = bench.form(), bench.client(OPERATING)
    first = bench.operator.post("/station/start", data=given, headers=OWN)
    second = other.post("/station/start", data=given, headers=OWN)
    assert (first.status_code, second.status_code) == (303, 409)
    assert OUT_OF_DATE in second.text
    until((bench.root / "started").exists)
    assert bench.started == 1
    for action in ("start", "next", "repeat"):
        reply = other.post(f"/station/{action}", data={"nonce": bench.nonce}, headers=OWN)
        assert reply.status_code == 409


def test_abort_ends_the_session_as_sigterm_does_and_says_who_pressed_it(bench: Bench) -> None:
    bench.start()
    given = {"nonce": bench.nonce, "who": "Bob"}
    until(lambda: bench.station.now.run == RUN)  # a tap that crosses this is not lost
    assert bench.operator.post("/station/abort", data=given, headers=OWN).status_code == 303
    until(lambda: bench.station.now.state == "ended")
    assert bench.station.now.status == 3
    page = bench.operator.get("/operator").text
    assert 'data-word="aborted"' in page
    assert "Bob pressed Abort: the batch was ended" in page


def test_a_session_without_a_run_shows_its_last_lines(bench: Bench) -> None:
    bench.start()
    bench.end(2)
    page = bench.operator.get("/operator").text
    assert "the last line" in page
    assert 'data-word="fail"' in page


def test_a_killed_session_names_the_safe_state_that_is_due(bench: Bench) -> None:
    built = Built(bench.runs, RUN).begin("a")
    built.start("a")
    built.add(
        InstrumentOpened(
            recipe=built.recipe, instrument="psu", resource="ASRL1", has_safe_state=True
        )
    )
    bench.start()
    until(lambda: bench.station.now.run == RUN)
    os.kill(int((bench.root / "started").read_text()), 9)
    until(lambda: bench.station.now.state == "ended")
    built.cut()
    page = bench.operator.get("/operator").text
    assert "The session was killed (signal 9); no process of it is left." in page
    owed = "Safe state owed: psu may still be on."
    until(lambda: owed in bench.operator.get("/operator").text)


def test_a_new_station_takes_the_session_over_and_a_second_one_is_refused(bench: Bench) -> None:
    bench.start()
    until(lambda: bench.station.now.run == RUN)
    with pytest.raises(StationRuns, match=r"another process is the station of x\.yaml"):
        bench.new_station()
    old = bench.station
    old.detach()
    bench.station = bench.new_station()

    now = bench.station.now
    assert (now.state, now.run, now.operator) == ("running", RUN, "Ann")
    bench.station.abort(now.nonce, "Ann")
    until(lambda: bench.station.now.state == "ended")
    assert not any((bench.root / ".orchestrator").glob("station/*/batch.json"))
    old.abort(old.now.nonce, "Ann")  # it reaps the process, which is a child of this one


def test_a_dead_batch_is_forgotten(bench: Bench) -> None:
    bench.station.detach()
    folder = batch.station_folder(bench.runs, "x.yaml")
    os.close(batch.write_batch(folder, batch.Batch(values={"pin": "8642"})))
    bench.station = bench.new_station()
    assert bench.station.now.state == "idle"
    assert not (folder / batch.FILE).exists()


def test_questions_wait_for_the_station_while_its_session_runs(bench: Bench) -> None:
    assert not page_lease.has_page(bench.runs)
    bench.start()
    until(lambda: page_lease.has_page(bench.runs))
    folder = batch.station_folder(bench.runs, "x.yaml")
    assert page_lease.seconds_since_page(folder) < page_lease.STATION_GRACE


def test_the_page_of_a_broken_recipe_shows_its_error(bench: Bench) -> None:
    (bench.root / "x.yaml").write_text("steps: [{name: a, typ: shell}]\n")
    page = bench.operator.get("/operator").text
    assert "did you mean" in page
    reply = bench.operator.post("/station/start", data=bench.form(), headers=OWN)
    assert reply.status_code == 409
    assert bench.started == 0


PANEL = r"""
inputs: {tray: {required: false}}
units: {names: [A, B, C], serial: {pattern: 'SN\d', error: Scan the label.}}
steps: [{name: a, type: shell, cmd: "true", parse: text}]
"""


def start_panel(bench: Bench, recipe: str = PANEL, **serials: str) -> TestResponse:
    """Press Start with serial numbers of units."""
    (bench.root / "x.yaml").write_text(recipe)
    given = {"nonce": bench.nonce, "who": "Ann", "f.tray": "T1"}
    given |= {f"f.serial.{unit}": serial for unit, serial in serials.items()}
    headers = OWN | {"Accept": "application/json"}
    return bench.operator.post("/station/start", data=given, headers=headers)


@pytest.mark.parametrize("recipe", [PANEL, PANEL.replace("error:", "required: false, error:")])
def test_a_panel_asks_for_its_units_first_and_sockets_may_stay_empty(
    bench: Bench, recipe: str
) -> None:
    (bench.root / "x.yaml").write_text(recipe)
    page = bench.operator.get("/operator").text
    names = re.findall(r'data-name="([\w.]+)"', page)
    assert names[1:5] == ["serial.A", "serial.B", "serial.C", "tray"]
    assert "Serial number; empty if there is no unit" in page

    assert start_panel(bench, recipe, A="SN1", B=" ", C="SN3").status_code == 200
    until((bench.root / "started").exists)
    values = json.loads((bench.root / "values").read_text())["values"]
    assert values == {"serial.A": "SN1", "serial.B": "", "serial.C": "SN3", "tray": "T1"}


@pytest.mark.parametrize(
    ("serials", "status", "words"),
    [
        ({}, 409, "all sockets are empty: no unit has a serial number"),
        ({"A": "SN1", "C": "SN1"}, 409, "units 'A' and 'C' have the same serial number, SN1"),
        ({"A": "SN1", "B": "X"}, 422, "Scan the label."),
    ],
)
def test_a_panel_with_wrong_serial_numbers_is_not_started(
    bench: Bench, serials: dict[str, str], status: int, words: str
) -> None:
    reply = start_panel(bench, **serials)
    assert reply.status_code == status
    assert words in reply.get_json()["refusal"] or status == 422
    assert bench.started == 0


def test_abort_of_one_unit_reaches_the_session_by_a_file_and_the_session_goes_on(
    bench: Bench,
) -> None:
    built = Built(bench.runs, RUN, units={"A": "SN1", "B": "SN2"})
    steps = tuple({"name": f"a[unit:{unit}]", "unit": unit, "index": 1} for unit in "AB")
    built.add(RecipeStarted(recipe=built.recipe, about=built.about, steps=steps))
    start_panel(bench, A="SN1", B="SN2")
    until(lambda: bench.station.now.run == RUN)
    built.start("a[unit:A]")
    until(lambda: "Abort unit A alone" in bench.operator.get("/operator").text)
    assert "Abort unit" not in bench.client(TOKEN).get("/operator").text
    given = {"nonce": bench.nonce, "unit": "A", "who": "Bob"}
    assert bench.client(TOKEN).post("/station/abort", data=given, headers=OWN).status_code == 403
    assert bench.operator.post("/station/abort", data=given, headers=OWN).status_code == 303

    folder = batch.station_folder(bench.runs, "x.yaml")
    assert batch.aborts_in(folder) == {"A": "Bob"}
    assert stat.S_IMODE((folder / "aborts.json").stat().st_mode) == 0o600
    assert bench.station.now.state == "running"
    page = bench.operator.get("/operator").text
    assert "is ended" in page
    assert "Abort unit A alone" not in page
    bench.end(1)
    bench.operator.post("/station/repeat", data={"nonce": bench.nonce}, headers=OWN)
    assert batch.aborts_in(folder) == {}
