"""Services: readiness, lifetime, and the steps that fail if a service dies."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest
from msgspec import UNSET

from pytest_orchestrator.execution.lanes.lane import Lanes
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.execution.scheduling.tasks import StepDependencies
from pytest_orchestrator.execution.steps.services import Service
from tests.execution.conftest import is_free

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_orchestrator.core.result import StepResult
    from pytest_orchestrator.execution.lanes.lane import Slot
    from tests.execution.conftest import Bench


LateNotBefore: TypeAlias = Callable[[Callable[[], bool]], None]


class Run:
    """A run of a recipe with a service ``a``."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.serial: RecipeRun | None = None

    def load(self, cmd: str, keys: str = "", *steps: str) -> RecipeRun:
        lines = ["steps:", "  - name: a", "    type: shell", "    background: true"]
        lines += [f"    cmd: |\n      {cmd}", *([f"    {keys}"] if keys else [])]
        lines += [f"  - {{type: shell, parse: text, {step}}}" for step in steps]
        self.serial = RecipeRun(
            self.bench.recipe("\n".join([*lines, ""])), self.bench.context, self.bench.attempt
        )
        return self.serial

    def result(self, cmd: str, keys: str = "", *steps: str) -> StepResult:
        self.load(cmd, keys, *steps)
        return self["a"]

    def __getitem__(self, name: str) -> StepResult:
        assert self.serial is not None
        return self.serial.result(self.serial.recipe.step(name))

    def finish(self) -> dict[str, StepResult]:
        assert self.serial is not None
        return {one.step: one for one in self.serial.finish()}

    def wrote(self, name: str) -> bool:
        path = self.bench.root / name
        return path.exists() and path.read_text() != ""

    def pid(self, name: str = "pid") -> int:
        return int((self.bench.root / name).read_text())


@pytest.fixture
def run(bench: Bench) -> Iterator[Run]:
    """Return a run that is closed after the test."""
    run = Run(bench)
    yield run
    run.finish()


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> LateNotBefore:
    """Return a function that keeps services from being late before a condition holds."""
    left = Service._left  # noqa: SLF001

    def late(condition: Callable[[], bool]) -> None:
        monkeypatch.setattr(
            Service, "_left", lambda self: left(self) if condition() else float("inf")
        )

    return late


def reason(result: StepResult) -> tuple[str, str]:
    assert result.failure is not None
    return result.failure.kind, result.failure.reason


LISTEN = (
    'exec python3 -c \'import socket, time; s = socket.create_server(("127.0.0.1", {port}));'
    " s.accept(); time.sleep(600)'"
)


def test_a_service_is_ready_when_its_stdout_matches(run: Run) -> None:
    result = run.result("echo starting; echo up; exec sleep 600", "ready: {stdout_matches: ^up$}")

    assert (result.outcome, result.meets) == ("passed", True)
    assert result.ended is not None
    assert result.ended.process is not None
    assert result.ended.process.stdout.text == "starting\nup\n"
    assert result.ended.process.argv[0] == "/bin/sh"
    assert result.ended.process.exit_code is None


def test_a_service_is_ready_when_its_file_exists(run: Run) -> None:
    assert run.result("touch up; exec sleep 600", "ready: {file: up}").outcome == "passed"


def test_a_service_is_ready_when_its_port_accepts_connections(run: Run, port: int) -> None:
    result = run.result(LISTEN.format(port=port), f"ready: {{port: {port}}}")

    assert result.outcome == "passed"


def test_a_file_of_an_earlier_run_makes_no_service_ready(run: Run) -> None:
    run.bench.write("up", "old")

    result = run.result("exec sleep 600", "ready: {file: up, timeout: 200ms}")

    assert reason(result) == ("timeout", "not ready after 0.2 s: file up was not written anew")


