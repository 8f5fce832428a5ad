"""TLS proxy: carries connections between a plain and an encrypted side.

Beside the session it takes in encrypted what workers say; beside a worker it takes in plain what
steps say, who are no further than the loopback.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Final, Self

_PIECE: Final = 1 << 16
_PATIENCE: Final = 10.0
"""Seconds in which a connection must be there."""
_LAST: Final = 2.0
"""Seconds for the last bytes of a connection."""
_TURNS: Final = 5
"""Turns of a loop in which connections that were aborted are gone."""

To = tuple[str, int]


class TlsProxy:
    """Listens at one address, and carries each connection to another.

    Args:
        to: Host and port that connections are carried to.
        host: Where to listen, at any port that is free.
        listens: How those that come in are encrypted; None is not at all.
        connects: How those that go on are.

    Attributes:
        address: ``host:port`` where it listens, once it was started.
        is_refused: Nobody listens where the last connection was to go.
    """

    def __init__(
        self,
        to: To,
        *,
        host: str = "127.0.0.1",
        listens: ssl.SSLContext | None = None,
        connects: ssl.SSLContext | None = None,
    ) -> None:
        self.address = ""
        self.is_refused = False
        self._to, self._host = to, host
        self._listens, self._connects = listens, connects
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._carrying: set[asyncio.Task[None]] = set()
        self._listening = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def start(self) -> Self:
        """Listen from now on.

        Raises:
            OSError: The address cannot be had.
        """
        self._thread.start()
        self._listening.wait()
        if self._error is not None:
            raise self._error
        return self

    def close(self) -> None:
        """End all connections."""
        if self._loop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # its loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._error = error
        finally:
            self._listening.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._listens)
        host, port = server.sockets[0].getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._listening.set()
        await self._over.wait()
        server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _accept(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(near, back))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        async with _ended(back):
            host, port = self._to
            try:
                connecting = asyncio.open_connection(host, port, ssl=self._connects)
                far, on = await asyncio.wait_for(connecting, _PATIENCE)
            except (OSError, TimeoutError) as error:
                self.is_refused = isinstance(error, ConnectionRefusedError)
                return
            self.is_refused = False
            async with _ended(on):
                await _either(_copied(near, on), _copied(far, back))


@contextlib.asynccontextmanager
async def _ended(one: asyncio.StreamWriter) -> AsyncIterator[None]:
    """End a connection after a block; what was written to it is sent, as far as it is taken."""
    try:
        yield
    finally:
        one.close()
        try:
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(one.wait_closed(), _LAST)
        finally:  # also where the relay is closed meanwhile
            one.transport.abort()


async def _either(*ways: Coroutine[None, None, None]) -> None:
    """Do both until one of them ends."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copied(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_PIECE):
            to.write(data)
            await to.drain()
