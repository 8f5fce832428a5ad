"""OpenTelemetry trace of a run, sent by OTLP over HTTP.

The run is the root span; below it a span for each recipe, and below that one for each step.
Attempts are events of the step. The ids of trace and spans are computed from the id of the run, so
a run that is sent twice is one trace. This module alone imports OpenTelemetry.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest_orchestrator
from pytest_orchestrator.addons.exports import ExportError
from pytest_orchestrator.addons.exports.cases import Case, cases
from pytest_orchestrator.addons.exports.network import check_address, shown_address, within
from pytest_orchestrator.core.extras import is_installed
from pytest_orchestrator.reading import (
    NOT_GOOD,
    STATES,
    RunRecord,
    epoch_seconds,
    is_good,
    verdict,
    verdict_of,
)
from pytest_orchestrator.rendering import counted, cut, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan, Tracer

TITLE: Final = "OpenTelemetry"
SECONDS: Final = 15.0
"""Maximum duration of an export, with all its requests and retries."""

_PATH: Final = "/v1/traces"
_BATCH: Final = 512
_MOST: Final = 200
_MOST_FIELDS: Final = 10_000
"""Maximum attributes and events of a span; a step with a loop may have many measurements."""
_MEASURED: Final = ("value", "unit", "low", "high", "verdict", "uncertainty", "rule", "decided")
_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_DEFAULT: Final = "http://localhost:4318"
_SUITE_STATUS: Final = {
    "good": "success",
    "bad": "failure",
    "cut": "aborted",
    "left out": "skipped",
    "open": "in_progress",
}
"""Status of a suite in the semantic conventions, by the sense of its verdict."""
_SUITE_WORDS: Final = {"timeout": "timed_out", "not run": "aborted"}
"""Status of a suite by verdicts that have another one than their sense."""
_RESULTS: Final = {
    "success": "pass",
    **dict.fromkeys(("failure", "timed_out", "aborted"), "fail"),
}
"""Result of a suite by its status; others have none."""


def export(run: RunRecord, folder: Path, target: str) -> str:
    """Send a run as a trace.

    Args:
        run: The run.
        folder: Its folder.
        target: The endpoint, such as ``http://localhost:4318``; empty for that of the standard
            variables of the environment.

    Returns:
        One line with the number of spans, the endpoint and the id of the trace.

    Raises:
        ExportError: The extra is not installed, or the endpoint does not accept the trace.
    """
    if not is_installed("otel"):
        raise ExportError(
            "the extra otel is not installed; run: pip install 'pytest-orchestrator[otel]'"
        )
    address = target or next(filter(None, map(os.environ.get, _VARIABLES)), _DEFAULT)
    check_address(address)
    spans = _Trace(run, folder.name).spans()
    try:
        within(SECONDS, lambda: _send(spans, target))
    except ExportError as error:
        raise ExportError(f"{shown_address(address)}: {error}") from None
    except Exception as error:  # noqa: BLE001 - whatever the library raises is no error of the run
        text = str(error) if isinstance(error, TimeoutError) else type(error).__name__
        raise ExportError(f"{shown_address(address)}: {text}") from None
    trace = _number(run.id or folder.name, 16)
    return f"{counted(len(spans), 'span')} sent to {shown_address(address)}, trace {trace:032x}"


def _send(spans: "Sequence[ReadableSpan]", target: str) -> None:
    """Send spans in batches.

    Raises:
        ExportError: A batch was not accepted.
    """
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    notes = _Notes()
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(notes)
    before, logger.propagate = logger.propagate, False
    address = target.rstrip("/")
    endpoint = address if not target or address.endswith(_PATH) else f"{address}{_PATH}"
    session = requests.Session()
    session.hooks["response"].append(_refuse_redirect)
    exporter = OTLPSpanExporter(endpoint=endpoint or None, session=session)
    try:
        for at in range(0, len(spans), _BATCH):
            if exporter.export(spans[at : at + _BATCH]) is not SpanExportResult.SUCCESS:
                raise ExportError(notes.last or "the trace was not accepted")
    finally:
        exporter.shutdown()
        logger.removeHandler(notes)
        logger.propagate = before


def _refuse_redirect(response: Any, **_: Any) -> None:
    """Refuse a redirect, which the library takes for success, or follows to another host."""
    if 300 <= response.status_code < 400:
        response.close()
        raise ExportError(f"it answered {response.status_code}, a redirect, which is not followed")


class _Notes(logging.Handler):
    """Handler that keeps why the exporter failed, without the address."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the status of the answer, or the type of the error."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        for one in arguments:
            if isinstance(one, int) and not isinstance(one, bool):
                self.last = f"it answered {one}"
            elif isinstance(one, ExportError):
                self.last = str(one)
            elif isinstance(one, Exception):
                self.last = f"it cannot be reached ({type(one).__name__})"
        if "timeout" in record.msg:
            self.last = self.last or "it did not answer in time"


