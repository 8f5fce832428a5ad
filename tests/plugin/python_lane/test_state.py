"""Process state: a Python step changes neither later steps nor the process of pytest."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.python_lane import launch
from tests.tiers import kept_first

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_BODIES = """
import os
import signal
import sys

# Each step has its own token, which is part of the text that it writes.
OF_A_STEP = ("PYTEST_CURRENT_TEST", "ORCHESTRATOR_TOKEN")


def look(ctx, params):
    umask = os.umask(0)
    os.umask(umask)
    handlers = {one.name: str(signal.getsignal(one)) for one in signal.Signals}
    ctx.append("seen", {
        "cwd": os.getcwd(),
        "environ": {k: v for k, v in os.environ.items() if k not in OF_A_STEP},
        "path": list(sys.path),
        "umask": umask,
        "handlers": handlers,
        "files": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
        "modules": "spoilt" in sys.modules,
        "limit": sys.getrecursionlimit(),
    })
    return {"status": "ok"}


def spoil(ctx, params):
    os.chdir("/")
    os.environ["SPOILT"] = "1"
    del os.environ["COLUMNS"]
    sys.path.insert(0, "/spoilt")
    os.umask(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    sys.modules["spoilt"] = sys
    sys.setrecursionlimit(5000)
    global kept
    kept = [open("/dev/null") for _ in range(20)]
    return {"status": "ok"}
"""


@pytest.mark.own_interpreters
@pytest.mark.parametrize("forks", [True, False])
def test_changes_of_process_state_end_with_the_step(
    project: Project, monkeypatch: pytest.MonkeyPatch, forks: bool
) -> None:
    monkeypatch.setattr(launch, "FORKS", forks)
    project.write("bodies.py", _BODIES)
    project.write(
        "test_after.py",
        """
        import json
        from pathlib import Path

        def test_it(ctx):
            Path("seen.json").write_text(json.dumps(ctx.get("seen")))
        """,
    )
    step = "type: python, module: bodies, function"
    project.recipe("x", {"a": f"{step}: look", "b": f"{step}: spoil", "c": f"{step}: look"})

    project.run("recipes", "test_after.py").assert_outcomes(passed=4)

    first, second = json.loads((project.path / "seen.json").read_text())
    assert first == second
    assert first["cwd"] == str(project.path)
    assert not first["modules"]


@pytest.mark.own_interpreters
def test_the_process_of_pytest_is_not_changed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = project.path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(project.path / "locks"))
    project.write("bodies.py", _BODIES)
    step = "needs: [], type: python, module: bodies, function"
    spoil = "umask 0; cd /; export BENCH=1; sleep 600 & trap '' TERM; echo left; cat; exit 3"
    shell = f"needs: [], locks: [psu], type: shell, parse: text, stdin: x, cmd: {json.dumps(spoil)}"
    hangs = "needs: [], type: shell, parse: text, timeout: 200ms, cmd: sleep 600"
    steps = {"b": f"{step}: spoil", "c": f"{step}: look", "d": shell, "e": hangs}
    project.recipe("x", steps, {"off": f"{step}: look"}, head="locks: [bench]")
    project.run("--recipe-jobs=3")  # modules and objects that are made once

    for args in ((), ("-s", "--recipe-jobs=3"), ("-x", "--recipe-jobs=2")):
        before = _own(scratch)
        project.run(*args)
        after = _own(scratch)
        for name in ("files", "threads", "tasks", "children"):
            # Objects of other tests in this process may be freed at any moment.
            more = Counter(after.pop(name)) - Counter(before.pop(name))
            assert (args, name, more) == (args, name, Counter())
        assert (args, after) == (args, before)
        assert "bodies" not in sys.modules


def _own(scratch: Path) -> dict[str, Any]:
    umask = os.umask(0o077)
    os.umask(umask)
    links = (one for one in Path("/proc/self/fd").iterdir() if one.is_symlink())
    return {
        "files": [re.sub("#[0-9]+", "#", str(one.readlink())) for one in links],
        "threads": [one.name for one in threading.enumerate()],
        "tasks": [one.name for one in Path("/proc/self/task").iterdir()],
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(),
        "cwd": str(Path.cwd()),
        "environ": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        "umask": umask,
        "signals": {one.name: signal.getsignal(one) for one in signal.Signals},
        "alarm": signal.getitimer(signal.ITIMER_REAL),
        "scratch": sorted(path.name for path in scratch.iterdir()),
        "search path": list(sys.path),
    }


def test_a_step_has_the_environment_after_the_setup_of_its_item(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture(autouse=True)
        def bench(monkeypatch, tmp_path, request):
            monkeypatch.setenv("BENCH", request.node.name)
            monkeypatch.delenv("COLUMNS")
            monkeypatch.syspath_prepend(str(tmp_path))
            (tmp_path / f"only_{request.node.name}.py").write_text("")
        """,
    )
    project.write(
        "bodies.py",
        """
        import importlib, os

        def look(ctx, params):
            name = os.environ["BENCH"]
            assert "COLUMNS" not in os.environ
            assert os.environ["PYTEST_CURRENT_TEST"] == f"recipes/x.yaml::{name} (call)"
            importlib.import_module(f"only_{name}")
            return {"status": "ok"}
        """,
    )
    step = "type: python, module: bodies, function: look"
    project.recipe("x", {"a": step, "b": step})

    project.run().assert_outcomes(passed=2)


