"""Locks of recipes and steps: only one step or one recipe holds a lock at a time."""

from __future__ import annotations

import signal
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_orchestrator.execution.instruments.bench import Bench as Instruments
from pytest_orchestrator.execution.instruments.bench import Kept
from pytest_orchestrator.execution.locks import lock_file, locks
from pytest_orchestrator.execution.locks.lock_file import Owner
from pytest_orchestrator.execution.locks.locks import LockWait
from pytest_orchestrator.execution.scheduling.retry import RetryLoop
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.recipe import cells
from pytest_orchestrator.recipe.station.reader import load_station

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.execution.locks.locks import LockSet
    from tests.execution.conftest import Bench

STEPS = """
steps:
  - {name: a, type: shell, parse: text, cmd: "true", locks: [psu, scope]}
  - {name: b, type: shell, parse: text, cmd: "true", locks: [psu]}
  - {name: c, type: shell, parse: text, cmd: "true"}
finally:
  - {name: off, type: shell, parse: text, cmd: "true", locks: [relay]}
"""
WHOLE = f"locks: [bench]{STEPS}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(tmp_path / "locks"))


def run_of(bench: Bench, text: str) -> RecipeRun:
    return RecipeRun(bench.recipe(text), bench.context, bench.attempt)


def acquired(*names: str, step: str = "recipes/y.yaml::m", stopped: bool = False) -> LockSet | None:
    stop = threading.Event()
    if stopped:
        stop.set()
    return locks.acquire(names, run="run-2", step=step, stop=stop)


def free(*names: str) -> list[str]:
    free_names = []
    for name in names:
        held = acquired(name, stopped=True)
        if held is not None:
            held.release()
            free_names.append(name)
    return free_names


def test_the_locks_of_a_step_are_held_while_it_runs(bench: Bench) -> None:
    run = run_of(bench, STEPS)
    with run.locks.of(run.recipe.step("a")) as step_locks:
        assert step_locks is not None
        assert len(step_locks.files) == 2
        assert free("psu", "scope", "relay") == ["relay"]
    assert free("psu", "scope", "relay") == ["psu", "scope", "relay"]


def test_an_instrument_is_used_under_the_lock_that_its_step_holds(
    bench: Bench, tmp_path: Path
) -> None:
    path = tmp_path / "station.yaml"
    path.write_text("instruments: {supply: {resource: x, lock: psu}}")
    never: Any = None
    instruments = Instruments(load_station(path, tmp_path), never, SimpleNamespace(exchanged=never))
    bench.configure(bench=instruments)
    run = run_of(bench, STEPS)
    with run.locks.of(run.recipe.step("a")):
        assert run.locks.lock_instrument("psu", None)
    assert free("psu", "scope") == ["scope"]
    instruments.release(run.recipe.key)
    assert free("psu") == ["psu"]


def test_only_resources_counted_on_this_machine_are_acquired(bench: Bench) -> None:
    text = "steps: [{name: a, type: shell, cmd: x, resources: {scope: 2, of_a_worker: 1}}]"
    bench.configure(resource_units={"scope": 3})
    run = RecipeRun(bench.recipe(text), bench.context, bench.attempt)
    with run.locks.of(run.recipe.step("a")) as step_locks:
        assert step_locks is not None
        assert len(step_locks.files) == 2


def test_a_step_without_locks_acquires_none(bench: Bench) -> None:
    run = run_of(bench, STEPS)
    with run.locks.of(run.recipe.step("c")) as step_locks:
        assert step_locks is not None
        assert step_locks.files == ()


def test_locks_of_a_recipe_and_its_steps_are_held_until_the_run_ends(
    bench: Bench,
) -> None:
    run = run_of(bench, WHOLE)
    assert free("bench", "psu", "scope", "relay") == ["bench", "psu", "scope", "relay"]
    run.result(run.recipe.step("c"))
    assert free("bench", "psu", "scope", "relay") == []
    run.result(run.recipe.step("off"))
    assert free("bench", "psu", "scope", "relay") == []
    run.finish()
    assert free("bench", "psu", "scope", "relay") == ["bench", "psu", "scope", "relay"]


def test_a_step_that_runs_after_the_run_acquires_the_locks_again(bench: Bench) -> None:
    run = run_of(bench, WHOLE)
    run.result(run.recipe.step("c"))
    run.finish()
    run.result(run.recipe.step("c"), again=True)
    assert free("bench") == []
    run.finish()


