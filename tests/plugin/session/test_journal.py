"""Journal of a session: it has every event, and a write error fails the session."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.events import (
    AttemptFailed,
    CollectionFailed,
    ContextChanged,
    RecipeStarted,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    TestReported,
)
from pytest_orchestrator.runs.journal.reader import Reading, read_journal
from pytest_orchestrator.runs.lookup import load_record
from tests.plugin.conftest import Project
from tests.tiers import kept_first

_STEPS = """
def write(ctx, params):
    ctx.set("token", "s3cret-word")
    ctx.append("readings", 7)
    return {"status": "ok", "seen": "s3cret-word"}


def again(ctx, params):
    tries = ctx.increment("tries")
    return {"status": "ok" if tries == 2 else "off", "reason": "s3cret-word is off"}


def fails(ctx, params):
    raise RuntimeError("s3cret-word is gone")
"""

_TESTS = """
import pytest


def test_passes(ctx):
    ctx.set("by.hand", 1)


def test_fails():
    assert 1 == 2


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass


@pytest.mark.xfail(reason="known")
def test_xfails():
    assert 0


@pytest.fixture
def broken():
    yield
    raise OSError("left")


def test_errors(broken):
    pass
"""


def kinds(reading: Reading) -> Counter[str]:
    return Counter(type(entry.event).__name__ for entry in reading.entries)


def events(reading: Reading, kind: type[Any]) -> list[Any]:
    return [entry.event for entry in reading.entries if isinstance(entry.event, kind)]


def folder(project: Project) -> Path:
    return (project.path / ".orchestrator/runs/latest").resolve()


def journal(project: Project) -> Reading:
    return read_journal(folder(project) / "journal.jsonl")


@pytest.fixture
def bench(project: Project) -> Project:
    """A recipe with every outcome, an invalid recipe, and hand-written tests."""
    project.write("parts.py", _STEPS)
    project.write("test_hand.py", _TESTS)
    project.write("recipes/broken.yaml", "steps:\n  - {name: a, type: pythn}\n")
    part = "type: python, module: parts"
    project.recipe(
        "bench",
        {
            "serve": "type: shell, cmd: 'echo up; exec sleep 60', parse: text, background: true, "
            "ready: {stdout_matches: ^up}",
            "write": f"{part}, function: write, success: {{ctx_has_keys: [token]}}",
            "again": f"{part}, function: again, retry: {{attempts: 3, delay: 0}}",
            "told": "type: shell, cmd: echo v=5, parse: text, "
            "outputs: {found.v: {from: stdout, regex: 'v=(.)'}}, retry: {attempts: 2}",
            "known": f"{part}, function: fails, xfail: known",
            "fails": f"{part}, function: fails, needs: []",
            "blocked": "needs: [fails]",
            "paused": "needs: [], if: '${{ false }}'",
        },
        {"off": "type: shell, cmd: echo off, parse: text"},
        head="secrets: [ctx.token]",
    )
    return project


def test_every_event_of_a_session_is_a_line(bench: Project) -> None:
    bench.run("--continue-on-collection-errors", "--json-report", "--json-report-file=r.json")

    steps_are_recorded(bench, journal(bench))
    changes_stand_before_what_came_of_them(bench, journal(bench))
    items_are_reported_and_files_sealed(bench)


def steps_are_recorded(bench: Project, reading: Reading) -> None:
    assert (reading.state, reading.damage) == ("finished", None)
    first, last = reading.entries[0].event, reading.entries[-1].event
    assert isinstance(first, RunStarted)
    assert isinstance(last, RunFinished)
    assert (first.run, first.root) == (folder(bench).name, str(bench.path))
    assert {"python", "pytest", "platform", "user", "plugins"} <= first.environment.keys()
    assert (last.exit_status, last.counts) == (
        1,
        {"passed": 6, "failed": 2, "skipped": 3, "xfailed": 2, "error": 1},
    )
    (broken,) = events(reading, CollectionFailed)
    assert (broken.path, broken.line, broken.column) == ("recipes/broken.yaml", 2, 5)
    (recipe,) = events(reading, RecipeStarted)
    assert [step["name"] for step in recipe.steps][-3:] == ["blocked", "paused", "off"]
    assert recipe.digests.keys() == {"parts.py", "steps.py"}
    assert [(one.step, one.attempt) for one in events(reading, StepStarted)] == [
        ("serve", 1),
        ("write", 1),
        ("again", 1),
        ("again", 2),
        ("told", 1),
        ("known", 1),
        ("fails", 1),
        ("off", 1),
    ]
    (failed,) = events(reading, AttemptFailed)
    assert (failed.step, failed.reason) == ("again", "status 'off': *** is off")
    ended = {one.step: one for one in events(reading, StepFinished)}
    assert {name: one.block["step"]["state"] for name, one in ended.items()} == {
        "serve": "passed",
        "write": "passed",
        "again": "passed",
        "told": "passed",
        "known": "xfailed",
        "fails": "failed",
        "blocked": "blocked",
        "paused": "skipped",
        "off": "passed",
    }
    assert ended["write"].result == {"status": "ok", "seen": "***"}
    assert ended["write"].digests.keys() == {"step", "file parts.py"}
    tests = json.loads((bench.path / "r.json").read_text())["tests"]
    blocks = [test["metadata"]["orchestrator"] for test in tests if "metadata" in test]
    assert {block["step"]["name"]: block for block in blocks} == {
        name: one.block for name, one in ended.items()
    }


def changes_stand_before_what_came_of_them(bench: Project, reading: Reading) -> None:
    changed = events(reading, ContextChanged)
    node = "recipes/bench.yaml::"
    assert [(one.key, one.op, one.by, one.new, one.masked) for one in changed] == [
        ("token", "set", f"{node}write", "***", True),
        ("readings", "append", f"{node}write", 7, False),
        ("tries", "increment", f"{node}again", 1, False),
        ("tries", "increment", f"{node}again", 2, False),
        ("found.v", "set", f"{node}told", "5", False),  # once, although it might be retried
        ("by.hand", "set", "test_hand.py::test_passes", 1, False),
    ]
    order = [
        entry.n
        for entry in reading.entries
        if getattr(entry.event, "step", None) == "write"
        or getattr(entry.event, "by", None) == f"{node}write"
    ]
    assert order == [*range(order[0], order[0] + 5)]  # start, two changes, end, report
    assert "s3cret" not in (folder(bench) / "journal.jsonl").read_text()
    snapshot = json.loads((folder(bench) / "context.json").read_text())
    assert snapshot["values"]["token"] == "***"
    assert snapshot["values"]["tries"] == 2


def items_are_reported_and_files_sealed(bench: Project) -> None:
    reported = {one.node: one for one in events(journal(bench), TestReported)}
    assert {name: one.outcome for name, one in reported.items() if "hand" in name} == {
        "test_hand.py::test_passes": "passed",
        "test_hand.py::test_fails": "failed",
        "test_hand.py::test_skipped": "skipped",
        "test_hand.py::test_xfails": "xfailed",
        "test_hand.py::test_errors": "error",
    }
    failed = reported["recipes/bench.yaml::fails"]
    assert (failed.recipe, failed.step) == ("recipes/bench.yaml", "fails")
    assert failed.reason == "RuntimeError: *** is gone"
    assert "raise RuntimeError" in failed.text
    record = load_record(folder(bench))
    assert record.finished is not None
    actual = record.finished.files
    assert {"context.json", "logs/bench/told.1.stdout"} <= actual.keys()
    for name, (size, digest) in actual.items():
        data = (folder(bench) / name).read_bytes()
        assert (len(data), sha256(data).hexdigest()) == (size, digest)


def test_a_needed_step_and_a_recipe_with_its_own_context_are_recorded(project: Project) -> None:
    project.recipe("x", {"first": "", "second": "needs: [first]"}, head="context: recipe")

    project.run("recipes/x.yaml::second")

    reading = journal(project)
    assert [one.step for one in events(reading, StepFinished)] == ["first", "second"]
    assert [one.scope for one in events(reading, ContextChanged)] == ["recipes/x.yaml"] * 2
    assert [one.step for one in events(reading, TestReported)] == ["second"]


def test_steps_of_xdist_workers_are_recorded(bench: Project) -> None:
    bench.run("-n", "2", "--continue-on-collection-errors")

    reading = journal(bench)
    assert reading.state == "finished"
    assert len({one.step for one in events(reading, StepFinished)}) == 9
    assert len(events(reading, CollectionFailed)) == 1
    assert Counter(one.outcome for one in events(reading, TestReported)) == {
        "passed": 6,
        "failed": 2,
        "skipped": 3,
        "xfailed": 2,
        "error": 1,
    }
    assert "s3cret" not in (folder(bench) / "journal.jsonl").read_text()


_FULL = """
import os
from pathlib import Path
from pytest_orchestrator.runs.journal import writer


