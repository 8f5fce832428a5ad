"""HTTP server of the tests of HTTP steps."""

import datetime
import ipaddress
import json
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Handler(BaseHTTPRequestHandler):
    """Answers that depend on the path; ``/echo`` describes the request."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def _respond(self) -> None:
        path, length = urlsplit(self.path).path, int(self.headers.get("Content-Length", 0))
        sent = self.rfile.read(length)
        self.server.requests.append(self.path)
        answer = getattr(self, f"_{path.split('/')[1]}", self._echo)
        answer(path, sent)

    do_GET = _respond  # noqa: N815 - the name is that of the standard library
    do_POST = _respond  # noqa: N815
    do_PUT = _respond  # noqa: N815

    def _send(self, code: int, body: bytes, kind: str = "application/json", **more: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _echo(self, _: str, sent: bytes) -> None:
        said = {"method": self.command, "path": self.path, "headers": dict(self.headers)}
        self._send(200, json.dumps(said | {"body": sent.decode(errors="replace")}).encode())

    def _code(self, path: str, _: bytes) -> None:
        self._send(int(path.split("/")[2]), b'{"status": "off"}')

    def _text(self, *_: object) -> None:
        self._send(200, "12,5 °C".encode("latin-1"), "text/csv; charset=latin-1")

    def _compressed(self, path: str, _sent: bytes) -> None:
        """Answer with two members of a compressed body, without its last bytes."""
        encoding, cut = path.split("/")[2:]
        make = {"gzip": 31, "deflate": 15, "bare": -15}[encoding]
        packed = b""
        for _ in range(2 if encoding == "gzip" else 1):
            pack = zlib.compressobj(wbits=make)
            packed += pack.compress(b"volts " * 50) + pack.flush()
        name = "gzip" if encoding == "gzip" else "deflate"
        sent = packed[: len(packed) - int(cut)] if int(cut) >= 0 else b"no " + packed
        self._send(200, sent, "text/plain", Content_Encoding=name)

    def _broken(self, *_: object) -> None:
        self._send(200, b'{"volts": NaN}')

    def _away(self, *_: object) -> None:
        self._send(302, b"", Location="/there")

    def _goto(self, *_: object) -> None:
        """Redirect to the address `to` with the code `code`, both parameters."""
        asked = parse_qs(urlsplit(self.path).query)
        self._send(int(asked["code"][0]), b"", Location=asked["to"][0])

    def _moved(self, *_: object) -> None:
        self._send(302, b"", Location="/there?access_token=place-secret#token=place-secret")

    def _linked(self, *_: object) -> None:
        link = '<http://me:info-secret@x/?api_key=link-secret>; rel="next", </b>'
        self._send(200, b"{}", Link=link, X_Auth_Token="header-secret", X_Page="12345678")

    def _json(self, path: str, _: bytes) -> None:
        self._send(200, unquote(path.split("/")[2]).encode())

    def _loop(self, *_: object) -> None:
        self._send(302, b"", Location="/loop")

    def _login(self, *_: object) -> None:
        self._send(200, b'{"access_token": "body-secret"}', Set_Cookie="sid=cookie-secret; Path=/")

    def _large(self, path: str, _: bytes) -> None:
        self._send(200, b"x" * int(path.split("/")[2]), "text/plain")

    def _endless(self, *_: object) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(bytes(1 << 20))

    def _busy(self, *_: object) -> None:
        """Answer 503 at first, and then 200."""
        self._send(200 if self.server.requests.count("/busy") > 2 else 503, b"{}")

    def _hang(self, *_: object) -> None:
        self.server.over.wait()

    def _drip(self, *_: object) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.server.over.is_set():
            self.wfile.write(b"x")
            time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Server(ThreadingHTTPServer):
    """HTTP server of a test.

    Attributes:
        requests: The paths of all requests.
        over: Set at the end of the test, so that no answer waits any longer.
        url: The address of the server.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str] = []
        self.over = threading.Event()
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that have ended."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve HTTP in a thread, with TLS if a context is given."""
    with Server(context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return the certificate of a new authority, and the TLS context of a server that it trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "ca.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return certificate, context
