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
    go on to the loggers above, as usual; where one of those writes to stderr itself, that
    line is the only one. The level is INFO, or what the environment variable
    ``ORCHESTRATOR_LOG_LEVEL`` says (a name or a number); a level that is set already stays.

    Args:
        name: The name of the module, ``__name__``.

    Returns:
        The logger; the same one for the same name.
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
    """Writes to what stderr is at the moment, so that whoever captures it sees the line."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(_LINE, _TIME))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._is_its_writer(record):
                sys.stderr.write(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001  # what logging does with any error of a handler
            self.handleError(record)

    def _is_its_writer(self, record: logging.LogRecord) -> bool:
        """Return True if this handler is the one that writes the record, of all that receive it.

        A record of another process was already written to stderr in that process.
        """
        if record.process not in (None, os.getpid()):
            return False
        met = list(_handlers(logging.getLogger(record.name)))
        ours = [handler for handler in met if isinstance(handler, _Stderr)]
        return ours[:1] in ([self], []) and not any(_writes_to_stderr(other) for other in met)


def _handlers(logger: logging.Logger | None) -> Iterator[logging.Handler]:
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def _writes_to_stderr(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr


class BaseScriptlet(ABC):
    """A python step as a class; any other class with a `run` does as well."""

    # A subclass may have any parameters; type checkers accept an override of this signature.
    def validate(self, *args: Any, **kwargs: Any) -> Any:  # noqa: B027  # to be overridden or not
        """Check before anything happens; raise (or return False) to refuse.

        Args:
            args: The Context and the step's `params`, for ``validate(self, ctx, params)``.
            kwargs: The values of `params`; each parameter receives the key of its name.
        """

    @abstractmethod
    def run(self, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
        """Do the work.

        Args:
            args: The Context and the step's `params`, for ``run(self, ctx, params)``.
            kwargs: The values of `params`; each parameter receives the key of its name.

        Returns:
            A mapping with a `status`: ``ok`` or ``success``, or ``skip`` with a `reason`;
            anything else is a failure.
        """

    @classmethod
    def main(cls, argv: Sequence[str] | None = None) -> NoReturn:
        """Run this scriptlet as a program: `pytest_orchestrator.main`."""
        # Whoever only derives from this class loads nothing of that.
        from pytest_orchestrator.scriptlets.standalone import main

        main(cls, argv)
