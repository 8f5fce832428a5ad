"""Readiness probe of a service over HTTP."""

import base64
import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.execution.steps.readiness import (
    ReadinessProbe,
    accepts,
    answered_code,
)
from pytest_orchestrator.recipe.model.options import Ready
from tests.step_types.http_server import Server, authority, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


def unmet(http: Any) -> list[str]:
    root = Path.cwd()
    probe = ReadinessProbe(Ready(http=http), root, root / "x", lambda *_: False, lambda: math.inf)
    return probe.unmet()


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/code/200", None, []),
        ("/code/204", None, []),
        ("/code/503", None, ["{} answers 503, expected 2xx"]),
        ("/away", None, ["{} answers 302, expected 2xx"]),
        ("/code/401", 401, []),
        ("/code/401", "4xx", []),
        ("/code/401", ["2xx", 401], []),
        ("/code/200", [401, "5xx"], ["{} answers 200, expected 401 or 5xx"]),
    ],
)
def test_a_service_is_ready_when_it_answers_with_a_wanted_code(
    server: Server, path: str, code: Any, text: list[str]
) -> None:
    url = f"{server.url}{path}"

    assert unmet(url if code is None else {"url": url, "code": code}) == [
        one.format(url) for one in text
    ]


def test_a_service_that_has_answered_once_is_not_asked_again(server: Server) -> None:
    root, url = Path.cwd(), f"{server.url}/once?x=1"
    probe = ReadinessProbe(Ready(http=url), root, root / "x", lambda *_: False, lambda: 5.0)

    assert (probe.unmet(), probe.unmet()) == ([], [])
    assert server.requests.count("/once?x=1") == 1


def test_a_service_that_does_not_listen_does_not_answer() -> None:
    with serving() as closed:
        pass

    assert unmet(closed.url) == [f"{closed.url} does not answer"]


class _Asking(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_known = self.headers["Authorization"] == f"Basic {_BOB}"
        self.send_response(200 if is_known else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


_BOB = base64.b64encode(b"bob:p@ss-word").decode()


def test_credentials_of_an_address_are_sent_and_not_shown() -> None:
    with HTTPServer(("127.0.0.1", 0), _Asking) as asking:
        threading.Thread(target=asking.serve_forever, args=(0.01,), daemon=True).start()
        host = f"127.0.0.1:{asking.server_port}"
        good, wrong = f"http://bob:p%40ss-word@{host}/", f"http://bob:no@{host}/x?token=abcdef"

        assert unmet(good) == []
        assert unmet(wrong) == [f"http://{host}/x answers 401, expected 2xx"]
        asking.shutdown()


def test_any_certificate_is_accepted(tmp_path: Path) -> None:
    with serving(authority(tmp_path)[1]) as server:
        assert unmet(f"{server.url}/code/200") == []


@pytest.mark.parametrize("sent", [b"", b"HTTP", b"HTTP/1.1 abc\r\n", b"220 mail ready\r\n"])
def test_a_server_that_does_not_speak_http_does_not_answer(sent: bytes) -> None:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(sent)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        assert answered_code(f"http://127.0.0.1:{listener.getsockname()[1]}/", 5.0) is None
        thread.join()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"HTTP/1.1 200", None),
        (b"HTTP/1.1 200 OK\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200),
        (b"HTTP/1.0 503 Busy\n\nuntil the end", 503),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b"x" * 70_000, 200),
    ],
)
def test_an_answer_counts_only_if_it_is_complete(sent: bytes, code: int | None) -> None:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1000)
            connection.sendall(sent)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        assert answered_code(f"http://127.0.0.1:{listener.getsockname()[1]}/", 5.0) == code
        thread.join()


def test_a_server_that_keeps_the_connection_open_has_answered() -> None:
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            over.wait()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        assert answered_code(f"http://127.0.0.1:{listener.getsockname()[1]}/", 60.0) == 200
        over.set()
        thread.join()


def test_a_server_that_dribbles_is_given_up_at_the_deadline() -> None:
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            while not over.wait(0.01):
                connection.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        started = time.monotonic()
        assert answered_code(f"http://127.0.0.1:{listener.getsockname()[1]}/", 0.2) is None
        assert 0.2 <= time.monotonic() - started < 5
        over.set()
        thread.join()


def test_classes_of_codes_are_accepted() -> None:
    assert accepts("2xx", 204)
    assert accepts([301, "4xx"], 404)
    assert not accepts(200, 201)
