"""Gate of a recipe run: the root keys that keep all steps from running, or end them in time."""

from typing import TYPE_CHECKING

from pytest_orchestrator.core.extras import missing_requirement
from pytest_orchestrator.core.result import Failure, StepResult
from pytest_orchestrator.execution.expression_scope import Scope
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.execution.scheduling.failures import failed, invalid
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.fields.readers import keys_of
from pytest_orchestrator.recipe.fields.resolve import replace_expressions
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

if TYPE_CHECKING:
    from pytest_orchestrator.execution.recipe_deadline import RecipeDeadline


class RecipeGate:
    """Gate of one recipe run: its keys `if`, `requires` and `timeout`, each evaluated once.

    Args:
        recipe: The recipe.
        config: The settings of the run.
        scope: The variables of expressions.

    Attributes:
        deadline: The deadline of the recipe; None before its first step, and without `timeout`.
        has_condition: True if the recipe has an `if` or `requires`; else all steps may run.
        lacks: The requirement that is missing here, once `skip_reason` was called; else None.
    """

    def __init__(self, recipe: Recipe, config: RunConfig, scope: Scope) -> None:
        self.deadline: RecipeDeadline | None = None
        self.has_condition = recipe.if_ is not None or recipe.requires is not None
        self._recipe, self._config, self._scope = recipe, config, scope
        self._has_timeout = recipe.timeout is not None or any(
            template.path[0] == "timeout" for template in recipe.templates
        )
        self._reason: str | ExpressionError | None = None
        self._is_evaluated = not self.has_condition
        self.lacks: str | None = None

    def skip_reason(self) -> str | None:
        """Return the reason why all steps of the recipe are skipped; None if they run.

        Raises:
            ExpressionError: The `if` of the recipe cannot be evaluated.
        """
        if not self._is_evaluated:
            self._is_evaluated = True
            try:
                self._reason = self._false_condition()
            except ExpressionError as error:
                self._reason = error
            if self._reason is None:
                self._reason = self._missing()
        if isinstance(self._reason, ExpressionError):
            raise self._reason.with_traceback(None)
        return self._reason

    def _false_condition(self) -> str | None:
        condition = self._recipe.if_
        if condition is None or condition.holds(self._scope.early()):
            return None
        return f"if of the recipe: {condition.text}"

    def _missing(self) -> str | None:
        requires, config = self._recipe.requires, self._config
        if requires is None:
            return None
        has_terminal = config.has_terminal if requires.terminal else None
        self.lacks = missing_requirement(
            requires.extras, requires.programs, config.root, has_terminal
        )
        return None if self.lacks is None else f"requires: {self.lacks}"

    @property
    def fails(self) -> bool:
        """True if a missing requirement is an error, and one is missing."""
        return self._config.requirements_are_strict and self.lacks is not None

    @property
    def is_closed(self) -> bool:
        """True if no step runs: `if` is false or has no value, or a requirement is missing."""
        if not self.has_condition:
            return False
        try:
            return self.skip_reason() is not None
        except ExpressionError:
            return True

    def result(self, step: Step) -> StepResult | None:
        """Return the result of a step that the gate keeps from running; None if the step may run.

        The first step that may run starts the clock of `timeout`.
        """
        if not (self.has_condition or self._has_timeout):
            return None
        try:
            reason = self.skip_reason()
            if reason is not None and self.fails:
                place = self._recipe.at.get("requires")
                return failed(step, Failure(kind="not_found", reason=reason, place=place))
            if reason is not None:
                meets = self.lacks is None
                return StepResult(step=step.name, outcome="skipped", reason=reason, meets=meets)
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
                value = replace_expressions(
                    recipe.templates, ("timeout",), value, self._scope.early()
                )
                assert key.reader is not None  # noqa: S101
                try:
                    value = key.reader.convert(value, "timeout")
                except ValueError as error:
                    raise ExpressionError(str(error), template.place) from None
        if value and factor:
            from pytest_orchestrator.execution.recipe_deadline import RecipeDeadline

            self.deadline = RecipeDeadline(value * factor, factor, recipe.at.get("timeout"))
