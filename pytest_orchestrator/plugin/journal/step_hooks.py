"""Step hooks of other plugins, called for each event."""

import traceback
import warnings
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_orchestrator.core.events import Change
    from pytest_orchestrator.execution.notifications import Follower, StepEvent
    from pytest_orchestrator.recipe import Recipe

_START, _FINISH = "pytest_recipe_step_start", "pytest_recipe_step_finish"
_CHANGE = "pytest_recipe_context_change"


def has_step_hooks(config: pytest.Config) -> bool:
    """Tell whether a plugin follows the session."""
    return any(getattr(config.hook, name).get_hookimpls() for name in (_START, _FINISH, _CHANGE))


def combined(each: "Sequence[Follower]") -> "Follower | None":
    """Return one that tells all of them; None where there is none."""

    def tell(what: "StepEvent") -> None:
        for one in each:
            one(what)

    return tell if each[1:] else next(iter(each), None)


class StepHooks:
    """Calls the hooks, and lets no mistake in them be one of a step.

    Args:
        config: The configuration of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._told: set[str] = set()

    def happened(self, recipe: "Recipe", what: "StepEvent") -> None:
        """Tell what happens to a step of a recipe."""
        from pytest_orchestrator.execution.notifications import Changed, Started

        step = what.step
        names = {"recipe": recipe.id, "node": recipe.node(step.name), "step": step.name}
        if isinstance(what, Changed):
            self._change(what.change, names)
        elif isinstance(what, Started):
            self._call(_START, names | {"step_type": step.type})
        elif getattr(self._config.hook, _FINISH).get_hookimpls():
            from pytest_orchestrator.plugin.results.blocks import block_of
            from pytest_orchestrator.plugin.session_state import state_of

            run = state_of(self._config).run(recipe)
            block = block_of(self._config, run, step, what.result)
            self._call(_FINISH, names | {"result": block})

    def changed(self, change: "Change") -> None:
        """Tell of a change of the Context that no step has made."""
        self._change(change, {"recipe": None, "node": None, "step": None})

    def _change(self, change: "Change", names: dict[str, Any]) -> None:
        from msgspec.structs import replace

        from pytest_orchestrator.plugin.session_state import state_of

        known = state_of(self._config).masked(change)
        if change.who == names["step"]:
            known = replace(known, who=change.who)
        told = {"key": known.key, **known.as_dict()}
        told |= {"masked": True} if known.masked else {}
        self._call(_CHANGE, names | {"change": told})

    def _call(self, name: str, given: dict[str, Any]) -> None:
        try:
            getattr(self._config.hook, name)(config=self._config, **given)
        except pytest.exit.Exception:
            raise
        except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # noqa: BLE001
            self._warn(name, error, given["node"] or "")

    def _warn(self, name: str, error: BaseException, node: str) -> None:
        """Tell once what a hook raised; not by a filter of warnings, which may raise it again."""
        from pytest_orchestrator.extending import HookWarning

        last = traceback.extract_tb(error.__traceback__)[-1]
        words = f"{name} raised {type(error).__name__}: {error}"
        if words in self._told:
            return
        self._told.add(words)
        message = warnings.WarningMessage(
            HookWarning(words), HookWarning, last.filename, last.lineno or 1
        )
        told = {"warning_message": message, "when": "runtest", "nodeid": node, "location": None}
        self._config.hook.pytest_warning_recorded.call_historic(kwargs=told)
