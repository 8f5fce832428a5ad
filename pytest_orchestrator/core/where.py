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

    def as_dict(self) -> dict[str, str]:
        """Return it as plain data."""
        return {"worker": self.worker, "host": self.host}
