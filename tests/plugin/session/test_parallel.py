"""``--recipe-jobs``: parallel steps have the same reports as sequential ones."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pytest_orchestrator import __version__
from tests.plugin.conftest import PYTEST

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_SHELL = "type: shell, parse: text"
_NAMES = tuple("abcdefgh")


@pytest.fixture(autouse=True)
def _patience(project: Project) -> None:
    """Limit the time of steps that wait for one another, so that they fail instead of hanging."""
    project.ini("recipe_timeout = 20s")


def _command(cmd: str, needs: str = "", more: str = "") -> str:
    return f"{_SHELL}, needs: [{needs}], cmd: {json.dumps(['sh', '-c', cmd])}{more}"


def _header(project: Project, *args: str) -> str:
    """Return the header line without the version."""
    lines = project.run(*args).outlines
    return next(line for line in lines if line.startswith("orchestrator ")).partition(": ")[2]


def _calls(project: Project, *args: str) -> list[pytest.TestReport]:
    return _calls_of(project.run(*args))


def _calls_of(result: pytest.RunResult) -> list[pytest.TestReport]:
    recorder = result.reprec  # type: ignore[attr-defined]
    reports = recorder.getreports("pytest_runtest_logreport")
    return [report for report in reports if report.when == "call"]


_MEETS = """
import sys
import time
from pathlib import Path

def meet(ctx, params):
    name, begun = params["name"], time.monotonic()
    Path(f"{name}.on").touch()
    while len([*Path().glob("*.on")]) < 8:
        time.sleep(0.01)
    time.sleep(0.2)
    Path(f"{name}.times").write_text(f"{begun} {time.monotonic()}")
    return {"status": "ok"}

if __name__ == "__main__":
    meet(None, {"name": sys.argv[1]})
