"""Artifacts: the files that are copied, their paths, and warnings for the other files."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET

from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.execution.steps.artifacts import collected, copy_artifacts

if TYPE_CHECKING:
    from pytest_orchestrator.core.result import CopiedArtifacts, StepResult
    from tests.execution.conftest import Bench

RUN = "20261125T101502Z-7f3a"


@pytest.fixture
def base(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all runs, outside the project."""
    base = tmp_path_factory.mktemp("runs")
    bench.configure(artifacts=base / RUN / "artifacts" / "x", max_artifact=1000)
    return base


def copied(bench: Bench, *globs: str) -> CopiedArtifacts:
    step = bench.shell_step("true", artifacts=list(globs))
    return copy_artifacts(
        step, bench.attempt, lambda: {"result": {"name": "out/b.csv", "number": 3}}, collected
    )


def copies(base: Path) -> dict[str, str]:
    """Return the contents of the copies, by the path in the folder of the recipe's artifacts."""
    folder = base / RUN / "artifacts" / "x"
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(files)}


def test_copies_of_files_keep_their_paths(bench: Bench, base: Path) -> None:
    bench.write("out/a.csv", "1")
    bench.write("out/deep/b.csv", "22")
    bench.write("out/c.txt", "3")

    result = copied(bench, "out/**/*.csv")

    assert copies(base) == {"out/a.csv": "1", "out/deep/b.csv": "22"}
    folder = base / RUN / "artifacts" / "x" / "out"
    assert [(one.path, one.type, one.bytes) for one in result.artifacts] == [
        (f"{folder}/a.csv", "text/csv", 1),
        (f"{folder}/deep/b.csv", "text/csv", 2),
    ]
    assert result.warnings == ()


def test_a_folder_is_copied_with_all_files_below_it(bench: Bench, base: Path) -> None:
    bench.write("out/a.csv", "1")
    bench.write("out/deep/b.png", "22")

    result = copied(bench, "out", "out/*")

    assert list(copies(base)) == ["out/a.csv", "out/deep/b.png"]
    assert [one.type for one in result.artifacts] == ["text/csv", "image/png"]


def test_a_copy_keeps_the_modification_time(bench: Bench, base: Path) -> None:
    path = bench.write("a.bin", "1")
    os.utime(path, (1_000_000_000, 1_000_000_000))

    result = copied(bench, "a.bin")

    assert Path(result.artifacts[0].path).stat().st_mtime == 1_000_000_000
    assert result.artifacts[0].type == "application/octet-stream"
    assert list(copies(base)) == ["a.bin"]


def test_a_glob_without_a_match_is_a_warning(bench: Bench, base: Path) -> None:
    bench.write("report.csv", "1")

    result = copied(bench, "*.png", "report.cvs", "report.csv")

    assert result.warnings == (
        "artifacts: no file matches *.png",
        "artifacts: report.cvs is not there (did you mean 'report.csv'?)",
    )
    assert list(copies(base)) == ["report.csv"]


def test_files_outside_the_rootdir_are_copied_by_name(
    bench: Bench, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "deep").mkdir()
    (other / "a.log").write_text("1")
    (other / "deep" / "a.log").write_text("2")

    result = copied(bench, f"{other}/**/*.log", f"../{other.name}/a.log")

    assert copies(base) == {"a.2.log": "2", "a.log": "1"}
    assert len(result.artifacts) == 2


def test_a_path_that_leads_back_into_the_rootdir_is_inside(bench: Bench, base: Path) -> None:
    bench.write("out/a.csv", "1")

    copied(bench, f"out/../../{bench.root.name}/out/*.csv")

    assert list(copies(base)) == ["out/a.csv"]


def test_a_link_that_leads_out_of_the_rootdir_is_left_out(
    bench: Bench, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "secret").write_text("1")
    bench.write("out/a", "2")
    (bench.root / "out" / "link").symlink_to(other / "secret")
    (bench.root / "out" / "folder").symlink_to(other)
    (bench.root / "out" / "inside").symlink_to("a")
    (other / "link").symlink_to("secret")

    result = copied(bench, "out/*", "out/folder/secret", f"{other}/link")

    assert copies(base) == {"out/a": "2"}
    assert result.warnings == (
        "artifacts: out/folder is a link that leads out of the rootdir; it is left out",
        "artifacts: out/link is a link that leads out of the rootdir; it is left out",
        "artifacts: out/folder/secret is a link that leads out of the rootdir; it is left out",
        f"artifacts: {other}/link is a link that leads out of the rootdir; it is left out",
    )


def test_a_link_within_the_rootdir_is_followed(bench: Bench, base: Path) -> None:
    bench.write("out/run-7.csv", "7")
    (bench.root / "out" / "latest.csv").symlink_to("run-7.csv")

    copied(bench, "out/latest.csv")

    assert copies(base) == {"out/latest.csv": "7"}


