"""pytest-xdist: what a worker has from its controller, the Context and the journal."""

import json
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from pytest_orchestrator.core.events import AnyEvent
    from pytest_orchestrator.core.values import Json
    from pytest_orchestrator.remote.shared import SharedContext

INPUT = "orchestrator_context"
SECRETS, EVENT, SYNC = "secrets", "event", "sync"
"""What a worker may ask for beside the Context."""


def is_shared(config: "pytest.Config") -> bool:
    """Tell whether this is a worker whose controller keeps the Context and the journal."""
    return INPUT in getattr(config, "workerinput", {})


def joined(config: "pytest.Config") -> "SharedContext | None":
    """Return the Context of the session that a worker belongs to; None where it keeps its own.

    Args:
        config: The configuration of the worker.

    Raises:
        ContextUnreachable: The controller does not answer.
    """
    if not is_shared(config):
        return None
    from pytest_orchestrator.remote.exchange import ContextUnreachable
    from pytest_orchestrator.remote.shared import SharedContext

    given: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]
    name, told = given["workerid"], given[INPUT]
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(told["bell"])
            link.sendall(json.dumps({"word": told["word"], "name": name}).encode())
            link.shutdown(socket.SHUT_WR)
            answer = json.loads(link.makefile("rb").read())
    except (OSError, ValueError) as error:
        raise ContextUnreachable(
            f"the controller of worker {name} does not answer; workers on other machines cannot "
            "share the Context of the session"
        ) from error
    return SharedContext.join(answer["address"], answer["token"])


def tell_secrets(
    context: "SharedContext", names: tuple[str, ...], values: "dict[str, Json]"
) -> None:
    """Let the controller mask what a recipe calls secret, too."""
    context.request(SECRETS, {"names": list(names), "values": values})


class Relay:
    """Keeps events of a worker in the journal that the controller writes."""

    def __init__(self, context: "SharedContext") -> None:
        self._context = context

    def append(self, event: "AnyEvent", moment: int | None = None) -> None:  # noqa: ARG002
        """Let the controller keep an event.

        Raises:
            JournalError: It cannot.
        """
        self._context.request(EVENT, event)

    def sync(self) -> None:
        """Let the disk have what was appended.

        Raises:
            JournalError: It cannot.
        """
        self._context.request(SYNC)
