"""The log records of Python steps are in a file of the run folder, wherever the step runs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.runs.lookup import run_folders

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_BODIES = """
import logging
import os

from pytest_orchestrator import get_logger

log = get_logger(__name__)
psu = logging.getLogger("chamber")
psu.warning("at import")


def good(ctx, params):
    psu.debug("debug of psu")
    psu.warning("token %s", os.environ.get("BENCH_TOKEN"))
    log.info("info of bodies")
    return {"status": "ok"}


def off(ctx, params):
    good(ctx, params)
    return {"status": "off"}


def mended(ctx, params):
    good(ctx, params)
    assert os.path.exists("mended")
    return {"status": "ok"}


def boom(ctx, params):
    log.error("first line\\nsecond line")
    psu.warning("first line")
    raise ValueError("boom")


def again(ctx, params):
    psu.warning("attempt %s", ctx.increment("n"))
    assert ctx["n"] > 1
    return {"status": "ok"}


def many(ctx, params):
    for number in range(600):
        psu.warning("%d %s", number, "x" * 10_000)
    return {"status": "ok"}
"""


@pytest.fixture
def bench(project: Project) -> Project:
    """A project with scriptlets that log."""
    project.write("bodies.py", _BODIES)
    return project


def _steps(project: Project, keys: str = "", **functions: str) -> None:
    kind = "type: python, module: bodies, needs: []"
    more = f", {keys}" if keys else ""
    project.recipe("x", {step: f"{kind}, function: {one}{more}" for step, one in functions.items()})


def _log(project: Project, step: str, attempt: int = 1) -> list[str]:
    (path,) = project.path.glob(f".orchestrator/runs/2*/logs/x/{step}.{attempt}.log")
    return path.read_text().splitlines()


def _messages(project: Project, step: str, attempt: int = 1) -> list[str]:
    return [
        line.split(" ", 1)[1].lstrip().split(" ", 1)[1] for line in _log(project, step, attempt)
    ]


@pytest.mark.parametrize(
    ("keys", "args"),
    [
        ("", ()),
        ("isolation: inline", ()),
        ("", ("--recipe-jobs=2",)),
        ("", ("-n", "2")),
    ],
    ids=["process", "inline", "jobs", "xdist"],
)
def test_records_of_a_step_are_in_its_log_that_its_block_names(
    bench: Project, keys: str, args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_TOKEN", "token-4711")
    _steps(bench, keys, passes="good", fails="off")

    blocks = bench.blocks(*args)

    for step in ("passes", "fails"):
        expected = ["token ***", "info of bodies"]
        messages = _messages(bench, step)
        assert [one for one in messages if one != "at import"] == expected
        log = blocks[step]["logs"]["log"]
        assert log == {"path": f"logs/x/{step}.1.log", "bytes": log["bytes"], "cut": False}
        path = next(bench.path.glob(f".orchestrator/runs/2*/{log['path']}"))
        assert log["bytes"] == path.stat().st_size
    assert sum("at import" in _messages(bench, step) for step in ("passes", "fails")) >= 1


def test_shell_steps_and_steps_without_records_have_no_log(bench: Project) -> None:
    bench.recipe("x", {"one": "", "two": "type: shell, cmd: 'echo 1 >&2', parse: text"})

    blocks = bench.blocks()

    assert "logs" not in blocks["one"]
    assert set(blocks["two"]["logs"]) == {"stderr"}
    assert list(bench.path.glob(".orchestrator/runs/2*/logs/x/*.log")) == []


def test_each_attempt_has_its_own_log(bench: Project) -> None:
    _steps(bench, "retry: {attempts: 3}", one="again")

    block = bench.blocks()["one"]

    assert _messages(bench, "one", 1)[-1:] == ["attempt 1"]
    assert _messages(bench, "one", 2) == ["attempt 2"]
    assert block["logs"]["log"]["path"] == "logs/x/one.2.log"
    assert block["attempts"][0]["logs"]["log"]["path"] == "logs/x/one.1.log"


@pytest.mark.parametrize(
    ("ini", "expected"),
    [
        ((), ["WARNING token None", "INFO info of bodies"]),
        (
            ("log_level = DEBUG",),
            ["DEBUG debug of psu", "WARNING token None", "INFO info of bodies"],
        ),
        (("log_level = DEBUG", "log_file_level = 25"), ["WARNING token None"]),
    ],
    ids=["default", "log_level", "log_file_level"],
)
@pytest.mark.parametrize("isolation", ["process", "inline"])
def test_level_and_format_are_those_of_the_log_file_of_pytest(
    bench: Project,
    isolation: str,
    ini: tuple[str, ...],
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("BENCH_TOKEN", raising=False)
    bench.ini(*ini, "log_file_format = %(levelname)s %(message)s")
    _steps(bench, f"isolation: {isolation}", one="good")

    bench.run().assert_outcomes(passed=1)

    assert [one for one in _log(bench, "one") if "at import" not in one] == expected


def test_records_are_written_without_the_logging_plugin_of_pytest(bench: Project) -> None:
    _steps(bench, one="good")

    bench.run("-p", "no:logging").assert_outcomes(passed=1)

    assert _messages(bench, "one")[-1] == "info of bodies"


def test_a_service_logs_until_its_end(bench: Project) -> None:
    bench.write(
        "service.py",
        """
        import logging
        import signal


        def serve(ctx, params):
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            open("ready", "w").close()
            logging.getLogger("chamber").warning("ready")
            signal.sigwait([signal.SIGUSR1])
            logging.getLogger("chamber").warning("asked to end")
            return {"status": "ok"}
        """,
    )
    serve = "type: python, module: service, function: serve, background: true, stop_signal: USR1"
    bench.recipe("x", {"serve": f"{serve}, ready: {{file: ready}}", "use": ""})

    block_of = bench.blocks()["serve"]

    assert _messages(bench, "serve") == ["ready", "asked to end"]
    assert block_of["logs"]["log"]["bytes"] == sum(len(line) + 1 for line in _log(bench, "serve"))


def test_a_step_that_a_resumed_run_repeats_logs_in_that_run(bench: Project) -> None:
    _steps(bench, one="good", two="mended")
    bench.run()
    bench.write("mended", "")

    blocks = bench.blocks("--recipe-resume")

    assert "logs" not in blocks["one"]
    assert blocks["two"]["logs"]["log"]["path"] == "logs/x/two.1.log"
    second, first = run_folders(bench.path / ".orchestrator/runs")
    assert sorted(one.name for one in first.glob("logs/x/*.log")) == ["one.1.log", "two.1.log"]
    assert [one.name for one in second.glob("logs/x/*.log")] == ["two.1.log"]


def test_report_html_shows_the_log_records(bench: Project) -> None:
    _steps(bench, one="good", two="off")

    bench.run("-o", "recipe_html=true")

    (page,) = bench.path.glob(".orchestrator/runs/2*/report.html")
    text = page.read_text()
    assert text.count("WARNING  chamber:bodies.py:") >= 2
    assert "logs/x/one.1.log" in text


@pytest.mark.parametrize("isolation", ["process", "inline"])
@pytest.mark.parametrize("function", ["boom", "off"])
def test_a_failure_shows_each_record_once(bench: Project, isolation: str, function: str) -> None:
    _steps(bench, f"isolation: {isolation}", one=function)

    lines = bench.run().outlines

    shown = lines[next(at for at, line in enumerate(lines) if "= FAILURES =" in line) :]
    text = "\n".join(shown)
    if function == "off":
        assert (text.count("info of bodies"), text.count("token")) == (1, 1)
        return
    # The record of `get_logger` and that of another logger have the same first line.
    records = [
        line for line in shown if re.match(r"\S+ +(chamber|bodies):|.* \| bodies \| |second", line)
    ]
    assert [re.sub(r"^\S+ \| |:\d+ ", " ", line) for line in records if "import" not in line] == [
        " ERROR | bodies | first line",
        "second line",
        "WARNING  chamber:bodies.py first line",
    ]


def test_show_capture_log_shows_all_records(bench: Project) -> None:
    _steps(bench, one="boom")

    lines = bench.run("--show-capture=log").outlines

    assert [line for line in lines if line.startswith("ERROR    bodies")]


def test_pytest_receives_a_bounded_share_of_the_records(bench: Project) -> None:
    _steps(bench, one="many")
    bench.write(
        "conftest.py",
        """
        import json

        def pytest_runtest_logreport(report):
            if report.when == "call":
                with open("caught.json", "w") as file:
                    json.dump(report.caplog[-200:], file)
                with open("size.json", "w") as file:
                    json.dump(len(report.caplog), file)
        """,
    )

    bench.run().assert_outcomes(passed=1)

    assert len(_log(bench, "one")) == 601  # including the record of the import
    caught: Any = json.loads((bench.path / "caught.json").read_text())
    (path,) = bench.path.glob(".orchestrator/runs/2*/logs/x/one.1.log")
    assert caught.endswith(f" more log records of step 'one' are in {path}")
    assert json.loads((bench.path / "size.json").read_text()) < 5_000_000
