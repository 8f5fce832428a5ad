"""How the programs of a step reach the Context: by a socket that listens while the step runs.

Most steps never knock. So nobody stands behind the door: who waits for the end of a step hears
a knock as well, and has it answered from then on.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from pytest_orchestrator.core.context import Context

if TYPE_CHECKING:
    import socket

    from pytest_orchestrator.execution.environment import Environment
    from pytest_orchestrator.execution.exited import Exited


class Door(Protocol):
    """Lets programs ask the Context."""

    @property
    def forms(self) -> tuple[bytes, ...]:
        """What is masked in what they print, as long as it is not among the secrets."""

    @property
    def listener(self) -> "socket.socket | None":
        """What is to be listened to; None where a knock is answered by itself."""

    def open(self, step: str, context: Context) -> Mapping[str, str]:
        """Let the programs of a step in; return the variables that tell them how."""

    def close(self, variables: Mapping[str, str]) -> None:
        """Let them in no more; what is just being done for them is waited for."""

    def answer(self) -> None:
        """Answer from now on, in threads."""

    def seen(self, data: bytes = b"", *, surely: bool = False) -> None:
        """Make it a secret of the session where it is in some bytes, or is known to be."""


@contextlib.contextmanager
def opened(env: "Environment", step: str, context: Context) -> Iterator["Environment"]:
    """Let the programs of a step ask its Context meanwhile.

    Args:
        env: The surroundings of the run.
        step: The name of the step.
        context: Its own handle on the Context.

    Yields:
        The surroundings of the step.
    """
    door = env.door
    if door is None:
        yield env
        return
    variables = door.open(step, context)
    try:
        yield msgspec.structs.replace(env, handed=variables)
    finally:
        door.close(variables)


def look_at(exited: "Exited", door: Door | None) -> None:
    """Take note where a program has printed what lets it in."""
    if door is not None and (exited.stdout.replaced or exited.stderr.replaced):
        outputs = (exited.stdout, exited.stderr)
        for raw in (raw for output in outputs for _, raw in output.replaced):
            door.seen(raw, surely=raw in door.forms)
