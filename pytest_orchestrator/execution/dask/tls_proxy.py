"""TLS proxy: forwards connections between a plain and an encrypted side.

On the machine of the session it accepts encrypted connections of workers. On the machine of a
worker it accepts plain connections of steps, which come from the loopback only.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Final, Self

_BUFFER_SIZE: Final = 1 << 16
_CONNECT_SECONDS: Final = 10.0
"""Seconds within which the outgoing connection must be established."""
_CLOSE_SECONDS: Final = 2.0
"""Seconds for sending the last bytes of a connection."""
_CLOSE_TURNS: Final = 5
"""Turns of the event loop after which aborted connections are closed."""

Address = tuple[str, int]


class TlsProxy:
    """Proxy that listens at one address and forwards each connection to another address.

    Args:
        target: Host and port to which connections are forwarded.
        host: Host to listen at; the port is any free one.
        server_tls: TLS settings of incoming connections; None for plain ones.
        client_tls: TLS settings of outgoing connections; None for plain ones.

    Attributes:
        address: ``host:port`` at which the proxy listens; known after `start`.
        is_refused: True if the last outgoing connection was refused.
    """

    def __init__(
        self,
        target: Address,
        *,
        host: str = "127.0.0.1",
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address = ""
        self.is_refused = False
        self._target, self._host = target, host
        self._server_tls, self._client_tls = server_tls, client_tls
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="tls-proxy", daemon=True)

    def start(self) -> Self:
        """Start a thread that listens and forwards; return this proxy once it listens.

        Raises:
            OSError: The address cannot be used.
        """
        self._thread.start()
        self._listening.wait()
        if self._error is not None:
            raise self._error
        return self

    def close(self) -> None:
        """End all connections, and stop listening."""
        if self._loop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the event loop has just ended
                self._loop.call_soon_threadsafe(self._stop.set)
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
        server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._server_tls)
        host, port = server.sockets[0].getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._listening.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _ in range(_CLOSE_TURNS):
            await asyncio.sleep(0)

    def _accept(
        self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.create_task(self._forward(client_reader, client_writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(
        self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
    ) -> None:
        async with _closing(client_writer):
            host, port = self._target
            try:
                connecting = asyncio.open_connection(host, port, ssl=self._client_tls)
                server_reader, server_writer = await asyncio.wait_for(connecting, _CONNECT_SECONDS)
            except (OSError, TimeoutError) as error:
                self.is_refused = isinstance(error, ConnectionRefusedError)
                return
            self.is_refused = False
            async with _closing(server_writer):
                await _until_first(
                    _copy(client_reader, server_writer), _copy(server_reader, client_writer)
                )


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close a connection after a block; wait up to two seconds until its data is sent."""
    try:
        yield
    finally:
        writer.close()
        try:
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), _CLOSE_SECONDS)
        finally:  # also if the proxy is closed during the wait
            writer.transport.abort()


async def _until_first(*coroutines: Coroutine[None, None, None]) -> None:
    """Run all coroutines until one of them ends, and cancel the others."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_BUFFER_SIZE):
            target.write(data)
            await target.drain()
