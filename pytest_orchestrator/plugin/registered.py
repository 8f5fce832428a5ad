"""Base class of the objects that this package registers with pytest."""


class Plugin:
    """Object whose hooks pytest calls; its `dir` has only the hooks.

    At each registration pytest and pluggy look at every name in `dir`, for hooks and for fixtures.
    With the names that each Python object has, this took longer than to import the module.
    """

    def __dir__(self) -> list[str]:
        """Return the names of the hooks."""
        return [name for name in dir(type(self)) if name.startswith("pytest_")]
