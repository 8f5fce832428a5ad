"""Station: one recipe, one session at a time, started by the operator page.

A session is an ordinary pytest session in a child process. It gets its values by a file that only
this user can read, and holds the lock of that file. So a station that is started while a session
runs takes it over.
"""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from pytest_orchestrator.core.questions import SERIAL
from pytest_orchestrator.core.text import compile_pattern
from pytest_orchestrator.core.typed_fields import EMPTY, InputField, value_of_line
from pytest_orchestrator.runs.operator import page_lease
from pytest_orchestrator.runs.operator.batch import (
    FILE,
    Batch,
    aborts_in,
    claim,
    discard_batch,
    is_held,
    session_in,
    station_folder,
    write_aborts,
    write_batch,
)
from pytest_orchestrator.runs.operator.channel import Reply

if TYPE_CHECKING:
    from pytest_orchestrator.recipe import Recipe, RecipeError

State = Literal["idle", "running", "ended"]

OUT_OF_DATE: Final = "The page was out of date: look again what it shows now."
_LOOK: Final = 0.1
_RENEWED: Final = 1.0
_MAX_NAME: Final = 200
_SHOWN_LINES: Final = 12
_END: Final = 60.0
"""Seconds for which the end of the station waits for its session, which runs `finally`."""


class StationRuns(Exception):
    """Error: another process is the station of this recipe."""


class Moment(Struct, frozen=True, kw_only=True):
    """State of a station at one moment.

    Attributes:
        state: ``idle``, ``running`` or ``ended``.
        nonce: Secret number of this state, with which its page acts on it once.
        version: Number that changes with each state.
        operator: The name of the operator; empty before the first start.
        run: Id of the run; empty if the session has not noted it.
        values: The lines with which the batch was started, by input; none of a secret input.
        ended: Time of the end in seconds since the epoch; 0 before.
        status: Exit status of the session; negative for a signal; None if it is not known.
        aborted: Name of the operator who aborted the batch; empty otherwise.
        aborted_units: The units that were aborted alone, each with the name of the operator.
        output: Last lines of a session that ended without a run.
    """

    state: State = "idle"
    nonce: str = ""
    version: int = 0
    operator: str = ""
    run: str = ""
    values: dict[str, str] = {}
    ended: float = 0.0
    status: int | None = None
    aborted: str = ""
    aborted_units: dict[str, str] = {}
    output: str = ""


