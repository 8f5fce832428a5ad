"""Property test: a step passes only by one good report and the good end of its one process.

Whatever a step's process, its children and its program do, the step has passed only if the one
process that was started for it ended by itself, with the expected exit code, and reported success
once. A hypothesis state machine composes programs from actions of processes, runs them in real
lanes, and compares the outcome of each step with the log that the processes themselves wrote.
"""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from pytest_orchestrator.execution.lanes.lane import Lanes, Slot
from pytest_orchestrator.execution.lanes.ssh_connections import SshConnections
from pytest_orchestrator.execution.run_config import PythonSettings
from pytest_orchestrator.plugin.python_lane import launch
from tests.execution import verdict_actor
from tests.execution.conftest import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES = int(os.environ.get("VERDICT_EXAMPLES", "25"))
"""Number of examples; `scripts/check --all` sets 2,000."""
PHASES = (Phase.generate,) if "VERDICT_FIRST" in os.environ else tuple(Phase)
"""`scripts/mutants` skips the search for the smallest example, which takes minutes."""

_OK, _OFF = '{"status": "ok"}', '{"status": "off"}'
_PIECES = ("00", "00000001", "000000013f", "7fffffff00", "ff" * 100)
_AT_EXIT = (
    ("exits", 0),
    ("exits", 3),
    ("is_killed", "SIGSEGV"),
    ("is_killed", "SIGKILL"),
    ("executes", 3),
    ("executes", 0),
    ("reports",),
    ("closes",),
    ("child_exits", 3),
    ("child_reports",),
    ("child_kills",),
)
ACTIONS = (
    *((name,) for name in ("prints", "reports", "closes", "doubles", "closes_streams")),
    *((name,) for name in ("child_reports", "child_kills", "child_remains", "child_continues")),
    *((name,) for name in ("stops_the_run", "kills_the_lane")),
    *(("exits", code) for code in (0, 1, 3)),
    *(("executes", code) for code in (0, 3)),
    *(("is_killed", name) for name in ("SIGKILL", "SIGSEGV", "SIGABRT")),
    *((name, code) for name in ("raises", "child_raises") for code in (None, 0, 3)),
    *(("child_returns", what) for what in ("ok", "off", "skip", "none")),
    *(("child_exits", code) for code in (0, 3)),
    *((name, piece) for name in ("tears", "child_tears") for piece in _PIECES),
    *(("is_limited", name) for name in ("NOFILE", "FSIZE", "CORE")),
    *(("ignores", name) for name in ("SIGCHLD", "SIGPIPE")),
    *((name, *one) for name in ("at_exit", "at_exit_in_a_thread") for one in _AT_EXIT),
)
IMPORTS = ("nothing",) * 8 + ("ignores SIGCHLD", "forks")
LINES = {
    "noise": "echo noise; echo $$ prints noise >&9",
    "ok": f"echo '{_OK}'; echo $$ prints ok >&9",
    "off": f"echo '{_OFF}'; echo $$ prints off >&9",
    "ok by a child": f"sh -c 'echo \"$1\"; echo $$ prints ok >&9' sh '{_OK}'",
    "result ok": f"echo '{_OK}' > $ORCHESTRATOR_RESULT; echo $$ writes ok >&9",
    "result off": f"echo '{_OFF}' > $ORCHESTRATOR_RESULT; echo $$ writes off >&9",
    "result of a child": "sh -c 'echo \"$1\" > $ORCHESTRATOR_RESULT; echo $$ writes ok >&9' sh "
    f"'{_OK}'",
    "a child is killed": "sh -c 'kill -KILL $$' || :",
    "a child leaves": "sh -c 'exit 3' || :",
    "a child kills": "sh -c 'echo $PPID dies >&9; kill -KILL $PPID'; sleep 60",
    "a child stays": "sleep 60 &",
    "closes": "echo $$ closes >&9; exec >&-",
    "is killed": "echo $$ dies >&9; kill -KILL $$; sleep 60",
    "crashes": "echo $$ dies >&9; ulimit -c 0; kill -SEGV $$; sleep 60",
    **{f"exits {n}": f"echo $$ leaves {n} >&9; exit {n}" for n in (0, 1, 3)},
    **{f"executes {n}": f"echo $$ leaves {n} >&9; exec sh -c 'exit {n}'" for n in (0, 3)},
    **{f"at exit {n}": f"trap 'echo $$ leaves {n} >&9; exit {n}' EXIT" for n in (0, 3)},
}
CODES: tuple[tuple[dict[str, Any], str], ...] = (
    *([({}, "0")] * 4),
    ({"success": {"exit_code": 3}}, "3"),
    ({"success": {"exit_code": [0, 3]}}, "0 3"),
    ({"success": {"exit_code": "nonzero"}}, "1 3"),
    ({"skip_exit_code": 3}, "0"),
)


