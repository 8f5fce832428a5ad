"""Attempts on other machines: interfaces that an addon provides, and the session's half of each.

The session's half is the step for the worker, its Context and its files.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import RequestRefused, serve
from pytest_orchestrator.core.result import Where
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.remote.messages import (
    CONTEXT,
    COPY_PREFIX,
    LOGS,
    Chunk,
    ClaimReply,
    FollowUp,
    FollowUpReply,
    Outcome,
    needed_by_worker,
)
from pytest_orchestrator.execution.scheduling.placement import Offer
from pytest_orchestrator.execution.steps import artifacts
from pytest_orchestrator.recipe.model.step import Step


class RemoteWork:
    """An attempt of a step for a worker.

    Args:
        step: The step, with expressions replaced by values.
        context: The step's handle to the Context.
        attempt_context: The context of the attempt.

    Attributes:
        step: The step.
    """

    def __init__(self, step: Step, context: Context, attempt_context: AttemptContext) -> None:
        self.step = step
        self._context, self._attempt_context = context, attempt_context

    def claim_reply(self) -> ClaimReply:
        """Return the attempt as its worker needs it."""
        attempt_context, step = self._attempt_context, self.step
        return ClaimReply(
            step=needed_by_worker(step),
            attempt=attempt_context.number,
            recipe=attempt_context.recipe,
            variables=_item_variables(attempt_context),
            secrets=tuple(attempt_context.config.secrets.values),
            logs=attempt_context.logs is not None,
            samples=attempt_context.resources is not None,
            has_follow_ups=attempt_context.element is not None
            or artifacts.wants_artifacts(step)
            or any(criterion.name in check.ON_FILES for criterion in step.success),
        )

    def answer(self, operation: str, value: Any) -> Any:
        """Execute a request of the worker: `CONTEXT` or `CHUNK`; return the reply.

        Raises:
            RequestRefused: The session does not accept the stream.
            OSError: A copy cannot be written.
        """
        return serve(value, self._context) if operation == CONTEXT else self._write(value)

    def _write(self, chunk: Chunk) -> None:
        """Write bytes of a log or of a copied file.

        Errors of writing a log, such as a full disk, are ignored so that the step can continue.
        """
        path, is_copy = self._path(chunk.stream), chunk.stream.startswith(COPY_PREFIX)
        with contextlib.suppress(*(() if is_copy else (OSError,))):
            if path is not None:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "r+b" if chunk.at else "wb") as file:
                    file.seek(chunk.at)
                    file.write(chunk.data)

    def _path(self, stream: str) -> str | None:
        if stream in LOGS:
            return self._attempt_context.log(self.step.name, stream)
        if stream == "samples":
            return self._attempt_context.samples(self.step.name)
        copy, folder = Path(stream.removeprefix(COPY_PREFIX)), self._attempt_context.artifacts
        if not stream.startswith(COPY_PREFIX) or copy.is_absolute() or ".." in copy.parts:
            raise RequestRefused(f"nothing is kept of {stream!r}")
        return None if folder is None else str(folder / copy)


def _item_variables(attempt_context: AttemptContext) -> dict[str, str]:
    """Return ``PYTEST_CURRENT_TEST`` of the run as a mapping; empty if the run does not set it."""
    name = "PYTEST_CURRENT_TEST"
    variables = attempt_context.variables()
    with contextlib.suppress(KeyError):
        return {name: variables[name]}
    return {}


class WorkerLost(Exception):
    """The worker of an attempt is lost, or no worker has claimed it."""


class RemoteAttempt(Protocol):
    """Attempt of a runner, from its submission to its outcome or loss."""

    @property
    def claimed_at(self) -> float:
        """Time at which a worker began with it, in seconds since the epoch; 0 before."""

    @property
    def worker(self) -> Where | None:
        """The worker that has begun with it."""

    @property
    def refusals(self) -> tuple[str, ...]:
        """A line for each other worker that was to run it too."""

    @property
    def outcome(self) -> Outcome | None:
        """Outcome of the step code; None until it is known."""

    @property
    def is_over(self) -> bool:
        """True if the step code cannot run any more; valid only after `wait` has ended."""

    @property
    def is_lost(self) -> bool:
        """True if the attempt was lost before its outcome arrived."""

    @property
    def is_cancelled(self) -> bool:
        """True if the attempt was cancelled."""

    @property
    def is_closed(self) -> bool:
        """True if its worker was released."""

    def wait(self) -> Outcome:
        """Wait for the outcome of the step code, and return it.

        Raises:
            WorkerLost: The attempt is lost.
            KeyboardInterrupt: The session is cut off from all workers.
        """

    def wait_until(self, moment: float) -> None:
        """Wait until the outcome has arrived, at most until a time of ``time.monotonic``.

        Raises:
            WorkerLost: The attempt is lost.
        """

    def end(self, *, at_once: bool) -> bool:
        """Cancel the attempt; return True if a worker has begun with it and must end it."""

    def withdraw(self) -> None:
        """Have no worker begin with it."""

    def lose(self, why: str) -> None:
        """Mark the attempt as lost; only the first reason counts."""

    def run_follow_up(self, follow_up: FollowUp) -> FollowUpReply:
        """Send a follow-up to the worker, and wait for its reply.

        Raises:
            WorkerLost: The worker is lost.
        """

    def hand_on(self, after: Any) -> None:
        """Send the worker to another attempt of the same runner, for the next element."""

    def close(self) -> None:
        """Release the worker, and refuse its further requests; wait for a request that runs."""


class WorkersError(Exception):
    """Error: workers cannot be used; the text is a message for the user."""


class Workers(Protocol):
    """Processes that run attempts, for any number of attempts at a time."""

    @property
    def offers(self) -> list[Offer]:
        """Names and resources of the workers that may be used."""

    @property
    def unused(self) -> str:
        """Lines about the workers that would not run the same; empty if there are none."""

    def start(self, root: str, files: Sequence[str], modules: Sequence[str]) -> None:
        """Connect to the workers.

        Args:
            root: The rootdir.
            files: Paths of files that steps need, relative to the rootdir; workers must have
                equal files.
            modules: Names of modules that steps need and that are not part of the project;
                workers must have the same versions.

        Raises:
            WorkersError: The workers cannot be used.
        """

    def close(self) -> None:
        """End the session for the workers, and disconnect from them."""

    def issue(self, work: RemoteWork) -> RemoteAttempt:
        """Return a new attempt, which no worker runs yet.

        Args:
            work: The step for the worker, and the answers to requests of its step code.
        """

    def submit(self, attempt: Any) -> None:
        """Have a worker run an attempt that was issued here."""
