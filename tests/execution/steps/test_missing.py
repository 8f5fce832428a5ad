"""Missing programs, folders and modules are reported as `not_found`, with the nearest name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core import suggestions
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Failure, Process

if TYPE_CHECKING:
    from tests.execution.conftest import Bench


@pytest.fixture
def project(bench: Bench) -> Bench:
    """A project with programs that cannot be started."""
    bench.write("bin/measure.sh", "#!/bin/sh\n", 0o755)
    bench.write("bin/plain.sh", "#!/bin/sh\n")
    bench.write("bin/lost.py", "#!/no/such/python -u\n", 0o755)
    bench.write("bin/lost_env.py", "#!/usr/bin/env no-such-python\n", 0o755)
    (bench.root / "bin/folder").mkdir()
    return bench


@pytest.mark.parametrize(
    ("cmd", "code", "reason"),
    [
        (
            "bin/mesure.sh 3",
            127,
            "program bin/mesure.sh was not found (did you mean 'bin/measure.sh'?)",
        ),
        ("/no/such", 127, "program /no/such was not found"),
        (["no-such-program", "a b"], 127, "program no-such-program was not found"),
        (
            "bin/plain.sh",
            126,
            "bin/plain.sh may not be run; give it its run bit: chmod +x bin/plain.sh",
        ),
        ("bin/folder", 126, "bin/folder is a folder, not a program"),
        (
            "bin/lost.py",
            127,
            "bin/lost.py names an interpreter that is not there: /no/such/python -u",
        ),
    ],
)
def test_a_program_that_cannot_be_started_is_reported_with_the_reason(
    project: Bench, cmd: str | list[str], code: int, reason: str
) -> None:
    ended = project.shell(cmd)
    assert ended.failure is not None
    assert (ended.failure.kind, ended.failure.reason) == ("not_found", reason)
    assert ended.failure.place == project.shell_step(cmd).at["cmd"]
    assert ended.process is not None
    assert ended.process.exit_code == code


@pytest.mark.parametrize(
    ("cmd", "reason"),
    [
        ("no-such-program; exit $?", "exit code 127: a program was not found"),
        ("bin/plain.sh; exit $?", "exit code 126: a program may not be run"),
        ("bin/lost_env.py", "exit code 127: a program was not found"),
    ],
)
def test_a_program_that_a_shell_cannot_start_is_reported(
    project: Bench, cmd: str, reason: str
) -> None:
    ended = project.shell(cmd)
    assert ended.failure is not None
    assert ended.process is not None
    last = ended.process.stderr.text.splitlines()[-1]
    assert (ended.failure.kind, ended.failure.reason) == ("not_found", f"{reason}: {last}")


def test_a_program_is_searched_in_the_path_of_the_step(bench: Bench) -> None:
    failure = bench.shell("ls", args={"PATH": "/no/such"}).failure
    assert failure is not None
    assert failure.reason == "program ls was not found"


@pytest.mark.parametrize("cwd", ["nowhere", "recipes/x.yaml"])
def test_a_missing_working_directory_is_reported(bench: Bench, cwd: str) -> None:
    bench.write("recipes/x.yaml", "")
    failure = bench.shell(["true"], cwd=cwd).failure
    assert failure == Failure(
        kind="not_found",
        reason=f"the working directory {cwd} is not there",
        place=Place(5, 10, len(cwd) + 2),
    )


def test_a_recipe_may_expect_a_missing_program(bench: Bench) -> None:
    ended = bench.shell("/no/such", success={"exit_code": 127})
    assert (ended.failure, ended.process) == (
        None,
        Process(argv=("/no/such",), cwd=str(bench.root), alone="/no/such", exit_code=127),
    )
    assert bench.shell("/no/such", success={"exit_code": ["nonzero", 127]}).failure is None
    assert bench.shell("/no/such", success={"exit_code": 126}).failure is not None


@pytest.mark.parametrize("wanted", ["nonzero", ["nonzero"], [3, "nonzero"]])
@pytest.mark.parametrize(
    ("cmd", "code", "reason"),
    [
        ("./gone.sh", 127, "program gone.sh was not found"),
        (["gone-xyz"], 127, "program gone-xyz was not found"),
        ("gone-xyz --bad", 127, "program gone-xyz was not found"),
        (["./plain.txt"], 126, "plain.txt may not be run; give it its run bit: chmod +x plain.txt"),
        ("echo lost >&2; exit 127", 127, "exit code 127: a program was not found: lost"),
        ("echo lost >&2; exit 126", 126, "exit code 126: a program may not be run: lost"),
        ("./returns_127", 127, "exit code 127: a program was not found"),
    ],
)
def test_nonzero_is_not_met_by_a_program_that_cannot_be_run(
    bench: Bench, cmd: str | list[str], code: int, reason: str, wanted: object
) -> None:
    bench.write("plain.txt", "x")
    bench.write("returns_127", f"#!{sys.executable}\nraise SystemExit(127)\n", mode=0o755)
    failure = bench.shell(cmd, parse="text", success={"exit_code": wanted}).failure
    assert failure is not None
    assert (failure.kind, failure.reason) == ("not_found", reason)
    cure = f"'nonzero' does not accept a program that cannot be run: write {code} if the step"
    assert failure.detail == (f"{cure} expects it.",)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("orchestrator.steps.flash", " (did you mean 'steps.flash'?)"),
        ("steps.flush", " (did you mean 'steps.flash'?)"),
        ("a.very.long.way.to.flash", " (did you mean 'steps.flash'?)"),
        ("nothing.like.it", ""),
    ],
)
def test_a_module_with_the_same_last_name_is_suggested_first(
    bench: Bench, name: str, hint: str
) -> None:
    for path in ("steps/flash.py", ".venv/steps/flush.py", "node_modules/nothing/like/it.py"):
        bench.write(path, "")
    assert suggestions.module_hint(name, bench.root) == hint
