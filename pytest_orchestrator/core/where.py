"""The machine that ran the body of a step, where that was not pytest's own."""

import msgspec


class Where(msgspec.Struct, frozen=True):
    """A worker that ran a body elsewhere.

    Attributes:
        worker: Its name.
        host: The name of its machine.
    """

    worker: str
    host: str
