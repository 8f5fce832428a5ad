"""Faults of a Dask cluster during a session, and the expected result of the session.

Each fault is a function that causes it, waits for the end of the session, and returns the errors.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from benchmarks.cluster import PATIENCE, Cluster, machines, until, why_not_apart
from pytest_orchestrator.addons.dask.link import SILENCE
from pytest_orchestrator.core.events import ContextChanged
from pytest_orchestrator.execution.remote.attempt import PATIENCE as PATIENCE_OF_WORKERS
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.lookup import find_run, load_record
from pytest_orchestrator.runs.record import StepRecord
from pytest_orchestrator.runs.resume.plan import was_cut_off

GRACE: Final = 5.0
"""Seconds after a session within which all its processes on all machines have ended."""
WRITES: Final = 5
RESETS: Final = 20
_OPTIONS: Final = ("-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-o", "recipe_html=false")
_SCRIPTLETS: Final = f"""
import os
import time


def _note(file, text):
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{{text}}\\n".encode())
    os.close(descriptor)


def step_code(ctx, params):
    name = params["name"]
    _note("ran.txt", name)
    for number in range({WRITES}):
        ctx.append(name, number)
        _note("acknowledged.txt", f"{{name}} {{number}}")
    _note(f"{{name}}.pid", os.getpid())
    end = time.monotonic() + {PATIENCE}
    while not os.path.exists(f"{{name}}.go") and time.monotonic() < end:
        time.sleep(0.02)
        if os.path.exists(f"{{name}}.more"):
            number += 1
            ctx.append(name, number)
            _note("acknowledged.txt", f"{{name}} {{number}}")
    if params.get("late"):
        ctx.set("late", name)
    _note(f"{{name}}.done", os.getpid())
    return {{"status": "ok"}}
"""
_RECIPE: Final = """
steps:
  - {name: a, type: python, module: step_code, function: step_code, params: {name: a}}
  - {name: b, type: python, module: step_code, function: step_code, params: {name: b}, needs: [a],
     idempotent: true}
  - {name: c, type: python, module: step_code, function: step_code, params: {name: c}, needs: [b]}
  - {name: d, type: python, module: step_code, function: step_code, params: {name: d}, needs: [a]}
finally:
  - {name: e, type: python, module: step_code, function: step_code, params: {name: e}}
