"""Property test: after every session an instrument is off and has said so, or its debt is listed.

A hypothesis state machine composes sessions (ordinary ones, with workers, killed ones, some that
prune, simulate or have no station) and commands, with an instrument that misbehaves, is restarted
or gets another name. It compares the debts that `pytest-orchestrator instruments` lists with the
output of the instrument. An instrument may be on without a debt only if a person has dropped the
debt, or if a report has said that its safe state was sent, not confirmed.
"""

import contextlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
from typing import Any, ClassVar, NamedTuple

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from benchmarks.faults import PATIENCE
from pytest_orchestrator.cli.main import main
from tests.instruments import POWER_SUPPLY, SIMULATED, ScpiInstrument
from tests.plugin.conftest import PYTEST, Project

EXAMPLES = min(300, int(os.environ.get("VERDICT_EXAMPLES", "2")))
"""Number of examples, of some seconds each; the long tier has 300."""
PHASES = (Phase.generate,) if "VERDICT_FIRST" in os.environ else tuple(Phase)

HAS_XDIST = importlib.util.find_spec("xdist") is not None

_OFF, _DONE = "OUTP 0", "*OPC?"
_SENT = "sent, not confirmed"

WAYS = {
    "well": ("held", ()),
    "refuses": ("refused", (_OFF,)),
    "closes": ("closing", (_OFF,)),
    "is silent": ("held", (_DONE,)),
    "hangs up": ("closing", (_DONE,)),
    "answers twice": ("doubled", ("OUTP?", "*IDN?")),
    "freezes": ("held", ()),
}
"""How the instrument behaves: the set that gets these commands; it stays so during a session."""

_ANSWERS = ("well", "answers twice")
_STATIONS = ("psu", "supply", "simulated", "gone")
_REAL = ("psu", "supply")


class Session(NamedTuple):
    """A session or command: its exit code, its output, and the debts before and after it."""

    code: int
    out: str
    before: set[tuple[str, str]]
    after: set[tuple[str, str]]