def test_a_file_above_the_size_limit_is_left_out(bench: Bench, base: Path) -> None:
    bench.write("large.bin", "x" * 1001)
    bench.write("small.bin", "x" * 1000)

    result = copied(bench, "*.bin")

    assert list(copies(base)) == ["small.bin"]
    assert result.warnings == (
        "artifacts: large.bin has 1,001 bytes, and recipe_max_artifact is 1,000; it is left out",
    )


def test_a_pipe_or_socket_is_left_out(bench: Bench, base: Path) -> None:
    os.mkfifo(bench.root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(bench.root / "socket"))

        result = copied(bench, "pipe", "socket", "dangling")
        assert copies(base) == {}

    assert result.warnings[:2] == (
        "artifacts: pipe is no regular file; it is left out",
        "artifacts: socket is no regular file; it is left out",
    )


def test_a_file_that_cannot_be_read_is_left_out(bench: Bench, base: Path) -> None:
    (bench.root / "gone").symlink_to("nowhere")

    result = copied(bench, "gone")

    assert copies(base) == {}
    assert result.warnings == (
        "artifacts: gone cannot be copied: No such file or directory; it is left out",
    )


def test_copies_of_runs_are_not_copied_again(bench: Bench) -> None:
    into = bench.root / "runs" / RUN / "artifacts" / "x"
    bench.configure(artifacts=into, folder=bench.root / "runs" / RUN)
    bench.write("runs/20251125T101502Z-7f3a/artifacts/x/a.csv", "1")
    bench.write("a.csv", "2")

    result = copied(bench, "**/*.csv")

    assert [one.path for one in result.artifacts] == [f"{into}/a.csv"]


def test_a_file_of_the_run_folder_is_copied_if_it_is_named(bench: Bench) -> None:
    into = bench.root / "runs" / RUN / "artifacts" / "x"
    bench.configure(artifacts=into, folder=bench.root / "runs" / RUN)
    shot = bench.write(f"runs/{RUN}/logs/x/shot[1].png", "1")
    bench.write(f"runs/{RUN}/logs/x/other.png", "2")

    folder = f"runs/{RUN}/logs"
    result = copied(bench, folder, f"{folder}/x/*", f"{folder}/x/shot[1].png", str(shot))

    assert [one.path for one in result.artifacts] == [f"{into}/shot[1].png"]
    assert result.warnings == ()


def test_expressions_are_evaluated_after_the_step_code(bench: Bench, base: Path) -> None:
    bench.write("out/b.csv", "1")

    result = copied(bench, "${{ result.name }}", "${{ result.number }}", "${{ result.none }}")

    assert result.artifacts == ()
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith("artifacts: ")
    assert "none" in result.warnings[0]

    result = copied(bench, "${{ result.name }}", "out/${{ result.number }}.csv")
    assert list(copies(base)) == ["out/b.csv"]
    assert result.warnings == ("artifacts: out/3.csv is not there (did you mean 'b.csv'?)",)


def run(bench: Bench, *keys: str) -> StepResult:
    lines = ["steps:", "  - name: a", "    type: shell", *(f"    {key}" for key in keys), ""]
    serial = RecipeRun(bench.recipe("\n".join(lines)), bench.context, bench.attempt)
    serial.result(serial.recipe.step("a"))
    serial.finish()
    return serial.results["a"]


def test_artifacts_of_a_failed_step_are_copied_too(bench: Bench, base: Path) -> None:
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


def test_artifacts_are_copied_after_the_last_attempt(bench: Bench, base: Path) -> None:
    cmd = "cmd: echo x >> a.csv; test $(wc -l < a.csv) -ge 2"

    result = run(bench, cmd, "parse: text", "artifacts: [a.csv]", "retry: {attempts: 3}")

    assert result.attempt == 2
    assert copies(base) == {"a.csv": "x\nx\n"}


@pytest.mark.usefixtures("long_grace_period")
def test_artifacts_of_a_service_are_copied_at_its_end(bench: Bench, base: Path) -> None:
    cmd = "cmd: trap 'echo 2 >> a.csv; exit' TERM; echo 1 > a.csv; while :; do sleep 0.01; done"

    result = run(bench, cmd, "background: true", "ready: {file: a.csv}", "artifacts: ['*.csv']")

    assert result.outcome == "passed"
    assert copies(base) == {"a.csv": "1\n2\n"}
    assert len(result.artifacts) == 1


def test_a_copy_that_contains_a_masked_secret_is_marked(bench: Bench, base: Path) -> None:
    bench.write("a.txt", "user admin")
    bench.write("b.txt", "password hunter2hunter2")
    bench.write("c.txt", b"aHVudGVyMmh1bnRlcjI=")
    bench.attempt.config.secrets.add(["hunter2hunter2"])

    found = copied(bench, "*.txt").artifacts

    marks = {Path(one.path).name: one.has_secret for one in found}
    assert marks == {"a.txt": UNSET, "b.txt": True, "c.txt": True}
