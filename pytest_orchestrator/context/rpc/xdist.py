"""Context that the xdist workers of a session share: server and client side.

Each process of the session has its own handles. A handle exists until the process releases it,
even if the connection ends before. A reply contains the changes that its request made. Through
the same connection a process appends to the journal of the session.
"""

import weakref
from collections.abc import Callable
from typing import Any, Final, Self

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.history import Recorder, Written, named
from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.protocol import Reply, Request, RequestRefused, refusal, serve
from pytest_orchestrator.context.rpc.server import Execute, Server
from pytest_orchestrator.core.events import Change

OPEN: Final = "open"
LAYER: Final = "layer"

Ask = Callable[[Any], Any]
"""Function that executes an additional operation of the session; it takes and returns JSON."""


class HandleRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Request for a new handle.

    Attributes:
        who: Name of the writer for changes through the handle.
        by: Node id of the step that has the handle.
        scope: For a layer: key of the recipe whose Context the layer is. If empty, the layer is
            new, and only this handle sees it.
        ended: Tokens of handles that are no longer used.
    """

    who: str = "user"
    by: str = ""
    scope: str = ""
    ended: tuple[str, ...] = ()


class XdistContextServer:
    """Server side of the Context that the processes of a session share.

    Args:
        server: The Context server; the caller starts and closes it.
        context: The Context of the session.
        asks: Additional operations, by name.
        layers: Mapping in which the Contexts of recipes are kept, by the key of the recipe.
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

    def join(self, name: str) -> Execute:
        """Return the function that executes the requests of a process that joins the session."""
        return self._handle(self._context, HandleRequest(), name)

    def _handle(self, below: Context, made: HandleRequest, name: str) -> Execute:
        """Create a handle to a Context for another process; return what executes its requests."""
        changes: list[Change] = []
        context = below.bound(made.who, changes.append, made.by)

        def execute(request: Request) -> Reply:
            if request.op in (OPEN, LAYER) or request.op in self.asks:
                try:
                    value = self._execute(request, context, name)
                except Exception as error:  # noqa: BLE001  # no request may end the server
                    return refusal(error, request.id)
                return Reply(ok=True, value=value, id=request.id)
            reply = serve(request, context)
            if changes:
                reply = msgspec.structs.replace(reply, changes=tuple(changes))
                changes.clear()
            return reply

        return execute

    def _execute(self, request: Request, context: Context, name: str) -> Any:
        if request.op in self.asks:
            return self.asks[request.op](request.value)
        try:
            wanted = msgspec.convert(request.value, HandleRequest)
        except msgspec.ValidationError as error:
            raise RequestRefused(f"this opens nothing: {error}") from error
        for token in wanted.ended:
            self.server.end(token)
        if request.op == LAYER:
            # Without a scope, the layer is new, and only this handle sees it.
            layer = context.layer(wanted.scope)
            context = self._layers.setdefault(wanted.scope, layer) if wanted.scope else layer
        return self.server.admit(name, self._handle(context, wanted, name))


_WRITE_OPERATIONS = frozenset({"set", "append"})


class SharedContext(RemoteContext):
    """Client side of the shared Context: a handle that the server created for this process."""

    __slots__ = ("_on_change", "_shared")

    def __init__(
        self,
        remote: RemoteContext,
        token: str,
        on_change: Callable[[Change], None] | None = None,
        shared: "_SharedState | None" = None,
    ) -> None:
        """Use an existing connection.

        Args:
            remote: The handle whose connection is used.
            token: The token of this handle.
            on_change: Called with each change through this handle.
            shared: State that all handles of this process share.
        """
        self._exchange = remote._exchange  # noqa: SLF001 # a subclass
        self._owned_socket = remote._owned_socket  # noqa: SLF001
        self._name = None
        self._token, self._on_change, self._shared = token, on_change, shared or _SharedState()

    @classmethod
    def join(cls, address: str, token: str) -> Self:
        """Connect to the Context of a session.

        Args:
            address: Address of its Context server.
            token: The result of `XdistContextServer.join`.

        Raises:
            ContextUnreachable: No server listens at the address.
        """
        return cls(RemoteContext.connect(address, token), token)

    def set_callbacks(
        self, recorder: Recorder | None = None, written: Written | None = None
    ) -> None:
        """Set the `written` callback; refuse a recorder, because the server records changes.

        Raises:
            TypeError: `recorder` is not None.
        """
        if recorder is not None:
            raise TypeError("changes of a shared Context are recorded by its server")
        self._shared.written = written

    def bound(
        self, who: str, on_change: Callable[[Change], None] | None = None, by: str = ""
    ) -> Self:
        """Return a new handle to the same state, with its own writer name and callback."""
        return self._handle(OPEN, HandleRequest(who=named(who), by=by), on_change)

    def layer(self, scope: str = "") -> Self:
        """Return a Context for a recipe: missing keys are read from this Context.

        Changes stay in the new Context.
        """
        return self._handle(LAYER, HandleRequest(scope=scope), None)

    def _handle(
        self, op: str, handle_request: HandleRequest, on_change: Callable[[Change], None] | None
    ) -> Self:
        ended, self._shared.ended = tuple(self._shared.ended), []
        value = msgspec.to_builtins(msgspec.structs.replace(handle_request, ended=ended))
        token = self._ask(op, value=value).value
        handle = self.__class__(self, token, on_change, self._shared)
        weakref.finalize(handle, self._shared.ended.append, token).atexit = False
        return handle

    def _reply(self, op: str, path: Any, value: Any, index: int, who: Any) -> Reply:
        reply = super()._reply(op, path, value, index, who)
        written = self._shared.written
        if written is not None and reply.ok:
            if op in _WRITE_OPERATIONS:
                written(path, value)
            elif op == "get" and not reply.missing:
                written(path, reply.value)
        if self._on_change is not None:
            for change in reply.changes:
                self._on_change(change)
        return reply


class _SharedState:
    """State that all handles of a process share.

    Attributes:
        written: Called with each key and value that is written or read.
        ended: Tokens of released handles, to be sent with the next request for a handle.
    """

    def __init__(self) -> None:
        self.written: Written | None = None
        self.ended: list[str] = []