@pytest.mark.parametrize("text", [STEPS, WHOLE])
def test_a_step_waits_for_its_locks_and_reports_their_owner(bench: Bench, text: str) -> None:
    waits: list[LockWait] = []
    held = acquired("psu")
    assert held is not None

    def waiting(wait: LockWait) -> None:
        waits.append(wait)
        held.release()

    bench.configure(on_lock_wait=waiting)
    run = run_of(bench, text)
    result = run.result(run.recipe.step("b"))
    run.finish()
    assert result.outcome == "passed"
    assert 0 < result.waited < 60
    who = "recipes/x.yaml" if text == WHOLE else "recipes/x.yaml::b"
    assert [(wait.who, wait.lock) for wait in waits] == [(who, "psu")]
    assert waits[0].owner is not None
    assert waits[0].owner.step == "recipes/y.yaml::m"


def test_a_wait_is_described_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner(7, "bench3", "ada", "run-2", "recipes/y.yaml::m", "2026-11-25T10:15:11.430Z")
    wait = LockWait(who="recipes/x.yaml::b", lock="psu", owner=owner, seconds=11.7)
    assert str(wait) == (
        "recipes/x.yaml::b waits for lock 'psu': recipes/y.yaml::m has held it for 12 s "
        "(pid 7, ada@bench3, run run-2)"
    )
    monkeypatch.setattr(time, "time", lambda: 1e9)
    gone = msgspec.structs.replace(owner, free_at=1e9 + 20.2)
    assert str(LockWait(who="recipes/x.yaml", lock="psu", owner=gone, seconds=9.0)) == (
        "recipes/x.yaml waits for lock 'psu': what recipes/y.yaml::m has left on a worker may run "
        "for 20 s more (ada@bench3, run run-2)"
    )
    unknown = LockWait(who="recipes/x.yaml", lock="psu", owner=None, seconds=0.0)
    assert str(unknown) == "recipes/x.yaml waits for lock 'psu'"


@pytest.mark.parametrize("text", [STEPS, WHOLE])
def test_a_stopped_wait_acquires_no_lock(bench: Bench, text: str) -> None:
    run = run_of(bench, text)
    stop = threading.Event()
    stop.set()
    held = acquired("psu")
    assert held is not None
    with held, run.locks.of(run.recipe.step("a"), stop) as step_locks:
        assert step_locks is None
    assert free("psu", "scope", "bench") == ["psu", "scope", "bench"]


def test_a_step_waiting_while_another_acquires_the_locks_can_be_stopped(
    bench: Bench,
) -> None:
    is_waiting, stop = threading.Event(), threading.Event()
    bench.configure(on_lock_wait=lambda _: is_waiting.set())
    run = run_of(bench, WHOLE)
    held = acquired("psu")
    assert held is not None

    def first() -> None:
        with run.locks.of(run.recipe.step("a")):
            pass

    with held:
        thread = threading.Thread(target=first)
        thread.start()
        is_waiting.wait()
        stop.set()
        with run.locks.of(run.recipe.step("b"), stop) as step_locks:
            assert step_locks is None
    thread.join()
    run.finish()


def test_on_wait_is_called_only_when_a_step_waits(bench: Bench) -> None:
    waits: list[str] = []
    run = run_of(bench, STEPS)
    held = acquired("psu")
    assert held is not None

    def on_wait() -> None:
        waits.append("psu")
        held.release()

    for _ in range(2):
        with run.locks.of(run.recipe.step("b"), None, on_wait) as step_locks:
            assert step_locks is not None
    assert waits == ["psu"]


def test_a_session_does_not_wait_for_itself(bench: Bench) -> None:
    first = run_of(bench, WHOLE)
    first.result(first.recipe.step("c"))
    second = run_of(bench, WHOLE)
    result = second.result(second.recipe.step("c"))
    first.finish()
    assert result.failure is not None
    assert result.failure.reason == (
        "lock 'bench' is held by recipes/x.yaml, whose run in this session is not over; "
        "let nothing that uses that recipe come after this step"
    )
    assert result.failure.place == second.recipe.at["locks"]


def test_a_session_waits_for_its_lost_attempts_on_another_machine(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_file, "REMOTE_GRACE", 0.2)
    first = run_of(bench, WHOLE)
    with first.locks.of(first.recipe.step("c")) as step_locks:
        assert step_locks is not None
        for file in step_locks.files:
            lock_file.remote_attempt_started(file)
    first.finish()
    second = run_of(bench, WHOLE)
    result = second.result(second.recipe.step("c"))
    second.finish()

    assert result.failure is None
    assert result.waited > 0.1