"""


@pytest.mark.parametrize("kind", ["python", "shell"])
def test_eight_steps_run_in_parallel(project: Project, kind: str) -> None:
    project.ini("recipe_timeout = 60s")  # for them to wait for one another
    project.write("meets.py", _MEETS)
    python = "type: python, module: meets, function: meet, needs: [], params: {{name: {0}}}"
    step = python if kind == "python" else _command(f"{sys.executable} meets.py {{0}}")
    project.recipe("x", {name: step.format(name) for name in _NAMES})

    calls = _calls(project, "--recipe-jobs=8")

    assert [report.nodeid[-1] for report in calls] == list(_NAMES)
    assert all(report.passed and report.duration >= 0.2 for report in calls)
    assert max(one.start for one in calls) < min(one.stop for one in calls)
    output = [(project.path / f"{name}.times").read_text().split() for name in _NAMES]
    begun, over = (list(map(float, times)) for times in zip(*output, strict=True))
    # All start before the first one sleeps for 0.2 s, so eight take as long as one.
    assert max(begun) + 0.2 <= min(over)
    # Each step reports its own time.
    for report, first, last in zip(calls, begun, over, strict=True):
        assert last - first <= report.duration


def test_items_are_reported_in_order_with_the_times_of_their_code(project: Project) -> None:
    # It starts after the end of `c`, and `a` waits for it.
    last = _command("touch last", "c")
    wait = "until [ -e last ]; do sleep 0.01; done; sleep 0.3"
    steps = {"a": _command(wait), "b": _command("true"), "c": _command("true"), "d": last}
    project.recipe("x", steps)

    calls = a, _, c, _ = _calls(project, "--recipe-jobs=3")

    assert [one.nodeid for one in calls] == [f"recipes/x.yaml::{name}" for name in "abcd"]
    assert all(one.stop - one.start >= one.duration for one in calls)
    assert a.duration > 0.3
    assert c.stop < a.stop


def test_output_of_parallel_steps_is_not_mixed(project: Project) -> None:
    loop = "i=0; while [ $i -lt 9000 ]; do echo {0}; i=$((i + 1)); done; exit 3"
    names = ("one", "two", "three")
    project.recipe("x", {name: _command(loop.format(f"by-{name}")) for name in names})

    calls = _calls(project, "--recipe-jobs=3", "-vv")

    for report in calls:
        name = report.nodeid.rpartition("::")[2]
        shown = set(re.findall(r"by-\w+", report.capstdout))
        log = project.path / f".orchestrator/runs/latest/logs/x/{name}.1.stdout"
        assert shown == {f"by-{name}"}
        assert log.read_text() == f"by-{name}\n" * 9000


def test_parallel_python_steps_keep_their_output_records_and_warnings(project: Project) -> None:
    project.write(
        "loud.py",
        """
        import logging
        import time
        import warnings


        def step(ctx, params):
            for number in range(20):
                print("printed by", params["name"])
                logging.getLogger("bench").warning("logged by %s", params["name"])
                time.sleep(0.005)
            warnings.warn(f"warned by {params['name']}")
            assert not params["name"]
        """,
    )
    keys = "type: python, module: loud, function: step, needs: []"
    names = ("one", "two", "three")
    project.recipe("x", {name: f"{keys}, params: {{name: {name}}}" for name in names})

    result = project.run("--recipe-jobs=3", "-vv")

    for report in _calls_of(result):
        name = report.nodeid.rpartition("::")[2]
        assert set(report.capstdout.split("\n")) - {""} == {f"printed by {name}"}
        assert set(re.findall(r"logged by \w+", report.caplog)) == {f"logged by {name}"}
        assert report.caplog.count("logged by") == 20
    warned = ["warned by" in line and "UserWarning" in line for line in result.outlines]
    assert sum(warned) == 3


def test_figures_are_the_same_as_in_a_sequential_run(project: Project) -> None:
    project.write(
        "burn.py",
        """
        import time
        from pathlib import Path


        def step(ctx, params):
            total = 0
            while time.process_time() < 0.3:
                total += total * total % 7
            Path(params["name"]).write_text(str(time.process_time()))
            return {"status": "ok"}
        """,
    )
    keys = "type: python, module: burn, function: step, needs: [], params: {{name: {0}}}"
    names = ("one", "two")
    project.recipe("x", {name: keys.format(name) for name in names})

    def usage_ratios(*args: str) -> list[float]:
        """Return the reported usage of each step, as a ratio to its own measurement."""
        blocks = project.blocks(*args)
        each = [(blocks[name]["resources"], (project.path / name).read_text()) for name in names]
        return [
            (used["cpu_user_seconds"] + used["cpu_system_seconds"]) / float(own)
            for used, own in each
        ]

    # The usage of the other step would be counted too if the ratio were 2.
    for ratio in (*usage_ratios("--recipe-jobs=2"), *usage_ratios()):
        assert 0.99 < ratio < 1.3


def test_unsampled_children_are_counted_as_in_a_sequential_run(
    project: Project,
) -> None:
    project.script(
        "many.py",
        f"""
        #!{sys.executable} -S
        import os
        import time

        for _ in range(10):
            if os.fork() == 0:
                end = time.process_time() + 0.02
                while time.process_time() < end:
                    pass
                os._exit(0)
        for _ in range(10):
            os.wait()
        """,
    )
    steps = dict.fromkeys(("one", "two"), f"{_SHELL}, needs: [], cmd: ./many.py")
    project.recipe("x", steps)

    for args in ((), ("--recipe-jobs=2",)):
        for block in project.blocks(*args).values():
            used = block["resources"]
            cpu = used["cpu_user_seconds"] + used["cpu_system_seconds"]
            assert 0.19 < cpu < 0.38  # twice as much if those of both steps were counted


_GRAPH = {
    "a": _command("exit 3"),
    "b": _command("echo b >> ran.txt", "a"),
    "c": _command("echo c >> ran.txt", "b"),
    "free": _command("true"),
    "pause": "function: pause, needs: []",
    "after": _command("true", "pause"),
    "known": _command("exit 1", more=", xfail: BUG-17"),
    "behind": _command("echo behind >> ran.txt", "known"),
}


@pytest.mark.parametrize("args", [(), ("-k", "c or free"), ("--recipe-needs=none", "-k", "b or c")])
def test_outcomes_are_the_same_as_in_a_sequential_run(
    project: Project, args: tuple[str, ...]
) -> None:
    project.recipe("x", _GRAPH, {"off": _command("echo off >> ran.txt")})

    serial, ran = project.outcomes(*args), project.ran
    project.forget()
    parallel = project.outcomes("--recipe-jobs=3", *args)

    assert parallel == serial
    assert list(parallel) == list(serial)
    assert sorted(project.ran) == sorted(ran)
    assert project.ran[-1] == "off"


def test_reasons_of_blocked_and_skipped_steps_are_the_same_as_in_a_sequential_run(
    project: Project,
) -> None:
    project.recipe("x", _GRAPH)

    assert project.reasons("--recipe-jobs=3") == project.reasons()


def test_needed_steps_run_ahead_in_a_setup_and_are_reported(project: Project) -> None:
    meet = "touch $0.{0}; until [ -e sh.one -a -e sh.two ]; do sleep 0.01; done"
    project.recipe(
        "x",
        {
            "one": _command(meet.format("one")),
            "two": _command(meet.format("two")),
            "left": _command("echo left >> ran.txt"),
            "last": _command("true", "one, two"),
        },
    )

    result = project.run("--recipe-jobs=2", "-k", "last", "--recipe-table=all")

    result.assert_outcomes(passed=1)
    table = [line.split()[0] for line in result.outlines if re.match(r" \w+ [ |]+passed", line)]
    assert table == ["one", "two", "last"]
    assert project.ran == []


def test_independent_steps_run_in_parallel_with_recipe_needs_none(project: Project) -> None:
    meet = "touch $0.{0}; until [ -e sh.one -a -e sh.two ]; do sleep 0.01; done"
    steps = {name: _command(meet.format(name), "first") for name in ("one", "two")}
    project.recipe("x", {"first": _command("exit 3"), **steps})

    result = project.run("--recipe-jobs=2", "--recipe-needs=none", "-k", "one or two")

    result.assert_outcomes(passed=2)


def test_steps_of_the_recipe_of_a_marked_test_run_in_parallel(project: Project) -> None:
    meet = "touch $0.{0}; until [ -e sh.one -a -e sh.two ]; do sleep 0.01; done"
    project.recipe("x", {name: _command(meet.format(name)) for name in ("one", "two")})
    project.write(
        "test_x.py",
        """
        import pytest

        @pytest.mark.recipe("recipes/x.yaml")
        def test_x():
            pass
        """,
    )

    project.run("--recipe-jobs=2", "test_x.py").assert_outcomes(passed=1)


def test_no_step_runs_ahead_into_items_that_do_not_use_its_recipe(project: Project) -> None:
    project.recipe("x", {"bad": _command("exit 3"), "slow": _command("sleep 0.3; touch over")})
    project.write(
        "test_x.py",
        """
        from pathlib import Path

        import pytest

        @pytest.mark.recipe("recipes/x.yaml")
        def test_x():
            pass

        def test_y():
            assert Path("over").exists()
        """,
    )

    project.run("--recipe-jobs=2", "test_x.py").assert_outcomes(errors=1, passed=1)


def test_a_rerun_runs_a_step_again_and_then_its_dependents(project: Project) -> None:
    flaky = "[ -e seen ] || { touch seen; exit 3; }"
    project.recipe("x", {"a": _command(flaky), "b": _command("echo b >> ran.txt", "a")})

    project.run("--recipe-jobs=2", "--reruns=1").assert_outcomes(passed=2)

    assert project.ran == ["b"]


_SLEEPS = "echo $$ > {0}.pid; exec sleep 600"


def _pids(project: Project) -> list[int]:
    return [int(path.read_text() or 0) for path in project.path.glob("*.pid")]


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("option", ["-x", "--maxfail=1"])
def test_the_first_failure_ends_parallel_steps_at_once(project: Project, option: str) -> None:
    fails = "until [ -s b.pid -a -s c.pid ]; do sleep 0.01; done; exit 3"
    project.recipe(
        "x",
        {
            "a": _command(fails),
            "b": _command(_SLEEPS.format("b")),
            "c": _command(_SLEEPS.format("c")),
        },
        {"off": _command("echo off >> ran.txt")},
    )

    begun = time.monotonic()
    result = project.run("--recipe-jobs=3", option)

    assert time.monotonic() - begun < 60
    assert result.parseoutcomes() == {"failed": 1, "interrupted": 2, "passed": 1}
    assert any(" stopping after 1 failures " in line for line in result.outlines)
    assert project.ran == ["off"]
    assert len(_pids(project)) == 2
    assert not any(map(_is_alive, _pids(project)))


@pytest.mark.parametrize(("option", "failures"), [("-x", 1), ("--maxfail=2", 2), ("-x -n1", 1)])
def test_a_failure_ends_later_steps_while_an_earlier_item_runs(
    project: Project, option: str, failures: int
) -> None:
    fails = "until [ -e a.met -a -e c.met ]; do sleep 0.01; done; exit 3"
    ends = "trap 'touch c.over; exit 1' TERM; touch c.met; while :; do sleep 0.01; done"
    project.recipe(
        "x",
        {
            "a": _command("touch a.met; until [ -e c.over ]; do sleep 0.01; done"),
            **{f"b{number}": _command(fails) for number in range(failures)},
            "c": _command(ends),
            # Before the last failure the session does not stop, so it may run.
            "d": _command("echo d >> ran.txt", "" if failures == 1 else "c"),
        },
        {"off": _command("echo off >> ran.txt")},
    )

    result = project.run(f"--recipe-jobs={2 + failures}", *option.split(), "-rf")

    assert f"{failures} failed, 2 passed, 1 interrupted, 1 not run in" in result.outlines[-1]
    assert project.ran == ["off"]
    cause = rf"interrupted after \d+\.\d s: stopping after {failures} failures"
    assert re.search(rf"INTERRUPTED recipes/x.yaml::c - {cause}", result.stdout.str())


def test_an_expected_failure_ends_no_parallel_step(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        def pytest_collection_modifyitems(items):
            items[0].add_marker(pytest.mark.xfail(reason="known"))
        """,
    )
    waits = "touch b.met; until [ -e c.met ]; do sleep 0.01; done"
    fails = "until [ -e b.met ]; do sleep 0.01; done; exit 3"
    project.recipe(
        "x",
        {
            "a": _command(fails),
            "b": _command(waits),
            "c": _command("touch c.met", more=", after: [a]"),
        },
    )
    project.run("--recipe-jobs=2", "-x").assert_outcomes(xfailed=1, passed=2)


