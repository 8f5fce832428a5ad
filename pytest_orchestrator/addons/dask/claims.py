"""Messages by which workers of Dask claim attempts and show that they live."""

from typing import Final

import msgspec

HEARTBEAT: Final = "heartbeat"
"""Request of a worker process with the ids of the attempts that it runs or is about to claim.

The reply is a mapping of the attempts to end; the value true means without a grace period.
"""
CLAIM: Final = "claim"

HEARTBEAT_SECONDS: Final = 0.5
"""Seconds between two heartbeats; the reply to a heartbeat carries cancellations."""
SILENCE: Final = 30.0
"""Seconds without a request after which a worker is lost; it has ended its attempts by then."""


class ClaimRequest(msgspec.Struct, frozen=True):
    """Request of a worker to run an attempt.

    Attributes:
        worker: Name of the worker.
        host: Name of its machine.
        link: Id of the link of the worker process.
    """

    worker: str
    host: str
    link: str
