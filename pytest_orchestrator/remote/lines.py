"""Lines out of bytes that come in pieces, with a bound on what is kept of each."""

from typing import TypeAlias

Line: TypeAlias = bytes | bytearray


class Lines:
    """Cuts what comes at its line breaks.

    Attributes:
        limit: Bytes of a line. Of a longer one its beginning is kept, one byte more than
            these, so that it is seen to be too long.
    """

    __slots__ = ("_begun", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._begun = bytearray()

    @property
    def is_over(self) -> bool:
        """True where the line that has begun is longer than the limit."""
        return len(self._begun) > self.limit

    def feed(self, data: bytes) -> list[Line]:
        """Take what came.

        Returns:
            The lines that it ends, in order, without their breaks.
        """
        ended: list[Line] = [*data.split(b"\n")]
        rest = ended.pop()
        if ended and self._begun:
            self._begun += self._kept(ended[0])
            ended[0], self._begun = self._begun, bytearray()
        if rest:
            self._begun += self._kept(rest)
        return ended

    def _kept(self, more: Line) -> Line:
        return more[: max(self.limit + 1 - len(self._begun), 0)]
