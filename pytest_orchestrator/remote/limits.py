"""How much those who ask a served Context may take of its process."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a server.

    Attributes:
        connections: Open at once, at most; a quarter of the files that the process may open
            is not exceeded either. Where there is no place, the longest silent one is closed.
        line: Bytes of a request.
        first_line: Bytes of the first request, which has to show a token.
        waiting: Bytes that all who have shown no token may have sent, together.
        hello: Seconds until the first request must be complete.
        idle: Seconds without a request after which a connection is closed; None is for ever.
        sending: Seconds for which nobody takes a reply.
    """

    connections: int = 1_000
    line: int = 4 << 20
    first_line: int = 64 << 10
    waiting: int = 2 << 20
    hello: float = 5.0
    idle: float | None = 3600.0
    sending: float = 30.0