def _interrupted(
    project: Project, number: signal.Signals, c: str = _command(_SLEEPS.format("c"))
) -> tuple[int, list[str]]:
    a, b = (_command(_SLEEPS.format(name)) for name in "ab")
    project.recipe(
        "x",
        {"a": a, "b": b, "c": c},
        {"off": _command("echo off >> ran.txt")},
    )
    process = project.pytester.popen(
        [*PYTEST, "-rfE", "--recipe-jobs=3"], stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    while len(_pids(project)) < 3 or not all(_pids(project)):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    return process.returncode, out.decode().splitlines()


@pytest.mark.parametrize(
    ("number", "cause"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]
)
def test_an_interrupt_ends_all_steps_and_runs_the_finally_steps(
    project: Project, number: signal.Signals, cause: str
) -> None:
    status, lines = _interrupted(project, number)

    assert status == 2
    assert not any(map(_is_alive, _pids(project)))
    assert project.ran == ["off"]
    summary = [line for line in lines if line.startswith("INTERRUPTED ")]
    assert len(summary) == 3
    for name, line in zip("abc", summary, strict=True):
        ending = rf"{name} - interrupted after \d+\.\d s: {cause}"
        assert re.fullmatch(rf"INTERRUPTED \S+::{ending}", line)


def _run_stopped_session(project: Project, *args: str) -> dict[str, dict[str, Any]]:
    """Stop a session by a failure while one step runs ahead and another has ended ahead."""
    fails = "until [ -s b.pid -a -s e.pid ]; do sleep 0.01; done; exit 3"
    steps = {
        "a": _command(fails),
        "b": _command(_SLEEPS.format("b")),
        "c": _command("true"),
        "d": _command("touch d", "b"),
        "e": _command(_SLEEPS.format("e"), "c"),  # so `c` has ended by then
    }
    project.recipe("x", steps, {"off": _command("echo off >> ran.txt")})
    return project.blocks("--recipe-jobs=3", "-p", "cacheprovider", "--junitxml=j.xml", *args)


@pytest.mark.counted
@pytest.mark.parametrize("option", ["-x", "-x -n1"])
def test_steps_that_ran_ahead_are_reported_as_skipped_or_xfailed(
    project: Project, option: str
) -> None:
    waits = "until [ -s b.pid ]; do sleep 0.01; done; exit 3"
    skips = """echo '{"status": "skip", "reason": "no bench"}'"""
    project.recipe(
        "x",
        {
            "a": _command(waits),
            "fails": _command("exit 3", more=", xfail: known"),
            "passes": _command("true", more=", xfail: known"),
            "skips": _command(skips).replace("parse: text", "parse: json"),
            "over": _command("true"),
            # It starts when pytest has the results of the others, and `a` fails after that.
            "last": _command(_SLEEPS.format("b"), more=", after: [fails, passes, skips, over]"),
        },
    )

    result = project.run("--recipe-jobs=3", "-rsxX", *option.split())

    others = dict.fromkeys(("xfailed", "xpassed", "skipped", "passed"), 1)
    assert result.parseoutcomes() == {"failed": 1, "interrupted": 1, **others}
    result.stdout.fnmatch_lines_random(
        [
            "SKIPPED * recipes/x.yaml:*: no bench",
            "XFAIL recipes/x.yaml::fails - known",
            "XPASS recipes/x.yaml::passes - known*",
        ]
    )


@pytest.mark.parametrize("option", ["-x", "--sw", "-x -n1"])
def test_steps_that_ran_ahead_of_a_stopped_session_are_in_all_reports(
    project: Project, option: str
) -> None:
    blocks = _run_stopped_session(project, *option.split())

    step_block = {
        name: (block["step"]["state"], block["step"].get("kind")) for name, block in blocks.items()
    }
    assert step_block == {
        "a": ("failed", "exit_code"),
        "b": ("interrupted", "interrupted"),
        "c": ("passed", None),
        "d": ("not run", None),
        "e": ("interrupted", "interrupted"),
        "off": ("passed", None),
    }
    junit = (project.path / "j.xml").read_text()
    assert re.findall(r'<testcase [^>]*name="(\w+)"', junit) == ["a", "b", "c", "e", "off", "d"]
    assert junit.count('name="kind" value="interrupted"') == 2


def test_stepwise_continues_at_the_step_that_failed_itself(project: Project) -> None:
    _run_stopped_session(project, "--sw")
    project.write("b.pid", "")

    lines = project.run("--sw", "--collect-only", "-q", "-p", "cacheprovider").outlines

    assert next(line for line in lines if "::" in line) == "recipes/x.yaml::a"


@pytest.mark.nightly
def test_a_step_that_ignores_signals_is_ended_too(project: Project) -> None:
    project.write(
        "stuck.py",
        """
        import os
        import time
        from pathlib import Path

        Path("c.pid").write_text(str(os.getpid()))
        while True:
            try:
                time.sleep(600)
            except BaseException:
                pass
        """,
    )
    step = "type: python, module: stuck, function: step, needs: []"

    status, _ = _interrupted(project, signal.SIGINT, step)

    assert status == 2
    assert not any(map(_is_alive, _pids(project)))
    assert project.ran == ["off"]


def test_a_kill_of_pytest_ends_all_steps(project: Project) -> None:
    status, _ = _interrupted(project, signal.SIGKILL)

    assert status == -signal.SIGKILL
    until = time.monotonic() + 60
    while any(map(_is_alive, _pids(project))):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_pytest_exit_in_a_step_ends_all_parallel_steps(project: Project) -> None:
    project.write(
        "ends.py",
        """
        from pathlib import Path

        import pytest


        def step(ctx, params):
            while not Path("b.pid").exists():
                pass
            pytest.exit("the bench burns")
        """,
    )
    project.recipe(
        "x",
        {
            "b": _command(_SLEEPS.format("b")),
            "a": "type: python, module: ends, function: step, needs: []",
        },
        {"off": _command("echo off >> ran.txt")},
    )

    result = project.run("--recipe-jobs=2")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert any("the bench burns" in line for line in result.outlines)
    assert not any(map(_is_alive, _pids(project)))
    assert project.ran == ["off"]


def test_recipes_on_xdist_workers_run_their_steps_in_parallel(project: Project) -> None:
    meet = "touch {0}.$0.{1}; until [ -e {0}.sh.one -a -e {0}.sh.two ]; do sleep 0.01; done"
    for recipe in ("x", "y"):
        steps = {name: _command(meet.format(recipe, name)) for name in ("one", "two")}
        project.recipe(recipe, steps)

    result = project.spawn("--recipe-jobs=2", "-n2")

    result.assert_outcomes(passed=4)


_INLINE = {"one": "isolation: inline", "two": "needs: []"}


@pytest.mark.parametrize(
    ("steps", "args", "why"),
    [
        ({"one": "", "two": ""}, ("-s",), "recipes/x.yaml one step at a time: -s"),
        (_INLINE, (), "recipes/x.yaml one step at a time: step 'one' is inline"),
        (
            {"one": "fixtures: [tmp_path]"},
            (),
            "recipes/x.yaml one step at a time: step 'one' has fixture 'tmp_path'",
        ),
    ],
)
def test_the_header_contains_the_reason_for_one_step_at_a_time(
    project: Project, steps: dict[str, str], args: tuple[str, ...], why: str
) -> None:
    project.recipe("x", steps)
    count = f"{len(steps)} step" + "s" * (len(steps) > 1)

    assert _header(project, "--recipe-jobs=2", *args) == f"1 recipe, {count}, 2 jobs; {why}"


def test_the_header_contains_a_common_reason_once(project: Project) -> None:
    project.recipe("x", {"one": ""})
    project.recipe("y", {"one": ""})

    assert (
        _header(project, "--recipe-jobs=2", "-s")
        == "2 recipes, 2 steps, 2 jobs; one step at a time: -s"
    )
    assert _header(project, "--recipe-jobs=2") == "2 recipes, 2 steps, 2 jobs"


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ("pytest.mark.skip", "skip"),
        ("pytest.mark.skipif(True, reason='no bench')", "skipif"),
        ("pytest.mark.xfail(run=False)", "xfail(run=False)"),
    ],
)
def test_a_step_with_a_mark_that_may_skip_it_does_not_run_ahead(
    project: Project, mark: str, expected: str
) -> None:
    project.recipe("x", {"one": "", "two": "needs: []"})
    project.write(
        "conftest.py",
        f"""
        import pytest

        def pytest_collection_modifyitems(items):
            items[1].add_marker({mark})
        """,
    )

    why = f"recipes/x.yaml one step at a time: step 'two' is marked {expected}"
    assert _header(project, "--recipe-jobs=2") == f"1 recipe, 2 steps, 2 jobs; {why}"
    assert project.ran == ["one"]


