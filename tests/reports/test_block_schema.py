"""JSON Schema of report blocks, as shipped."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from pytest_orchestrator.reports import block_schema

BLOCK: dict[str, Any] = {
    "schema_version": "1.0",
    "run": {"id": "20261125T101502Z-7f3a", "worker": "main"},
    "recipe": {"name": "psu", "path": "recipes/psu.yaml", "sha256": "0" * 64, "test_meta": {}},
    "step": {
        "name": "measure",
        "node": "recipes/psu.yaml::measure",
        "index": 2,
        "type": "shell",
        "line": 17,
        "needs": ["flash"],
        "tags": [],
        "state": "failed",
        "kind": "criterion",
        "reason": "ripple = 61.4 mV, max 50 mV",
        "attempt": 1,
    },
    "criteria": [{"name": "ctx_has_keys", "line": 21, "held": True, "wanted": ["a.b"]}],
    "measurements": [
        {"name": "ripple", "line": 23, "value": 61.4, "high": 50, "verdict": "fail", "unit": "mV"}
    ],
    "context": {"writes": []},
}


def errors(block: dict[str, Any], *, strict: bool = False) -> list[str]:
    schema = block_schema.block_schema(strict=strict)
    checker = jsonschema.Draft202012Validator(schema)
    return [error.message for error in checker.iter_errors(block)]


def changed(**parts: Any) -> dict[str, Any]:
    block = copy.deepcopy(BLOCK)
    for name, value in parts.items():
        block[name] = {**block[name], **value} if isinstance(value, dict) else value
    return block


def test_the_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(block_schema.block_schema())


def test_a_block_is_valid() -> None:
    assert errors(BLOCK, strict=True) == []


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"step": {"state": "broken"}}, "'broken' is not one of"),
        ({"step": {"kind": "bad luck"}}, "'bad luck' is not one of"),
        ({"recipe": {"sha256": "abc"}}, "'abc' does not match"),
        ({"schema_version": "2.0"}, "'2.0' does not match"),
        ({"criteria": [{"name": "x"}]}, "'line' is a required property"),
    ],
)
def test_an_invalid_block_is_refused(parts: dict[str, Any], message: str) -> None:
    assert any(message in error for error in errors(changed(**parts)))


def test_keys_of_later_versions_are_accepted() -> None:
    later = changed(step={"mood": "good"})

    assert errors(later) == []
    assert len(errors(later, strict=True)) == 1