class _Trace:
    """Builder of the spans of a run."""

    def __init__(self, run: RunRecord, name: str) -> None:
        self._run, self._id = run, run.id or name
        self._next = 0

    def generate_trace_id(self) -> int:
        """Return the id of the trace; called by the library."""
        return _number(self._id, 16)

    def generate_span_id(self) -> int:
        """Return the id of the next span; called by the library."""
        return self._next

    def spans(self) -> "Sequence[ReadableSpan]":
        """Return all spans, those of steps before the ones that contain them."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from opentelemetry.sdk.trace.id_generator import IdGenerator
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        trace = self

        class Ids(IdGenerator):  # the library checks nothing, but its types do
            def generate_trace_id(self) -> int:
                return trace.generate_trace_id()

            def generate_span_id(self) -> int:
                return trace.generate_span_id()

        named = "OTEL_SERVICE_NAME" in os.environ
        service = {} if named else {"service.name": "pytest-orchestrator"}
        resource = Resource.create(service | _resource(self._run))
        memory = InMemorySpanExporter()
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=resource,
            shutdown_on_exit=False,
            id_generator=Ids(),
            span_limits=SpanLimits(max_span_attributes=_MOST_FIELDS, max_events=_MOST_FIELDS),
        )
        provider.add_span_processor(SimpleSpanProcessor(memory))
        self._record(provider.get_tracer("pytest-orchestrator", pytest_orchestrator.__version__))
        finished: Sequence[ReadableSpan] = memory.get_finished_spans()
        return finished

    def _record(self, tracer: "Tracer") -> None:
        from opentelemetry.trace import set_span_in_context

        run = self._run
        start, stop = _nanoseconds(run.first), _nanoseconds(run.last)
        word = suite_status(verdict(run))
        attributes = {"test.suite.name": self._id, "test.suite.run.status": word}
        attributes |= dict(_about(run))
        root = self._start(tracer, f"run {self._id}", "", start, attributes)
        for suite, group in _suites(run):
            recipe = run.recipes.get(suite)
            moments = [(one.start, one.stop) for one in group if one.start and one.stop]
            begin = _nanoseconds(recipe.started) if recipe else start
            begin = min([begin, *(_ns(one) for one, _ in moments)]) if moments else begin
            end = max([begin, *(_ns(one) for _, one in moments)])
            status = suite_status(verdict_of(recipe)) if recipe else _status_of(group)
            name = group[0].suite
            fields = {"test.suite.name": name, "test.suite.run.status": status}
            inside = set_span_in_context(root)
            span = self._start(tracer, name, f"suite {suite}", begin, fields, inside)
            for case in group:
                self._case(tracer, case, begin, set_span_in_context(span))
            _close(span, _RESULTS.get(status, ""), "", end)
        _close(root, _RESULTS.get(word, ""), "", max(start, stop))

    def _case(self, tracer: "Tracer", case: Case, begin: int, inside: Any) -> None:
        start = _ns(case.start) if case.start else begin
        stop = _ns(case.stop) if case.stop else start + round(case.seconds * 1e9)
        span = self._start(tracer, case.name, f"case {case.node}", start, _fields(case), inside)
        for attempt in case.attempts:
            fields = {"attempt": attempt.number, "state": attempt.state, "kind": attempt.kind}
            fields |= {"reason": attempt.reason, "seconds": attempt.seconds}
            known = {name: one for name, one in fields.items() if one not in ("", None)}
            moment = attempt.stop or attempt.start
            span.add_event("attempt", known, timestamp=_ns(moment) if moment else stop)
        _close(span, _result(case.state), case.reason, max(start, stop))

    def _start(
        self, tracer: "Tracer", name: str, key: str, start: int, fields: Any, inside: Any = None
    ) -> Any:
        from opentelemetry.context import Context

        self._next = _number(f"{self._id}\n{key}", 8)
        # An empty Context, so that a span of the process that runs this is not the parent.
        return tracer.start_span(name, inside or Context(), attributes=fields, start_time=start)


def _close(span: Any, result: str, reason: str, stop: int) -> None:
    """End a span; without a result, as of a step that did not run, its status stays unset."""
    from opentelemetry.trace import Status, StatusCode

    if result == "fail":
        span.set_status(Status(StatusCode.ERROR, reason or None))
    elif result == "pass":
        span.set_status(Status(StatusCode.OK))
    span.end(stop)


def _suites(run: RunRecord) -> Iterator[tuple[str, list[Case]]]:
    groups: dict[str, list[Case]] = {}
    for case in cases(run):
        groups.setdefault(case.suite, []).append(case)
    yield from groups.items()


def suite_status(word: str) -> str:
    """Return the status of a suite with a verdict."""
    return _SUITE_WORDS.get(word) or _SUITE_STATUS[STATES[word].sense]


def _result(state: str) -> str:
    """Return the result of a test case in the semantic conventions; empty if it has none."""
    if state in NOT_GOOD:
        return "fail"
    return "pass" if state == "xpassed" or (is_good(state) and state != "restored") else ""


def _status_of(group: list[Case]) -> str:
    words = {_result(case.state) for case in group}
    return "failure" if "fail" in words else "success" if "pass" in words else "skipped"


def _fields(case: Case) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "test.case.name": case.node,
        "test.suite.name": case.suite,
        "code.file.path": case.path,
        "code.line.number": case.line or None,
        "orchestrator.state": case.state,
        "orchestrator.kind": case.kind,
        "orchestrator.reason": case.reason,
        "orchestrator.worker": case.worker,
        "orchestrator.flaky": case.is_flaky or None,
        "orchestrator.attempts": case.attempts[-1].number if case.attempts else None,
        "orchestrator.tags": case.tags or None,
        "test.case.result.status": _result(case.state),
    }
    fields |= {f"orchestrator.test_meta.{name}": one for name, one in case.meta.items()}
    for measured in case.measurements:
        for key in _MEASURED:
            if isinstance(measured.get(key), (str, int, float)):
                fields[f"orchestrator.measurement.{measured['name']}.{key}"] = measured[key]
    return {name: _value(one) for name, one in fields.items() if one not in (None, "")}


def _value(value: Any) -> Any:
    """Return a value that a span accepts: an integer of OTLP has 64 bits."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    return cut(value, _MOST * 5) if isinstance(value, str) else value


def _about(run: RunRecord) -> Iterator[tuple[str, str]]:
    begun = run.started
    if begun is not None:
        git = begun.environment.get("git") or {}
        named: dict[str, Any] = {
            "orchestrator.resumed_from": begun.resumed_from,
            "vcs.ref.head.revision": git.get("revision"),
            "vcs.ref.head.name": git.get("branch"),
        }
        yield from ((name, cut(str(one), _MOST)) for name, one in named.items() if one)


def _resource(run: RunRecord) -> dict[str, str]:
    begun = run.started
    return {"host.name": str(safe(begun.host))} if begun and begun.host else {}


def _number(text: str, size: int) -> int:
    """Return an id of `size` bytes that is computed from a text; never zero."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:size]
    return int.from_bytes(digest, "big") or 1


def _nanoseconds(ts: str) -> int:
    return _ns(epoch_seconds(ts)) if ts else 0


def _ns(seconds: float) -> int:
    return round(seconds * 1e6) * 1000  # a float has no digits for more
