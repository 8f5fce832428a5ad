"""Rows of words as lines in which the columns stand below each other."""

from collections.abc import Iterator, Sequence


def aligned(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> Iterator[str]:
    """Give the lines of a table.

    Args:
        rows: The words of each line.
        right: Columns, from 0, that are numbers.
    """
    columns = range(max((len(row) for row in rows), default=0))
    widths = [max((len(row[at]) for row in rows if at < len(row)), default=0) for at in columns]
    for row in rows:
        words = (
            word.rjust(widths[at]) if at in right else word.ljust(widths[at])
            for at, word in enumerate(row)
        )
        yield "  ".join(words).rstrip()