class Station:
    """Station of one recipe. Thread-safe.

    Attributes:
        name: The id of the recipe.

    Args:
        runs: The folder of the runs.
        root: The rootdir, in which sessions are started.
        recipe: The id of the recipe.
        load: Function that reads the recipe.
        options: Further options and arguments of pytest.
        program: The program and its first arguments that run pytest.

    Raises:
        StationRuns: Another process is the station of this recipe.
        OSError: The folder of the station cannot be written.
    """

    def __init__(
        self,
        runs: Path,
        root: Path,
        recipe: str,
        load: "Callable[[], Recipe | RecipeError]",
        options: Sequence[str] = (),
        program: Sequence[str] = (sys.executable, "-m", "pytest"),
    ) -> None:
        self._runs, self._root, self._recipe, self.name = runs, root, recipe, recipe
        self._load, self._options, self._program = load, options, program
        self._folder = station_folder(runs, recipe)
        claimed = claim(self._folder)
        if claimed is None:
            raise StationRuns(f"another process is the station of {recipe}")
        self._claimed = claimed
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._batch = Batch()
        self._now = Moment(nonce=secrets.token_urlsafe(16))
        self._is_over = threading.Event()
        self._take_over()
        self._thread = threading.Thread(target=self._watch, name="station", daemon=True)
        self._thread.start()

    @property
    def now(self) -> Moment:
        """The present state."""
        with self._lock:
            return self._now

    def recipe(self) -> "Recipe | RecipeError":
        """Return the recipe as it is now, or the errors in it."""
        return self._load()

    def start(self, nonce: str, lines: Mapping[str, str], who: str) -> Reply:
        """Start a session.

        Args:
            nonce: The nonce of the state that the page showed.
            lines: The lines that were typed, by input.
            who: The name of the operator.
        """
        with self._lock:
            if self._is_old(nonce, "idle"):
                return Reply(refusal=OUT_OF_DATE)
            recipe = self.recipe()
            if isinstance(recipe, Exception):
                return Reply(refusal=str(recipe))
            values, problems = _checked(recipe.inputs, lines)
            who = " ".join(who.split())
            if wrong := _wrong_name(who, recipe.inputs):
                problems["who"] = wrong
            if not problems and recipe.units is not None:
                from pytest_orchestrator.recipe.loader.units import with_present
                from pytest_orchestrator.recipe.problems import RecipeError

                try:
                    with_present(recipe, values)
                except RecipeError as error:
                    return Reply(refusal=error.problems[0].text)
            if problems:
                text = "; ".join(f"'{name}' {rule}" for name, rule in problems.items())
                return Reply(refusal=text, problems=problems)
            shown = {name: line for name, line in lines.items() if not recipe.inputs[name].secret}
            return self._begin(Batch(values=values, operator=who), shown)

    def repeat(self, nonce: str) -> Reply:
        """Start a session with the values of the last one."""
        with self._lock:
            if self._is_old(nonce, "ended"):
                return Reply(refusal=OUT_OF_DATE)
            return self._begin(self._batch, self._now.values)

    def next(self, nonce: str) -> Reply:
        """Show the form for the next unit."""
        with self._lock:
            if self._is_old(nonce, "ended"):
                return Reply(refusal=OUT_OF_DATE)
            self._batch = Batch(operator=self._batch.operator)
            self._set(Moment(operator=self._now.operator))
            return Reply()

    def abort(self, nonce: str, who: str, unit: str = "") -> Reply:
        """End the session as SIGTERM does, or one unit of a panel: `finally` and safe states run.

        Args:
            nonce: The nonce of the state that the page showed.
            who: The name of the operator; empty for that of the batch.
            unit: The unit, if the others go on.
        """
        with self._lock:
            if self._is_old(nonce, "running"):
                return Reply(refusal=OUT_OF_DATE)
            who = " ".join(who.split()) or self._now.operator or "the operator"
            if unit:
                aborts = {unit: who, **self._now.aborted_units}
                try:
                    write_aborts(self._folder, aborts)
                except OSError as error:
                    return Reply(refusal=f"Unit {unit} cannot be aborted: {error}")
                self._change(aborted_units=aborts)
            else:
                self._terminate()
                self._change(aborted=who)
            return Reply()

    def close(self) -> None:
        """End the station and its session, and wait for the session."""
        with self._lock:
            is_running = self._now.state == "running"
            if is_running:
                self._terminate()
        deadline = time.monotonic() + _END
        while self.now.state == "running" and time.monotonic() < deadline:
            time.sleep(_LOOK)
        self.detach()

    def detach(self) -> None:
        """End the station alone; its session goes on as if this process were killed."""
        if not self._is_over.is_set():
            self._is_over.set()
            self._thread.join()
            os.close(self._claimed)

    def _is_old(self, nonce: str, state: State) -> bool:
        given, own = nonce.encode(errors="replace"), self._now.nonce.encode()
        return self._now.state != state or not secrets.compare_digest(given, own)

    def _begin(self, batch: Batch, shown: dict[str, str]) -> Reply:
        path = self._folder / FILE
        command = [*self._program, self._recipe, f"--recipe-batch={path}", *self._options]
        page_lease.renew(self._folder)
        try:
            locked = write_batch(self._folder, batch)
            try:
                output = os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                try:
                    self._process = subprocess.Popen(
                        command,
                        cwd=self._root,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        pass_fds=(locked,),
                        start_new_session=True,  # Ctrl-C reaches the station, which ends it
                    )
                finally:
                    os.close(output)
            finally:
                os.close(locked)
        except OSError as error:
            return Reply(refusal=f"The session cannot be started: {error}")
        self._batch = batch
        self._set(Moment(state="running", operator=batch.operator, values=shown))
        return Reply()

    def _take_over(self) -> None:
        """Show the session of an earlier station, which may still run."""
        noted = session_in(self._folder)
        page_lease.renew(self._folder)
        if is_held(self._folder):
            with suppress(ValueError):
                from pytest_orchestrator.runs.operator.batch import read_batch

                self._batch = read_batch(self._folder / FILE)
            run = noted.run if noted else ""
            aborts = aborts_in(self._folder)
            who = self._batch.operator
            self._set(Moment(state="running", operator=who, run=run, aborted_units=aborts))
        else:
            discard_batch(self._folder)

    @property
    def _output(self) -> Path:
        return self._folder / "output.txt"

    def _set(self, moment: Moment) -> None:
        """Enter a state, which has a nonce of its own."""
        self._now = moment
        self._change(nonce=secrets.token_urlsafe(16))

    def _change(self, **changed: Any) -> None:
        """Change what the page shows of the state."""
        self._now = replace(self._now, **changed, version=time.monotonic_ns())

    def _terminate(self) -> None:
        noted = session_in(self._folder)
        pid = self._process.pid if self._process is not None else noted.pid if noted else None
        if pid is not None and self._is_running():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _is_running(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return is_held(self._folder)

    def _watch(self) -> None:
        """Renew the leases of the station, and note the run and the end of its session."""
        renewed = 0.0
        while not self._is_over.wait(_LOOK):
            with self._lock:
                is_running = self._now.state == "running"
                if is_running:
                    self._look()
            if time.monotonic() - renewed > _RENEWED:
                renewed = time.monotonic()
                page_lease.renew(self._folder)
                if is_running:  # questions wait, also while no browser is open
                    page_lease.renew(self._runs)

    def _look(self) -> None:
        noted = session_in(self._folder)
        if noted and noted.run != self._now.run:
            self._change(run=noted.run)
        if self._is_running():
            return
        status = self._process.returncode if self._process is not None else None
        self._process = None
        discard_batch(self._folder)
        run = self._now.run
        output = "" if run and (self._runs / run / "journal.jsonl").is_file() else self._tail()
        self._set(
            replace(self._now, state="ended", ended=time.time(), status=status, output=output)
        )

    def _tail(self) -> str:
        with suppress(OSError):
            lines = self._output.read_text("utf-8", "replace").rstrip().splitlines()
            return "\n".join(lines[-_SHOWN_LINES:])
        return ""


def serial_input(recipe: "Recipe") -> str:
    """Return the name of the input that is the serial number of the unit; empty without one."""
    for template in recipe.templates:
        path = template.path
        is_serial = path[:2] == ("test_meta", "dut") and (len(path) == 2 or path[2] in SERIAL)
        chain = template.expressions[0].whole_chain if is_serial and template.is_whole else None
        if chain and chain.root == "vars" and chain.parts and chain.parts[0] in recipe.inputs:
            return str(chain.parts[0])
    return ""


def _checked(
    inputs: Mapping[str, InputField], lines: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of inputs, and the rule that each wrong line violates.

    An input with an empty line keeps its default, which may be an expression.
    """
    values: dict[str, Any] = {}
    problems = dict.fromkeys(lines.keys() - inputs.keys(), "is no input of the recipe")
    for name, field in inputs.items():
        line = lines.get(name, "")
        try:
            if line.strip() or field.is_required or field.is_socket:
                values[name] = value_of_line(field, line)
        except ValueError as error:
            problems[name] = str(error)
    return values, problems


def _wrong_name(who: str, inputs: Mapping[str, InputField]) -> str:
    """Return the rule that the name of an operator violates; a scanned code is no name."""
    if not who:
        return EMPTY
    if len(who) > _MAX_NAME or not who.isprintable():
        return f"should be a name of at most {_MAX_NAME} characters"
    patterns = [field.pattern for field in inputs.values() if field.pattern]
    is_code = any(
        any(map(str.isdigit, who)) and compile_pattern(one).fullmatch(who) for one in patterns
    )
    return "should be a name, not the code of a label" if is_code else ""