def _order(project: Project, scope: str, *args: str) -> tuple[list[str], list[str]]:
    project.write(
        "conftest.py",
        f"""
        from pathlib import Path

        import pytest

        EACH = "function"

        @pytest.fixture(autouse=True{scope})
        def bench():
            with Path("ran.txt").open("a") as file:
                file.write("up\\n")
            yield
            with Path("ran.txt").open("a") as file:
                file.write("down\\n")
        """,
    )
    project.recipe("x", {"one": "", "two": "needs: []", "three": "needs: [one, two]"})
    result = project.run("--recipe-jobs=2", *args)
    return project.ran, [line for line in result.outlines if "one step at a time" in line]


def test_function_fixtures_are_set_up_for_each_step(project: Project) -> None:
    for scope in ("", ", scope='function'"):
        ran, lines = _order(project, scope)

        assert ran == ["up", "one", "down", "up", "two", "down", "up", "three", "down"]
        why = "recipes/x.yaml one step at a time: fixture 'bench' is set up for each step"
        assert [line.partition("; ")[2] for line in lines] == [why]
        project.forget()


def test_a_fixture_whose_scope_is_computed_is_named_after_the_run(project: Project) -> None:
    ran, lines = _order(project, ", scope=EACH")

    assert ran == ["up", "one", "down", "up", "two", "down", "up", "three", "down"]
    why = "recipes/x.yaml ran one step at a time: fixture 'bench' is set up for each step"
    assert lines == [why]


