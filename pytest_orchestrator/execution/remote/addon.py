"""Attempts of steps on other machines: names for an addon that connects pytest to workers.

The addon provides `Workers` in pytest's process. In a worker process it keeps one `Host` for each
session, and runs a `HostAttempt` for each attempt. Between them it carries the requests of an
attempt and their replies. Its other names are values of these interfaces, and what addons share
with the engine: a wait that Ctrl-C may interrupt, and reading of files that may be anything.
"""

from pytest_orchestrator.context.rpc.protocol import RequestRefused, refusal
from pytest_orchestrator.core.files import content, open_regular_file
from pytest_orchestrator.core.result import Where
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.remote.attempt import (
    FOLLOW_UP,
    OUTCOME,
    PATIENCE,
    ROOT,
    ClaimReply,
    FollowUp,
    FollowUpReply,
    Outcome,
    RemoteWork,
    SessionConfig,
    WorkerLost,
    Workers,
    WorkersError,
    root_of_worker,
)
from pytest_orchestrator.execution.remote.worker import Host, HostAttempt
from pytest_orchestrator.execution.scheduling.placement import Offer, workers_for
from pytest_orchestrator.recipe.model.step import Step

__all__ = [
    "FOLLOW_UP",
    "OUTCOME",
    "PATIENCE",
    "ROOT",
    "ClaimReply",
    "FollowUp",
    "FollowUpReply",
    "Host",
    "HostAttempt",
    "InterruptibleEvent",
    "Offer",
    "Outcome",
    "RemoteWork",
    "RequestRefused",
    "SessionConfig",
    "Step",
    "Where",
    "WorkerLost",
    "Workers",
    "WorkersError",
    "content",
    "open_regular_file",
    "refusal",
    "root_of_worker",
    "workers_for",
]
