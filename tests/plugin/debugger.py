"""What an editor says to debugpy: the Debug Adapter Protocol, as far as a breakpoint needs it.

debugpy calls the editor, as it does where VS Code starts it, and speaks JSON below a header that
has its length.
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

_PATIENCE = 60.0
"""Seconds for each answer; on a machine that has little else to do it takes milliseconds."""


class Editor:
    """The editor's end of a connection that debugpy has made."""

    def __init__(self, link: socket.socket) -> None:
        self._link, self._said = link, link.makefile("rb")
        self._count = 0
        self._events: list[dict[str, Any]] = []

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request; return the body of the answer."""
        self._count += 1
        request = {"seq": self._count, "type": "request", "command": command}
        body = json.dumps(request | {"arguments": arguments}).encode()
        self._link.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        while (told := self._next())["type"] != "response" or told["request_seq"] != self._count:
            self._events.append(told)
        assert told["success"], told
        found: dict[str, Any] = told.get("body", {})
        return found

    def wait(self, event: str) -> dict[str, Any]:
        """Return the body of the next event of a name."""
        while not any(told.get("event") == event for told in self._events):
            self._events.append(self._next())
        at = next(at for at, told in enumerate(self._events) if told.get("event") == event)
        found: dict[str, Any] = self._events.pop(at)["body"]
        return found

    def _next(self) -> dict[str, Any]:
        size = 0
        while (line := self._said.readline()) != b"\r\n":
            assert line, "debugpy has ended"
            name, _, value = line.partition(b":")
            size = int(value) if name == b"Content-Length" else size
        told: dict[str, Any] = json.loads(self._said.read(size))
        return told


@contextmanager
def debugged(folder: Path, *words: str) -> Iterator[tuple[Editor, "subprocess.Popen[str]"]]:
    """Start a module of Python in a folder, with debugpy, which waits for its editor."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(_PATIENCE)
        call = ["-m", "debugpy", "--connect", f"127.0.0.1:{door.getsockname()[1]}"]
        program = subprocess.Popen(
            [sys.executable, "-X", "frozen_modules=off", *call, "--wait-for-client", "-m", *words],
            cwd=folder,
            # Coverage traces, too: what two tracers of one process do is not asked here.
            env={name: text for name, text in os.environ.items() if "COVERAGE" not in name},
            stdout=subprocess.PIPE,
            text=True,
        )
        with program:
            try:
                link, _ = door.accept()
                with link:
                    link.settimeout(_PATIENCE)
                    yield Editor(link), program
            finally:
                program.kill()
