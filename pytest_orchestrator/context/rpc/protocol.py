"""Wire protocol of the Context: one JSON object per line.

This module uses no socket, file or thread: it takes received bytes and returns the bytes to send.
It answers the requests of a conversation in their order, and invalid bytes with an error reply.
"""

import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, Final, Protocol, TypeAlias, cast

import msgspec
from msgspec import UNSET, UnsetType

from pytest_orchestrator.context.context import ContextLike
from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.suggestions import nearest

Line: TypeAlias = bytes | bytearray


class LineBuffer:
    """Buffer that splits a byte stream into lines.

    Attributes:
        limit: Maximum bytes of a line. Of a longer line only the first `limit` + 1 bytes are
            kept: enough to see that the line is too long.
        partial: The bytes kept of the incomplete line.
    """

    __slots__ = ("limit", "partial")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.partial = bytearray()

    def feed(self, data: bytes) -> list[Line]:
        """Add received bytes.

        Returns:
            The lines that these bytes complete, in order, without their line breaks.
        """
        ended: list[Line] = [*data.split(b"\n")]
        rest = ended.pop()
        if ended and self.partial:
            self.partial += self._kept(ended[0])
            ended[0], self.partial = self.partial, bytearray()
        if rest:
            self.partial += self._kept(rest)
        return ended

    def _kept(self, more: Line) -> Line:
        return more[: max(self.limit + 1 - len(self.partial), 0)]


MAX_LINE: Final = 64 << 20
"""Maximum bytes of a request, without its line break."""
MAX_DEPTH: Final = json_values.MAX_DEPTH + 8
"""Maximum nesting depth of a request: that of a value, plus 8 for the snapshot around it."""

Path: TypeAlias = str | int | bool | None


class RequestRefused(OrchestratorError):
    """Error: the Context server does not accept a request."""

    slug = "request"


