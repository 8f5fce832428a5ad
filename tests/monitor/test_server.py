"""The monitor as a process: its link, a port in use, and its end."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.cookiejar import CookieJar
from pathlib import Path

import psutil
import pytest

from pytest_orchestrator.cli.main import main

Process = subprocess.Popen[str]
Start = Callable[..., tuple[Process, int, str]]

_COMMAND = (sys.executable, "-m", "pytest_orchestrator", "monitor")


@pytest.fixture
def start(bench: Path) -> Iterator[Start]:
    """Return a function that starts a monitor and returns its process, port and link."""
    started: list[Process] = []

    def begin(port: int, *more_options: str, **environ: str) -> tuple[Process, int, str]:
        process = subprocess.Popen(
            [*_COMMAND, str(bench), f"--port={port}", "--until-input-ends", *more_options],
            env=os.environ | environ,
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


@pytest.mark.measured
def test_monitor_serves_until_a_signal_or_the_end_of_its_input(start: Start) -> None:
    first, port, link = start(0)
    second, next_port, _ = start(port)
    jar = urllib.request.HTTPCookieProcessor(CookieJar())

    with urllib.request.build_opener(jar).open(link, timeout=30) as answer:
        assert answer.status == 200
        assert answer.url == f"http://127.0.0.1:{port}/"
    assert next_port > port  # `port` is in use
    first.send_signal(signal.SIGINT)
    assert first.communicate(timeout=30)[0] == ""
    assert second.stdin is not None
    second.stdin.close()  # the process that started the monitor has ended
    assert (first.returncode, second.wait(30)) == (0, 0)


BROWSER = """#!/bin/sh
{ printf '%s\\n' "$@"; stat -c %a "${1#file://}"; cat "${1#file://}"; } > "$SEEN.part"
mv "$SEEN.part" "$SEEN"
"""


def test_browser_opens_a_redirect_file_that_no_other_user_can_read(
    start: Start, bench: Path, tmp_path: Path
) -> None:
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(BROWSER)
    browser.chmod(0o700)

    one, _, link = start(0, "--open", BROWSER=f"{browser} %s", SEEN=str(seen))
    while not seen.exists():
        assert one.poll() is None

    uri, mode, *page = seen.read_text().splitlines()
    assert uri.startswith(f"file://{bench.parent}/.monitor-")
    assert mode == "600"
    assert f'content="0; url={link}"' in "".join(page)
    assert Path(uri.removeprefix("file://")).exists()
    one.send_signal(signal.SIGINT)
    assert one.wait(30) == 0
    assert not Path(uri.removeprefix("file://")).exists()


def test_idle_connections_take_few_threads_and_are_closed(start: Start) -> None:
    one, port, link = start(0)
    idle = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(200)]
    idle[-1].sendall(b"GET / HTTP/1.1\r\n")

    for each in idle[:136]:  # all but the last 64 are closed, the oldest first
        assert each.recv(1) == b""
    assert psutil.Process(one.pid).num_threads() < 100
    jar = urllib.request.HTTPCookieProcessor(CookieJar())
    with urllib.request.build_opener(jar).open(link, timeout=30) as answer:
        assert answer.status == 200
    for each in idle:
        each.close()


@pytest.mark.measured
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("GET http://[::1/?token=sesame HTTP/1.1", r"HTTP/1\.1 400 Bad Request\r\n"),
        # Up to Python 3.13 the reply has no headers, as in HTTP/0.9.
        ("GET /?token=sesame HTTP/x", r"HTTP/1\.1 400 |<!DOCTYPE HTML>"),
    ],
)
def test_malformed_request_is_answered_and_not_shown_on_the_terminal(
    line: str, reply: str, start: Start
) -> None:
    one, port, _ = start(0)

    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(f"{line}\r\nHost: x\r\n\r\n".encode())
        with connection.makefile(newline="") as answer:
            assert re.match(reply, answer.read())
    one.send_signal(signal.SIGINT)
    assert one.communicate(timeout=30)[0] == ""


def test_missing_flask_is_reported_with_the_install_command(
    bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "flask", None)

    assert main(["monitor", str(bench), "--port", "0"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == (
        "",
        "the monitor needs Flask: python -m pip install 'pytest-orchestrator[monitor]'\n",
    )


def test_no_port_after_the_last_one_is_tried(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        with suppress(OSError):  # something else listens there, which is as good
            other.bind(("127.0.0.1", 65535))
            other.listen()

        assert main(["monitor", str(bench), "--port", "65535"]) == 2

    assert capsys.readouterr().err == "none of the ports 65535 to 65535 of 127.0.0.1 is free\n"
