"""Captured output of a step, read from memory or from its log."""

from pytest_orchestrator.core.mask_stream import unmask
from pytest_orchestrator.core.result import Stream
from pytest_orchestrator.execution.text_search import Searched, bytes_of, file_of, opened
from pytest_orchestrator.recipe.expressions.expression import ExpressionError

_MAX_UNMASKED = 16 << 20


def searched(stream: Stream, name: str) -> Searched:
    """Return a `Searched` over the stored bytes of a stream, in which secrets may be masked.

    Args:
        stream: The stream.
        name: Its name in messages.
    """
    head, tail = stream.edges
    if stream.log is not None and stream.kept == stream.size:
        return file_of(stream.log, name)
    if stream.size == len(head) + len(tail):
        return bytes_of(head + tail, name=name)
    lost = stream.size - len(tail) - max(stream.kept, len(head))
    rest = bytes_of(head, tail, name=name, lost=max(0, lost))
    if stream.log is None or stream.kept <= len(head):
        return rest
    log = file_of(stream.log, name).pieces[0]
    return rest._replace(pieces=((log[0], stream.kept), rest.pieces[1]))


def unmasked(stream: Stream, name: str, limit: int) -> Searched:
    """Return a `Searched` over a stream with its secrets restored, or masked if that is impossible.

    Args:
        stream: The stream.
        name: Its name in messages.
        limit: The largest size in bytes at which secrets are restored; larger streams stay masked.
    """
    raw = _whole(stream, limit) if stream.replaced else None
    return searched(stream, name) if raw is None else bytes_of(raw, name=name)


def text(stream: Stream, name: str, limit: int) -> str:
    """Return a whole stream as text with its secrets restored; replace bytes that are not UTF-8.

    Raises:
        ExpressionError: The stream is larger than the limit, was not stored whole, or was masked
            partly in memory and partly in its log.
    """
    raw = _whole(stream, limit)
    if raw is None:
        why = f"above {limit >> 20} MiB" if stream.size > limit else "not all in its log"
        cure = f"{name}_contains and {name}_matches see all that was kept"
        raise ExpressionError(f"{name} is {why}, so no expression can read it; {cure}")
    return raw.decode("utf-8", "replace")


def tail(stream: Stream, limit: int) -> str:
    """Return the last part of what was kept of a stream as text; replace bytes that are not UTF-8.

    Secrets are restored in streams of up to 16 MiB.

    Args:
        stream: The stream.
        limit: The largest size of the part in bytes.

    Raises:
        OSError: The log of the stream cannot be read.
    """
    whole = _whole(stream, _MAX_UNMASKED) if stream.replaced else None
    if whole is not None:
        return _end_of(whole, limit)
    source, kept = searched(stream, ""), b""
    for piece, size in reversed(source.pieces):
        with opened(piece) as file:
            file.seek(max(0, size - limit))
            kept = file.read(min(size, limit)) + kept
        if source.lost or len(kept) >= limit:
            break
    return _end_of(kept, limit)


def _end_of(raw: bytes, limit: int) -> str:
    """Decode the last bytes of an output, from the first whole character on."""
    end = raw[-limit:]
    if len(end) == limit:
        start = next((at for at, byte in enumerate(end[:4]) if byte & 0xC0 != 0x80), 0)
        end = end[start:]
    return end.decode("utf-8", "replace")


def _whole(stream: Stream, limit: int) -> bytes | None:
    source = searched(stream, "")
    if stream.size > limit or source.lost:
        return None
    pieces = []
    for piece, size in source.pieces:
        with opened(piece) as file:
            pieces.append(file.read(size))
    if stream.edges == (b"", b""):
        return unmask(b"".join(pieces), stream.replaced)
    is_in_log = len(pieces) > 1 and stream.kept > len(stream.edges[0])
    return None if is_in_log and stream.replaced else b"".join(pieces)
