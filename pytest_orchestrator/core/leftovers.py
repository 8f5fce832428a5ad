"""What is told of processes that a step left running."""

from collections.abc import Sequence

_MOST = 5


class LeftoverWarning(UserWarning):
    """A step ended and left processes running; they were ended."""

    # Filters and other processes look it up by this name.
    __module__ = "pytest_orchestrator"


def named(left: Sequence[str]) -> str:
    """Return what was left running as part of a sentence: of a fork bomb the first few."""
    shown = ", ".join(left[:_MOST])
    return shown if len(left) <= _MOST else f"{shown} and {len(left) - _MOST} more"