def pytest_recipe_step_start(step):
    if step == "{step}":
        here = Path(__file__).parent  # the session that runs this test may have a journal, too
        (one,) = [one for one in writer._open if here in Path(one.path).parents]
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, one._fd)
        os.close(full)
"""


def test_a_full_disk_ends_the_session_with_one_message(project: Project) -> None:
    project.write("conftest.py", _FULL.format(step="two"))
    project.recipe("x", {"one": "", "two": "", "three": ""}, final={"off": ""})

    result = project.run()

    result.assert_outcomes(passed=1, failed=2)  # its write to the Context is not acknowledged
    assert result.ret == 1
    assert project.ran == ["one", "two", "off"]  # finally steps run in any case
    lines = [line for line in result.outlines if "No space left on device" in line]
    assert [line.strip(" !") for line in lines if line.startswith("!")] == [
        f"the journal {folder(project)}/journal.jsonl cannot be written: No space left on device"
    ]


def test_a_disk_that_is_full_at_the_end_fails_the_session_too(project: Project) -> None:
    project.write(
        "conftest.py",
        _FULL.format(step="")
        + ("\n\ndef pytest_terminal_summary():\n    pytest_recipe_step_start('')\n"),
    )
    project.recipe("x", {"one": ""})

    result = project.run()

    result.assert_outcomes(passed=1)
    assert result.ret == 1
    assert result.outlines[-1].startswith("orchestrator: the journal ")
    assert journal(project).state == "interrupted"


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root")
def test_a_small_file_system_that_fills_up_loses_no_acknowledged_write(project: Project) -> None:
    project.write(
        "fill.py",
        "from pathlib import Path\n\n\ndef fill(ctx, params):\n"
        "    with Path('told.txt').open('a') as told:\n"
        "        for number in range(1000):\n"
        "            ctx.set('k', [number, 'x' * 500])\n"
        "            told.write(f'{number}\\n')\n"
        "            told.flush()\n"
        "    return {'status': 'ok'}\n",
    )
    project.recipe("x", {"fill": "module: fill, function: fill, type: python", "next": ""})
    runs = project.path / "small"
    runs.mkdir()
    line = (
        f"mount -t tmpfs -o size=200k none {runs} && {sys.executable} -m pytest "
        f"-p no:randomly -p no:hypothesispytest -o recipe_run_dir={runs}/runs; "
        f"code=$?; cp -r {runs}/runs/latest/ kept; exit $code"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", line],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.stderr.startswith("unshare: "):
        pytest.skip(f"needs a mount namespace: {done.stderr.strip()}")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "cannot be written: No space left on device" in done.stdout
    reading = read_journal(project.path / "kept/journal.jsonl")
    assert reading.state == "interrupted"
    assert reading.damage is None
    kept = [one.new[0] for one in events(reading, ContextChanged)]
    summary = [int(line) for line in (project.path / "told.txt").read_text().split()]
    assert kept[: len(summary)] == summary
    assert len(summary) > 50


@pytest.mark.parametrize("page", ["true", "false"])
def test_a_folder_that_cannot_be_made_is_a_usage_error(project: Project, page: str) -> None:
    project.ini("recipe_run_dir = pytest.ini/runs")
    project.recipe("x", {"one": ""})

    result = project.run("-o", f"recipe_html={page}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert project.ran == []
    assert "the folder of this run cannot be made" in result.stderr.str()
    assert not [line for line in result.outlines if line.startswith(("run ", "report "))]


_RUN = ".orchestrator/runs/latest"
_HARMS = {
    "removed": ("rm -rf .orchestrator", "was taken away (No such file or directory)"),
    "moved": ("mv .orchestrator old", "was taken away (No such file or directory)"),
    "replaced": (
        f"cp {_RUN}/journal.jsonl copy; mv copy {_RUN}/journal.jsonl",
        "was replaced by another file",
    ),
    "emptied": (f": > {_RUN}/journal.jsonl", "has 0 bytes, and * were written"),
}


_WAYS: tuple[tuple[str, ...], ...] = ((), ("-n", "1"), ("--recipe-jobs", "2"))


@pytest.mark.parametrize(
    "harm_and_options",
    kept_first(
        product(_HARMS, _WAYS),
        *((how, ()) for how in _HARMS),
        *(("replaced", way) for way in _WAYS[1:]),
    ),
)
def test_a_step_that_destroys_the_journal_fails_the_session(
    project: Project, harm_and_options: tuple[str, tuple[str, ...]]
) -> None:
    how, options = harm_and_options
    harm, why = _HARMS[how]
    shell = f"type: shell, parse: text, cmd: '{harm}', needs: [one]"
    project.recipe("x", {"one": "", "harm": shell, "three": "needs: [harm]"}, final={"off": ""})

    html = ("-o", "recipe_html=true")
    result = project.run("--json-report", "--junitxml=junit.xml", *html, *options)

    assert (result.ret, project.ran) == (1, ["one", "off"])
    message = (
        f"the journal {project.path}/*/journal.jsonl {why}, as was noticed after step 'harm' of "
    )
    result.stdout.fnmatch_lines(
        [f"orchestrator: {message}recipes/x.yaml", "recipes/x.yaml  failed *"]
    )
    assert not any(line.startswith("report .orch") for line in result.outlines)
    assert "as was noticed after step" in (project.path / "junit.xml").read_text()
    tests = json.loads((project.path / ".report.json").read_text())["tests"]
    assert {one["nodeid"]: one["outcome"] for one in tests}["recipes/x.yaml::harm"] == "failed"


@pytest.mark.counted
@pytest.mark.parametrize("options", [[], ["-n", "1"]])
def test_a_journal_lost_after_the_last_step_is_an_error_in_all_reports(
    project: Project, options: list[str]
) -> None:
    project.recipe("x", {"one": ""})
    project.write(
        "test_z.py",
        """
        import shutil

        import pytest


        @pytest.mark.recipe("recipes/x.yaml")
        def test_it():
            shutil.rmtree(".orchestrator")
        """,
    )

    result = project.run("test_z.py", "--json-report", "--junitxml=junit.xml", *options)

    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 1
    assert "as was noticed at the end of the session" in (project.path / "junit.xml").read_text()
    tests = json.loads((project.path / ".report.json").read_text())["tests"]
    assert [one["outcome"] for one in tests] == ["passed", "error"]
    assert tests[1]["nodeid"].endswith("/journal.jsonl")
