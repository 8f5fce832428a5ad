"""Wire protocol of the Context: one JSON object a line, without any socket.

No socket, file or thread is touched here: bytes that came go in, bytes to send come out.
Requests of one conversation are answered in their order, and nothing that comes in raises.
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
    """Cuts what comes at its line breaks.

    Attributes:
        limit: Bytes of a line. Of a longer one its beginning is kept, one byte more than
            these, so that it is seen to be too long.
    """

    __slots__ = ("_begun", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._begun = bytearray()

    @property
    def is_over(self) -> bool:
        """True where the line that has begun is longer than the limit."""
        return len(self._begun) > self.limit

    def feed(self, data: bytes) -> list[Line]:
        """Take what came.

        Returns:
            The lines that it ends, in order, without their breaks.
        """
        ended: list[Line] = [*data.split(b"\n")]
        rest = ended.pop()
        if ended and self._begun:
            self._begun += self._kept(ended[0])
            ended[0], self._begun = self._begun, bytearray()
        if rest:
            self._begun += self._kept(rest)
        return ended

    def _kept(self, more: Line) -> Line:
        return more[: max(self.limit + 1 - len(self._begun), 0)]


MAX_LINE: Final = 64 << 20
"""Bytes of a request, its line break not counted."""
MAX_DEPTH: Final = json_values.MAX_DEPTH + 8
"""Levels of a request: a value as deep as the Context takes, within a snapshot."""

Path: TypeAlias = str | int | bool | None


class RequestRefused(OrchestratorError):
    """What was asked is no request that a Context answers."""

    slug = "request"


class Request(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line of a client.

    Attributes:
        id: Comes back with the reply. It is the first field, so that it can be read from
            the beginning of a line that is no request.
        op: The operation.
        path: The key or path. That it is text is said by the Context, in its own words.
        value: What to store, append, restore or add.
        index: For pop, the place in the list.
        who: Who changes the Context; default: the name that the server's handle has.
        token: The password of a server that has one.
    """

    id: int = 0
    op: str = ""
    path: Path | UnsetType = UNSET
    value: Any = UNSET
    index: Any = -1
    who: Any = None
    token: str = ""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a server.

    Attributes:
        ok: Whether it was done.
        value: What was asked for; null where the operation returns nothing.
        missing: For get: there is nothing, not even null.
        error: What went wrong, in the words of the exception.
        kind: The slug of the exception.
        changes: What the request has changed, for a client that asked to be told.
        id: That of the request; 0 where it had none.
    """

    ok: bool
    value: Any = UNSET
    missing: bool = False
    error: str = ""
    kind: str = ""
    changes: tuple[Change, ...] = ()
    id: int = 0


class Askable(ContextLike, Protocol):
    """A Context that also tells what it was asked for in vain."""

    @property
    def missed(self) -> tuple[str, ...]:
        """Paths that were asked for and not there."""


class Conversation:
    """The server's side of one connection.

    Attributes:
        context: What is asked; changes without a `who` are made in its name.
    """

    __slots__ = ("_lines", "_token", "context")

    def __init__(self, context: Askable, token: str = "", max_line: int = MAX_LINE) -> None:
        """Begin a conversation.

        Args:
            context: The handle that answers.
            token: What each request must know; nothing is asked for where it is empty.
            max_line: Bytes of a request; of a longer one no more is kept, and it is refused.
        """
        self.context = context
        self._token = token
        self._lines = LineBuffer(max_line)

    @property
    def is_too_long(self) -> bool:
        """True where a request has not ended yet and can only be refused."""
        return self._lines.is_over

    def receive(self, data: bytes) -> bytes:
        """Answer the requests that these bytes complete.

        Args:
            data: What came, cut anywhere.

        Returns:
            The replies, to be sent as they are; empty where no request is complete.
        """
        ended = self._lines.feed(data)
        if len(ended) == 1:
            return self._answer(ended[0])
        return b"".join([self._answer(line) for line in ended])

    def replies(self, data: bytes) -> Iterator[bytes]:
        """Do what `receive` does, one reply after the other: all together may be large."""
        return map(self._answer, self._lines.feed(data))

    def answered(self, request: Request) -> Reply:
        """Do what a request asks.

        Raises:
            RequestRefused: Its token is wrong.
        """
        if self._token and not is_equal(request.token, self._token):
            raise wrong_token()
        return serve(request, self.context)

    def _answer(self, line: Line) -> bytes:
        if not line.strip():
            return b""
        try:
            reply = self.answered(self._read(line))
        except RequestRefused as error:
            return refusal_line(error, line)
        return _encode(reply) + b"\n"

    def _read(self, line: Line) -> Request:
        if len(line) > self._lines.limit:
            raise too_long(self._lines.limit)
        return request_of(line)


def request_of(line: Line) -> Request:
    """Read a line of a client.

    Raises:
        RequestRefused: It is no request.
    """
    if is_deeper(line, MAX_DEPTH):
        raise RequestRefused(f"a request that is nested more than {MAX_DEPTH} deep")
    try:
        return _decode_request(line)
    except (ValueError, RecursionError) as error:
        raise RequestRefused(f"this is no request: {error}") from error


def refusal_line(error: RequestRefused, line: Line) -> bytes:
    """Write the answer to a line that is no request, or not one that is answered."""
    return _encode(refusal(error, _id_of(line))) + b"\n"


def wrong_token() -> RequestRefused:
    """Make the error for a request without a good token."""
    return RequestRefused("the token is wrong or was not given")


def too_long(limit: int) -> RequestRefused:
    """Make the error for a request of more bytes than a limit."""
    return RequestRefused(
        f"a request of more than {limit:,} bytes; "
        "keep what is so large in a file, and its path in the Context"
    )


def serve(request: Request, context: Askable) -> Reply:
    """Do what is asked.

    Args:
        request: What is asked.
        context: Of whom.

    Returns:
        The reply; whatever the Context or somebody it tells raises is one too.
    """
    try:
        work = _work(request)
        value = work(context, request)
    except Exception as error:  # noqa: BLE001  # nothing that a client asks ends its server
        return refusal(error, request.id)
    if value is _NOTHING:
        return Reply(ok=True, value=None, missing=True, id=request.id)
    return Reply(ok=True, value=value, id=request.id)


def request_line(request: Request) -> bytes:
    """Write a request as a line.

    Raises:
        UnicodeEncodeError: Its path or `who` has lone surrogates.
    """
    return _encode(request) + b"\n"


def reply_of(line: Line) -> Reply:
    """Read a line of a server.

    Raises:
        ValueError: It is no reply.
    """
    return _decode_reply(line)


_Work: TypeAlias = Callable[[Askable, Request], Any]

_NOTHING: Final = object()
_encode: Final = msgspec.json.Encoder().encode
_decode_request: Final = msgspec.json.Decoder(Request).decode
_decode_reply: Final = msgspec.json.Decoder(Reply).decode

# A path of another type goes to the Context all the same: it says what is wrong with it.
_WITHOUT_PATH: Final[dict[str, _Work]] = {
    "full": lambda context, _: context.to_dict(),
    "keys": lambda context, _: context.keys(),
    "missed": lambda context, _: context.missed,
    "snapshot": lambda context, _: context.snapshot(),
    "restore": lambda context, ask: context.restore(_value(ask), ask.who),
}
_WITH_PATH: Final[dict[str, _Work]] = {
    "get": lambda context, ask: context.get(cast("str", ask.path), _NOTHING),
    "item": lambda context, ask: context[cast("str", ask.path)],
    "contains": lambda context, ask: ask.path in context,
    "set": lambda context, ask: context.set(cast("str", ask.path), _value(ask), ask.who),
    "append": lambda context, ask: context.append(cast("str", ask.path), _value(ask), ask.who),
    "increment": lambda context, ask: context.increment(
        cast("str", ask.path), 1 if ask.value is UNSET else ask.value, ask.who
    ),
    "delete": lambda context, ask: context.delete(cast("str", ask.path), ask.who),
    "pop": lambda context, ask: context.pop(cast("str", ask.path), ask.index, ask.who),
    "history": lambda context, ask: context.get_history(cast("str", ask.path)),
    "last_modified": lambda context, ask: context.last_modified(cast("str", ask.path)),
}
OPERATIONS: Final = (*_WITHOUT_PATH, *_WITH_PATH)


def _work(request: Request) -> _Work:
    work = _WITH_PATH.get(request.op)
    if work is not None:
        if request.path is UNSET:
            raise RequestRefused(f"{request.op} needs a path")
        return work
    work = _WITHOUT_PATH.get(request.op)
    if work is None:
        raise RequestRefused(f"unknown op {request.op!r}{nearest(request.op, OPERATIONS)}")
    return work


def _value(request: Request) -> Any:
    if request.value is UNSET:
        raise RequestRefused(f"{request.op} needs a value")
    return request.value


def refusal(error: Exception, number: int) -> Reply:
    """Make the reply to a request that cannot be done, in the words of what was raised."""
    if isinstance(error, OrchestratorError):
        kind, told = error.slug, str(error)
    else:
        kind, told = OrchestratorError.slug, f"{type(error).__name__}: {error}"
    told = told.encode(errors="backslashreplace").decode()
    return Reply(ok=False, error=told, kind=kind, id=number)


def _id_of(line: Line) -> int:
    """Find the id of what is no request, so that its client can tell what was refused."""
    found = re.match(rb'\s*\{\s*"id"\s*:\s*([0-9]{1,18})\b', line[:64])
    return int(found[1]) if found else 0


def is_equal(one: str, other: str) -> bool:
    """Compare secrets in a time that tells nothing of them."""
    from hmac import compare_digest

    return compare_digest(one.encode(), other.encode())


_NEITHER: Final = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS: Final = bytes.maketrans(b"[]{}", b"\2\0\2\0")


def is_deeper(line: Line, limit: int) -> bool:
    """Tell whether a line is nested more than some levels deep.

    Brackets within text do not count: escapes are taken away, and then text as a whole.
    """
    if len(line) <= limit or line.count(b"[") + line.count(b"{") <= limit:
        return False
    bare = line.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NEITHER)
    brackets = re.sub(rb'"[^"]*"?', b"", bare)
    steps = brackets.translate(_STEPS)
    return max(accumulate(steps, lambda depth, step: depth + step - 1, initial=0)) > limit