class Request(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line from a client.

    Attributes:
        id: Number of the request, which its reply repeats. It is the first field, so that the
            server can read it from the beginning of an invalid request.
        op: The operation.
        path: The key or path. The Context checks its type, so a wrong type has the usual error.
        value: The value to store, append, restore or add.
        index: Index of the item, for pop.
        who: Name of the writer; default: the name of the server's handle.
        token: The token, if the server requires one.
        at: Time at which the client asked, in microseconds since the epoch. Only the connection
            of a step's process uses it; other servers ignore the clocks of their clients.
    """

    id: int = 0
    op: str = ""
    path: Path | UnsetType = UNSET
    value: Any = UNSET
    index: Any = -1
    who: Any = None
    token: str = ""
    at: int = 0


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line from a server.

    Attributes:
        ok: True if the request was executed.
        value: The result; null if the operation returns nothing.
        missing: True if the path of a get does not exist (null is a value that exists).
        error: Text of the exception.
        kind: Slug of the exception.
        changes: Changes that the request made; set only for handles of `XdistContextServer`.
        id: Number of the request; 0 if it had none.
    """

    ok: bool
    value: Any = UNSET
    missing: bool = False
    error: str = ""
    kind: str = ""
    changes: tuple[Change, ...] = ()
    id: int = 0


class ServableContext(ContextLike, Protocol):
    """Interface of a Context that a server can offer; it lists the missing paths that were read."""

    @property
    def missed(self) -> tuple[str, ...]:
        """Paths that were read and did not exist."""


class Conversation:
    """Server side of one connection.

    Attributes:
        context: The handle that executes the requests; a change by a request without `who` is
            recorded under the name of this handle.
        lines: The buffer of the received bytes.
    """

    __slots__ = ("context", "lines")

    def __init__(self, context: ServableContext, max_line: int = MAX_LINE) -> None:
        """Initialize a conversation.

        Args:
            context: The handle that executes the requests.
            max_line: Maximum bytes of a request; a longer request is refused.
        """
        self.context = context
        self.lines = LineBuffer(max_line)

    def receive(self, data: bytes) -> bytes:
        """Add received bytes, and execute the requests that are now complete.

        Args:
            data: The received bytes; they may end anywhere in a line.

        Returns:
            The replies, ready to be sent; empty if no request is complete.
        """
        ended = self.lines.feed(data)
        if len(ended) == 1:
            return self._answer(ended[0])
        return b"".join([self._answer(line) for line in ended])

    def replies(self, data: bytes) -> Iterator[bytes]:
        """Yield the replies of `receive` one by one, so that memory never holds all of them."""
        return map(self._answer, self.lines.feed(data))

    def refuse_long(self) -> bytes:
        """Return the reply to an incomplete request that is too long already; else no bytes."""
        if len(self.lines.partial) <= self.lines.limit:
            return b""
        return _encode(refusal(self._too_long(), 0)) + b"\n"

    def execute(self, request: Request) -> Reply:
        """Execute a request and return its reply; a subclass may raise `RequestRefused`."""
        return serve(request, self.context)

    def _answer(self, line: Line) -> bytes:
        if not line.strip():
            return b""
        try:
            reply = self.execute(self._read(line))
        except RequestRefused as error:
            reply = refusal(error, _id_of(line))
        return _encode(reply) + b"\n"

    def _read(self, line: Line) -> Request:
        if len(line) > self.lines.limit:
            raise self._too_long()
        return request_of(line)

    def _too_long(self) -> RequestRefused:
        return RequestRefused(
            f"a request of more than {self.lines.limit:,} bytes; "
            "keep what is so large in a file, and its path in the Context"
        )


def request_of(line: Line) -> Request:
    """Parse a line from a client.

    Raises:
        RequestRefused: The line is not a valid request.
    """
    if is_deeper(line, MAX_DEPTH):
        raise RequestRefused(f"a request that is nested more than {MAX_DEPTH} deep")
    try:
        return _decode_request(line)
    except (ValueError, RecursionError) as error:
        raise RequestRefused(f"this is no request: {error}") from error


def serve(request: Request, context: ServableContext) -> Reply:
    """Execute a request on a Context.

    Args:
        request: The request.
        context: The Context.

    Returns:
        The reply; an exception of the Context, or of a callback that it calls, becomes an error
        reply.
    """
    try:
        operation = _operation(request)
        value = operation(context, request)
    except Exception as error:  # noqa: BLE001  # no request of a client may end the server
        return refusal(error, request.id)
    if value is _NOTHING:
        return Reply(ok=True, value=None, missing=True, id=request.id)
    return Reply(ok=True, value=value, id=request.id)


def request_line(request: Request) -> bytes:
    """Encode a request as a line.

    Raises:
        UnicodeEncodeError: The path or `who` has lone surrogates.
    """
    return _encode(request) + b"\n"


def reply_of(line: Line) -> Reply:
    """Parse a line from a server.

    Raises:
        ValueError: The line is not a valid reply.
    """
    return _decode_reply(line)


_Operation: TypeAlias = Callable[[ServableContext, Request], Any]

_NOTHING: Final = object()
_encode: Final = msgspec.json.Encoder().encode
_decode_request: Final = msgspec.json.Decoder(Request).decode
_decode_reply: Final = msgspec.json.Decoder(Reply).decode

# A path of a wrong type is passed to the Context, which raises the error with the right text.
_WITHOUT_PATH: Final[dict[str, _Operation]] = {
    "full": lambda context, _: context.to_dict(),
    "keys": lambda context, _: context.keys(),
    "missed": lambda context, _: context.missed,
    "snapshot": lambda context, _: context.snapshot(),
    "restore": lambda context, request: context.restore(_value(request), request.who),
}
_WITH_PATH: Final[dict[str, _Operation]] = {
    "get": lambda context, request: context.get(cast("str", request.path), _NOTHING),
    "item": lambda context, request: context[cast("str", request.path)],
    "contains": lambda context, request: request.path in context,
    "set": lambda context, request: context.set(
        cast("str", request.path), _value(request), request.who
    ),
    "append": lambda context, request: context.append(
        cast("str", request.path), _value(request), request.who
    ),
    "increment": lambda context, request: context.increment(
        cast("str", request.path), 1 if request.value is UNSET else request.value, request.who
    ),
    "delete": lambda context, request: context.delete(cast("str", request.path), request.who),
    "pop": lambda context, request: context.pop(
        cast("str", request.path), request.index, request.who
    ),
    "history": lambda context, request: context.get_history(cast("str", request.path)),
    "last_modified": lambda context, request: context.last_modified(cast("str", request.path)),
}
OPERATIONS: Final = (*_WITHOUT_PATH, *_WITH_PATH)


def _operation(request: Request) -> _Operation:
    operation = _WITH_PATH.get(request.op)
    if operation is not None:
        if request.path is UNSET:
            raise RequestRefused(f"{request.op} needs a path")
        return operation
    operation = _WITHOUT_PATH.get(request.op)
    if operation is None:
        raise RequestRefused(f"unknown op {request.op!r}{nearest(request.op, OPERATIONS)}")
    return operation


def _value(request: Request) -> Any:
    if request.value is UNSET:
        raise RequestRefused(f"{request.op} needs a value")
    return request.value


def refusal(error: Exception, number: int) -> Reply:
    """Return the reply to a request that failed, with the text of the exception."""
    if isinstance(error, OrchestratorError):
        kind, text = error.slug, str(error)
    else:
        kind, text = OrchestratorError.slug, f"{type(error).__name__}: {error}"
    text = text.encode(errors="backslashreplace").decode()
    return Reply(ok=False, error=text, kind=kind, id=number)


def _id_of(line: Line) -> int:
    """Return the request id at the beginning of an invalid line; 0 if none is readable."""
    match = re.match(rb'\s*\{\s*"id"\s*:\s*([0-9]{1,18})\b', line[:64])
    return int(match[1]) if match else 0


_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_DEPTH_STEPS: Final = bytes.maketrans(b"[]{}", b"\2\0\2\0")


def is_deeper(line: Line, limit: int) -> bool:
    """Return True if a line is nested more than `limit` levels deep.

    Brackets within strings do not count: escapes are removed first, and then whole strings.
    """
    if len(line) <= limit or line.count(b"[") + line.count(b"{") <= limit:
        return False
    bare = line.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NOT_STRUCTURE)
    brackets = re.sub(rb'"[^"]*"?', b"", bare)
    steps = brackets.translate(_DEPTH_STEPS)
    return max(accumulate(steps, lambda depth, step: depth + step - 1, initial=0)) > limit