class Debts(RuleBasedStateMachine):
    """Runs one session after the other in one project with one instrument."""

    project: ClassVar[Project]

    @initialize(way=st.sampled_from([*WAYS]))
    def begin(self, way: str) -> None:
        """Begin with an instrument that a session has used; if it misbehaves, there is a debt."""
        self.psu = ScpiInstrument()
        self.way, self.station = "well", "psu"
        self.confirms = self.always_confirms = True
        self.is_excused = False  # True if it may be on without a debt
        self.known = set[tuple[str, str]]()
        shutil.rmtree(self.project.path / ".orchestrator", ignore_errors=True)
        simulation = POWER_SUPPLY.read_text().replace(SIMULATED, self.psu.resource)
        self.project.write("sim.yaml", simulation)
        self.it_behaves(way)
        self.a_recipe_uses_it(prunes=False)

    def teardown(self) -> None:
        """End the instrument."""
        if hasattr(self, "psu"):
            self.psu.behave()
            self.psu.close()

    @rule(way=st.sampled_from([*WAYS]))
    def it_behaves(self, way: str) -> None:
        self.psu.behave()
        self.psu.release.clear()
        self.psu.errors.clear()
        name, commands = WAYS[way]
        getattr(self.psu, name).update(commands)
        if way == "freezes":
            self.psu.freeze()
        self.way = way
        self.write_station()

    @rule(keeps_output=st.booleans())
    def it_restarts(self, keeps_output: bool) -> None:
        self.psu.restart(keeps_output=keeps_output)
        if self.way == "freezes":
            self.psu.freeze()

    @rule(station=st.sampled_from(_STATIONS))
    def the_station_changes(self, station: str) -> None:
        self.station = station
        self.write_station()

    @rule(confirms=st.booleans())
    def its_confirmation_changes(self, confirms: bool) -> None:
        self.confirms = confirms
        self.always_confirms = self.always_confirms and confirms
        self.write_station()

    @precondition(lambda self: self.station != "gone")
    @rule(prunes=st.booleans())
    def a_recipe_uses_it(self, prunes: bool) -> None:
        if self.station in _REAL and self.way == "well":
            self.is_excused = False
        found = self.session("recipes/use.yaml", *self.pruning(prunes))
        self.check_payer(found)

    @precondition(lambda self: self.station != "gone")
    @rule(commands=st.integers(1, 7))
    def a_session_is_killed(self, commands: int) -> None:
        before, known = len(self.psu.texts), self.known
        with (self.project.path / "out.txt").open("wb") as out:
            process = subprocess.Popen(
                [*PYTEST, "recipes/use.yaml"], cwd=self.project.path, stdout=out, stderr=out
            )
        while len(self.psu.texts) < before + commands and process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
        process.kill()
        process.wait(PATIENCE)
        if self.way != "freezes":
            self.psu.wait_until_closed()
        self.is_excused = self.is_excused or not self.always_confirms
        left = self.check()
        if not left >= known:
            assert self.station in _REAL
            assert self.way in _ANSWERS or not self.always_confirms

    @rule(prunes=st.booleans())
    def a_recipe_runs_without_it(self, prunes: bool) -> None:
        self.check_payer(self.session("recipes/other.yaml", *self.pruning(prunes)))

    @precondition(lambda self: HAS_XDIST and self.station != "gone")
    @rule(recipe=st.sampled_from(["use", "other"]), prunes=st.booleans())
    def workers_run_a_recipe(self, recipe: str, prunes: bool) -> None:
        self.check_payer(self.session(f"recipes/{recipe}.yaml", "-n2", *self.pruning(prunes)))

    @rule(option=st.sampled_from(["--collect-only", "--recipe-station=none"]), prunes=st.booleans())
    def a_session_pays_nothing(self, option: str, prunes: bool) -> None:
        found = self.session("recipes/other.yaml", option, *self.pruning(prunes))
        assert (found.code, found.after) == (0, found.before), found.out
        assert all(run in found.out for run, _ in found.before), found.out

    @precondition(lambda self: self.station != "gone")
    @rule()
    def a_query_switches_it_on(self) -> None:
        before = self.known
        self.call("instruments", "query", self.name, "OUTP 1", "OUTP?", "--wait")
        assert self.check() >= before

    @rule(station=st.sampled_from(_REAL), prunes=st.booleans())
    def it_is_repaired_and_a_session_pays(self, station: str, prunes: bool) -> None:
        self.the_station_changes(station)
        self.it_behaves("well")
        self.a_recipe_runs_without_it(prunes)

    @rule(station=st.sampled_from(_REAL), way=st.sampled_from([*WAYS]))
    def it_cannot_confirm_and_a_session_pays(self, station: str, way: str) -> None:
        self.it_behaves(way)
        self.the_station_changes(station)
        self.its_confirmation_changes(confirms=False)
        self.a_recipe_runs_without_it(prunes=False)

    @rule(prunes=st.booleans())
    def it_is_simulated_and_a_session_pays_nothing(self, prunes: bool) -> None:
        self.the_station_changes("simulated")
        self.a_recipe_runs_without_it(prunes)

    @precondition(lambda self: self.station != "gone")
    @rule()
    def a_person_pays(self) -> None:
        before = self.known
        code, out = self.call("instruments", "safe", self.name, "--wait")
        self.check_paid(Session(code, out, before, self.check(out)))

    @rule(which=st.integers(0, 9), of_run=st.booleans(), prunes=st.booleans())
    def a_person_drops_it(self, which: int, of_run: bool, prunes: bool) -> None:
        before = self.known
        if not before:  # a precondition would depend on times, and Hypothesis repeats its choices
            return
        run, name = sorted(before)[which % len(before)]
        dropped = {key for key in before if key[0] == run}
        if not of_run:
            is_present = self.station in _REAL and name == self.name
            dropped = {key for key in before if is_present or key[1] == name}
        words = ("runs", "forgive", run) if of_run else ("instruments", "forgive", name)
        code, out = self.call(*words, "--reason", "switched off by hand")
        self.is_excused = True
        assert (code, self.check()) == (0, before - dropped), out
        self.a_session_pays_nothing("--recipe-station=none", prunes)

    @property
    def name(self) -> str:
        """The name of the instrument in the station file."""
        return "supply" if self.station == "supply" else "psu"

    def write_station(self) -> None:
        """Write the station file, and recipes with and without the instrument."""
        # Only a healthy instrument has to answer in time, however busy the machine is.
        timeout = "20s" if self.way in _ANSWERS else "150ms"
        keys = f"resource: '{self.psu.resource}', timeout: {timeout}, safe: [{_OFF}]"
        keys += ", backend: sim.yaml@sim" * (self.station == "simulated")
        keys += ", confirm: none" * (not self.confirms)
        lines = [] if self.station == "gone" else [f"instruments: {{{self.name}: {{{keys}}}}}"]
        self.project.write("station.yaml", "\n".join(["name: bench", *lines, ""]))
        use = f"type: scpi, instrument: {self.name}, check_errors: false"
        self.project.recipe("use", {"on": f"{use}, commands: [OUTP 1, {{query: 'OUTP?'}}]"})
        self.project.recipe("other", {"one": "type: shell, cmd: 'true', parse: text"})

    def pruning(self, prunes: bool) -> tuple[str, ...]:
        """Return the options of a session that keeps one run."""
        return ("-o", "recipe_keep_runs=1") if prunes else ()

    def session(self, *args: str) -> Session:
        """Run pytest, and check the instrument afterwards."""
        before = self.known
        result = self.project.run(*args)
        out = "\n".join(result.outlines)
        return Session(int(result.ret), out, before, self.check(out))

    def call(self, *words: str) -> tuple[int, str]:
        """Run a command; return its exit code and output."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main([*words])
            except SystemExit as stop:
                code = int(stop.code or 0)
        return code, out.getvalue() + err.getvalue()

    def debts(self) -> set[tuple[str, str]]:
        """Return the debts that `instruments` lists, without those of simulations."""
        _, out = self.call("instruments", "--json", "--timeout", "0.1")
        listed: list[dict[str, Any]] = json.loads(out)["debts"]
        self.has_simulated_debts = any(one["simulation"] for one in listed)
        return {(one["run"], one["instrument"]) for one in listed if not one["simulation"]}

    def check(self, out: str = "") -> set[tuple[str, str]]:
        """Check that the debt of an instrument that is on is listed; return the debts.

        Args:
            out: The output of the session or command.
        """
        self.known = self.debts()
        if _SENT in out:
            assert not self.always_confirms, out
            self.is_excused = True
            if self.way != "freezes":
                self.psu.wait_until_closed()  # it has got all commands
        assert self.known or self.is_excused or not self.psu.is_on, "it is on, and nothing is owed"
        if self.known or not self.psu.is_on:
            self.is_excused = False
        return self.known

    def check_payer(self, found: Session) -> None:
        """Check a session that pays: it is red if one debt is left, and green if it has paid."""
        if self.station == "simulated":
            assert found.after >= found.before, found.out
        if "is not due" not in found.out:
            self.check_paid(found)

    def check_paid(self, found: Session) -> None:
        """Check that debts have ended if the instrument has answered, and only then."""
        if self.station in _REAL and self.way == "well":
            # A debt of the simulation stays with a station that has only the real instrument.
            assert found.code == 0 or self.has_simulated_debts, found.out
            assert not found.after, found.out
            assert not self.psu.is_on or (self.is_excused and not found.before), found.out
        elif self.station not in _REAL or self.way not in _ANSWERS:
            assert found.after >= found.before or _SENT in found.out, found.out
        assert found.code == 1 or not found.after, found.out


@pytest.mark.unmeasured
def test_an_instrument_is_off_and_has_said_so_or_its_debt_is_listed(project: Project) -> None:
    machine = type("Debts", (Debts,), {"project": project})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=7,
            database=None,
            deadline=None,
            phases=PHASES,
        ),
    )
