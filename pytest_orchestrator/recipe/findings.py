"""What is wrong with a recipe whose file is good."""

from typing import Literal

import msgspec
from msgspec import Struct

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.model import Recipe
from pytest_orchestrator.recipe.problems import Problem, RecipeError
from pytest_orchestrator.recipe.step_keys import Step

Severity = Literal["error", "warning"]


class Finding(Struct, frozen=True):
    """A problem that is seen only together with other files or other steps.

    Attributes:
        severity: ``error``: it is bound to go wrong, or a race. ``warning``: a scriptlet may be
            able to live with it, this machine may be another than that of the run, or it
            happens only where steps run at the same time.
        path: The id of the file that it is in.
        text: The text of that file.
        problem: The problem.
    """

    severity: Severity
    path: str
    text: str
    problem: Problem

    def render(self) -> str:
        """Return it with its source line and a caret."""
        problem = self.problem
        if self.severity == "warning":
            problem = msgspec.structs.replace(problem, head=f"warning: {problem.head}")
        return RecipeError([problem], self.path, self.text).render()


def finding(
    recipe: Recipe, step: Step, severity: Severity, place: Place, head: str, hint: str = ""
) -> Finding:
    """Return a finding at a place of the file that a step stands in.

    Args:
        recipe: The recipe.
        step: The step.
        severity: How bad it is.
        place: Where.
        head: The sentence.
        hint: What to do instead; brackets around it are taken off.
    """
    source = recipe.source(step)
    return Finding(severity, source.id, source.text, Problem(place, head, hint=hint.strip(" ()")))
