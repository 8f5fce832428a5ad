"""OpenTelemetry traces, received by a server that decodes the protocol; and broken endpoints."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.addons.exports import ExportError, otel
from pytest_orchestrator.addons.exports.formats import export
from pytest_orchestrator.core import extras
from tests.addons.exports.conftest import SHOWN
from tests.house.readers import have_readers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.addons.exports.conftest import ExportRun


class Receiver:
    """OTLP/HTTP server that keeps the bodies it receives, and answers with one status.

    Attributes:
        status: The status of its answers.
        drip: True to answer one byte at a time, without an end.
    """

    def __init__(self) -> None:
        self.status, self.drip = 200, False
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.paths.append(self.path)
                body = self.rfile.read(int(self.headers["content-length"]))
                is_packed = self.headers.get("content-encoding") == "gzip"
                receiver.bodies.append(gzip.decompress(body) if is_packed else body)
                if receiver.drip:
                    receiver.dripped(self.wfile)
                    return
                self.send_response(receiver.status)
                if 300 <= receiver.status < 400:
                    self.send_header("location", f"{receiver.url}/other")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.stopped = threading.Event()
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def dripped(self, file: Any) -> None:
        """Write an endless header, a byte at a time."""
        while not self.stopped.wait(0.05):
            try:
                file.write(b"H")
                file.flush()
            except OSError:
                return

    def spans(self) -> list[Any]:
        """Return the spans that were received."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        requests = map(ExportTraceServiceRequest.FromString, self.bodies)
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def fields(span: Any) -> dict[str, Any]:
    """Return the attributes of a span or an event by name."""
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes
    }


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    have_readers(monkeypatch)
    made = Receiver()
    yield made
    made.stopped.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.nightly
def test_a_run_is_a_trace_of_recipes_and_steps(finished: ExportRun, receiver: Receiver) -> None:
    line = otel.export(finished.run, finished.folder, receiver.url)

    spans = {span.name: span for span in receiver.spans()}
    root = spans[f"run {finished.folder.name}"]
    recipe, flash, measure = spans["recipes/psu.yaml"], spans["flash"], spans["measure"]
    assert receiver.paths == ["/v1/traces"]
    assert line == f"11 spans sent to {receiver.url}, trace {root.trace_id.hex()}"
    assert {span.trace_id for span in spans.values()} == {root.trace_id}
    assert root.parent_span_id == b""
    assert recipe.parent_span_id == root.span_id
    assert flash.parent_span_id == measure.parent_span_id == recipe.span_id
    assert fields(root)["test.suite.run.status"] == "failure"
    assert fields(recipe)["test.suite.run.status"] == "failure"
    of_flash = fields(flash)
    assert of_flash["test.case.name"] == "recipes/psu.yaml::flash"
    assert of_flash["test.case.result.status"] == "pass"
    assert (of_flash["code.file.path"], of_flash["code.line.number"]) == ("recipes/psu.yaml", 3)
    assert of_flash["orchestrator.test_meta.dut.serial_number"] == "A17"
    assert fields(measure)["orchestrator.measurement.ripple.value"] == 61.4
    assert fields(measure)["orchestrator.measurement.ripple.uncertainty"] == 0.025
    assert fields(measure)["orchestrator.measurement.ripple.rule"] == "guarded"
    assert "test.case.result.status" not in fields(spans["release"])
    codes = [spans[name].status.code for name in ("release", "flash", "measure")]
    assert codes == [0, 1, 2]  # unset, OK, error
    first, last = flash.events
    assert (fields(first)["attempt"], fields(first)["state"], fields(first)["reason"]) == (
        1,
        "failed",
        "exit code 3, expected 0",
    )
    assert fields(last)["state"] == "passed"
    start, stop = flash.start_time_unix_nano, flash.end_time_unix_nano
    assert start <= first.time_unix_nano <= last.time_unix_nano <= stop
    assert (stop - start) == 2_000_000_000
    assert root.start_time_unix_nano <= recipe.start_time_unix_nano <= start
    assert recipe.end_time_unix_nano <= root.end_time_unix_nano


@pytest.mark.nightly
def test_a_run_that_is_sent_twice_has_the_same_ids(
    finished: ExportRun, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    otel.export(finished.run, finished.folder, "")
    once = [(one.span_id, one.name) for one in receiver.spans()]
    receiver.bodies.clear()
    otel.export(finished.run, finished.folder, "")

    assert len({one for one, _ in once}) == 11
    assert [(one.span_id, one.name) for one in receiver.spans()] == once


@pytest.mark.nightly
def test_a_killed_run_is_a_trace_that_ends_with_its_last_line(
    killed: ExportRun, receiver: Receiver
) -> None:
    otel.export(killed.run, killed.folder, receiver.url)

    spans = {span.name: span for span in receiver.spans()}
    root, burn_in = spans[f"run {killed.folder.name}"], spans["burn_in"]
    assert fields(root)["test.suite.run.status"] == "failure"
    assert (fields(burn_in)["orchestrator.state"], burn_in.status.code) == ("interrupted", 2)
    assert burn_in.end_time_unix_nano == root.end_time_unix_nano
    assert SHOWN in fields(spans["noisy"])["orchestrator.reason"]
    assert not any(char in name for name in spans for char in "\u202e\x1b\x00")


@pytest.mark.nightly
@pytest.mark.parametrize("status", [400, 500])
def test_an_endpoint_that_refuses_is_one_sentence(
    finished: ExportRun, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    address = receiver.url.replace("//", "//user:s3cret@") + "/tenant-key"

    with pytest.raises(ExportError) as caught:
        export("otel", finished.run, finished.folder, address)

    assert str(caught.value) == f"OpenTelemetry: {receiver.url}/…: it answered {status}"


@pytest.mark.nightly
@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_no_success_and_is_not_followed(
    finished: ExportRun, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    why = f"it answered {status}, a redirect, which is not followed"

    with pytest.raises(ExportError, match=why):
        export("otel", finished.run, finished.folder, receiver.url)
    assert receiver.paths == ["/v1/traces"]


@pytest.mark.nightly
def test_an_endpoint_that_is_gone_or_slow_takes_bounded_time(
    finished: ExportRun, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otel, "SECONDS", 1.5)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    receiver.drip = True
    begun = time.monotonic()
    for address in (f"http://127.0.0.1:{port}", receiver.url):
        with pytest.raises(ExportError, match=r"no answer within 1\.5 s|cannot be reached"):
            otel.export(finished.run, finished.folder, address)
    assert time.monotonic() - begun < 8


def test_without_the_extra_the_error_names_it(
    finished: ExportRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "EXTRAS", {"otel": ("no_such_package.sdk",)})

    with pytest.raises(ExportError) as caught:
        export("otel", finished.run, finished.folder, "")

    assert str(caught.value) == (
        "OpenTelemetry: the extra otel is not installed; "
        "run: pip install 'pytest-orchestrator[otel]'"
    )


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("file:///etc/passwd", "the value"),
        ("localhost:4318", "localhost:4318"),
        ("http://", "the value"),
        ("https://host:port", "the value"),
        ("latest", "latest"),
    ],
)
def test_an_address_of_no_web_server_is_refused(
    finished: ExportRun, monkeypatch: pytest.MonkeyPatch, address: str, shown: str
) -> None:
    monkeypatch.setattr(extras, "EXTRAS", {"otel": ()})

    with pytest.raises(ExportError) as caught:
        otel.export(finished.run, finished.folder, address)

    assert str(caught.value) == (
        f"{shown} is no address of a web server; write http://HOST:PORT or https://HOST"
    )
