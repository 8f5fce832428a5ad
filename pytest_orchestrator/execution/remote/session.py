"""Session's half of an attempt on a worker: the step for it, its Context and its files."""

import contextlib
import os
from pathlib import Path
from typing import Any

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import RequestRefused, serve
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.remote.messages import (
    CONTEXT,
    COPY_PREFIX,
    LOGS,
    Chunk,
    ClaimReply,
    needed_by_worker,
)
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