def test_a_module_is_imported_once_for_all_steps(project: Project) -> None:
    project.write(
        "heavy.py",
        """
        import time

        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass
        with open("imports.txt", "a") as file:
            file.write("x")

        def look(ctx, params):
            return {"status": "ok"}
        """,
    )
    step = "type: python, module: heavy, function: look"
    project.recipe("x", {f"s{number}": step for number in range(50)})

    project.run().assert_outcomes(passed=50)

    assert (project.path / "imports.txt").read_text() == "x"


@pytest.mark.own_interpreters
@pytest.mark.parametrize("forks", [True, False])
def test_code_of_a_step_is_collected_as_in_any_process(
    project: Project, monkeypatch: pytest.MonkeyPatch, *, forks: bool
) -> None:
    monkeypatch.setattr(launch, "FORKS", forks)
    project.write(
        "bodies.py",
        """
        import gc

        AT_IMPORT = gc.isenabled()

        def look(ctx, params):
            assert (AT_IMPORT, gc.isenabled()) == (True, True)
            return {"status": "ok"}
        """,
    )
    project.recipe("x", {"one": "type: python, module: bodies, function: look"})

    project.run().assert_outcomes(passed=1)


@pytest.mark.own_interpreters
def test_a_step_inherits_no_module_for_recipes_from_its_lane(project: Project) -> None:
    project.write(
        "bodies.py",
        """
        import sys

        def look(ctx, params):
            assert "pytest_orchestrator.plugin.python_lane.main" in sys.modules
            assert {"yaml", "jinja2", "pytest_orchestrator.recipe.fields"}.isdisjoint(sys.modules)
            return {"status": "ok"}
        """,
    )
    project.recipe("x", {"one": "type: python, module: bodies, function: look"})

    project.spawn().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("args", "keys", "here"),
    [
        ((), "", False),
        ((), "isolation: inline", True),
        ((), "fixtures: [tmp_path]", True),
        (("--pdb",), "", True),
    ],
)
def test_a_step_runs_in_its_own_process_unless_it_is_inline(
    project: Project, args: tuple[str, ...], keys: str, *, here: bool
) -> None:
    project.write(
        "bodies.py",
        """
        import os

        def look(ctx, params):
            open("pid", "w").write(str(os.getpid()))
            return {"status": "ok"}
        """,
    )
    step = "type: python, module: bodies, function: look"
    project.recipe("x", {"one": ", ".join(filter(None, [step, keys]))})

    project.run(*args).assert_outcomes(passed=1)

    assert ((project.path / "pid").read_text() == str(os.getpid())) is here


