"""Base class of all errors of this package, and the errors that several modules raise.

Each kind has a slug of its own, which is its heading in the documentation.
"""

from typing import ClassVar


class OrchestratorError(Exception):
    """Something that the user can put right; its text says what, where and how.

    Attributes:
        slug: The heading of this kind of error in the documentation.
    """

    slug: ClassVar[str] = "error"


class ContextKeyError(OrchestratorError, KeyError):
    """A key that is not in the context, or that cannot be one."""

    slug = "context-key"
    __module__ = "pytest_orchestrator"

    def __str__(self) -> str:
        # KeyError shows the repr of its text.
        return str(self.args[0]) if self.args else ""


class ContextTypeError(OrchestratorError, TypeError):
    """An operation on a value of another type: append to a number, increment of a text."""

    slug = "context-type"
    __module__ = "pytest_orchestrator"


class JournalError(OrchestratorError):
    """The journal cannot be written, so nothing more of this run would be kept."""

    slug = "journal"
