"""Files that a step leaves: which are copied, to where, and what is told of the others."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.execution.scheduling.serial import RecipeRun
from pytest_orchestrator.execution.steps.artifacts import CopiedArtifacts, collected, copy_artifacts

if TYPE_CHECKING:
    from pytest_orchestrator.core.result import StepResult
    from tests.execution.conftest import Bench

RUN = "20261125T101502Z-7f3a"


@pytest.fixture
def base(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all runs, outside the project."""
    base = tmp_path_factory.mktemp("runs")
    bench.configure(artifacts=base / RUN / "artifacts" / "x", max_artifact=1000)
    return base


def taken(bench: Bench, *globs: str) -> CopiedArtifacts:
    step = bench.shell_step("true", artifacts=list(globs))
    return copy_artifacts(
        step, bench.env, lambda: {"result": {"name": "out/b.csv", "number": 3}}, collected
    )


def copies(base: Path) -> dict[str, str]:
    """Return what was copied, by the path in the folder of the recipe's artifacts."""
    folder = base / RUN / "artifacts" / "x"
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(files)}


def test_files_keep_their_paths(bench: Bench, base: Path) -> None:
    bench.write("out/a.csv", "1")
    bench.write("out/deep/b.csv", "22")
    bench.write("out/c.txt", "3")

    told = taken(bench, "out/**/*.csv")

    assert copies(base) == {"out/a.csv": "1", "out/deep/b.csv": "22"}
    folder = base / RUN / "artifacts" / "x" / "out"
    assert [(one.path, one.type, one.bytes) for one in told.artifacts] == [
        (f"{folder}/a.csv", "text/csv", 1),
        (f"{folder}/deep/b.csv", "text/csv", 2),
    ]
    assert told.warnings == ()


def test_a_folder_is_copied_with_all_that_is_below(bench: Bench, base: Path) -> None:
    bench.write("out/a.csv", "1")
    bench.write("out/deep/b.png", "22")

    told = taken(bench, "out", "out/*")

    assert list(copies(base)) == ["out/a.csv", "out/deep/b.png"]
    assert [one.type for one in told.artifacts] == ["text/csv", "image/png"]


def test_a_copy_has_the_time_of_the_file(bench: Bench, base: Path) -> None:
    path = bench.write("a.bin", "1")
    os.utime(path, (1_000_000_000, 1_000_000_000))

    told = taken(bench, "a.bin")

    assert Path(told.artifacts[0].path).stat().st_mtime == 1_000_000_000
    assert told.artifacts[0].type == "application/octet-stream"
    assert list(copies(base)) == ["a.bin"]


def test_what_matches_nothing_is_told(bench: Bench, base: Path) -> None:
    bench.write("report.csv", "1")

    told = taken(bench, "*.png", "report.cvs", "report.csv")

    assert told.warnings == (
        "artifacts: no file matches *.png",
        "artifacts: report.cvs is not there (did you mean 'report.csv'?)",
    )
    assert list(copies(base)) == ["report.csv"]


def test_files_from_elsewhere_are_copied_by_name(
    bench: Bench, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "deep").mkdir()
    (other / "a.log").write_text("1")
    (other / "deep" / "a.log").write_text("2")

    told = taken(bench, f"{other}/**/*.log", f"../{other.name}/a.log")

    assert copies(base) == {"a.2.log": "2", "a.log": "1"}
    assert len(told.artifacts) == 2


def test_a_path_that_comes_back_is_no_path_from_elsewhere(bench: Bench, base: Path) -> None:
    bench.write("out/a.csv", "1")

    taken(bench, f"out/../../{bench.root.name}/out/*.csv")

    assert list(copies(base)) == ["out/a.csv"]


def test_no_link_leads_out(
    bench: Bench, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "secret").write_text("1")
    bench.write("out/a", "2")
    (bench.root / "out" / "link").symlink_to(other / "secret")
    (bench.root / "out" / "folder").symlink_to(other)
    (bench.root / "out" / "inside").symlink_to("a")
    (other / "link").symlink_to("secret")

    told = taken(bench, "out/*", "out/folder/secret", f"{other}/link")

    assert copies(base) == {"out/a": "2"}
    assert told.warnings == (
        "artifacts: out/folder is a link that leads out of the rootdir; it is left out",
        "artifacts: out/link is a link that leads out of the rootdir; it is left out",
        "artifacts: out/folder/secret is a link that leads out of the rootdir; it is left out",
        f"artifacts: {other}/link is a link that leads out of the rootdir; it is left out",
    )


def test_a_link_within_the_rootdir_is_followed(bench: Bench, base: Path) -> None:
    bench.write("out/run-7.csv", "7")
    (bench.root / "out" / "latest.csv").symlink_to("run-7.csv")

    taken(bench, "out/latest.csv")

    assert copies(base) == {"out/latest.csv": "7"}


