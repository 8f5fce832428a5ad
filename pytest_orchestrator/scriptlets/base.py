"""Base class of Python scriptlets, and their logger."""

import logging
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

_LINE = "%(asctime)s | %(levelname)s | %(name)s | %(message)s"
_TIME = "%Y-%m-%dT%H:%M:%S"


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module, which writes to stderr.

    A line is ``YYYY-MM-DDTHH:MM:SS | LEVEL | module.name | message``, in local time. Records
    propagate to the parent loggers, as usual; if one of those writes to stderr itself, this logger
    does not write a second line. The level is INFO, or the value of the environment variable
    ``ORCHESTRATOR_LOG_LEVEL`` (a name or a number). A level that is already set is not changed.

    Args:
        name: Name of the module, ``__name__``.

    Returns:
        The logger; always the same object for the same name.
    """
    logger = logging.getLogger(name)
    if logger.level == logging.NOTSET:
        logger.setLevel(_level())
    if not any(isinstance(handler, _Stderr) for handler in logger.handlers):
        logger.addHandler(_Stderr())
    return logger


def _level() -> int:
    text = os.environ.get("ORCHESTRATOR_LOG_LEVEL", "").strip().upper()
    known = logging.getLevelNamesMapping()
    return int(text) if text.isdecimal() else known.get(text, logging.INFO)


class _Stderr(logging.Handler):
    """Logging handler that looks up `sys.stderr` for each record, so that captures receive it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(_LINE, _TIME))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._is_its_writer(record):
                sys.stderr.write(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001  # the convention of logging for errors of a handler
            self.handleError(record)

    def _is_its_writer(self, record: logging.LogRecord) -> bool:
        """Return True if this handler, and no other handler of the record, has to write it.

        It returns False for a record of another process, which has already written the record.
        """
        if record.process not in (None, os.getpid()):
            return False
        handlers = list(_handlers(logging.getLogger(record.name)))
        own = [handler for handler in handlers if isinstance(handler, _Stderr)]
        return own[:1] in ([self], []) and not any(_writes_to_stderr(other) for other in handlers)


def _handlers(logger: logging.Logger | None) -> Iterator[logging.Handler]:
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def _writes_to_stderr(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr


class BaseScriptlet(ABC):
    """Base class of Python scriptlets; it is optional, any class with a method `run` will do."""

    # Type checkers accept any parameters in a subclass, because these accept all.
    def validate(self, *args: Any, **kwargs: Any) -> Any:  # noqa: B027  # overriding is optional
        """Check the parameters before `run`; raise an exception or return False to refuse.

        Args:
            args: The Context and the step's `params`, for ``validate(self, ctx, params)``.
            kwargs: The values of `params`; each parameter receives the key of its name.
        """

    @abstractmethod
    def run(self, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
        """Execute the step.

        Args:
            args: The Context and the step's `params`, for ``run(self, ctx, params)``.
            kwargs: The values of `params`; each parameter receives the key of its name.

        Returns:
            A mapping with a `status`: ``ok`` or ``success``, or ``skip`` with a `reason`. Any other
            status is a failure.
        """

    @classmethod
    def main(cls, argv: Sequence[str] | None = None) -> NoReturn:
        """Run this scriptlet as a program, as `pytest_orchestrator.main` does."""
        # Imported here because most subclasses never call it.
        from pytest_orchestrator.scriptlets.standalone import main

        main(cls, argv)
