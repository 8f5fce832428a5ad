"""Context shared among the worker processes of a session: server and client side.

A process of the session gets handles of its own, which stay when its connection ends, and
is told what its requests have changed; and it adds to the journal of the session.
"""

import weakref
from collections.abc import Callable
from typing import Any, Final, Self

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.history import Recorder, Written
from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.protocol import Reply, Request, RequestRefused, refusal, serve
from pytest_orchestrator.context.rpc.server import Server
from pytest_orchestrator.context.state import named
from pytest_orchestrator.core.events import Change

OPEN: Final = "open"
LAYER: Final = "layer"

Ask = Callable[[Any], Any]
"""Does what a process asks the session for: plain JSON in and out."""


class HandleRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is asked for where a handle is wanted.

    Attributes:
        who: Who changes the Context through it.
        by: The node id of the step that has it.
        scope: For a layer: key of the recipe whose own Context it is; what is written to one
            of no recipe is for this handle alone.
        ended: Tokens of handles that are no longer used.
    """

    who: str = "user"
    by: str = ""
    scope: str = ""
    ended: tuple[str, ...] = ()


class XdistContextServer:
    """Lets processes of the session share its Context.

    Args:
        server: Where they ask; it is started and closed by the caller.
        context: The Context of the session.
        asks: What else they may ask for, by name.
        layers: Takes the own Contexts of recipes, by their keys.
    """

    def __init__(
        self,
        server: Server,
        context: Context,
        asks: dict[str, Ask],
        layers: dict[str, Context] | None = None,
    ) -> None:
        self.server = server
        self.asks = asks
        self._context = context
        self._layers = {} if layers is None else layers

    def join(self, name: str) -> str:
        """Let a process take part; return its token."""
        return self.handle(self._context, HandleRequest(), name)

    def handle(self, context: Context, opening: HandleRequest, name: str) -> str:
        """Make a handle on a Context; return its token."""
        return self.server.admit(name, _Handle(self, context, opening, name).answered)

    def layer(self, below: Context, scope: str) -> Context:
        """Return the own Context of a recipe, whichever process asks; or a new one of none."""
        if not scope:
            return below.layer()
        return self._layers.setdefault(scope, below.layer(scope))


class _Handle:
    """A handle on a Context for another process."""

    def __init__(
        self, hub: XdistContextServer, context: Context, opening: HandleRequest, name: str
    ) -> None:
        self._hub, self._name = hub, name
        self._changes: list[Change] = []
        self._context = context.bound(opening.who, self._changes.append, opening.by)

    def answered(self, request: Request) -> Reply:
        """Do what is asked."""
        if request.op in (OPEN, LAYER) or request.op in self._hub.asks:
            try:
                value = self._done(request)
            except Exception as error:  # noqa: BLE001  # nothing that is asked ends the server
                return refusal(error, request.id)
            return Reply(ok=True, value=value, id=request.id)
        reply = serve(request, self._context)
        if self._changes:
            reply = msgspec.structs.replace(reply, changes=tuple(self._changes))
            self._changes.clear()
        return reply

    def _done(self, request: Request) -> Any:
        if request.op in self._hub.asks:
            return self._hub.asks[request.op](request.value)
        try:
            opening = msgspec.convert(request.value, HandleRequest)
        except msgspec.ValidationError as error:
            raise RequestRefused(f"this opens nothing: {error}") from error
        for token in opening.ended:
            self._hub.server.end(token)
        context = self._context
        if request.op == LAYER:
            context = self._hub.layer(context, opening.scope)
        return self._hub.handle(context, opening, self._name)


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
        return self._handle(OPEN, HandleRequest(who=named(who), by=by), on_change)

    def layer(self, scope: str = "") -> Self:
        """Make a Context for a recipe: reads fall through to this one, changes end with it."""
        return self._handle(LAYER, HandleRequest(scope=scope), None)

    def _handle(
        self, op: str, opening: HandleRequest, on_change: Callable[[Change], None] | None
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