class ActionLog:
    """Named pipe to which processes write each action before they take it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def read(self) -> list[list[str]]:
        """Return the entries since the last call: the pid of the writer, then the words."""
        text = b""
        while True:
            try:
                text += os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return [line.split() for line in text.decode().splitlines()]


class Actions(NamedTuple):
    """The actions of the process of a step, as it logged them."""

    began: int
    says: list[str]
    is_torn: bool
    code: int | None


def actions_of(entries: list[list[str]]) -> Actions:
    """Return the actions of the process of the first entry."""
    own = [words for pid, *words in entries if pid == entries[0][0]]
    says: list[str] = []
    code: int | None = 0
    is_torn = is_closed = False
    for word, *more in own:
        is_closed |= word == "closes"
        is_torn |= word == "tears" and not is_closed
        if word == "says" and not is_closed:
            says += more
        code = None if word == "dies" else int(more[0]) if word == "leaves" else code
    began = sum(words == ["began"] for _, *words in entries)
    return Actions(began, says, is_torn, code)


def python_outcome(actions: Actions) -> str:
    """Return the expected outcome of a Python step whose process took these actions."""
    if actions.says in (["ok"], ["skip"]) and not actions.is_torn and actions.code == 0:
        return "passed" if actions.says == ["ok"] else "skipped"
    return "failed"


def shell_outcome(entries: list[list[str]], parse: str, keys: dict[str, Any], codes: str) -> str:
    """Return the expected outcome of a shell step whose processes logged these entries."""
    actions = actions_of(entries)
    if actions.code is None:
        return "failed"
    if actions.code == keys.get("skip_exit_code"):
        return "skipped"
    printed: list[str] = []
    result: list[str] = []
    is_closed = False
    for _, word, *more in entries:
        is_closed |= word == "closes"
        if word == "prints" and not is_closed:
            printed += more
        result = more if word == "writes" else result
    reports = result or (printed[-1:] if parse == "last-line" else printed)
    if result and printed[-1:] in (["ok"], ["off"]):  # stdout must not contradict the result file
        reports = reports if printed[-1:] == result else ["off"]
    is_good = parse == "text" or reports == ["ok"]
    return "passed" if is_good and str(actions.code) in codes.split() else "failed"


class Workspace:
    """Lanes, and the projects whose steps run in them."""

    def __init__(self, root: Path, lanes: Lanes, config: pytest.Config) -> None:
        program = launch.lane_program(config)
        fresh = program.hello | {"forks": False}
        self.log = ActionLog(root / "log")
        self.benches = {}
        for way, hello in (("forked", program.hello), ("fresh", fresh)):
            folder = root / way
            folder.mkdir()
            again = type(program)(program.argv, program.env, hello)
            bench = self.benches[way] = Bench(folder, Slot(lanes, again, SshConnections()))
            shutil.copy(verdict_actor.__file__, folder)
            settings = PythonSettings.here(folder)
            bench.configure(runs_inline=False, python_settings=settings)
        self._modules = 0

    def python(self, way: str, imports: str, params: dict[str, Any]) -> tuple[str, str, Any]:
        """Run a Python step; return its outcome, its reason, and the entries of the log."""
        bench, module = self.benches[way], "plain"
        if imports != "nothing":
            self._modules += 1
            module = f"hostile_{self._modules}"
        act = f"verdict_actor.imported({imports!r})"
        bench.write(f"{module}.py", f"import verdict_actor\n{act}\nstep = verdict_actor.step\n")
        params = params | {"log": str(self.log.path)}
        step = bench.step(
            type="python", module=module, function="step", params=params, timeout="50s"
        )
        return self._result(bench, step)

    def shell(self, script: str, **keys: Any) -> tuple[str, str, Any]:
        """Run a shell step; return the same as `python`."""
        bench = self.benches["forked"]
        bench.write("program", f"#!/bin/sh\nexec 9>'{self.log.path}'\n{script}\n", mode=0o755)
        return self._result(bench, bench.shell_step("./program", timeout="50s", **keys))

    def _result(self, bench: Bench, step: Any) -> tuple[str, str, Any]:
        self.log.read()
        result = bench.result(step)
        reason = result.failure.reason if result.failure else result.reason
        return result.outcome, reason, self.log.read()


class Verdicts(RuleBasedStateMachine):
    """Runs one composed program after the other in the same lanes."""

    workspaces: ClassVar[list[Workspace]]

    @rule(
        workspace=st.sampled_from([0, 1]),
        way=st.sampled_from(["forked"] * 15 + ["fresh"]),
        imports=st.sampled_from(IMPORTS),
        actions=st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=4),
        returns=st.sampled_from(["ok"] * 8 + ["off", "skip", "none"]),
    )
    def a_python_step_runs(
        self, workspace: int, way: str, imports: str, actions: list[tuple[Any, ...]], returns: str
    ) -> None:
        params = {"actions": actions, "returns": returns}
        outcome, reason, entries = self.workspaces[workspace].python(way, imports, params)
        observed = actions_of(entries)
        assert observed.began == 1, (reason, entries)
        assert outcome == python_outcome(observed), (reason, entries)

    @rule(
        workspace=st.sampled_from([0, 1]),
        parse=st.sampled_from(["json", "text", "last-line"]),
        first=st.sampled_from(["ok", "ok", "noise"]),
        lines=st.lists(st.sampled_from(list(LINES)), max_size=4),
        code=st.sampled_from(CODES),
    )
    def a_shell_step_runs(
        self,
        workspace: int,
        parse: str,
        first: str,
        lines: list[str],
        code: tuple[dict[str, Any], str],
    ) -> None:
        keys, codes = code
        script = ["echo $$ began >&9", *(LINES[line] for line in (first, *lines)), ":"]
        outcome, reason, entries = self.workspaces[workspace].shell(
            "\n".join(script), parse=parse, **keys
        )
        assert outcome == shell_outcome(entries, parse, keys, codes), (reason, entries)


@pytest.fixture(scope="module")
def workspaces(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[list[Workspace]]:
    """Lanes of a default pytest, and lanes of a pytest that ignores SIGCHLD."""
    folder = tmp_path_factory.mktemp("verdicts")
    with Lanes() as default, Lanes() as ignoring:
        former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            ignoring.start()
        finally:
            signal.signal(signal.SIGCHLD, former)
        found = []
        for name, lanes in (("default", default), ("ignoring", ignoring)):
            (folder / name).mkdir()
            found.append(Workspace(folder / name, lanes, request.config))
        yield found


@pytest.mark.unmeasured
def test_a_step_passes_only_by_the_one_process_that_was_started_for_it(
    workspaces: list[Workspace],
) -> None:
    machine = type("Verdicts", (Verdicts,), {"workspaces": workspaces})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=4, database=None, phases=PHASES
        ),
    )
