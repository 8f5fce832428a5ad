"""A retried step is one test; each attempt is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

THIRD = "type: shell, parse: text, cmd: 'echo x >> n; echo no >&2; test $(wc -l < n) -ge 3'"
FLAKY = """
    def flaky(ctx, params):
        tries = ctx.increment("tries")
        print(f"out {tries}")
        assert tries >= 3
        return {"status": "ok"}

    def never(ctx, params):
        assert ctx.increment("tries") == 0
"""


def test_a_step_that_passes_at_its_last_attempt_is_one_passed_test(project: Project) -> None:
    project.recipe("x", {"a": f"{THIRD}, retry: {{attempts: 5}}"})
    result = project.run("--recipe-table=all")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [" step  state               seconds*", " a     passed (attempt 3) *"]
    )


@pytest.mark.parametrize("isolation", ["process", "inline"])
def test_a_python_step_is_retried_in_both_isolations(project: Project, isolation: str) -> None:
    project.write("flaky.py", FLAKY)
    keys = f"type: python, module: flaky, isolation: {isolation}, retry: {{attempts: 3}}"
    project.recipe("x", {"a": f"function: flaky, {keys}"})
    block = project.blocks()["a"]
    assert (block["step"]["state"], block["step"]["attempt"]) == ("passed", 3)
    kinds = [(one["attempt"], one["kind"]) for one in block["attempts"]]
    assert kinds == [(1, "exception"), (2, "exception")]
    assert [write["new"] for write in block["context"]["writes"]] == [1, 2, 3]


@pytest.mark.parametrize("isolation", ["process", "inline"])
def test_a_traceback_names_its_attempt(project: Project, isolation: str) -> None:
    project.write("flaky.py", FLAKY)
    keys = f"type: python, module: flaky, isolation: {isolation}, retry: {{attempts: 2}}"
    project.recipe("x", {"a": f"function: never, {keys}"})
    lines = project.shown(project.run(), "a").splitlines()
    assert "E       attempt 2 of 2" in lines
    assert any("ctx.increment" in line for line in lines)


def test_a_failed_step_shows_its_attempts_and_the_path_of_its_stderr(project: Project) -> None:
    cmd = "cmd: 'echo lost >&2; exit 3'"
    project.recipe("x", {"a": f"type: shell, parse: text, {cmd}, retry: {{attempts: 2}}"})
    lines = project.shown(project.run(), "a").splitlines()
    assert lines[0].endswith(": step 'a' (attempt 2 of 2): exit code 3, expected 0")
    assert "    attempt 1: exit code 3, expected 0" in lines
    (log,) = [line for line in lines if line.startswith("stderr, ")]
    path = log.removeprefix("stderr, 1 line   (all: ").removesuffix(")")
    assert lines[lines.index(log) + 1] == "  lost"
    assert path.endswith("/logs/x/a.2.stderr")
    assert (project.path / path).read_text() == "lost\n"


def test_logs_and_samples_of_each_attempt_are_in_the_run_folder(project: Project) -> None:
    sampled = "[ -s .orchestrator/runs/2*/resources/x/a.$(wc -l < n).jsonl ]"
    waits = f"until {sampled}; do sleep 0.01; done"
    cmd = f"cmd: 'echo x >> n; {waits}; echo no >&2; test $(wc -l < n) -ge 2'"
    project.recipe("x", {"a": f"type: shell, parse: text, {cmd}, retry: {{attempts: 2}}"})
    block = project.blocks()["a"]
    latest = project.path / ".orchestrator" / "runs" / "latest"
    for number, text in ((1, block["attempts"][0]), (2, block)):
        assert text["logs"] == {
            "stderr": {"path": f"logs/x/a.{number}.stderr", "bytes": 3, "cut": False}
        }
        assert text["resources"]["samples"] == f"resources/x/a.{number}.jsonl"
        assert (latest / text["logs"]["stderr"]["path"]).read_text() == "no\n"
        assert (latest / text["resources"]["samples"]).read_text().count("\n") >= 1
        assert 0 < text["resources"]["largest_rss"] <= text["resources"]["max_rss"]


@pytest.mark.parametrize("isolation", ["process", "inline"])
def test_heap_figures_are_reported_if_a_step_requests_them(
    project: Project, isolation: str
) -> None:
    project.write(
        "big.py",
        """
        def big(ctx, params):
            bytes(5_000_000)
            return {"status": "ok"}
        """,
    )
    keys = f"type: python, module: big, function: big, isolation: {isolation}"
    project.recipe("x", {"a": f"{keys}, heap: true", "b": keys})
    blocks = project.blocks()
    assert 5_000_000 <= blocks["a"]["resources"]["heap_peak"] < 5_500_000
    assert blocks["a"]["resources"]["source"]["heap"] == "tracemalloc"
    assert {"heap_current", "heap_peak"} & blocks["b"]["resources"].keys() == set()