def test_what_is_too_large_is_left_out(bench: Bench, base: Path) -> None:
    bench.write("large.bin", "x" * 1001)
    bench.write("small.bin", "x" * 1000)

    told = taken(bench, "*.bin")

    assert list(copies(base)) == ["small.bin"]
    assert told.warnings == (
        "artifacts: large.bin has 1,001 bytes, and recipe_max_artifact is 1,000; it is left out",
    )


def test_what_is_no_file_is_left_out(bench: Bench, base: Path) -> None:
    os.mkfifo(bench.root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(bench.root / "socket"))

        told = taken(bench, "pipe", "socket", "dangling")
        assert copies(base) == {}

    assert told.warnings[:2] == (
        "artifacts: pipe is no regular file; it is left out",
        "artifacts: socket is no regular file; it is left out",
    )


def test_what_may_not_be_read_is_left_out(bench: Bench, base: Path) -> None:
    (bench.root / "gone").symlink_to("nowhere")

    told = taken(bench, "gone")

    assert copies(base) == {}
    assert told.warnings == (
        "artifacts: gone cannot be copied: No such file or directory; it is left out",
    )


def test_copies_of_runs_are_not_copied_again(bench: Bench) -> None:
    into = bench.root / "runs" / RUN / "artifacts" / "x"
    bench.configure(artifacts=into, folder=bench.root / "runs" / RUN)
    bench.write("runs/20251125T101502Z-7f3a/artifacts/x/a.csv", "1")
    bench.write("a.csv", "2")

    told = taken(bench, "**/*.csv")

    assert [one.path for one in told.artifacts] == [f"{into}/a.csv"]


def test_expressions_are_those_of_the_end(bench: Bench, base: Path) -> None:
    bench.write("out/b.csv", "1")

    told = taken(bench, "${{ result.name }}", "${{ result.number }}", "${{ result.none }}")

    assert told.artifacts == ()
    assert len(told.warnings) == 1
    assert told.warnings[0].startswith("artifacts: ")
    assert "none" in told.warnings[0]

    told = taken(bench, "${{ result.name }}", "out/${{ result.number }}.csv")
    assert list(copies(base)) == ["out/b.csv"]
    assert told.warnings == ("artifacts: out/3.csv is not there (did you mean 'b.csv'?)",)


def run(bench: Bench, *keys: str) -> StepResult:
    lines = ["steps:", "  - name: a", "    type: shell", *(f"    {key}" for key in keys), ""]
    serial = RecipeRun(bench.recipe("\n".join(lines)), bench.context, bench.env)
    serial.result(serial.recipe.step("a"))
    serial.over()
    return serial.results["a"]


def test_a_step_that_failed_leaves_its_files_too(bench: Bench, base: Path) -> None:
    result = run(bench, "cmd: echo 1 > a.csv; exit 3", "parse: text", "artifacts: ['*.csv', no]")

    assert result.outcome == "failed"
    assert copies(base) == {"a.csv": "1\n"}
    assert [one.bytes for one in result.artifacts] == [2]
    assert result.warnings == ("artifacts: no is not there",)


def test_a_glob_from_an_expression_must_be_text(bench: Bench, base: Path) -> None:
    script = """cmd: 'echo ''{"status": "ok", "names": ["a.csv"]}'' > /dev/stdout; touch a.csv'"""
    result = run(bench, script, "artifacts: [a.csv, '${{ result.names }}']")

    assert result.failure is not None
    assert (result.failure.kind, result.failure.reason) == (
        "validation",
        "'artifacts[1]' is a list, should be text (write the expression in the place of the list)",
    )
    assert result.failure.place is not None
    assert result.failure.place.line == 5

    assert run(bench, script, "artifacts: '${{ result.names }}'").outcome == "passed"
    assert list(copies(base)) == ["a.csv"]


def test_the_last_try_leaves_its_files(bench: Bench, base: Path) -> None:
    cmd = "cmd: echo x >> a.csv; test $(wc -l < a.csv) -ge 2"

    result = run(bench, cmd, "parse: text", "artifacts: [a.csv]", "retry: {attempts: 3}")

    assert result.attempt == 2
    assert copies(base) == {"a.csv": "x\nx\n"}


@pytest.mark.usefixtures("long_grace_period")
def test_a_service_leaves_its_files_when_it_has_ended(bench: Bench, base: Path) -> None:
    cmd = "cmd: trap 'echo 2 >> a.csv; exit' TERM; echo 1 > a.csv; while :; do sleep 0.01; done"

    result = run(bench, cmd, "background: true", "ready: {file: a.csv}", "artifacts: ['*.csv']")

    assert result.outcome == "passed"
    assert copies(base) == {"a.csv": "1\n2\n"}
    assert len(result.artifacts) == 1
