"""Runs YAML recipes of Python and shell steps as pytest tests.

A name is loaded when it is asked for: pytest imports this package at every start.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import Context, ContextLike
    from pytest_orchestrator.context.rpc.address import ContextUnreachable
    from pytest_orchestrator.context.rpc.client import RemoteContext
    from pytest_orchestrator.core.alone import main
    from pytest_orchestrator.core.calling import SignatureError, ValidationFailed
    from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError, OrchestratorError
    from pytest_orchestrator.core.events import Change
    from pytest_orchestrator.core.json_values import NotJson
    from pytest_orchestrator.core.logs import get_logger
    from pytest_orchestrator.core.result import LeftoverWarning
    from pytest_orchestrator.core.scriptlet import BaseScriptlet
    from pytest_orchestrator.core.tracking import track_resources
    from pytest_orchestrator.runs.loaded import load_run

__all__ = ["BaseScriptlet", "Change", "Context", "ContextKeyError", "ContextLike"]
__all__ += ["ContextTypeError", "ContextUnreachable", "LeftoverWarning", "NotJson"]
__all__ += ["OrchestratorError", "RemoteContext", "SignatureError", "ValidationFailed"]
__all__ += ["get_logger", "load_run", "main", "track_resources"]

_HOMES = {"BaseScriptlet": "core.scriptlet", "Change": "core.events"}
_HOMES |= {"ContextUnreachable": "context.rpc.address", "LeftoverWarning": "core.result"}
_HOMES |= {"NotJson": "core.json_values", "RemoteContext": "context.rpc.client"}
_HOMES |= {"get_logger": "core.logs", "load_run": "runs.loaded", "main": "core.alone"}
_HOMES |= {"track_resources": "core.tracking"}
_HOMES |= dict.fromkeys(("Context", "ContextLike"), "context.context")
_HOMES |= dict.fromkeys(("SignatureError", "ValidationFailed"), "core.calling")
_HOMES |= dict.fromkeys(("ContextKeyError", "ContextTypeError", "OrchestratorError"), "core.errors")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("pytest-orchestrator")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, "__version__"])
