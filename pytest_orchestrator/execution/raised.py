"""What stands in this process for an exception that a step raised in its own."""

from typing import Any, Self


class Raised(Exception):
    """What a step raised in its own process.

    Attributes:
        report: The report of it, as pytest sends reports between processes.
    """

    def __init__(self, reason: str, report: dict[str, Any]) -> None:
        super().__init__(reason)
        self.report = report

    @property
    def is_expected(self) -> bool:
        """Tell whether the step itself said that it was expected to fail."""
        return self.report["wasxfail"] is not None

    @classmethod
    def there(cls, reason: str, report: dict[str, Any]) -> Self:
        """Return what stands here for an exception that was raised there.

        Plugins tell a failed assertion from other exceptions by its type, and show its name.

        Args:
            reason: The exception as one line: its kind and the first line of its text.
            report: The report of it.
        """
        name = report["type"]
        bases = (cls, AssertionError) if report["asserts"] else (cls,)
        kind = type(name, bases, {"__module__": "builtins"})
        raised: Self = kind(reason.removeprefix(f"{name}: "), report)
        return raised
