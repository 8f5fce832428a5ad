"""Caller of the step hooks that other plugins implement."""

import traceback
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import Change
    from pytest_orchestrator.execution.notifications import StepEvent
    from pytest_orchestrator.recipe import Recipe

_START, _FINISH = "pytest_recipe_step_start", "pytest_recipe_step_finish"
_CHANGE = "pytest_recipe_context_change"


def has_step_hooks(config: pytest.Config) -> bool:
    """Return True if a plugin implements one of the step hooks."""
    return any(getattr(config.hook, name).get_hookimpls() for name in (_START, _FINISH, _CHANGE))


class StepHooks:
    """Caller of the step hooks; an exception in a hook becomes a warning, not a failed step.

    Args:
        config: The configuration of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._warnings: set[str] = set()

    def happened(self, recipe: "Recipe", event: "StepEvent") -> None:
        """Call the step hook that corresponds to an event of a step."""
        from pytest_orchestrator.execution.notifications import Changed, Started

        step = event.step
        names = {"recipe": recipe.id, "node": recipe.node(step.name), "step": step.name}
        if isinstance(event, Changed):
            self._change(event.change, names)
        elif isinstance(event, Started):
            self._call(_START, names | {"step_type": step.type})
        elif getattr(self._config.hook, _FINISH).get_hookimpls():
            from pytest_orchestrator.plugin.results.blocks import block_of
            from pytest_orchestrator.plugin.session_state import state_of

            run = state_of(self._config).run(recipe)
            block = block_of(self._config, run, step, event.result)
            self._call(_FINISH, names | {"result": block})

    def changed(self, change: "Change") -> None:
        """Call the change hook for a change of the Context that no step made."""
        self._change(change, {"recipe": None, "node": None, "step": None})

    def _change(self, change: "Change", names: dict[str, Any]) -> None:
        from msgspec.structs import replace

        from pytest_orchestrator.plugin.session_state import state_of

        masked = state_of(self._config).masked(change)
        if change.who == names["step"]:
            masked = replace(masked, who=change.who)
        fields = {"key": masked.key, **masked.as_dict()}
        fields |= {"masked": True} if masked.masked else {}
        self._call(_CHANGE, names | {"change": fields})

    def _call(self, name: str, arguments: dict[str, Any]) -> None:
        try:
            getattr(self._config.hook, name)(config=self._config, **arguments)
        except pytest.exit.Exception:
            raise
        except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # noqa: BLE001
            self._warn(name, error, arguments["node"] or "")

    def _warn(self, name: str, error: BaseException, node: str) -> None:
        """Report a hook's exception once as a warning."""
        from pytest_orchestrator.plugin.extensions import record_warning

        last = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{name} raised {type(error).__name__}: {error}"
        if text in self._warnings:
            return
        self._warnings.add(text)
        record_warning(self._config, text, last.filename, last.lineno or 1, "runtest", node)
