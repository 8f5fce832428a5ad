"""A file that a step left, as reports tell it."""

import msgspec


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was copied into the folder of the run.

    Attributes:
        path: Of the copy, absolute.
        type: What its name says it is, such as ``image/png``.
        bytes: Its size.
    """

    path: str
    type: str
    bytes: int
