"""File of the log records of one attempt, and the forwarding of a part of them to pytest.

The file holds all records, up to the size limit of logs. pytest keeps several copies of each record
until the end of the session. So pytest receives only the records that fit into a budget, and then
one record with the number of the omitted ones.
"""

import logging
import marshal
from datetime import datetime
from typing import Any, Final

from pytest_orchestrator.core.result import Stream
from pytest_orchestrator.execution.attempt_context import RECORDS, AttemptContext
from pytest_orchestrator.execution.run_config import RecordStyle
from pytest_orchestrator.execution.supervision.capture import LogFile

BUDGET: Final = 4 << 20
"""Maximum bytes of the records of one attempt that pytest receives."""

_SOURCES: Final = ("pytest_orchestrator.instrument.", "pytest_orchestrator.step.")
"""Beginnings of the names of loggers whose records are a transcript; the rest is their source."""

_TRANSCRIPT: Final = "%(asctime)s.%(msecs)03d %(levelname)-8s %(source)s %(message)s"
"""Format of these records, unless the project has a format of its own."""


class _Formatter(logging.Formatter):
    """Formatter that supports `%f` in dates, as the formatter of pytest does."""

    def formatTime(  # noqa: N802 - its name is that of the standard library
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        """Return the formatted time of a record."""
        if datefmt is None or "%f" not in datefmt:
            return super().formatTime(record, datefmt)
        return datetime.fromtimestamp(record.created).astimezone().strftime(datefmt)


def _formatter(style: RecordStyle) -> logging.Formatter:
    try:
        return _Formatter(style.line_format, style.date_format)
    except ValueError:  # an invalid format, which pytest itself reports if it uses it
        return _Formatter(RecordStyle().line_format)


def _transcript_line(record: logging.LogRecord) -> str:
    """Return a record of an instrument or of a step type with its time and without its file."""
    start = next(name for name in _SOURCES if record.name.startswith(name))
    record.source = record.name.removeprefix(start)
    return logging.Formatter(_TRANSCRIPT, "%H:%M:%S").format(record)


class RecordLog:
    """Writer of the log records of one attempt, which also forwards a part of them to pytest.

    Attributes:
        stream: The log file, set by `close`; None before, and if nothing was written.

    Args:
        step: Name of the step.
        attempt: The context of the attempt.
    """

    def __init__(self, step: str, attempt: AttemptContext) -> None:
        self._step, self._attempt = step, attempt
        self._path = attempt.log(step, RECORDS)
        self._file = LogFile(self._path, attempt.config.max_log)
        self._formatter: logging.Formatter | None = None
        self._budget = BUDGET
        self._omitted = 0
        self.stream: Stream | None = None

    def receive(self, event: dict[str, Any]) -> None:
        """Write and forward a log record of the step's process; only forward a warning.

        Args:
            event: The log record or the warning, as plain data.
        """
        if event["op"] == "log":
            fields = event["record"]
            record = logging.makeLogRecord(fields)
            if logging.getLogger(record.name).disabled:
                return
            self.write(record)
            self._budget -= len(marshal.dumps(fields))
            if self._budget < 0:
                self._omitted += 1
                return
        self._attempt.pass_event(event)

    def write(self, record: logging.LogRecord) -> None:
        """Append a log record of at least the minimum level to the file, with secrets masked."""
        if self._path is None or record.levelno < self._attempt.config.record_style.level:
            return
        style = self._attempt.config.record_style
        if self._formatter is None:
            self._formatter = _formatter(style)
        try:
            if record.name.startswith(_SOURCES) and style.line_format == RecordStyle().line_format:
                line = _transcript_line(record)
            else:
                line = self._formatter.format(record)
        except Exception:  # noqa: BLE001 - the format may name a field that the record lacks
            line = record.getMessage()
        self._file.feed(
            f"{self._attempt.config.secrets.text(line)}\n".encode("utf-8", "backslashreplace")
        )

    def close(self) -> None:
        """Close the file; send pytest the number of records that were not forwarded, if any."""
        account = self._file.close()
        if self._omitted:
            self._attempt.pass_event({"op": "log", "record": self._note_of_omitted()})
        size, cut = int(str(account["size"])), bool(account["cut"])
        self.stream = Stream(size=size, log=self._path, cut=cut) if size else None

    def _note_of_omitted(self) -> dict[str, Any]:
        place = "were logged" if self._path is None else f"are in {self._path}"
        message = f"{self._omitted:,} more log records of step '{self._step}' {place}"
        name = __name__.partition(".")[0]
        note = logging.LogRecord(
            name, logging.WARNING, self._attempt.recipe, 0, message, None, None
        )
        return dict(note.__dict__)


class _Handler(logging.Handler):
    """Logging handler that writes the records of this process to the log of a step.

    Attributes:
        log: The log of the step that is running.
    """

    log: RecordLog

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record to the log of the step."""
        try:
            self.log.write(record)
        except Exception:  # noqa: BLE001 - as logging treats any error of a handler
            self.handleError(record)


class RecordsOfThisProcess:
    """Context manager that writes the log records of this process to the log of a step.

    The ``with`` block gets the log, whose file is closed at the end of the block.

    Args:
        step: Name of the step.
        attempt: The context of the attempt.
    """

    __slots__ = ("_handler", "_log")

    def __init__(self, step: str, attempt: AttemptContext) -> None:
        self._log = RecordLog(step, attempt)
        self._handler = _unused.pop() if _unused else _Handler()
        self._handler.log = self._log

    def __enter__(self) -> RecordLog:
        logging.root.addHandler(self._handler)
        return self._log

    def __exit__(self, *_: object) -> None:
        logging.root.removeHandler(self._handler)
        _unused.append(self._handler)
        self._log.close()


_unused: list[_Handler] = []
"""Handlers for the next steps: a new one takes longer than all else that this module does."""
