"""The Context of a session, in another process of the session: no difference is to be seen."""

import weakref
from collections.abc import Callable
from typing import Any, Self

import msgspec

from pytest_orchestrator.core.history import Change, Recorder, Written
from pytest_orchestrator.core.state import named
from pytest_orchestrator.remote.client import RemoteContext
from pytest_orchestrator.remote.hub import LAYER, OPEN, Opening
from pytest_orchestrator.remote.protocol import Reply

_WRITING = frozenset({"set", "append"})


class SharedContext(RemoteContext):
    """A `RemoteContext` whose keeper makes handles, and tells what was changed through them."""

    __slots__ = ("_line", "_on_change", "_token")

    def __init__(
        self,
        remote: RemoteContext,
        token: str,
        on_change: Callable[[Change], None] | None = None,
        line: "_Line | None" = None,
    ) -> None:
        """Use a connection that is there.

        Args:
            remote: Who has it.
            token: What opens this handle.
            on_change: Is told of each change that is made through it.
            line: What it shares with other handles.
        """
        self._exchange, self._own = remote._exchange, remote._own  # noqa: SLF001 # a subclass
        self._name = None
        self._token, self._on_change, self._line = token, on_change, line or _Line()

    @classmethod
    def join(cls, address: str, token: str) -> Self:
        """Take part in a session.

        Args:
            address: Where its hub listens.
            token: As the hub gave it.

        Raises:
            ContextUnreachable: Nobody listens there.
        """
        return cls(RemoteContext.connect(address, token), token)

    def observed(self, recorder: Recorder | None = None, written: Written | None = None) -> None:
        """Let each value that is written or read be seen; changes are kept by the keeper."""
        if recorder is not None:
            raise TypeError("changes of a shared Context are kept where it is")
        self._line.written = written

    def bound(
        self, who: str, on_change: Callable[[Change], None] | None = None, by: str = ""
    ) -> Self:
        """Make another handle on the same state."""
        return self._handle(OPEN, Opening(who=named(who), by=by), on_change)

    def layer(self, scope: str = "") -> Self:
        """Make a Context for a recipe: reads fall through to this one, changes end with it."""
        return self._handle(LAYER, Opening(scope=scope), None)

    def _handle(
        self, op: str, opening: Opening, on_change: Callable[[Change], None] | None
    ) -> Self:
        ended, self._line.ended = tuple(self._line.ended), []
        asked = msgspec.to_builtins(msgspec.structs.replace(opening, ended=ended))
        token = self._ask(op, value=asked).value
        handle = self.__class__(self, token, on_change, self._line)
        weakref.finalize(handle, self._line.ended.append, token).atexit = False
        return handle

    def _reply(self, op: str, path: Any, value: Any, index: int, who: Any) -> Reply:
        reply = self._exchange.ask(op, path, value, index, who, self._token)
        written = self._line.written
        if written is not None and reply.ok:
            if op in _WRITING:
                written(path, value)
            elif op == "get" and not reply.missing:
                written(path, reply.value)
        if self._on_change is not None:
            for change in reply.changes:
                self._on_change(change)
        return reply


class _Line:
    """What all handles of a process share.

    Attributes:
        written: Sees each key with its value.
        ended: Tokens of handles that are gone, to be told with the next opening.
    """

    def __init__(self) -> None:
        self.written: Written | None = None
        self.ended: list[str] = []