@pytest.mark.own_interpreters
@pytest.mark.parametrize("isolation", ["process", "inline"])
def test_coverage_counts_the_lines_of_scriptlets(
    project: Project, isolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COVERAGE_FILE", raising=False)
    project.write(".coveragerc", "[run]\npatch = subprocess, _exit, fork\nsource = .\n")
    keys = f"isolation: {isolation}"
    project.recipe("x", {"one": keys, "two": keys})
    coverage = [sys.executable, "-m", "coverage"]

    ran = project.pytester.run(*coverage, "run", "-m", "pytest", "-p", "no:randomly", "recipes")
    ran.assert_outcomes(passed=2)
    project.pytester.run(*coverage, "combine", "-q")
    project.pytester.run(*coverage, "json", "-q", "--include=steps.py", "-o", "coverage.json")

    files = json.loads((project.path / "coverage.json").read_text())["files"]
    source = (project.path / "steps.py").read_text().splitlines()
    counted = [source[line - 1].strip() for line in files["steps.py"]["executed_lines"]]
    assert "def note(ctx, params):" in counted
    assert "ctx.set(f\"done.{params['name']}\", True)" in counted


@pytest.mark.own_interpreters
@pytest.mark.parametrize("args", kept_first([("--recipe-jobs", "2")], ()))
def test_a_coverage_report_finds_the_source_of_all_executed_files(
    project: Project, args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COVERAGE_FILE", raising=False)
    project.write(".coveragerc", "[run]\npatch = subprocess, _exit\nsource = .\n")
    shell = "type: shell, cmd: 'echo 12', parse: data, outputs: {n: '${{ result }}'}"
    asks = "success: {assert: ['result == 12'], stdout_matches: '1.'}"
    project.recipe("x", {"one": "", "two": "isolation: inline", "three": f"{shell}, {asks}"})
    coverage = [sys.executable, "-m", "coverage"]

    ran = project.pytester.run(
        *coverage, "run", "-m", "pytest", "-p", "no:randomly", "recipes", *args
    )
    ran.assert_outcomes(passed=3)
    project.pytester.run(*coverage, "combine", "-q")
    result = project.pytester.run(*coverage, "report")

    assert (result.ret, result.errlines) == (0, [])
    files = [line.split()[0] for line in result.outlines if line.endswith("%")]
    assert files == ["steps.py", "TOTAL"]


@pytest.mark.skipif(sys.platform != "linux", reason="steps are forks on Linux only")
def test_the_memory_peak_of_a_short_python_step_is_measured(project: Project) -> None:
    project.recipe("x", {f"s{number}": "" for number in range(5)})

    sources: set[str] = set()
    for _ in range(10):  # on a loaded machine all steps of a session may be sampled
        resources = [one["resources"] for one in project.blocks().values()]
        sources |= {one["source"]["memory"] for one in resources}
        assert min(one["max_rss"] for one in resources) > 1_000_000
        if "wait4" in sources:
            break

    # The sampled mark may be some pages larger: the kernel sums its counters with a delay.
    assert {"wait4"} <= sources <= {"wait4", "sampled high-water marks"}


_EXITS = """
import atexit
import multiprocessing
import sys
import threading
import time


def say(word):
    print(word, file=sys.stderr)


atexit.register(say, "of the module")


def step(ctx, params):
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)).start()
    threading.Thread(target=time.sleep, args=(600,), name="stays").start()
    atexit.register(say, "first in, last out")
    atexit.register(lambda: 1 / 0)
    atexit.register(ctx.set, "at.exit", True)
    return {"status": "off"}


def hangs(ctx, params):
    atexit.register(time.sleep, 600)
    return {"status": "ok"}
"""


def test_exit_functions_of_a_step_run_when_its_process_ends(project: Project) -> None:
    project.write("exits.py", _EXITS)
    project.recipe("x", {"one": "type: python, module: exits, function: step"})
    project.write("test_x.py", "def test_x(ctx):\n    assert ctx.get('at.exit')\n")

    result = project.run("-vv", "recipes/x.yaml", "test_x.py")

    result.assert_outcomes(failed=1, passed=1, warnings=1)
    text = result.stdout.str()
    assert text.count("\nfirst in, last out") == 1
    assert text.count("\nZeroDivisionError: ") == 1
    assert "of the module" not in text
    assert "left running: " in text


def test_an_exit_function_that_hangs_is_ended_by_the_timeout(project: Project) -> None:
    project.write("exits.py", _EXITS)
    project.recipe("x", {"one": "type: python, module: exits, function: hangs, timeout: 300ms"})

    assert project.reasons()["one"].startswith("timeout: still running after 0.3 s")
