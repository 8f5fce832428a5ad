"""Hooks of step types in a session: secrets, locks, cleanup and the log."""

import re
import signal
import subprocess
import time
from itertools import pairwise

import pytest

from tests.plugin.conftest import PYTEST, Project

PLUGIN = '''
"""A plugin of a user, as its author would write it."""

import os
import signal
import time
from typing import Annotated

import msgspec
from msgspec import Meta

from pytest_orchestrator.extending import KeyProblem, StepType

Text = Annotated[str, Meta(description="A text.", examples=["x"])]


class Psu(StepType):
    """Switches a supply."""

    name = "psu"

    class Keys(msgspec.Struct):
        how: Text = "ok"
        pin: Text = ""
        off: Text = "ok"

    def run(self, keys, ctx, env):
        env.log.debug("switched on with pin %s", keys.pin)
        print(f"pin {keys.pin}", flush=True)
        ctx.set("psu.on", True)
        if keys.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if keys.how == "hang":
            time.sleep(100)
        assert keys.how != "assert", f"pin {keys.pin}"
        return {"status": "skip" if keys.how == "skip" else keys.how, "pin": keys.pin}

    @classmethod
    def check(cls, step, project):
        if step.keys["how"] == "never":
            yield KeyProblem(("how",), "is never")

    @classmethod
    def secrets(cls, step):
        return [step.keys["pin"]]

    @classmethod
    def locks(cls, step):
        return ["supply"]

    @classmethod
    def cleanup(cls, step):
        print(f"pin {step.keys['pin']} again")
        if step.keys["off"] == "slow":
            time.sleep(0.5)
        with open("off.txt", "a") as file:
            file.write(f"{step.step} {step.keys['how']} {os.path.basename(step.recipe)}\\n")
        if step.keys["off"] == "hang":
            time.sleep(100)
        assert step.keys["off"] != "assert", "the supply is still on"


def pytest_recipe_step_types():
    return [Psu]
'''


@pytest.fixture
def bench(project: Project) -> Project:
    """A project whose conftest adds a step type with all hooks."""
    project.write("conftest.py", PLUGIN)
    return project


def steps(**keys: str) -> dict[str, str]:
    return {name: f"type: psu, needs: []{text and ', '}{text}" for name, text in keys.items()}


def off(bench: Project) -> list[str]:
    path = bench.path / "off.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted(line.removesuffix(" x.yaml") for line in lines)


ENDS = {
    "good": "",
    "inline": "isolation: inline",
    "skips": "how: skip",
    "fails": "how: 'off'",
    "raises": "how: assert",
    "killed": "how: kill",
    "late": "how: hang, timeout: 300ms",
    "again": "how: 'off', retry: {attempts: 2}",
    "unrun": "how: '${{ ctx.missing }}'",
    "excluded": "if: 1 == 2",
    "left-on": "off: assert",
    "both": "how: assert, off: assert",
}
CLEANED = ["again off", "again off", "both assert", "fails off", "good ok", "inline ok"]
CLEANED += ["killed kill", "late hang", "left-on ok", "raises assert", "skips skip"]
FAILED = "plugin 'conftest.py': cleanup of step type 'psu' failed: AssertionError: "
FAILED += "the supply is still on"


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_cleanup_follows_each_attempt_whatever_its_end(bench: Project, jobs: str) -> None:
    bench.recipe("x", steps(**ENDS))

    blocks = bench.blocks(f"--recipe-jobs={jobs}")

    assert off(bench) == CLEANED
    kinds = {name: one["step"].get("kind") for name, one in blocks.items()}
    assert kinds == dict.fromkeys(("good", "inline", "skips", "excluded")) | {
        "fails": "status",
        "again": "status",
        "raises": "exception",
        "both": "exception",
        "left-on": "exception",
        "killed": "signal",
        "late": "timeout",
        "unrun": "validation",
    }
    reasons = {name: one["step"].get("reason", "") for name, one in blocks.items()}
    assert reasons["left-on"] == FAILED
    assert reasons["both"] == "AssertionError: pin"


def test_the_traceback_of_a_cleanup_begins_in_the_class_of_the_plugin(bench: Project) -> None:
    bench.recipe(
        "x",
        steps(
            a="off: assert",
            b="off: assert, isolation: inline",
            both="how: assert, off: assert",
            short="how: 'off', off: assert",
        ),
    )

    result = bench.run()

    title = FAILED.partition(": Assert")[0]
    for name in ("a", "b"):
        assert bench.frames(result, name)[1:] == ["conftest.py:59: AssertionError"]
        assert f"\nE       {title}\n" in bench.shown(result, name)
    assert f"\nE       {FAILED}\n" in bench.shown(result, "both")
    assert f"\n    {FAILED}\n" in bench.shown(result, "short")


@pytest.mark.counted
def test_a_cleanup_that_hangs_is_ended(bench: Project) -> None:
    bench.recipe("x", steps(a="off: hang", b="off: hang, isolation: inline"))

    blocks = bench.blocks("--recipe-timeout-factor=0.05")

    end = "plugin 'conftest.py': cleanup of step type 'psu' failed: timeout: still running"
    assert all(one["step"]["reason"].startswith(end) for one in blocks.values())
    assert {one["step"]["kind"] for one in blocks.values()} == {"timeout"}


