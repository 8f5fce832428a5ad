"""What a scriptlet may ask of a Context, wherever its state is kept."""

from typing import Any, Protocol


class ContextLike(Protocol):
    """The operations of `Context`, which says what each one does."""

    def set(self, key: str, value: object, who: str | None = None) -> None:
        """Store a value under a key."""

    def get(self, key: str, default: Any = None) -> Any:
        """Read the value of a key or path."""

    def append(self, key: str, value: object, who: str | None = None) -> None:
        """Add an item to the list under a key."""

    def increment(self, key: str, by: float = 1, who: str | None = None) -> int | float:
        """Add to the number under a key and return the sum."""

    def delete(self, key: str, who: str | None = None) -> None:
        """Remove a key and its value."""

    def pop(self, key: str, index: int = -1, who: str | None = None) -> Any:
        """Remove an item from the list under a key and return it."""

    def keys(self) -> list[str]:
        """Return all keys."""

    def to_dict(self) -> dict[str, Any]:
        """Return all values by key."""

    def get_history(self, key: str) -> list[dict[str, Any]]:
        """Return every change of a key, oldest first."""

    def last_modified(self, key: str) -> str | None:
        """Return when a key was changed last, in ISO 8601 UTC."""

    def snapshot(self) -> dict[str, Any]:
        """Return values and history as plain JSON."""

    def restore(self, snapshot: dict[str, Any], who: str | None = None) -> None:
        """Make the values those of a snapshot."""

    def __contains__(self, key: object) -> bool: ...

    def __getitem__(self, key: str) -> Any: ...
