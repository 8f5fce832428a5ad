"""A value that most never ask for."""

from collections.abc import Callable
from typing import Any

_ABSENT = object()


class Late:
    """A value that is worked out when it is asked for, and once.

    Args:
        value: Works it out.
    """

    __slots__ = ("_found", "_work")

    def __init__(self, value: Callable[[], Any]) -> None:
        self._work = value
        self._found: Any = _ABSENT

    def value(self) -> Any:
        """Return the value; what the work raises is raised each time."""
        if self._found is _ABSENT:
            self._found = self._work()
        return self._found