def test_all_readiness_probes_must_hold(run: Run, port: int, late: LateNotBefore) -> None:
    ready = f"ready: {{file: up, port: {port}, stdout_matches: up, timeout: 300ms}}"
    late((run.bench.root / "logs/a.1.stderr").exists)

    result = run.result("touch up; echo on >&2; exec sleep 600", ready)

    expected = f"not ready after 0.3 s: stdout does not match 'up'; port {port} takes no connection"
    assert reason(result) == ("timeout", expected)
    assert result.failure is not None
    assert result.failure.detail == ("its stderr ends with:", "  on")
    assert result.failure.place is not None
    assert result.failure.place.line == 7


def test_a_service_that_is_not_ready_in_time_is_ended(
    run: Run, is_gone: Callable[[int], bool], late: LateNotBefore
) -> None:
    late(lambda: run.wrote("pid"))

    run.result("echo $$ > pid; exec sleep 600", "ready: {file: never, timeout: 300ms}")

    assert is_gone(run.pid())
    assert run.finish() == {}


def test_a_service_without_a_probe_is_ready_after_a_moment(run: Run) -> None:
    result = run.result("exec sleep 600")

    assert result.outcome == "passed"
    assert result.ended is not None
    assert 0.1 <= result.ended.usage.seconds < 60


ALIVE = ": it has to live for 60000 ms"