def test_a_step_waits_for_a_lost_attempt_of_its_own_recipe(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[LockWait] = []
    bench.configure(on_lock_wait=waits.append)
    run = run_of(bench, WHOLE)
    step, stop = run.recipe.step("c"), threading.Event()
    stop.set()
    monkeypatch.setattr(lock_file, "REMOTE_GRACE", 600.0)
    with run.locks.of(step) as first:
        assert first is not None
        for file in first.files:
            lock_file.remote_attempt_started(file)
            lock_file.remote_attempt_lost(file)
    with run.locks.of(step, stop) as second:
        assert second is None
    assert [wait.owner is not None and wait.owner.free_at > 0 for wait in waits] == [True]
    monkeypatch.setattr(lock_file, "REMOTE_GRACE", 0.2)
    for file in first.files:
        lock_file.remote_attempt_started(file)
        lock_file.remote_attempt_lost(file)
    with run.locks.of(step, threading.Event()) as third:
        assert third is not None
        assert third.waited > 0.1
    run.finish()

    monkeypatch.setattr(lock_file, "REMOTE_GRACE", 600.0)
    again = run_of(bench, WHOLE)
    with again.locks.of(step, stop) as fourth:
        assert fourth is not None  # the lost attempt is not waited for a second time
    again.finish()


def test_a_lock_that_cannot_be_acquired_fails_the_step(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("file", "")
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(bench.root / "file"))
    run = run_of(bench, STEPS)
    step = run.recipe.step("a")
    result = run.result(step)
    assert result.failure is not None
    assert result.failure.reason.startswith("a lock cannot be had by ")
    assert result.failure.place == step.at["locks"]
    assert not run.begun


def test_ctrl_c_ends_a_wait_and_no_finally_step_is_pending(bench: Bench) -> None:
    def interrupt(_wait: LockWait) -> None:
        signal.raise_signal(signal.SIGINT)

    bench.configure(on_lock_wait=interrupt)
    run = run_of(bench, WHOLE)
    held = acquired("psu")
    assert held is not None
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with held, pytest.raises(KeyboardInterrupt):
            run.result(run.recipe.step("c"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert not run.begun
    failure = run.results["c"].failure
    assert failure is not None
    assert failure.kind == "interrupted"
    assert free("bench", "psu", "scope") == ["bench", "psu", "scope"]


NAMED = """
vars: {psu: psu_2, all: [bench, rack]}
locks: "${{ vars.all }}"
steps:
  - {name: a, type: shell, parse: text, cmd: "true", locks: ["${{ vars.psu }}", relay]}
  - {name: b, type: shell, parse: text, cmd: "true", locks: ["${{ vars.psu.such }}"]}
  - {name: c, type: shell, parse: text, cmd: "true", needs: [], locks: ["${{ ctx.port }}"]}
"""
NAMES = ("bench", "rack", "psu_2", "relay", "port_3")


def test_locks_with_early_names_are_acquired_at_once(bench: Bench) -> None:
    run = run_of(bench, NAMED)
    run.result(run.recipe.step("a"))
    assert free(*NAMES, "${{ vars.psu }}") == ["port_3", "${{ vars.psu }}"]
    run.finish()
    assert free(*NAMES) == list(NAMES)


def test_a_lock_with_a_late_name_is_held_until_the_run_ends(bench: Bench) -> None:
    run = run_of(bench, NAMED)
    run.context.set("port", "port_3")
    assert run.result(run.recipe.step("c")).outcome == "passed"
    assert free(*NAMES) == []
    run.finish()
    assert free(*NAMES) == list(NAMES)


def test_a_name_without_a_value_fails_its_step_alone(bench: Bench) -> None:
    run = run_of(bench, NAMED)
    assert run.result(run.recipe.step("a")).outcome == "passed"
    failure = run.result(run.recipe.step("b")).failure
    run.finish()
    assert failure is not None
    assert (failure.kind, failure.place) == ("validation", run.recipe.step("b").templates[0].place)


def test_a_name_of_the_recipe_without_a_value_fails_all_steps(bench: Bench) -> None:
    run = run_of(bench, 'locks: ["${{ env.NO_SUCH_BENCH }}"]' + STEPS)
    failure = run.result(run.recipe.step("c")).failure
    assert failure is not None
    assert failure.kind == "validation"
    assert failure.reason.startswith("`env.NO_SUCH_BENCH`: ")
    assert failure.place is not None
    assert failure.place.line == 1


def test_a_late_name_that_sorts_last_is_waited_for(bench: Bench) -> None:
    held = acquired("relay_9")
    assert held is not None
    waits: list[str] = []

    def waiting(wait: LockWait) -> None:
        waits.append(f"{wait.who} {wait.lock}")
        held.release()

    bench.configure(on_lock_wait=waiting)
    run = run_of(bench, NAMED)
    run.context.set("port", "relay_9")
    assert run.result(run.recipe.step("c")).outcome == "passed"
    run.finish()
    assert waits == ["recipes/x.yaml relay_9"]


def test_a_late_name_that_might_deadlock_fails_its_step(bench: Bench) -> None:
    held = acquired("port_3")
    assert held is not None
    run = run_of(bench, NAMED)
    run.context.set("port", "port_3")
    with held:
        failure = run.result(run.recipe.step("c")).failure
    run.finish()
    assert failure is not None
    assert failure.reason == (
        "lock 'port_3' is taken, and its name was not known when the recipe took its locks; to "
        "wait for it while 'relay' is held might be for ever: let its name depend on vars, env, "
        "matrix, run or recipe alone"
    )
    assert failure.place == run.recipe.step("c").at["locks"]


def test_an_instrument_that_is_kept_for_later_is_freed_before_a_wait(
    bench: Bench, tmp_path: Path
) -> None:
    path = tmp_path / "station.yaml"
    path.write_text("instruments: {supply: {resource: x, lock: psu}}")
    never: Any = None
    instruments = Instruments(load_station(path, tmp_path), never, SimpleNamespace(exchanged=never))
    held = acquired("load")
    assert held is not None
    waits: list[str] = []

    def waiting(wait: LockWait) -> None:
        waits.extend((wait.lock, *free("psu")))
        held.release()

    bench.configure(
        bench=instruments,
        on_lock_wait=waiting,
        release_idle_instruments=instruments.release_idle,
    )
    instruments.claim("recipes/a.yaml", ["psu"], acquired("psu"))
    instruments.release("recipes/a.yaml", Kept(instruments={"supply"}))
    assert free("psu") == []

    run = run_of(bench, "locks: [load]\nsteps: [{name: a, type: shell, cmd: 'true', parse: text}]")

    assert run.result(run.recipe.step("a")).outcome == "passed"
    run.finish()
    assert waits == ["load", "psu"]


USED = """
vars: {channel: 0}
locks: [rack, "psu_${{ vars.channel }}"]
steps:
  - {name: set, type: shell, parse: text, cmd: "true", locks: ["out_${{ vars.channel }}"]}
"""
USER = """
locks: [bench]
steps:
  - {name: one, use: recipes/_psu.yaml, with: {channel: 1}}
  - {name: two, use: recipes/_psu.yaml, with: {channel: "${{ ctx.two }}"}}
"""
OF_USED = ("bench", "out_1", "out_2", "psu_1", "psu_2", "rack")


def test_lock_names_of_a_used_file_are_resolved_with_its_own_vars(bench: Bench) -> None:
    bench.write("recipes/_psu.yaml", USED)
    run = run_of(bench, USER)
    run.context.set("two", 2)
    run.result(run.recipe.step("one.set"))
    assert free(*OF_USED) == ["out_2", "psu_2"]
    # The lock with the late name is free, so it is acquired without a wait.
    assert run.result(run.recipe.step("two.set")).outcome == "passed"
    assert free(*OF_USED) == []
    run.finish()
    assert free(*OF_USED) == list(OF_USED)


def test_a_single_step_of_a_used_file_holds_the_locks_of_the_file(bench: Bench) -> None:
    bench.write("recipes/_psu.yaml", USED)
    inner = "{name: in, use: recipes/_psu.yaml, with: {channel: 3}}"
    bench.write(
        "recipes/_rack.yaml", f'vars: {{n: 1}}\nlocks: ["r_${{{{ vars.n }}}}"]\nsteps: [{inner}]'
    )
    run = run_of(bench, "steps: [{name: out, use: recipes/_rack.yaml, with: {n: 7}}]")
    loop = RetryLoop(
        run.recipe.step("out.in.set"),
        bench.context,
        bench.attempt,
        {},
        run.scope,
        run.services,
    )
    assert loop.prepare() is None
    assert set(loop.step.locks) == {"out_3", "rack", "r_7", "psu_3"}


def test_lock_names_of_cells_are_known_before_the_first_step(bench: Bench) -> None:
    bench.write("recipes/_psu.yaml", USED)
    keys = "type: shell, parse: text, cmd: 'true'"
    written = bench.recipe(
        "locks: [bench]\nsteps:\n"
        f"  - {{name: a, {keys}, locks: ['port_${{{{ matrix.n }}}}'], matrix: {{n: [3, 4]}}}}\n"
        "  - {name: u, use: recipes/_psu.yaml, matrix: {k: [5]}, "
        "with: {channel: '${{ matrix.k }}'}}\n"
    )
    (recipe,) = cells(written, {"vars": {}, "env": {}})
    run = RecipeRun(recipe, bench.context, bench.attempt)

    assert run.result(recipe.step("a[n:3]")).outcome == "passed"
    assert free("port_3", "port_4", "psu_5", "out_5", "other") == ["other"]
    run.finish()
