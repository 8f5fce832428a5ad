"""What users derive their python steps from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn


class BaseScriptlet(ABC):
    """A python step as a class; any other class with a `run` does as well."""

    def validate(self, ctx: Any, params: Any) -> None:  # noqa: B027  # to be overridden or not
        """Check before anything happens; raise (or return False) to refuse.

        Args:
            ctx: The Context of the run.
            params: The step's `params`.
        """

    @abstractmethod
    def run(self, ctx: Any, params: Any) -> Mapping[str, Any]:
        """Do the work.

        Args:
            ctx: The Context of the run.
            params: The step's `params`.

        Returns:
            A mapping with a `status`: ``ok`` or ``success``, or ``skip`` with a `reason`;
            anything else is a failure.
        """

    @classmethod
    def main(cls, argv: Sequence[str] | None = None) -> NoReturn:
        """Run this scriptlet as a program: `pytest_orchestrator.main`."""
        # Whoever only derives from this class loads nothing of that.
        from pytest_orchestrator.core.alone import main

        main(cls, argv)
