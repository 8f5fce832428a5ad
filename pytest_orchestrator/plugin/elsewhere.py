"""Steps that ran in a worker which told of them by pytest's reports alone."""

from typing import TYPE_CHECKING, Any

from pytest_orchestrator.core.events import RecipeStarted, StepFinished
from pytest_orchestrator.plugin.blocks import key_of, told_of

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.keeping import Keeper
    from pytest_orchestrator.plugin.state import State

_OUTCOMES = {"xfailed": "failed", "error": "failed", "xpassed": "passed"}


class Elsewhere:
    """Makes events of the blocks of such steps.

    Args:
        state: The state of the controller.
        keeper: Keeps the events.
    """

    def __init__(self, state: "State", keeper: "Keeper") -> None:
        self._state = state
        self._keeper = keeper
        self._begun: set[str] = set()

    def finished(self, block: dict[str, Any]) -> None:
        """Keep what the block of a step tells."""
        recipe, step = block["recipe"], block["step"]
        key = key_of(block)
        if key not in self._begun:
            self._begun.add(key)
            steps = self._steps(recipe["path"], key)
            self._keeper.tell(RecipeStarted(recipe=key, about=recipe, steps=steps))
        state = step["state"]
        outcome = _OUTCOMES.get(state, state)
        self._keeper.tell(
            StepFinished(
                recipe=key,
                step=step["name"],
                outcome=outcome,
                meets=outcome in ("passed", "skipped") or "continue_on_error" in step,
                block=block,
            )
        )

    def _steps(self, path: str, key: str) -> tuple[dict[str, Any], ...]:
        from pytest_orchestrator.recipe import RecipeError

        config = self._state.config
        try:
            cells = self._state.cells(config.rootpath / path)
        except (RecipeError, OSError):
            return ()
        found = [cell for cell in cells if cell.key == key]
        return told_of(config, found[0])[1] if found else ()