_ONE_BY_ONE = "recipes/x.yaml one step at a time: fixture 'bench' is set up for each step"
_FIXTURE = "import pytest\n\n\n@pytest.fixture{}\ndef bench():\n    yield\n"


@pytest.mark.parametrize(
    ("files", "ini", "why"),
    [
        ({"conftest.py": _FIXTURE.format("(autouse=True)")}, (), _ONE_BY_ONE),
        ({"recipes/conftest.py": _FIXTURE.format("(autouse=True)")}, (), _ONE_BY_ONE),
        ({"conftest.py": _FIXTURE.format("")}, ("usefixtures = bench",), _ONE_BY_ONE),
        (
            {
                "bench_fixtures.py": _FIXTURE.format("(autouse=True)"),
                "conftest.py": "from bench_fixtures import bench  # noqa: F401\n",
            },
            ("pythonpath = .",),
            _ONE_BY_ONE,
        ),
        (
            {"bench_plugin.py": _FIXTURE.format("(autouse=True)")},
            ("pythonpath = .", "addopts = -p bench_plugin"),
            _ONE_BY_ONE,
        ),
        ({"conftest.py": _FIXTURE.format("")}, (), ""),
        ({"other/conftest.py": _FIXTURE.format("(autouse=True)")}, (), ""),
        (
            {
                "conftest.py": _FIXTURE.format("(autouse=True)"),
                "recipes/conftest.py": _FIXTURE.format("(autouse=True, scope='session')"),
            },
            (),
            "",
        ),
    ],
)
def test_the_header_names_a_fixture_that_is_set_up_for_each_step(
    project: Project, files: dict[str, str], ini: tuple[str, ...], why: str
) -> None:
    for name, text in files.items():
        project.write(name, text)
    project.ini(*ini)
    project.recipe("x", {"one": "", "two": "needs: []"})

    result = project.spawn("--recipe-jobs=2")

    result.assert_outcomes(passed=2)
    said = "; ".join(["1 recipe, 2 steps, 2 jobs", *filter(None, [why])])
    assert f": {said}\n" in result.stdout.str()
    assert "ran one step at a time" not in result.stdout.str()


