"""A reserved port is available for the server that it is reserved for."""

import errno
import socket

import pytest

from benchmarks import ports


def test_reserved_port_is_not_assigned_to_other_processes() -> None:
    with ports.kept() as port:
        with socket.socket() as other, socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
            with pytest.raises(OSError, match="Address already in use"):
                other.bind(("127.0.0.1", port))
        with (
            socket.create_server(("127.0.0.1", port)) as server,
            socket.create_connection(("127.0.0.1", port)),
        ):
            server.accept()[0].close()
