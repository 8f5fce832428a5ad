"""Runs YAML recipes of Python and shell steps as pytest tests.

A name is loaded when it is asked for: pytest imports this package at every start.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import Context, ContextLike
    from pytest_orchestrator.context.rpc.address import ContextUnreachable
    from pytest_orchestrator.context.rpc.client import RemoteContext
    from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError, OrchestratorError
    from pytest_orchestrator.core.events import Change
    from pytest_orchestrator.core.json_values import NotJson
    from pytest_orchestrator.core.result import LeftoverWarning
    from pytest_orchestrator.runs.loaded import load_run
    from pytest_orchestrator.scriptlets.base import BaseScriptlet, get_logger
    from pytest_orchestrator.scriptlets.call import ParameterError, SignatureError
    from pytest_orchestrator.scriptlets.call import ValidationFailed as ValidationFailed
    from pytest_orchestrator.scriptlets.standalone import main
    from pytest_orchestrator.scriptlets.tracking import track_resources

__all__ = ["BaseScriptlet", "Change", "Context", "ContextKeyError", "ContextLike"]
__all__ += ["ContextTypeError", "ContextUnreachable", "LeftoverWarning", "NotJson"]
__all__ += ["OrchestratorError", "ParameterError", "RemoteContext", "SignatureError"]
__all__ += ["ValidationFailed", "get_logger", "load_run", "main", "track_resources"]

_HOMES = {"Change": "core.events", "ContextUnreachable": "context.rpc.address"}
_HOMES |= {"LeftoverWarning": "core.result", "NotJson": "core.json_values"}
_HOMES |= {"RemoteContext": "context.rpc.client", "load_run": "runs.loaded"}
_HOMES |= {"main": "scriptlets.standalone", "track_resources": "scriptlets.tracking"}
_HOMES |= dict.fromkeys(("Context", "ContextLike"), "context.context")
_HOMES |= dict.fromkeys(("ContextKeyError", "ContextTypeError", "OrchestratorError"), "core.errors")
_HOMES |= dict.fromkeys(("BaseScriptlet", "get_logger"), "scriptlets.base")
_CALLS = ("ParameterError", "SignatureError", "ValidationFailed")
_HOMES |= dict.fromkeys(_CALLS, "scriptlets.call")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("pytest-orchestrator")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, "__version__"])
