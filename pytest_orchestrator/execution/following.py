"""What happens to the steps of a run, for those who follow it while it runs."""

from collections.abc import Callable
from typing import NamedTuple

from pytest_orchestrator.core.context import Change
from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.recipe.model import Step


class Started(NamedTuple):
    """The first try of a step begins."""

    step: Step


class Finished(NamedTuple):
    """It is known what became of a step; of a service once more when it has ended."""

    step: Step
    result: StepResult


class Changed(NamedTuple):
    """A step has changed the Context."""

    step: Step
    change: Change


Happening = Started | Finished | Changed
Follow = Callable[[Happening], None]
