"""Gate of a recipe run: the root keys that keep all steps from running, or end them in time."""

from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.expression_scope import Scope
from pytest_orchestrator.execution.recipe_deadline import RecipeDeadline
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.execution.scheduling.attempt import failed, invalid
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.fields.resolve import evaluate_root_value
from pytest_orchestrator.recipe.fields.struct_fields import keys_of
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step


class RecipeGate:
    """Gate of one recipe run: its keys `if` and `timeout`, each evaluated once.

    Args:
        recipe: The recipe.
        config: The settings of the run.
        scope: The variables of expressions.

    Attributes:
        deadline: The deadline of the recipe; None before its first step, and without `timeout`.
    """

    def __init__(self, recipe: Recipe, config: RunConfig, scope: Scope) -> None:
        self.deadline: RecipeDeadline | None = None
        self._recipe, self._config, self._scope = recipe, config, scope
        self._has_timeout = recipe.timeout is not None or any(
            template.path[0] == "timeout" for template in recipe.templates
        )
        self._reason: str | ExpressionError | None = None
        self._is_evaluated = recipe.if_ is None

    def skip_reason(self) -> str | None:
        """Return the reason why all steps of the recipe are skipped; None if they run.

        Raises:
            ExpressionError: The `if` of the recipe cannot be evaluated.
        """
        if not self._is_evaluated:
            self._is_evaluated = True
            condition = self._recipe.if_
            assert condition is not None  # noqa: S101
            try:
                holds = condition.holds(self._scope.early())
                self._reason = None if holds else f"if of the recipe: {condition.text}"
            except ExpressionError as error:
                self._reason = error
        if isinstance(self._reason, ExpressionError):
            raise self._reason.with_traceback(None)
        return self._reason

    @property
    def is_closed(self) -> bool:
        """True if no step of the recipe runs, because `if` is false or has no value."""
        try:
            return self.skip_reason() is not None
        except ExpressionError:
            return True

    def result(self, step: Step) -> StepResult | None:
        """Return the result of a step that the gate keeps from running; None if the step may run.

        The first step that may run starts the clock of `timeout`.
        """
        try:
            reason = self.skip_reason()
            if reason is not None:
                return StepResult(step=step.name, outcome="skipped", reason=reason, meets=True)
            if self._has_timeout and self.deadline is None and not step.is_final:
                self._start_clock()
        except ExpressionError as error:
            return failed(step, invalid(error))
        return None

    def _start_clock(self) -> None:
        recipe, factor = self._recipe, self._config.timeout_factor
        value, key = recipe.timeout, keys_of(Recipe)["timeout"]
        for template in recipe.templates:
            if template.path == ("timeout",):
                value = evaluate_root_value(recipe, ("timeout",), value, self._scope.early())
                assert key.reader is not None  # noqa: S101
                try:
                    value = key.reader.convert(value, "timeout")
                except ValueError as error:
                    raise ExpressionError(str(error), template.place) from None
        if value and factor:
            self.deadline = RecipeDeadline(value * factor, factor, recipe.at.get("timeout"))
