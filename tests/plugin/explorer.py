"""Stand-in for the pytest plugin of VS Code's Test Explorer, which sends tests by JSON-RPC.

It sends the same messages as the adapter in VS Code's Python extension: a tree of nodes after the
collection, and the first outcome of each test of a run.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

_SEEN: set[str] = set()


def _absolute(node_id: str, path: Path) -> str:
    return "::".join([str(path), *node_id.split("::")[1:]])


def _send(**params: Any) -> None:
    data = json.dumps({"jsonrpc": "2.0", "params": params})
    head = f"content-length: {len(data)}\r\ncontent-type: application/json\r\n\r\n"
    with Path(os.environ["TEST_RUN_PIPE"]).open("a", newline="") as pipe:
        pipe.write(head + data)


def _leaf(item: pytest.Item) -> dict[str, Any]:
    name, line = item.name, item.location[1]
    if hasattr(item, "callspec"):  # parametrized: the brackets must be separable from the name
        name = "[" + name.split("[", 1)[1]
        assert item.nodeid.rsplit("::", 1)[0].rsplit(".py", 1)[1] is not None
    run_id = _absolute(item.nodeid, item.path)
    leaf = {"name": name, "path": str(item.path), "type_": "test", "id_": run_id, "runID": run_id}
    return leaf | {"lineno": "" if line is None else str(line + 1)}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the tree of collected tests."""
    if not session.config.getoption("collectonly"):
        return
    files: dict[str, Any] = {}
    for item in session.items:
        parent = item.parent
        assert isinstance(parent, pytest.File)
        path = str(parent.path)
        empty: dict[str, Any] = {"name": parent.path.name, "type_": "file", "children": []}
        files.setdefault(path, empty | {"id_": path, "path": path})["children"].append(_leaf(item))
    _send(status="success", tests=list(files.values()), cwd=str(Path.cwd()))


def _outcome(node_id: str, outcome: str, message: str | None) -> None:
    if node_id not in _SEEN:
        _SEEN.add(node_id)
        result = {node_id: {"test": node_id, "outcome": outcome, "message": message}}
        _send(status="success", result=result, cwd=str(Path.cwd()))


def pytest_exception_interact(node: pytest.Item, call: Any, report: pytest.TestReport) -> None:
    """Send a failed assertion as a failure, and any other exception as an error."""
    if not node.config.getoption("collectonly"):
        kind = "failure" if call.excinfo.typename == "AssertionError" else "error"
        _outcome(_absolute(node.nodeid, node.path), kind, report.longreprtext)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_report_teststatus(report: pytest.TestReport) -> Any:
    """Send the outcome of a test, unless one was sent before."""
    if report.when == "call" or (report.when == "setup" and report.skipped):
        kind = {"passed": "success", "failed": "failure"}.get(report.outcome, "skipped")
        path = Path.cwd() / report.nodeid.partition("::")[0]
        _outcome(_absolute(report.nodeid, path), kind, None)
    return (yield)
