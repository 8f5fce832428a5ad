"""A step that waits for a lock: which one, who has it, and since when."""

import time

import msgspec

from pytest_orchestrator.execution.lock_owner import Owner


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is told while a step waits.

    Attributes:
        who: Node id of the step, or the recipe's id where its own locks are waited for.
        lock: Name of the lock.
        owner: Who has it; None where that is not known.
        seconds: How long that one has had it.
    """

    who: str
    lock: str
    owner: Owner | None
    seconds: float

    def __str__(self) -> str:
        if self.owner is None:
            return f"{self.who} waits for lock '{self.lock}'"
        owner = self.owner
        if owner.free_at:
            left = max(0.0, owner.free_at - time.time())
            return (
                f"{self.who} waits for lock '{self.lock}': what {owner.step} has left on a worker "
                f"may run for {left:.0f} s more ({owner.user}@{owner.host}, run {owner.run})"
            )
        return (
            f"{self.who} waits for lock '{self.lock}': {owner.step} has held it for "
            f"{self.seconds:.0f} s (pid {owner.pid}, {owner.user}@{owner.host}, run {owner.run})"
        )
