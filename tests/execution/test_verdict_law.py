"""The law of verdicts: a step passes where its one process ended well and said good once.

Whatever a step's process, its children and its program do, the step has passed only if the one
process that was started for it ended by itself, with the code that is wanted, and said once that
all is good. A machine composes programs of what processes can do, runs them in real lanes, and
compares what became of each step with what the processes themselves wrote down.
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

from pytest_orchestrator.execution.environment import Manner
from pytest_orchestrator.execution.lanes.lane import Lanes, Slot
from pytest_orchestrator.execution.steps.ssh import Links
from pytest_orchestrator.plugin.python_lane import launch
from tests.execution import verdict_actor
from tests.execution.conftest import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES = int(os.environ.get("VERDICT_EXAMPLES", "25"))
"""`scripts/check --all` asks for 2,000."""
PHASES = (Phase.generate,) if "VERDICT_FIRST" in os.environ else tuple(Phase)
"""`scripts/mutants` asks for the first exception, and not for the smallest, which takes minutes."""

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
    *((name,) for name in ("child_reports", "child_kills", "child_stays", "child_goes_on")),
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


class Diary:
    """What processes wrote down before they did it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def read(self) -> list[list[str]]:
        """Return what was written since: the words of each entry, first the pid of who did it."""
        text = b""
        while True:
            try:
                text += os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return [line.split() for line in text.decode().splitlines()]


class Written(NamedTuple):
    """What the process of a step did, by its own words."""

    began: int
    says: list[str]
    is_torn: bool
    code: int | None


def written(entries: list[list[str]]) -> Written:
    """Return what the first process did that is written of."""
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
    return Written(began, says, is_torn, code)


def of_a_report(did: Written) -> str:
    """Return what becomes of a Python step whose process did this."""
    if did.says in (["ok"], ["skip"]) and not did.is_torn and did.code == 0:
        return "passed" if did.says == ["ok"] else "skipped"
    return "failed"


def of_output(entries: list[list[str]], parse: str, keys: dict[str, Any], wanted: str) -> str:
    """Return what becomes of a shell step whose processes did this."""
    did = written(entries)
    if did.code is None:
        return "failed"
    if did.code == keys.get("skip_exit_code"):
        return "skipped"
    printed: list[str] = []
    result: list[str] = []
    is_closed = False
    for _, word, *more in entries:
        is_closed |= word == "closes"
        if word == "prints" and not is_closed:
            printed += more
        result = more if word == "writes" else result
    said = result or (printed[-1:] if parse == "last-line" else printed)
    is_good = parse == "text" or said == ["ok"]
    return "passed" if is_good and str(did.code) in wanted.split() else "failed"


class Ground:
    """Lanes, and a project whose steps run in them."""

    def __init__(self, root: Path, lanes: Lanes, config: pytest.Config) -> None:
        program = launch.lane_program(config)
        fresh = program.hello | {"forks": False}
        self.diary = Diary(root / "diary")
        self.benches = {}
        for way, hello in (("forked", program.hello), ("fresh", fresh)):
            folder = root / way
            folder.mkdir()
            again = type(program)(program.argv, program.env, hello)
            bench = self.benches[way] = Bench(folder, Slot(lanes, again, Links()))
            shutil.copy(verdict_actor.__file__, folder)
            manner = Manner.here(folder)
            bench.surroundings(inline=False, manner=manner)
        self._modules = 0

    def python(self, way: str, imports: str, params: dict[str, Any]) -> tuple[str, str, Any]:
        """Run a Python step; return what became of it, why, and what was written down."""
        bench, module = self.benches[way], "plain"
        if imports != "nothing":
            self._modules += 1
            module = f"hostile_{self._modules}"
        acts = f"verdict_actor.imported({imports!r})"
        bench.write(f"{module}.py", f"import verdict_actor\n{acts}\nstep = verdict_actor.step\n")
        params = params | {"diary": str(self.diary.path)}
        step = bench.step(
            type="python", module=module, function="step", params=params, timeout="50s"
        )
        return self._result(bench, step)

    def shell(self, script: str, **keys: Any) -> tuple[str, str, Any]:
        """Run a shell step, likewise."""
        bench = self.benches["forked"]
        bench.write("program", f"#!/bin/sh\nexec 9>'{self.diary.path}'\n{script}\n", mode=0o755)
        return self._result(bench, bench.shell_step("./program", timeout="50s", **keys))

    def _result(self, bench: Bench, step: Any) -> tuple[str, str, Any]:
        self.diary.read()
        result = bench.result(step)
        reason = result.failure.reason if result.failure else result.reason
        return result.outcome, reason, self.diary.read()


class Verdicts(RuleBasedStateMachine):
    """Runs one composed program after the other in the same lanes."""

    grounds: ClassVar[list[Ground]]

    @rule(
        ground=st.sampled_from([0, 1]),
        way=st.sampled_from(["forked"] * 15 + ["fresh"]),
        imports=st.sampled_from(IMPORTS),
        actions=st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=4),
        returns=st.sampled_from(["ok"] * 8 + ["off", "skip", "none"]),
    )
    def a_python_step_runs(
        self, ground: int, way: str, imports: str, actions: list[tuple[Any, ...]], returns: str
    ) -> None:
        params = {"actions": actions, "returns": returns}
        outcome, reason, entries = self.grounds[ground].python(way, imports, params)
        did = written(entries)
        assert did.began == 1, (reason, entries)
        assert outcome == of_a_report(did), (reason, entries)

    @rule(
        ground=st.sampled_from([0, 1]),
        parse=st.sampled_from(["json", "text", "last-line"]),
        first=st.sampled_from(["ok", "ok", "noise"]),
        lines=st.lists(st.sampled_from(list(LINES)), max_size=4),
        code=st.sampled_from(CODES),
    )
    def a_shell_step_runs(
        self,
        ground: int,
        parse: str,
        first: str,
        lines: list[str],
        code: tuple[dict[str, Any], str],
    ) -> None:
        keys, wanted = code
        script = ["echo $$ began >&9", *(LINES[line] for line in (first, *lines)), ":"]
        outcome, reason, entries = self.grounds[ground].shell(
            "\n".join(script), parse=parse, **keys
        )
        assert outcome == of_output(entries, parse, keys, wanted), (reason, entries)


@pytest.fixture(scope="module")
def grounds(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[list[Ground]]:
    """Lanes as usual, and lanes of a pytest that ignores SIGCHLD."""
    folder = tmp_path_factory.mktemp("verdicts")
    with Lanes() as usual, Lanes() as ignoring:
        former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            ignoring.start()
        finally:
            signal.signal(signal.SIGCHLD, former)
        found = []
        for name, lanes in (("usual", usual), ("ignoring", ignoring)):
            (folder / name).mkdir()
            found.append(Ground(folder / name, lanes, request.config))
        yield found


def test_a_step_passes_only_by_the_one_process_that_was_started_for_it(
    grounds: list[Ground],
) -> None:
    machine = type("Verdicts", (Verdicts,), {"grounds": grounds})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=4, database=None, phases=PHASES
        ),
    )
