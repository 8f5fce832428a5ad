"""pytest plugin that runs YAML recipes of Python and shell steps as tests.

Names are imported at their first use: pytest imports this package always. PYTEST_DONT_REWRITE.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import Context, ContextLike
    from pytest_orchestrator.context.rpc.address import ContextUnreachable
    from pytest_orchestrator.context.rpc.client import RemoteContext
    from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError, OrchestratorError
    from pytest_orchestrator.core.events import Change
    from pytest_orchestrator.core.json_values import NotJson
    from pytest_orchestrator.core.result import LeftoverWarning
    from pytest_orchestrator.reading import load_run
    from pytest_orchestrator.scriptlets.base import BaseScriptlet, get_logger
    from pytest_orchestrator.scriptlets.call import ParameterError, SignatureError
    from pytest_orchestrator.scriptlets.call import ValidationFailed as ValidationFailed
    from pytest_orchestrator.scriptlets.standalone import main
    from pytest_orchestrator.scriptlets.tracking import track_resources

__all__ = ["BaseScriptlet", "Change", "Context", "ContextKeyError", "ContextLike"]
__all__ += ["ContextTypeError", "ContextUnreachable", "LeftoverWarning", "NotJson"]
__all__ += ["OrchestratorError", "ParameterError", "RemoteContext", "SignatureError"]
__all__ += ["ValidationFailed", "get_logger", "load_run", "main", "track_resources"]

_MODULES = {"Change": "core.events", "ContextUnreachable": "context.rpc.address"}
_MODULES |= {"LeftoverWarning": "core.result", "NotJson": "core.json_values"}
_MODULES |= {"RemoteContext": "context.rpc.client", "load_run": "reading"}
_MODULES |= {"main": "scriptlets.standalone", "track_resources": "scriptlets.tracking"}
_MODULES |= dict.fromkeys(("Context", "ContextLike"), "context.context")
_CORE_ERRORS = ("ContextKeyError", "ContextTypeError", "OrchestratorError")
_MODULES |= dict.fromkeys(_CORE_ERRORS, "core.errors")
_MODULES |= dict.fromkeys(("BaseScriptlet", "get_logger"), "scriptlets.base")
_CALL_ERRORS = ("ParameterError", "SignatureError", "ValidationFailed")
_MODULES |= dict.fromkeys(_CALL_ERRORS, "scriptlets.call")


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
