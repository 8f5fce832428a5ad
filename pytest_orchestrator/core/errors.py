"""Base class of all errors of this package, and the errors that several modules raise.

Each class has its own slug, which is its heading in the documentation.
"""

from typing import ClassVar


class OrchestratorError(Exception):
    """An error that the user can correct; its text says what is wrong, where, and the cure.

    Attributes:
        slug: The heading of this kind of error in the documentation.
    """

    slug: ClassVar[str] = "error"


class ContextKeyError(OrchestratorError, KeyError):
    """Error: a key is missing in the Context, or is not a valid key."""

    slug = "context-key"
    __module__ = "pytest_orchestrator"

    def __str__(self) -> str:
        # `KeyError.__str__` would show the repr of the text.
        return str(self.args[0]) if self.args else ""


class ContextTypeError(OrchestratorError, TypeError):
    """Error: the type of a value does not allow an operation, such as append to a number."""

    slug = "context-type"
    __module__ = "pytest_orchestrator"


class LockError(OrchestratorError):
    """Error: a lock file cannot be used, so no step can acquire its lock or wait for the lock."""

    slug = "lock"


class JournalError(OrchestratorError):
    """Error: the journal cannot be written, so no further event of this run can be recorded."""

    slug = "journal"
