"""TLS proxy: forwards connections between a plain and an encrypted side.

On the machine of the session it accepts encrypted connections of workers. On the machine of a
worker it accepts plain connections of steps, which come from the loopback only. It runs in the
event loop that Dask has in each of these processes.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Coroutine
from typing import Final, NamedTuple, Self

_BUFFER_SIZE: Final = 1 << 16
_CONNECT_SECONDS: Final = 10.0
"""Seconds within which the outgoing connection must be established."""
_CLOSE_SECONDS: Final = 2.0
"""Seconds for sending the last bytes of a connection."""

Address = tuple[str, int]


class Encryption(NamedTuple):
    """TLS settings of a process in a cluster, and the event loop of Dask in it."""

    tls: ssl.SSLContext
    loop: asyncio.AbstractEventLoop


class TlsProxy:
    """Proxy that listens at one address and forwards each connection to another address.

    Args:
        target: Host and port to which connections are forwarded.
        loop: The event loop, which runs in another thread.
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
        loop: asyncio.AbstractEventLoop,
        *,
        host: str = "127.0.0.1",
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address = ""
        self.is_refused = False
        self._target, self._loop, self._host = target, loop, host
        self._server_tls, self._client_tls = server_tls, client_tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> Self:
        """Start to listen and forward; return this proxy once it listens.

        Raises:
            OSError: The address cannot be used.
        """
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def close(self) -> None:
        """End all connections, and stop listening."""
        if self._loop.is_running():  # otherwise Dask has ended in this process
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(_CLOSE_SECONDS)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._server_tls)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
    """Close a connection after a ``with`` block; wait up to two seconds until its data is sent."""
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
