"""One Context for the processes of a session: what they may ask beside the Context itself.

A process of the session gets handles of its own, which stay when its connection ends, and
is told what its requests have changed; and it adds to the journal of the session.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pytest_orchestrator.core.context import Context
from pytest_orchestrator.remote.protocol import Reply, Request, RequestRefused, refusal, serve
from pytest_orchestrator.remote.server import Server

if TYPE_CHECKING:
    from pytest_orchestrator.core.history import Change

OPEN: Final = "open"
LAYER: Final = "layer"

Ask = Callable[[Any], Any]
"""Does what a process asks the session for: plain JSON in and out."""


class Opening(msgspec.Struct, frozen=True, omit_defaults=True):
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


class Hub:
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
        return self.handle(self._context, Opening(), name)

    def handle(self, context: Context, opening: Opening, name: str) -> str:
        """Make a handle on a Context; return its token."""
        return self.server.admit(name, _Handle(self, context, opening, name).answered)

    def layer(self, below: Context, scope: str) -> Context:
        """Return the own Context of a recipe, whichever process asks; or a new one of none."""
        if not scope:
            return below.layer()
        return self._layers.setdefault(scope, below.layer(scope))


class _Handle:
    """A handle on a Context for another process."""

    def __init__(self, hub: Hub, context: Context, opening: Opening, name: str) -> None:
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
            opening = msgspec.convert(request.value, Opening)
        except msgspec.ValidationError as error:
            raise RequestRefused(f"this opens nothing: {error}") from error
        for token in opening.ended:
            self._hub.server.end(token)
        context = self._context
        if request.op == LAYER:
            context = self._hub.layer(context, opening.scope)
        return self._hub.handle(context, opening, self._name)
