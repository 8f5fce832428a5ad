"""What is told of processes that a step left running."""


class LeftoverWarning(UserWarning):
    """A step ended and left processes running; they were ended."""

    # Filters and other processes look it up by this name.
    __module__ = "pytest_orchestrator"
