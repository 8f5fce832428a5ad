"""Logs that were written before all that is secret in them was known."""

import contextlib
import os
from collections.abc import Iterator

import msgspec

from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.recipe.step_keys import Step

_PIECE = 1 << 20


@contextlib.contextmanager
def masked_afterwards(step: Step, env: Environment) -> Iterator[None]:
    """Mask what a service has logged where more is secret at its end than at its start."""
    known = env.secrets.forms
    try:
        yield
    finally:
        if env.secrets.forms is not known:
            mask_logs(step, env)


def mask_logs(step: Step, env: Environment) -> None:
    """Mask the logs of all tries of a step by what is secret now.

    Args:
        step: The step.
        env: The surroundings of its last try.
    """
    for attempt in range(1, env.attempt + 1):
        tried = msgspec.structs.replace(env, attempt=attempt)
        for stream in ("stdout", "stderr"):
            path = tried.log(step.name, stream)
            if path is not None and os.path.exists(path):
                _mask(path, env.secrets)


def _mask(path: str, secrets: Masker) -> None:
    stream, fresh = secrets.stream(), f"{path}.masked"
    if stream is None:
        return
    try:
        with open(path, "rb") as log, open(fresh, "wb") as masked:
            while piece := log.read(_PIECE):
                masked.write(stream.feed(piece))
            masked.write(stream.end())
        os.replace(fresh, path)
    except OSError:  # rather no log than one that tells a secret
        for each in (fresh, path):
            if os.path.exists(each):
                os.truncate(each, 0)
                os.unlink(each)
