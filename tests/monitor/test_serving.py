"""The monitor as a process: its link, the port that is taken, and how it ends."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from pytest_orchestrator.cli.main import main
from tests.house.dash import ROOT, more

Process = subprocess.Popen[str]
Start = Callable[[int], tuple[Process, int, str]]

_COMMAND = (sys.executable, "-m", "pytest_orchestrator", "monitor")


@pytest.fixture
def start(bench: Path) -> Iterator[Start]:
    """Start a monitor at a port; return its process, its port and its link."""
    started: list[Process] = []

    def begin(port: int) -> tuple[Process, int, str]:
        path = os.pathsep.join([str(ROOT), *more()])
        process = subprocess.Popen(
            [*_COMMAND, str(bench), f"--port={port}", "--until-input-ends"],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(
            rf"monitor of {bench}: (http://127\.0\.0\.1:(\d+)/\?token=\S+)\n", line
        )
        assert found is not None, line
        return process, int(found[2]), found[1]

    yield begin
    for one in started:
        with one:
            one.kill()


def test_it_serves_until_it_is_told_to_end(start: Start) -> None:
    first, port, link = start(0)
    second, next_port, _ = start(port)
    jar = urllib.request.HTTPCookieProcessor(CookieJar())

    with urllib.request.build_opener(jar).open(link, timeout=30) as answer:
        assert answer.status == 200
        assert answer.url == f"http://127.0.0.1:{port}/"
    assert next_port > port  # which is taken
    first.send_signal(signal.SIGINT)
    assert first.communicate(timeout=30)[0] == ""
    assert second.stdin is not None
    second.stdin.close()  # whoever started it is gone
    assert (first.returncode, second.wait(30)) == (0, 0)


def test_without_dash_one_line_says_what_to_install(
    bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "dash", None)

    assert main(["monitor", str(bench), "--port", "0"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == (
        "",
        "the monitor needs Dash: python -m pip install 'pytest-orchestrator[monitor]'\n",
    )
