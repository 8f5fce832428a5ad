"""What the author of a pytest plugin needs to bring types of steps and criteria.

Nothing here is a part of the engine: plain values go in, plain values come out.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from msgspec import Struct

from pytest_orchestrator.context.context import ContextLike

__all__ = ["VERSION", "Criterion", "Evidence", "HookWarning", "StepEnvironment", "StepType"]

VERSION = 1
"""Rises when an author has to change something; what is merely new does not raise it."""


class StepEnvironment(Struct, frozen=True, kw_only=True):
    """The surroundings of one step.

    Attributes:
        step: The name of the step.
        recipe: The path of its recipe.
        root: The rootdir: the current folder, and what relative paths start from.
        timeout: Seconds after which the step is ended; None where nothing limits it.
        logs: A folder for further logs, there already; None where nothing is kept.
        attempt: Number of the try, from 1.
        fixtures: Values of the fixtures that the step names, where it has some.
    """

    step: str
    recipe: str
    root: Path
    timeout: float | None = None
    logs: Path | None = None
    attempt: int = 1
    fixtures: Mapping[str, object] = {}


class StepType(ABC):
    """A type of steps; the first line of its docstring is its description.

    Attributes:
        name: What recipes write as `type`.
        Keys: The keys that steps of it have besides those of all steps: a Struct each of
            whose fields is ``Annotated[str, msgspec.Meta(description=..., examples=[...])]``.
            What else `Meta` can ask for (``ge``, ``pattern``) holds, and fields without a
            default are required.
    """

    name: ClassVar[str]
    Keys: ClassVar[type[Struct]]

    @abstractmethod
    def run(self, keys: Any, ctx: ContextLike, env: StepEnvironment) -> Mapping[str, Any]:
        """Do the work of one step, in a process of its own unless it says `isolation: inline`.

        Args:
            keys: The keys of the step as an instance of `Keys`; expressions have their values.
            ctx: The Context; what is written is written by the step.
            env: The surroundings.

        Returns:
            A mapping with a `status`, as the body of any Python step: ``ok`` or ``success``,
            or ``skip`` with a `reason`; anything else is a failure. To raise is one, too.
        """


class Evidence(Struct, frozen=True, kw_only=True):
    """What a step has left.

    Attributes:
        step: The name of the step.
        root: The rootdir.
        result: What it returned, or the object that it printed.
        ctx: The Context as the step left it.
        seconds: How long its body took.
        stdout: What it printed; head and tail where that is long. Empty of one that ran inline.
        stderr: The same of stderr.
        exit_code: Of its process; None where it has none or a signal ended it.
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
    """One more thing that `success` of a step can ask for.

    Attributes:
        name: Its key in `success`.
        type: The type of what it asks for, as msgspec knows it: ``float``, ``list[str]``, a
            Struct.
        description: A sentence for the reference.
        example: A value of that type.
        check: Is called with what is asked for and the evidence; gives None where it holds,
            else one line that says what is wrong.
    """

    name: str
    type: Any
    description: str
    example: Any
    check: Callable[[Any, Evidence], str | None]


class HookWarning(UserWarning):
    """A hook of a plugin has raised something, and nothing else was harmed by it."""
