"""The summary of a run, and its POST to servers that accept it, refuse it, redirect it or hang."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pytest_orchestrator.addons.exports import ExportError, webhook
from pytest_orchestrator.addons.exports.network import secrets_of
from pytest_orchestrator.addons.exports.webhook import post
from pytest_orchestrator.reports.summary import summary_of_run
from tests.addons.exports.conftest import SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.addons.exports.conftest import ExportRun


class Server:
    """Server that keeps what is posted to it.

    Attributes:
        statuses: The statuses of its next answers; then 200.
        location: The address of its redirects.
        requests: Path, headers and body of each request.
        drip: True to send a header without an end.
    """

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.location, self.drip = "", False
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.stopped = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                server.requests.append((self.path, dict(self.headers), json.loads(body)))
                while server.drip and not server.stopped.wait(0.02):
                    self.wfile.write(b"H")
                self.send_response(server.statuses.pop(0) if server.statuses else 200)
                if server.location:
                    self.send_header("location", server.location)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop the server."""
        self.stopped.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(webhook, "PAUSE", 0.0)
    made = Server()
    yield made
    made.close()


def problem(address: str) -> str:
    with pytest.raises(ExportError) as caught:
        post(address, {"id": "x"})
    return str(caught.value)


def test_the_summary_says_what_failed(finished: ExportRun, killed: ExportRun) -> None:
    document: Any = summary_of_run(finished.run, finished.folder.name)

    assert (document["schema_version"], document["verdict"], document["dut"]) == (
        "1.0",
        "failed",
        "A17",
    )
    assert document["failure_count"] == 3
    assert document["failures"][0] == {
        "node": "recipes/psu.yaml::measure",
        "state": "failed",
        "kind": "criterion",
        "reason": "ripple = 61.4 mV, max 50 mV",
    }
    text = json.dumps(summary_of_run(killed.run, killed.folder.name), ensure_ascii=False)
    assert '"interruption": "killed"' in text
    assert json.dumps(SHOWN)[1:-1] in text
    assert not any(char in text for char in "\u202e\x1b\x00")


def test_a_document_is_posted_once_and_again_only_if_that_may_help(server: Server) -> None:
    post(f"{server.url}/hook?a=1", {"id": "ü"})
    ((path, headers, body),) = server.requests
    assert (path, headers["Content-Type"], body) == ("/hook?a=1", "application/json", {"id": "ü"})

    server.statuses = [503]
    post(server.url, {})
    assert len(server.requests) == 3

    server.statuses = [500, 500]
    assert problem(f"{server.url}/T0KEN") == f"{server.url}/…: it answered 500"
    assert len(server.requests) == 5
    server.statuses = [404]
    assert problem(server.url) == f"{server.url}: it answered 404"
    assert len(server.requests) == 6


def test_a_user_and_a_password_are_sent_as_basic_authentication(server: Server) -> None:
    address = server.url.replace("//", "//bob:s3cret%40@")
    post(address, {})

    assert server.requests[0][1]["Authorization"] == "Basic Ym9iOnMzY3JldEA="
    server.statuses = [401]
    assert problem(address) == f"{server.url}: it answered 401"
    assert secrets_of(address) == [address, "s3cret@", "s3cret%40"]
    assert secrets_of(f"{server.url}/") == []


def test_an_address_with_other_letters_is_encoded(server: Server) -> None:
    post(f"{server.url}/prüf/%20?name=é&x=[1]", {})

    assert server.requests[0][0] == "/pr%C3%BCf/%20?name=%C3%A9&x=[1]"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: Server, status: int) -> None:
    other = Server()
    for location in (other.url, "file:///etc/passwd", f"{server.url}/other"):
        server.statuses, server.location = [status], location
        assert problem(server.url) == (
            f"{server.url}: it answered {status}, a redirect, which is not followed"
        )
    assert (len(server.requests), other.requests) == (3, [])
    other.close()


def test_a_server_that_is_gone_or_hangs_takes_bounded_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    server.drip = True
    begun = time.monotonic()

    assert problem(f"http://127.0.0.1:{port}/x") == (
        f"http://127.0.0.1:{port}/…: it cannot be reached ([Errno 111] Connection refused)"
    )
    assert problem(server.url) == f"{server.url}: no answer within 0.5 s"
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://x/y", "http:///x", "x", ""])
def test_an_address_of_no_web_server_is_refused(address: str) -> None:
    assert "no address of a web server" in problem(address)


def test_the_certificate_of_https_is_verified(tmp_path: Path, server: Server) -> None:
    server.http.socket = _context(tmp_path).wrap_socket(server.http.socket, server_side=True)
    text = problem(server.url.replace("http:", "https:"))

    assert "certificate verify failed" in text
    assert server.requests == []


def _context(folder: Path) -> ssl.SSLContext:
    """Return the TLS settings of a server with a certificate that no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
