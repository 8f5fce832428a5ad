"""Rows of words as lines in which the columns stand below each other."""

from collections.abc import Iterator, Sequence

_NONE: frozenset[int] = frozenset()


def aligned(rows: Sequence[Sequence[str]], right: frozenset[int] = _NONE) -> Iterator[str]:
    """Give the lines of a table; nothing in the words moves the cursor of a terminal.

    Args:
        rows: The words of each line.
        right: Columns, from 0, that are numbers.
    """
    from pytest_orchestrator.reports.columns import columns
    from pytest_orchestrator.reports.safe_text import shown

    safe = [[" ".join(shown(word).splitlines()) for word in row] for row in rows]
    most = range(max(map(len, safe), default=0))
    widths = [max(columns(row[at]) for row in safe if at < len(row)) for at in most]
    for row in safe:
        words = []
        for at, word in enumerate(row):
            room = " " * (widths[at] - columns(word))
            words.append(f"{room}{word}" if at in right else f"{word}{room}")
        yield "  ".join(words).rstrip()