@pytest.mark.counted
def test_collect_only_names_a_fixture_that_is_set_up_for_each_step(project: Project) -> None:
    ran, lines = _order(project, "", "--collect-only")

    assert ran == []
    assert [line.partition("; ")[2] for line in lines] == [_ONE_BY_ONE]


@pytest.mark.parametrize(
    ("scope", "line"),
    [
        ("", f"orchestrator {__version__}: 1 recipe, 3 steps, 2 jobs; {_ONE_BY_ONE}"),
        (", scope=EACH", _ONE_BY_ONE.replace("one step", "ran one step")),
    ],
)
def test_a_session_with_workers_names_a_fixture_that_is_set_up_for_each_step(
    project: Project, scope: str, line: str
) -> None:
    ran, lines = _order(project, scope, "-n2")

    assert ran == ["up", "one", "down", "up", "two", "down", "up", "three", "down"]
    assert lines == [line]


def test_a_quiet_session_with_workers_names_no_fixture(project: Project) -> None:
    assert _order(project, "", "-n2", "-q")[1] == []
    assert _order(project, ", scope=EACH", "-n2", "-q")[1] == []


def test_module_fixtures_are_set_up_before_any_step_runs_ahead(project: Project) -> None:
    ran, actual = _order(project, ", scope='module'")

    assert (ran[0], sorted(ran[1:3]), ran[3:]) == ("up", ["one", "two"], ["three", "down"])
    assert actual == []


