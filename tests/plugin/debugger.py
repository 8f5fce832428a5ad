"""Client of debugpy: the part of the Debug Adapter Protocol that a breakpoint needs.

debugpy connects to the client, as it does to VS Code, and sends each message as JSON after a header
with the length of the JSON.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TIMEOUT = 60.0
"""Timeout in seconds for each reply; on an idle machine a reply takes milliseconds."""


class Editor:
    """Client side of a connection that debugpy opened."""

    def __init__(self, link: socket.socket) -> None:
        self._link, self._replies = link, link.makefile("rb")
        self._count = 0
        self._events: list[dict[str, Any]] = []

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request; return the body of the reply."""
        self._count += 1
        request = {"seq": self._count, "type": "request", "command": command}
        body = json.dumps(request | {"arguments": arguments}).encode()
        self._link.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        while True:
            message = self._next()
            if message["type"] == "response" and message["request_seq"] == self._count:
                break
            self._events.append(message)
        assert message["success"], message
        reply: dict[str, Any] = message.get("body", {})
        return reply

    def wait(self, event: str) -> dict[str, Any]:
        """Return the body of the next event with a name; wait for the event if none has arrived."""
        while not any(message.get("event") == event for message in self._events):
            self._events.append(self._next())
        index = next(at for at, message in enumerate(self._events) if message.get("event") == event)
        body: dict[str, Any] = self._events.pop(index)["body"]
        return body

    def _next(self) -> dict[str, Any]:
        size = 0
        while (line := self._replies.readline()) != b"\r\n":
            assert line, "debugpy has ended"
            name, _, value = line.partition(b":")
            size = int(value) if name == b"Content-Length" else size
        message: dict[str, Any] = json.loads(self._replies.read(size))
        return message


@contextmanager
def debugged(folder: Path, *words: str) -> Iterator[tuple[Editor, "subprocess.Popen[str]"]]:
    """Start a Python module under debugpy, which waits for the client; yield client and process."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(_TIMEOUT)
        call = ["-m", "debugpy", "--connect", f"127.0.0.1:{server.getsockname()[1]}"]
        program = subprocess.Popen(
            [sys.executable, "-X", "frozen_modules=off", *call, "--wait-for-client", "-m", *words],
            cwd=folder,
            # Without coverage, which traces too: this test does not cover two tracers at once.
            env={name: text for name, text in os.environ.items() if "COVERAGE" not in name},
            stdout=subprocess.PIPE,
            text=True,
        )
        with program:
            try:
                link, _ = server.accept()
                with link:
                    link.settimeout(_TIMEOUT)
                    yield Editor(link), program
            finally:
                program.kill()