@pytest.mark.parametrize(
    ("cmd", "keys", "kind", "end", "more"),
    [
        ("exit 3", "", "exit_code", "exit code 3, expected 0", ALIVE),
        ("kill -9 $$", "", "signal", "ended by SIGKILL", ALIVE),
        ("exit 0", "", "crash", "it ended with exit code 0", ALIVE),
        (
            "exit 0",
            "ready: {file: up}",
            "crash",
            "it ended with exit code 0",
            ": file up is not there",
        ),
    ],
)
def test_a_service_that_ends_before_it_is_ready_fails(
    cmd: str,
    keys: str,
    kind: str,
    end: str,
    more: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On a loaded machine `exit 3` can take longer than the usual 100 ms.
    monkeypatch.setattr("pytest_orchestrator.execution.steps.services._MIN_LIFETIME", 60.0)
    result = run.result(cmd, keys)

    assert reason(result) == (kind, f"{end}, before the service was ready{more}")


def test_a_service_has_to_live_from_the_start_of_its_program(
    run: Run, late: LateNotBefore, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = "pytest_orchestrator.execution.steps.services"
    monkeypatch.setattr(f"{services}._MIN_LIFETIME", 60.0)
    connect, unmet, has_polled = Lanes.connect, Service._unmet, threading.Event()  # noqa: SLF001

    def slow(lanes: Lanes) -> object:
        assert run.serial is not None
        (service,) = run.serial.services._services.values()  # noqa: SLF001
        assert service._monotonic_start is not None  # noqa: SLF001
        service._monotonic_start -= 60  # as if the machine had taken so long  # noqa: SLF001
        has_polled.clear()
        has_polled.wait()
        return connect(lanes)

    def polled(service: Service) -> list[str]:
        missing = unmet(service)
        has_polled.set()
        return missing

    monkeypatch.setattr(Lanes, "connect", slow)
    monkeypatch.setattr(Service, "_unmet", polled)
    late(lambda: False)

    result = run.result("exit 7")

    end = "exit code 7, expected 0, before the service was ready"
    assert reason(result) == ("exit_code", f"{end}{ALIVE}")


def test_a_service_that_is_ready_and_has_exited_with_0_passes(run: Run) -> None:
    result = run.result("touch up", "ready: {file: up}", "name: b, cmd: 'true'")

    assert result.outcome == "passed"
    assert run["b"].outcome == "passed"
    assert run.finish()["a"].outcome == "passed"


def test_a_service_that_exits_with_0_later_passes(run: Run) -> None:
    run.result(
        "mkfifo go; echo up; read x < go",
        "ready: {stdout_matches: up}",
        "name: b, cmd: 'echo > go'",
    )

    assert run["b"].outcome == "passed"
    ended = run.finish()["a"]
    assert (ended.outcome, ended.failure) == ("passed", None)


DIES = (
    "mkfifo go; echo up; read x < go; echo 'no such disk' >&2; exit 3",
    "ready: {stdout_matches: up}",
    "name: b, cmd: 'echo > go'",
)


def died(run: Run) -> None:
    """Wait until the service has died."""
    assert run["b"].outcome == "passed"
    services = run.serial.services if run.serial else None
    assert services is not None
    assert services._services["a"]._end_event.wait(60)  # noqa: SLF001


def test_a_dead_service_fails_the_steps_that_need_it(run: Run) -> None:
    run.result(*DIES, "name: c, cmd: touch c", "name: d, cmd: touch d, needs: [a]")
    died(run)

    for name in "cd":
        result = run[name]
        assert result.failure is not None
        assert reason(result) == (
            "crash",
            "needs service 'a', which has died: exit code 3, expected 0",
        )
        assert result.failure.detail == ("its stderr ends with:", "  no such disk")
        assert not (run.bench.root / name).exists()


def test_a_step_that_does_not_need_a_dead_service_runs(run: Run) -> None:
    run.result(*DIES, "name: c, cmd: 'true', needs: []")
    died(run)

    assert run["c"].outcome == "passed"


def test_a_step_that_needs_a_dead_service_indirectly_fails_and_is_not_blocked(run: Run) -> None:
    serial = run.load(*DIES, "name: c, cmd: 'true'", "name: d, cmd: 'true', needs: [c]")
    assert run["a"].outcome == "passed"
    died(run)

    assert run["c"].outcome == "failed"
    assert serial.blocker(serial.recipe.step("d")) is None
    assert reason(run["d"])[0] == "crash"


def test_steps_run_after_the_death_of_a_service_with_continue_on_error(run: Run) -> None:
    cmd, keys, kill = DIES
    run.result(cmd, f"{keys}\n    continue_on_error: true", kill, "name: c, cmd: 'true'")
    died(run)

    assert run["c"].outcome == "passed"
    assert run.finish()["a"].outcome == "failed"


def test_the_death_of_a_service_is_its_final_result(run: Run) -> None:
    run.result(*DIES)
    died(run)

    result = run.finish()["a"]
    assert result.outcome == "failed"
    assert result.failure is not None
    assert result.failure.kind == "crash"
    assert result.failure.reason.startswith("the service died after ")
    assert result.failure.reason.endswith(" s: exit code 3, expected 0")
    assert result.failure.detail == ("its stderr ends with:", "  no such disk")


def test_a_service_is_ended_and_measured_with_its_process_tree(
    run: Run, is_gone: Callable[[int], bool]
) -> None:
    run.result("sleep 600 & echo $! > child; echo $$ > pid; echo up; wait",
               "ready: {stdout_matches: up}")  # fmt: skip

    result = run.finish()["a"]

    assert (result.outcome, result.failure) == ("passed", None)
    assert is_gone(run.pid())
    assert is_gone(run.pid("child"))
    assert result.ended is not None
    assert result.ended.usage.processes == 2
    assert result.ended.usage.cpu_user_seconds is not UNSET
    assert result.ended.process is not None
    assert result.ended.process.signal == "SIGTERM"
    assert run.finish() == {}


@pytest.mark.usefixtures("long_grace_period")
@pytest.mark.parametrize(("name", "trap"), [("TERM", "TERM"), ("INT", "INT"), ("SIGUSR1", "USR1")])
def test_a_service_is_ended_by_its_stop_signal(name: str, trap: str, run: Run) -> None:
    traps = "; ".join(f"trap 'echo {each}; exit 0' {each}" for each in ("TERM", "INT", "USR1"))
    run.result(f"{traps}; mkfifo pipe; echo up; while :; do read x < pipe; done",
               f"ready: {{stdout_matches: up}}\n    stop_signal: {name}")  # fmt: skip

    result = run.finish()["a"]

    assert result.outcome == "passed"
    assert result.ended is not None
    assert result.ended.process is not None
    assert result.ended.process.stdout.text == f"up\n{trap}\n"


def test_a_service_that_ignores_its_signal_is_killed(
    run: Run, is_gone: Callable[[int], bool]
) -> None:
    run.result("trap '' TERM; echo $$ > pid; echo up; while :; do sleep 600; done",
               "ready: {stdout_matches: up}")  # fmt: skip

    result = run.finish()["a"]

    assert is_gone(run.pid())
    assert result.outcome == "passed"


@pytest.mark.usefixtures("long_grace_period")
def test_services_are_ended_in_reverse_order(run: Run) -> None:
    ends = "trap 'echo {0} >> ends; exit' TERM; echo up; while :; do sleep 0.01; done"
    service = 'background: true, ready: {{stdout_matches: up}}, name: {0}, cmd: "{1}"'
    run.result(ends.format("a"), "ready: {stdout_matches: up}",
               service.format("b", ends.format("b")))  # fmt: skip
    assert run["b"].outcome == "passed"

    run.finish()

    assert (run.bench.root / "ends").read_text() == "b\na\n"


def test_each_attempt_starts_the_service_again(
    run: Run, is_gone: Callable[[int], bool], late: LateNotBefore
) -> None:
    late(lambda: run.wrote("pid0") and not run.wrote("pid1"))

    result = run.result(
        "echo $$ > pid$(ls pid* | wc -l); test -e pid1 && echo up; exec sleep 600",
        "ready: {stdout_matches: up, timeout: 300ms}\n    retry: {attempts: 2}",
    )

    assert (result.outcome, result.attempt) == ("passed", 2)
    assert is_gone(run.pid("pid0"))
    assert list(run.finish()) == ["a"]


def test_the_output_of_an_earlier_attempt_makes_no_service_ready(
    run: Run, late: LateNotBefore
) -> None:
    serial = run.load("ls n || { touch n; echo up; }; exec sleep 600",
                      "ready: {stdout_matches: up, timeout: 300ms}")  # fmt: skip
    step = serial.recipe.step("a")
    late(lambda: False)
    assert serial.result(step).outcome == "passed"

    late((run.bench.root / "logs/a.1.stdout").exists)
    assert serial.result(step, again=True).outcome == "failed"


def test_a_running_service_is_ended_before_it_is_started_again(
    run: Run, is_gone: Callable[[int], bool]
) -> None:
    serial = run.load("echo $$ > pid; exec sleep 600", "locks: [services-again]")
    step = serial.recipe.step("a")
    serial.result(step)
    first = run.pid()

    assert serial.result(step, again=True).outcome == "passed"
    assert is_gone(first)


def test_a_service_is_ended_if_its_criteria_do_not_hold(
    run: Run, is_gone: Callable[[int], bool]
) -> None:
    result = run.result("echo $$ > pid; exec sleep 600", "success: {files_exist: [never]}")

    assert reason(result) == ("criterion", "files_exist: never is not there")
    assert is_gone(run.pid())
    assert run.finish() == {}


def test_criteria_are_checked_when_the_service_is_ready(run: Run) -> None:
    keys = "ready: {stdout_matches: up}\n    success: {files_exist: [made]}"

    assert run.result("touch made; echo up; exec sleep 600", keys).outcome == "passed"


def test_a_lock_is_held_until_the_service_ends(run: Run) -> None:
    run.result("exec sleep 600", "locks: [services-lock]")
    assert not is_free("services-lock")

    run.finish()

    assert is_free("services-lock")


def test_the_timeout_of_the_step_does_not_end_a_service(run: Run) -> None:
    run.result("echo up; exec sleep 600",
               "ready: {stdout_matches: up}\n    timeout: 50ms",
               "name: b, cmd: sleep 0.2")  # fmt: skip

    assert run["b"].outcome == "passed"
    assert run.finish()["a"].outcome == "passed"


def test_the_output_of_a_service_without_logs_is_read_too(run: Run) -> None:
    run.bench.configure(logs=None)

    assert run.result("echo up; exec sleep 600", "ready: {stdout_matches: up}").meets


def test_ctrl_c_ends_a_service_that_is_not_ready(run: Run, is_gone: Callable[[int], bool]) -> None:
    cmd = f"echo $$ > pid; kill -INT {os.getpid()}; exec sleep 600"
    run.load(cmd, "ready: {file: never}")

    with pytest.raises(KeyboardInterrupt):
        run["a"]

    assert is_gone(run.pid())
    assert run.finish() == {}


@pytest.mark.parametrize("starts", [True, False])
def test_ctrl_c_while_its_thread_starts_ends_a_service(
    run: Run, is_gone: Callable[[int], bool], monkeypatch: pytest.MonkeyPatch, starts: bool
) -> None:
    start, interrupted = threading.Thread.start, list[threading.Thread]()

    def interrupt(thread: threading.Thread) -> None:
        is_first = thread.name == "recipe service a" and not interrupted
        if starts or not is_first:
            start(thread)
        if is_first:
            interrupted.append(thread)
            while starts and not run.wrote("pid"):
                pass
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupt)
    run.load("echo $$ > pid; exec sleep 600", "ready: {file: never}")

    with pytest.raises(KeyboardInterrupt):
        run["a"]

    assert run.wrote("pid") == starts
    assert not starts or is_gone(run.pid())
    assert run.finish() == {}


def test_a_service_whose_thread_never_begins_does_not_stop_the_session(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(thread: threading.Thread) -> None:
        assert thread.name == "recipe service a"
        raise KeyboardInterrupt

    run.load("echo $$ > pid; exec sleep 600")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", broken)
        with pytest.raises(KeyboardInterrupt):
            run["a"]

    assert run.finish() == {}


POOLED = """\
steps:
  - {name: a, type: shell, background: true, cmd: "echo $$ > pid; MORE exec sleep 600", KEYS}
  - {name: b, type: shell, cmd: "true", parse: text}
"""


@pytest.fixture
def pool(bench: Bench, slot: Slot) -> Iterator[Callable[..., RecipeRun]]:
    """Return a factory of parallel runs with one worker slot."""
    made: list[RecipeRun] = []

    def pool(keys: str, more: str = "") -> RecipeRun:
        recipe = bench.recipe(POOLED.replace("KEYS", keys).replace("MORE", more))
        run = RecipeRun(recipe, bench.context, bench.attempt, slots=[slot.new_slot()])
        run.workers.plan({step.name: StepDependencies(step.needs) for step in recipe.steps})
        made.append(run)
        return run

    yield pool
    for run in made:
        run.cancel("the test is over")
        run.finish()


def test_a_service_does_not_occupy_the_worker_slot(
    pool: Callable[..., RecipeRun], bench: Bench, is_gone: Callable[[int], bool]
) -> None:
    run = pool("ready: {file: pid}")

    assert [run.result(step).outcome for step in run.recipe.steps] == ["passed", "passed"]
    assert [one.step for one in run.finish()] == ["a"]
    assert is_gone(int((bench.root / "pid").read_text()))


def test_a_parallel_run_ends_a_service_that_is_not_ready(
    pool: Callable[..., RecipeRun], bench: Bench, is_gone: Callable[[int], bool]
) -> None:
    run = pool("ready: {file: never}", f"kill -INT {os.getpid()};")

    with pytest.raises(KeyboardInterrupt):
        run.result(run.recipe.step("a"))

    result = run.results["a"]
    assert result.failure is not None
    assert result.failure.kind == "interrupted"
    assert is_gone(int((bench.root / "pid").read_text()))


def test_cancelled_steps_do_not_end_a_ready_service(
    pool: Callable[..., RecipeRun], bench: Bench
) -> None:
    run = pool("ready: {file: pid}")
    run.result(run.recipe.step("a"))

    run.cancel("Ctrl-C")

    ended = {one.step: one for one in run.finish()}["a"]
    assert ended.failure is None
    assert ended.outcome == "passed"