"""
STEPS: Final = "abcde"


class Scene:
    """A project whose step `b` runs until it is released, and its sessions on a cluster.

    Args:
        cluster: The cluster.
        folder: An empty folder for the project.
        grace: Seconds after a session within which all its processes must have ended.
    """

    def __init__(self, cluster: Cluster, folder: Path, grace: float = GRACE) -> None:
        self.cluster, self.folder, self._grace = cluster, folder, grace
        (folder / "recipes").mkdir(parents=True)
        (folder / "recipes" / "x.yaml").write_text(_RECIPE)
        (folder / "step_code.py").write_text(_SCRIPTLETS)
        (folder / "pytest.ini").write_text("[pytest]\n")
        self.release("acde")
        self._ended = 0.0
        self._sessions = 0
        self._again: set[str] = set()
        self.start()

    def start(self, *args: str) -> None:
        """Start a session."""
        self._sessions += 1
        self._output_file = self.folder / f"output-{self._sessions}.log"
        self._session = self.cluster.session(self.folder, [*_OPTIONS, *args], self._output_file)

    def resume(self, again: Iterable[str]) -> None:
        """Start a session that resumes the last one; `b` and the given steps may run again."""
        self._again = {*again, "b"}
        self.start("--recipe-resume", *(f"--recipe-rerun={step}" for step in again))

    def release(self, steps: Iterable[str]) -> None:
        """End the wait of steps."""
        for name in steps:
            (self.folder / f"{name}.go").touch()

    def pid(self, step: str) -> int:
        """Wait until a step waits for its release; return its process id.

        Raises:
            RuntimeError: The step has not started.
        """
        file = self.folder / f"{step}.pid"
        until(lambda: (file.exists() and file.read_text()) or self._session.poll() is not None)
        if not file.exists():
            raise RuntimeError(f"step {step} did not start:\n{self.output}")
        return int(file.read_text().split()[-1])

    def has(self, name: str) -> bool:
        """Wait until a file exists; return False after the timeout."""
        return until((self.folder / name).exists)

    def is_recorded(self, step: str) -> bool:
        """Wait until the journal contains the end of a step."""
        run = self.folder / ".orchestrator/runs"
        return until(
            lambda: any(one.name == step and one.ended for one in load_record(find_run(run)).steps)
        )

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the session."""
        os.kill(self._session.pid, number)

    def kill_scheduler(self) -> None:
        """Kill the scheduler of the cluster."""
        assert self.cluster.scheduler is not None  # the scheduler was started
        self.cluster.scheduler.kill()
        self.cluster.scheduler.wait()

    def cut_off(self) -> list[str]:
        """Return the steps that were interrupted in the last run and are not idempotent."""
        steps = load_record(find_run(self.folder / ".orchestrator/runs")).steps
        return [one.name for one in steps if was_cut_off(one) and one.name != "b"]

    @property
    def output(self) -> str:
        """The output of the session."""
        return self._output_file.read_text(errors="replace")

    def wrong(self, *codes: int, **states: str) -> list[str]:
        """Wait for the end of the session and return the errors.

        Args:
            codes: The accepted exit codes.
            states: For steps, the texts of which one must be in their state or reason; all other
                steps must have passed.
        """
        try:
            ended = self._session.wait(3 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            self._session.wait()
            return [f"the session hangs:\n{self.output}"]
        end = time.monotonic()
        until(lambda: not self.cluster.left(), self._grace)
        late = time.monotonic() - end
        wrong = [f"left after {late:.1f} s: {one}" for one in self.cluster.left()]
        if ended not in codes:
            wrong.append(f"exit status {ended}, not {codes}")
        wrong += [*self._wrong_in_the_journal(states), *self._ran_too_often()]
        return [*wrong, self.output] if wrong else []

    def _ran_too_often(self) -> list[str]:
        """Return the steps whose code ran more often than the sessions may run it."""
        ran = Counter(_lines(self.folder / "ran.txt"))
        most = {name: 1 + (name in self._again) for name in STEPS}
        return [
            f"the code of {name} ran {ran[name]} times" for name in most if ran[name] > most[name]
        ]

    def _wrong_in_the_journal(self, states: dict[str, str]) -> list[str]:
        run = find_run(self.folder / ".orchestrator/runs")
        argv = [sys.executable, "-m", "pytest_orchestrator", "verify", str(run)]
        verified = subprocess.run(argv, capture_output=True, text=True, check=False)
        wrong = []
        if verified.returncode and "lines are unmodified" not in verified.stdout:
            wrong.append(f"verify: {verified.stdout}{verified.stderr}")
        for step in load_record(run).steps:
            state = f"{step.state} {_reason_of(step)}"
            expected = states.get(step.name, "passed|restored")
            if not any(one in state for one in expected.split("|")):
                wrong.append(f"step {step.name} is {state!r}, not {expected!r}")
        entries = read_journal(run / "journal.jsonl").entries
        kept = [one.event for one in entries if isinstance(one.event, ContextChanged)]
        values = Counter(f"{one.key} {one.new}" for one in kept)
        lost = Counter(_lines(self.folder / "acknowledged.txt")) - values
        if lost and self._sessions == 1:
            wrong.append(f"acknowledged, and not kept: {dict(lost)}")
        if self._sessions == 1:
            wrong += [f"kept {values[one]} times: {one}" for one in values if values[one] > 1]
        return wrong


def _reason_of(step: StepRecord) -> str:
    about = step.outcome_fields
    return f"{about.get('kind', '')}: {about.get('reason', '')}"


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def worker_killed(scene: Scene) -> list[str]:
    """SIGKILL of a worker during a step."""
    name, worker = scene.cluster.worker_of(scene.pid("b"))
    worker.kill()
    return scene.wrong(1, b=f"crash: worker {name} on ", c="blocked by")


def worker_killed_before_claim(scene: Scene) -> list[str]:
    """SIGKILL of a worker that has received a step from Dask and is stopped before its claim."""
    (scene.folder / "a.go").unlink()
    scene.release("b")
    name, _ = scene.cluster.worker_of(scene.pid("a"))
    other = scene.cluster.process(next(one for one in scene.cluster.workers if one != name))
    other.suspend()  # Dask usually sends b or d to it
    scene.release("a")
    until(lambda: any((scene.folder / f"{one}.pid").exists() for one in "bd"), GRACE)
    other.kill()
    return scene.wrong(0)


def worker_killed_after_body(scene: Scene) -> list[str]:
    """SIGKILL of a worker whose step has ended, before it has sent the result."""
    name, worker = scene.cluster.worker_of(scene.pid("b"))
    worker.suspend()
    scene.release("b")
    done = scene.has("b.done")
    worker.kill()
    lost = [] if done else ["the step code did not end"]
    return lost + scene.wrong(1, b=f"crash: worker {name} on ", c="blocked by")


def scheduler_killed(scene: Scene) -> list[str]:
    """SIGKILL of the scheduler; a new one is started, and the run is resumed."""
    scene.pid("b")
    scene.kill_scheduler()
    cut_off = "interrupted"
    wrong = scene.wrong(2, b=cut_off, c="not run", d=f"passed|not run|{cut_off}", e=cut_off)
    report = r"finally step 'e' was interrupted after \d+\.\d s: the scheduler at \S+ was lost"
    if not re.search(report, scene.output):
        wrong.append(f"the interrupted finally step e is not reported:\n{scene.output}")
    return wrong or _resumed(scene)


def session_killed(scene: Scene) -> list[str]:
    """SIGKILL of pytest; another session resumes the run."""
    scene.pid("b")
    scene.kill()
    states = {"b": "interrupted", "c": "not run", "d": "passed|not run|inter", "e": "not run"}
    wrong = scene.wrong(-signal.SIGKILL, **states)
    return wrong or _resumed(scene)


def _resumed(scene: Scene) -> list[str]:
    again = scene.cut_off()
    scene.release("b")
    scene.cluster.start()
    scene.resume(again)
    return scene.wrong(0)


def worker_stopped(scene: Scene, seconds: float) -> list[str]:
    """SIGSTOP of a worker during a step, and SIGCONT."""
    pid = scene.pid("b")
    name, worker = scene.cluster.worker_of(pid)
    worker.suspend()
    end = time.monotonic() + seconds
    lost = seconds > PATIENCE_OF_WORKERS
    gone = not lost or until(lambda: not psutil.pid_exists(pid), SILENCE)
    time.sleep(max(0.0, end - time.monotonic()))
    worker.resume()
    if not lost:
        scene.release("b")
        return scene.wrong(0)
    wrong = scene.wrong(1, b=f"crash: worker {name} on ", c="blocked")
    return (
        wrong
        if gone
        else ["the step code keeps running although its worker counts as lost", *wrong]
    )


def cable_pulled(scene: Scene, seconds: float, *, own: bool = False) -> list[str]:
    """Disconnected cable of a worker or of pytest for some seconds, while a step writes."""
    pid = scene.pid("b")
    (scene.folder / "b.more").touch()
    scene.is_recorded("d")  # a message in transit could make both outcomes possible
    name, _ = scene.cluster.worker_of(pid)
    cable = scene.cluster.own_cable if own else partial(scene.cluster.cable, name)
    cable(is_in=False)
    reconnect_at = time.monotonic() + seconds
    lost = seconds > PATIENCE_OF_WORKERS
    gone = not lost or until(lambda: not psutil.pid_exists(pid), SILENCE)
    time.sleep(max(0.0, reconnect_at - time.monotonic()))
    cable(is_in=True)
    scene.release("b")
    if not lost:
        return scene.wrong(0)
    # A session without its own cable may detect the loss of the scheduler first.
    end = f"crash: worker {name} on " + "|interrupted" * own
    last = "passed" + "|interrupted" * own
    wrong = scene.wrong(*(1, 2)[: 1 + own], b=end, c="blocked" + "|not run" * own, e=last)
    return wrong if gone else ["the step code keeps running without the session", *wrong]


def links_reset(scene: Scene) -> list[str]:
    """Repeated resets of a worker's connections to pytest while a step writes."""
    name, _ = scene.cluster.worker_of(scene.pid("b"))
    (scene.folder / "b.more").touch()
    done = 0
    for _ in range(RESETS):
        done += scene.cluster.reset(name)
        time.sleep(0.1)
    scene.release("b")
    return scene.wrong(0) if done else ["no connection could be reset", *scene.wrong(0)]


def worker_cut_off_after_body(scene: Scene) -> list[str]:
    """SIGKILL of a worker whose step has ended while its machine was disconnected.

    The kernel may already have the outcome in its buffer and send it after the reconnection.
    """
    name, worker = scene.cluster.worker_of(scene.pid("b"))
    scene.cluster.cable(name, is_in=False)
    scene.release("b")
    done = scene.has("b.done")
    worker.kill()
    scene.cluster.cable(name, is_in=True)
    wrong = scene.wrong(0, 1, b=f"crash: worker {name} on |passed", c="blocked|passed")
    return wrong if done else ["the step code did not end", *wrong]


FAULTS: Final[dict[str, Callable[[Scene], list[str]]]] = {
    "worker killed": worker_killed,
    "before its claim": worker_killed_before_claim,
    "after the step code": worker_killed_after_body,
    "pytest killed": session_killed,
    "scheduler killed": scheduler_killed,
    "worker stopped 10 s": partial(worker_stopped, seconds=10.0),
    "worker stopped 40 s": partial(worker_stopped, seconds=40.0),
}
CABLES: Final[dict[str, Callable[[Scene], list[str]]]] = {
    "no link 1 s": partial(cable_pulled, seconds=1.0),
    "no link 10 s": partial(cable_pulled, seconds=10.0),
    "no link 60 s": partial(cable_pulled, seconds=60.0),
    "pytest alone 1 s": partial(cable_pulled, seconds=1.0, own=True),
    "pytest alone 10 s": partial(cable_pulled, seconds=10.0, own=True),
    "pytest alone 60 s": partial(cable_pulled, seconds=60.0, own=True),
    "cut off after code": worker_cut_off_after_body,
    "links reset": links_reset,
}
CHEAP: Final = ("worker killed", "no link 1 s", "pytest killed", "scheduler killed")
"""One fault of each kind, for the gate."""


class Round(NamedTuple):
    """One execution of a fault.

    Attributes:
        fault: Its name.
        seconds: Duration, including the checks.
        wrong: The errors.
    """

    fault: str
    seconds: float
    wrong: list[str]


def rounds(
    number: int, folder: Path, only: Iterable[str] = (), grace: float = GRACE
) -> Iterator[Round]:
    """Cause faults one after the other, on clusters with and without nannies.

    Args:
        number: Number of faults.
        folder: An empty folder.
        only: Names of the faults; by default all that are possible on this machine.
        grace: Seconds after a session within which all its processes must have ended.
    """
    apart = not why_not_apart()
    all_of = FAULTS | (CABLES if apart else {})
    names = [one for one in only or all_of if one in all_of]
    for first in range(0, number, len(names)):
        own = folder / str(first)
        own.mkdir(parents=True)
        nanny = bool(first // len(names) % 2)
        with machines(4, apart=apart) as where, Cluster(own, where, nanny=nanny) as cluster:
            for each, name in enumerate(names[: number - first]):
                begun = time.monotonic()
                cluster.start()
                wrong = all_of[name](Scene(cluster, own / str(each), grace))
                yield Round(name, time.monotonic() - begun, wrong)
