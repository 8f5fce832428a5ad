"""Base classes for authors of pytest plugins: step types and success criteria.

Nothing here is part of the engine: functions of plugins receive and return plain values.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from msgspec import Struct

from pytest_orchestrator.context.context import ContextLike

__all__ = ["VERSION", "Criterion", "Evidence", "HookWarning", "StepEnvironment", "StepType"]

VERSION = 1
"""Version of this interface; it rises only when plugin authors must change their code."""


class StepEnvironment(Struct, frozen=True, kw_only=True):
    """Environment of one step.

    Attributes:
        step: The name of the step.
        recipe: The path of its recipe.
        root: The rootdir; the current folder, and the base of relative paths.
        timeout: Seconds after which the step is ended; None if the step has no timeout.
        logs: An existing folder for further logs; None if no logs are kept.
        attempt: Number of the attempt, from 1.
        fixtures: Values of the fixtures that the step names, by name.
    """

    step: str
    recipe: str
    root: Path
    timeout: float | None = None
    logs: Path | None = None
    attempt: int = 1
    fixtures: Mapping[str, object] = {}


class StepType(ABC):
    """Base class of a step type; the first line of a subclass's docstring describes the type.

    Attributes:
        name: The value of `type` in recipes.
        Keys: The keys that its steps have in addition to those of all steps: a Struct with fields
            such as ``Annotated[str, msgspec.Meta(description=..., examples=[...])]``. Other
            constraints of `Meta` (``ge``, ``pattern``) are checked, and fields without a default
            are required.
    """

    name: ClassVar[str]
    Keys: ClassVar[type[Struct]]

    @abstractmethod
    def run(self, keys: Any, ctx: ContextLike, env: StepEnvironment) -> Mapping[str, Any]:
        """Run one step, in a process of its own unless it says `isolation: inline`.

        Args:
            keys: The keys of the step as an instance of `Keys`; expressions are replaced by
                their values.
            ctx: The Context; writes to it count as writes of the step.
            env: The environment of the step.

        Returns:
            A mapping with a `status`, as every Python step returns it: ``ok`` or ``success``,
            or ``skip`` with a `reason`. Any other value and any exception is a failure.
        """


class Evidence(Struct, frozen=True, kw_only=True):
    """Results of one step, for a criterion.

    Attributes:
        step: The name of the step.
        root: The rootdir.
        result: The object that the step returned or printed.
        ctx: The Context after the step.
        seconds: Duration of the step code.
        stdout: Text that the step printed; head and tail if it is long; empty for an inline
            step.
        stderr: Text that the step printed to stderr, shortened as `stdout` is.
        exit_code: Exit code of its process; None if it had no process or was ended by a signal.
    """

    step: str
    root: Path
    result: Any
    ctx: ContextLike
    seconds: float
    stdout: str = ""
    stderr: str = ""
    exit_code: int | None = None


class Criterion(Struct, frozen=True, kw_only=True):
    """A success criterion of a plugin: a further key that `success` of a step can have.

    Attributes:
        name: Its key in `success`.
        type: The type of its value, as msgspec knows it: ``float``, ``list[str]``, a Struct.
        description: A sentence for the reference.
        example: A value of that type.
        check: Function that is called with the value of the key and the evidence. It returns
            None if the criterion holds, else one line that says what is wrong.
    """

    name: str
    type: Any
    description: str
    example: Any
    check: Callable[[Any, Evidence], str | None]


class HookWarning(UserWarning):
    """A hook of a plugin raised an exception; the session continues."""
