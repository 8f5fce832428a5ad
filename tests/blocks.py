"""Report blocks for tests, completed from the fields that a test is about."""

from collections.abc import Mapping
from typing import Any

from pytest_orchestrator.runs.block import Block, from_block

_TIME = "2026-11-25T10:00:00.000Z"
_FIGURES = {"seconds": 0.0, "source": {}}
_REQUIRED: dict[str, dict[str, Any]] = {
    "run": {"id": "20261125T101502Z-7f3a", "worker": "main"},
    "recipe": {"name": "x", "path": "recipes/x.yaml", "sha256": "0" * 64, "test_meta": {}},
    "step": {"node": "x", "index": 1, "type": "shell", "line": 1, "needs": [], "tags": []},
    "context": {"writes": []},
    "time": {"start": _TIME, "stop": _TIME, "seconds": 0.0, "waited_seconds": 0.0},
    "resources": _FIGURES,
    "process": {"argv": ["x"], "cwd": ".", "stdout_bytes": 0, "stderr_bytes": 0},
}
_REQUIRED["step"] |= {"name": "x", "state": "passed"}
_OPTIONAL = ("time", "resources", "process")
_LISTED: dict[str, dict[str, Any]] = {
    "attempts": {"attempt": 1, "kind": "exit_code", "reason": "", "start": _TIME, "seconds": 0.0},
    "criteria": {"line": 1, "wanted": None, "held": True},
    "measurements": {"line": 1, "verdict": "pass"},
    "artifacts": {"type": ""},
}
_LISTED["attempts"] |= {"resources": _FIGURES}
_WRITE = {"ts": _TIME, "who": "x", "op": "set", "old": None, "new": None}


def whole(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return a block in which all required fields are set."""
    done = {"schema_version": "1.0", "criteria": [], **block}
    for name, required in _REQUIRED.items():
        if name in block or name not in _OPTIONAL:
            done[name] = required | done.get(name, {})
    for name, each in _LISTED.items():
        if name in done:
            done[name] = [each | one for one in done[name]]
    done["context"] = {"writes": [_WRITE | one for one in done["context"]["writes"]]}
    return done


def parsed(block: Mapping[str, Any]) -> Block:
    """Return a completed block as the reports get it."""
    made = from_block(whole(block))
    assert made is not None, block
    return made
