"""One page of a long list."""

from collections.abc import Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")

ROWS: Final = 200
"""Rows of a list on one page."""


class Part(NamedTuple, Generic[T]):
    """The rows of one page of a list.

    Attributes:
        rows: The rows.
        page: Number of the page, from 1.
        total: Number of rows of the whole list.
        size: Highest number of rows of a page.
    """

    rows: Sequence[T]
    page: int
    total: int
    size: int = ROWS

    @property
    def pages(self) -> int:
        """Number of pages."""
        return max(1, -(-self.total // self.size))

    @property
    def first(self) -> int:
        """Number of the first row, from 1; 0 without rows."""
        return (self.page - 1) * self.size + 1 if self.total else 0

    @property
    def last(self) -> int:
        """Number of the last row."""
        return min(self.page * self.size, self.total)


def part(rows: Sequence[Any], page: int, size: int = ROWS) -> Part[Any]:
    """Return one page of a list; the last one if the list has fewer pages.

    Args:
        rows: The whole list.
        page: Number of the page, from 1.
        size: Highest number of rows of a page.
    """
    page = max(1, min(page, -(-len(rows) // size)))
    return Part(rows[(page - 1) * size : page * size], page, len(rows), size)
