"""xdist worker side: shared Context, remote journal, results of other workers."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from pytest_orchestrator.context.rpc.xdist import SharedContext
    from pytest_orchestrator.core.events import AnyEvent
    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.core.result import StepResult
    from pytest_orchestrator.execution.scheduling.serial import RecipeRun

INPUT = "orchestrator_context"
SECRETS, LEARNT, EVENT, SYNC, KNOWN = "secrets", "learnt", "event", "sync", "known"
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
    import socket  # two milliseconds, in a session that has no workers

    from pytest_orchestrator.context.rpc.address import ContextUnreachable, ServerAddress
    from pytest_orchestrator.context.rpc.xdist import SharedContext

    given: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]
    name, told = given["workerid"], given[INPUT]
    try:
        with ServerAddress(told["bell"], told["word"]).connected() as link:
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


class RemoteJournal:
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


def take_up(context: "SharedContext", runs: "Iterable[RecipeRun]") -> None:
    """Add the results of other workers to the runs of this worker, which replaces a dead one.

    Args:
        context: The Context of the session.
        runs: All runs of this worker.
    """
    known: dict[str, dict[str, dict[str, Any] | None]] = context.request(KNOWN)
    for run in runs:
        for name, told in known.get(run.recipe.key, {}).items():
            run.begun = True
            if told is not None:  # otherwise another worker is running it
                run.results[name] = _told(name, told)


def _told(name: str, event: "dict[str, Any]") -> "StepResult":
    from pytest_orchestrator.core.location import Place
    from pytest_orchestrator.core.result import Ended, Failure, StepResult, Usage, outcome_of

    block = event["block"]
    failure = None
    outcome = outcome_of(event["outcome"])
    if outcome == "failed":
        told = block["step"]
        at = told.get("place")
        failure = Failure(
            kind=told.get("kind", "crash"),
            reason=str(told.get("reason", "")),
            place=Place(at["line"], at["column"]) if at else None,
        )
    ended = None
    if "time" in block:
        usage = Usage(seconds=block["time"]["seconds"])
        ended = Ended(usage=usage, value=event.get("result"), failure=failure)
    return StepResult(
        step=name,
        outcome=outcome,
        failure=failure,
        reason=str(block["step"].get("reason", "")),
        blocked_by=block["step"].get("blocked_by"),
        meets=event["meets"],
        ended=ended,
    )
