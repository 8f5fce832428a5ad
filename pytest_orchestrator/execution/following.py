"""What happens to the steps of a run, for those who follow it and those who keep it."""

from collections.abc import Callable
from typing import NamedTuple

from pytest_orchestrator.core.history import Change
from pytest_orchestrator.core.result import Failure, StepResult
from pytest_orchestrator.recipe.step_keys import Step


class Started(NamedTuple):
    """The first try of a step begins."""

    step: Step


class Tried(NamedTuple):
    """A try of a step begins: nothing of it has run."""

    step: Step
    attempt: int


class Again(NamedTuple):
    """A try of a step failed, and another one follows, some seconds later."""

    step: Step
    attempt: int
    failure: Failure
    seconds: float


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
Keep = Callable[[Tried | Again | Finished], None]
"""Keeps it outside this process before it counts; raises `JournalError` where it cannot."""
