"""Context, journal and results that an xdist worker shares through its controller."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from pytest_orchestrator.context.rpc.xdist import SharedContext
    from pytest_orchestrator.core.events import AnyEvent
    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.execution.scheduling.run import RecipeRun

INPUT = "orchestrator_context"
SECRETS, LEARNT, EVENT, SYNC, KNOWN = "secrets", "learnt", "event", "sync", "known"
"""Requests of a worker in addition to those of the Context."""


def is_shared(config: "pytest.Config") -> bool:
    """Return True in an xdist worker that uses the controller's Context and journal."""
    return INPUT in getattr(config, "workerinput", {})


def joined(config: "pytest.Config") -> "SharedContext | None":
    """Connect to the xdist controller and return its Context; None if none is shared.

    Args:
        config: The configuration of the worker.

    Raises:
        ContextUnreachable: The controller does not reply.
    """
    if not is_shared(config):
        return None
    from pytest_orchestrator.context.rpc.address import ContextUnreachable
    from pytest_orchestrator.context.rpc.xdist import SharedContext

    workerinput: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]
    name, start = workerinput["workerid"], workerinput[INPUT]
    try:
        return SharedContext.join(start["address"], start["token"])
    except OSError as error:
        raise ContextUnreachable(
            f"the controller of worker {name} does not answer; workers on other machines cannot "
            "share the Context of the session"
        ) from error


def send_secrets(
    context: "SharedContext", names: tuple[str, ...], values: "dict[str, Json]"
) -> None:
    """Send the secrets that a recipe declares to the controller, so that it masks them too."""
    context.request(SECRETS, {"names": list(names), "values": values})


class RemoteJournal:
    """Journal of an xdist worker, which sends all events to the controller."""

    def __init__(self, context: "SharedContext") -> None:
        self._context = context

    def append(self, event: "AnyEvent", moment: int | None = None) -> None:  # noqa: ARG002
        """Send an event; wait until the controller has appended it.

        Raises:
            JournalError: The controller cannot write the event.
        """
        self._request(EVENT, event)

    def sync(self) -> None:
        """Make the controller sync the journal file to disk.

        Raises:
            JournalError: The controller cannot sync the journal.
        """
        self._request(SYNC)

    def _request(self, name: str, value: "AnyEvent | None" = None) -> None:
        from pytest_orchestrator.context.rpc.address import ContextUnreachable
        from pytest_orchestrator.core.errors import JournalError

        try:
            self._context.request(name, value)
        except ContextUnreachable as error:
            raise JournalError(f"the controller does not write the journal: {error}") from error


def add_known_results(context: "SharedContext", runs: "Iterable[RecipeRun]") -> None:
    """Add results that the controller knows from other workers to the runs of this worker.

    Args:
        context: The Context of the session.
        runs: All runs of this worker.
    """
    import msgspec

    from pytest_orchestrator.core.events import StepFinished
    from pytest_orchestrator.execution.step_values import with_logs
    from pytest_orchestrator.runs.block import result_of

    known = dict[str, dict[str, StepFinished | None]]
    finished = msgspec.convert(context.request(KNOWN), known)
    for run in runs:
        for name, event in finished.get(run.recipe.key, {}).items():
            run.begun = True
            if event is not None:  # without an event, another worker is running the step
                result = result_of(event)
                logs = run.attempt_defaults.logs
                run.results[name] = result if logs is None else with_logs(result, logs)
