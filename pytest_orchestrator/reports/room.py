"""How much of each step a page has room for, so that it opens at once whatever the run."""

from typing import Final, NamedTuple

_LOGS: Final = 800_000
_FAILED_LOGS: Final = 500_000
_TEXTS: Final = 500_000
_POINTS: Final = 30_000
_CHANGES: Final = 6_000
_VALUES: Final = 600_000


class Room(NamedTuple):
    """What each step may take of a page.

    Attributes:
        log: Bytes of the end of a log.
        failed_log: The same of a step that failed.
        text: Characters of what pytest tells of a failure.
        points: Points of its curves.
        changes: Changes that are listed of a key of the Context.
        value: Characters of a value.
    """

    log: int
    failed_log: int
    text: int
    points: int
    changes: int
    value: int


def room(steps: int, failed: int, keys: int, values: int) -> Room:
    """Share the room out.

    Args:
        steps: Number of the steps.
        failed: Number of those that failed.
        keys: Number of keys of the Context.
        values: Number of values that are shown: criteria, measurements, changes.
    """
    return Room(
        log=_share(_LOGS, 2 * steps, 120, 4_000),
        failed_log=_share(_FAILED_LOGS, 2 * failed, 200, 16_000),
        text=_share(_TEXTS, failed, 400, 20_000),
        points=_share(_POINTS, steps, 20, 240),
        changes=_share(_CHANGES, keys, 1, 50),
        value=_share(_VALUES, values, 40, 1_000),
    )


def _share(whole: int, parts: int, least: int, most: int) -> int:
    return max(least, min(most, whole // max(1, parts)))