def test_cleanup_follows_a_service_and_an_interrupt(bench: Project) -> None:
    bench.recipe(
        "x",
        steps(up="how: hang, background: true, ready: {stdout_matches: ^pin}")
        | {"use": "type: shell, cmd: 'true', parse: text"},
    )

    assert set(bench.outcomes().values()) == {"passed"}
    assert off(bench) == ["up hang"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_cleanup_follows_ctrl_c(bench: Project, jobs: str) -> None:
    bench.recipe("x", steps(a="how: hang, off: slow") | {"last": ""})
    process = bench.pytester.popen(
        [*PYTEST, f"--recipe-jobs={jobs}"], stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    while not any("pin" in path.read_text() for path in bench.path.rglob("a.1.stdout")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate()

    assert process.returncode == 2
    assert off(bench) == ["a hang"]
    assert "INTERRUPTED" in out.decode() or "interrupted after" in out.decode()


def test_secrets_of_a_type_are_masked_in_all_outputs(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIN", "hunter2-late")
    early = "type: shell, cmd: echo hunter2-literal, parse: text"
    bench.recipe(
        "x",
        {"early": early}
        | steps(
            literal="pin: hunter2-literal, how: assert",
            late="pin: '${{ env.PIN }}', how: assert, off: assert",
            inline="pin: hunter2-inline, how: assert, isolation: inline",
        ),
    )

    result = bench.run(
        "-rA",
        "-vv",
        "--showlocals",
        "--junitxml=junit.xml",
        "--json-report",
        "--json-report-file=report.json",
        "-o",
        "recipe_html=true",
    )

    result.stdout.fnmatch_lines(["*AssertionError: pin [*][*][*]*"])
    outputs = {
        path
        for path in bench.path.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".yaml")
    }
    assert {path.suffix for path in outputs} >= {".xml", ".json", ".jsonl", ".html", ".stdout"}
    shown = {"stdout": str(result.stdout)}
    shown |= {path.name: path.read_text(errors="replace") for path in outputs}
    assert {
        name: re.findall(".*hunter2-(?:literal|inline|late).*", text)
        for name, text in shown.items()
    } == {name: [] for name in shown}


def test_the_log_of_a_step_is_a_file_of_the_run_folder(bench: Project) -> None:
    bench.recipe("x", steps(a="how: assert", b="isolation: inline"))

    result = bench.run()

    logs = {path.name: path.read_text() for path in bench.path.rglob("*.1.log")}
    assert logs.keys() == {"a.1.log", "b.1.log"}
    line = r"(?m)^\d\d:\d\d:\d\d\.\d{3} DEBUG    psu switched on with pin $"
    assert all(re.search(line, text) for text in logs.values())
    result.stdout.fnmatch_lines(["*switched on with pin*"])
    outputs = {path.name: path.read_text() for path in bench.path.rglob("*.cleanup.1.stdout")}
    assert outputs == {"a.cleanup.1.stdout": "pin  again\n"}


@pytest.mark.counted
def test_locks_of_a_type_are_held_while_its_steps_run(bench: Project) -> None:
    bench.recipe("x", steps(a="", b="", c=""))

    blocks = bench.blocks("--recipe-jobs=3")

    times = sorted((one["time"]["start"], one["time"]["stop"]) for one in blocks.values())
    assert all(stopped <= started for (_, stopped), (started, _) in pairwise(times))


@pytest.mark.counted
def test_hooks_that_fail_are_reported_with_their_plugin(bench: Project) -> None:
    bench.write(
        "conftest.py",
        PLUGIN.replace('return ["supply"]', 'raise OSError("no rack")').replace(
            "    @classmethod\n    def secrets", "    def secrets"
        ),
    )
    bench.recipe("x", steps(a=""))
    bench.recipe("y", steps(b="how: never"))

    result = bench.run("recipes/x.yaml")

    result.stdout.fnmatch_lines(
        [
            "*HookWarning: plugin 'conftest.py': 'secrets' of step type Psu is no class method,*",
            "FAILED *x.yaml::a - plugin 'conftest.py': locks of step type 'psu' raised OSError: *",
        ]
    )
    result = bench.run("recipes/y.yaml")
    result.stdout.fnmatch_lines(["*recipes/y.yaml:2:*: 'how' in psu step 'b' is never"])


def test_a_type_that_does_not_say_its_questions_takes_any_answer(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import msgspec
        from pytest_orchestrator.extending import Question, StepType

        class Look(StepType):
            "Asks a person."

            name = "look"
            asks = True

            class Keys(msgspec.Struct):
                pass

            def run(self, keys, ctx, env):
                answer = env.ask(Question(message="Is it green?", buttons=("yes", "no")))
                return {"status": "ok", "button": answer.button}

        def pytest_recipe_step_types():
            return [Look]
        """,
    )
    project.recipe("x", {"look": "type: look, outputs: {seen: '${{ result.button }}'}"})

    project.run("--recipe-answer", "look.button=yes").assert_outcomes(passed=1)