def test_a_recipe_that_a_test_uses_first_runs_one_step_at_a_time(project: Project) -> None:
    project.write(
        "recipes/test_first.py",
        """
        import pytest

        @pytest.mark.recipe("recipes/x.yaml")
        def test_first():
            pass
        """,
    )
    project.recipe("x", {"one": "", "two": "needs: []"})

    why = "recipes/x.yaml one step at a time: a test uses it before its own steps"
    assert _header(project, "--recipe-jobs=2") == f"1 recipe, 2 steps, 2 jobs; {why}"


def test_the_longest_steps_of_earlier_runs_start_first(project: Project) -> None:
    # The first two wait for each other, so the test knows which were first.
    note = "echo {0} >> ran.txt; until [ $(wc -l < ran.txt) -ge 2 ]; do sleep 0.01; done; sleep {1}"
    steps = {"a": 0.0, "b": 0.0, "c": 0.1, "d": 0.05}
    project.recipe("x", {name: _command(note.format(name, took)) for name, took in steps.items()})
    args = ("--recipe-jobs=2", "-p", "cacheprovider")

    project.run(*args)
    file = project.path / ".pytest_cache/v/orchestrator/seconds"
    known: dict[str, Any] = json.loads(file.read_text())
    assert known["recipes/x.yaml::c"] >= 0.1
    file.write_text(json.dumps({f"recipes/x.yaml::{name}": took for name, took in steps.items()}))
    project.forget()
    project.run(*args)

    assert sorted(project.ran[:2]) == ["c", "d"]


