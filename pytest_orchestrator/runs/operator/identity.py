"""Unit under test that people name while a recipe runs: its keys in `test_meta`."""

from collections.abc import Mapping
from typing import Any

from pytest_orchestrator.core.questions import SERIAL


def identified(test_meta: dict[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return `test_meta` with keys of the unit under test that a person gave.

    Args:
        test_meta: The `test_meta` of a recipe. A ``dut`` that is no mapping is a serial number.
        values: The values by the key of ``dut``.
    """
    if not values:
        return test_meta
    return {**test_meta, "dut": {**_keys(test_meta), **values}}


def conflict(test_meta: Mapping[str, Any], key: str, value: str) -> str:
    """Return the value that a key of the unit under test has already; empty if they agree.

    Args:
        test_meta: The `test_meta` of a recipe.
        key: The key; all keys of a serial number mean the same.
        value: The value that a person gave.
    """
    known = _keys(test_meta)
    names = SERIAL if key in SERIAL else (key,)
    texts = [str(known[name]) for name in names if known.get(name) not in (None, "")]
    return next((text for text in texts if text != value), "")


def _keys(test_meta: Mapping[str, Any]) -> dict[str, Any]:
    dut = test_meta.get("dut")
    if isinstance(dut, Mapping):
        return {**dut}
    return {} if dut in (None, "") else {SERIAL[0]: dut}