def test_no_durations_are_stored_without_the_cache(project: Project) -> None:
    project.recipe("x", {"one": ""})

    project.run("--recipe-jobs=2", "-p", "no:cacheprovider").assert_outcomes(passed=1)

    assert not (project.path / ".pytest_cache").exists()


_NO_JOBS = "is no number of jobs; write a number from 1 to 9999"


@pytest.mark.parametrize(
    ("line", "args", "expected"),
    [
        ("", ("--recipe-jobs=0",), f"--recipe-jobs: '0' {_NO_JOBS}"),
        ("", ("--recipe-jobs=999999999",), f"--recipe-jobs: '999999999' {_NO_JOBS}"),
        ("recipe_jobs = many", (), f"ini key recipe_jobs: 'many' {_NO_JOBS}"),
    ],
)
def test_an_invalid_number_of_jobs_is_an_error_before_the_collection(
    project: Project, line: str, args: tuple[str, ...], expected: str
) -> None:
    project.ini(line)
    result = project.run(*args)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {expected}" in result.errlines


def test_the_number_of_jobs_can_be_an_ini_key(project: Project) -> None:
    project.ini("recipe_jobs = 4")
    project.recipe("x", {"one": ""})

    assert _header(project) == "1 recipe, 1 step, 4 jobs"
    assert _header(project, "--recipe-jobs=1") == "1 recipe, 1 step"


@pytest.mark.parametrize("jobs", [1, 2])
def test_needed_steps_run_after_autouse_fixtures(project: Project, jobs: int) -> None:
    ran, actual = _order(project, "", "-k", "three", f"--recipe-jobs={jobs}")

    assert ran == ["up", "one", "two", "three", "down"]
    assert len(actual) == jobs - 1


def _with_files(project: Project, most: int, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with a limit of open files."""
    return subprocess.run(
        ["sh", "-c", f'ulimit -n {most} && exec "$@"', "sh", *PYTEST, *options],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_limit_of_open_files_reduces_the_jobs_and_is_in_the_header(project: Project) -> None:
    steps = {f"s{number}": "needs: []" for number in range(8)}
    project.recipe("x", steps)

    ended = _with_files(project, 90, "--recipe-jobs", "64")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r", [2-7] jobs of 64 \(`ulimit -n` allows no more\)\n", ended.stdout)
    assert sorted(project.ran) == sorted(steps)


def test_a_step_without_a_free_file_descriptor_fails_with_a_message(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import os
        import pytest

        @pytest.fixture(autouse=True)
        def greedy(request):
            held = []
            while request.node.name in ("two", "four"):
                try:
                    held.append(os.dup(2))
                except OSError:
                    break
            yield
            for fd in held:
                os.close(fd)
        """,
    )
    project.write("plain.py", "def run():\n    return {'status': 'ok'}\n")
    inline = "type: python, needs: [], isolation: inline, module: plain, function: run"
    checked = f"{inline}, success: {{assert: [1 == 2]}}"
    steps = {"one": "", "two": "needs: []", "three": inline, "four": checked}
    project.recipe("x", steps)

    ended = _with_files(project, 200)

    assert ended.returncode == 1
    said = "it cannot be run: pytest has all files open that `ulimit -n` allows"
    assert f"FAILED recipes/x.yaml::two - {said}\n" in ended.stdout
    assert "FAILED recipes/x.yaml::four - assert: `1 == 2` is false\n" in ended.stdout
    assert "2 passed" in ended.stdout
    assert project.ran == ["one"]
