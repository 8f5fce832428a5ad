"""JUnit properties of a step: the scalars of its block."""

import json
from typing import Any

from pytest_orchestrator.reports.junit import properties
from tests.blocks import whole


def block(**more: Any) -> dict[str, Any]:
    recipe = {"path": "recipes/psu.yaml", "test_meta": {}}
    return whole({"recipe": recipe, "step": {"name": "ripple", "needs": ["flash"]}, **more})


def test_a_passed_step_has_its_names_and_figures() -> None:
    resources = {"seconds": 4.0, "max_rss": 43306188, "source": {"cpu": "wait4"}}
    found = [
        ("recipe", "recipes/psu.yaml"),
        ("step", "ripple"),
        ("type", "shell"),
        ("outcome", "passed"),
        ("seconds", 4.0),
        ("max_rss_bytes", 43306188),
    ]
    assert properties(block(resources=resources)) == found
    away = properties(block(resources=resources, where={"worker": "bench-3", "host": "lab-a"}))
    assert [one for one in away if one not in found] == [("worker", "bench-3"), ("host", "lab-a")]


def test_a_memory_peak_that_is_an_upper_bound_is_named_so() -> None:
    source = {"cpu": "wait4", "memory": "wait4, an upper bound"}
    resources = {"max_rss": 9, "largest_rss": 8, "rss_delta": 7, "source": source}
    assert properties(block(resources=resources))[5:] == [
        ("rss_delta_bytes", 7),
        ("max_rss_at_most_bytes", 9),
        ("largest_rss_at_most_bytes", 8),
    ]


def test_failed_and_blocked_steps_have_different_properties() -> None:
    failed = {"name": "a", "type": "shell", "state": "failed", "kind": "timeout", "reason": "late"}
    blocked = {"name": "b", "type": "shell", "state": "blocked", "blocked_by": "a"}
    assert properties(block(step=failed))[3:] == [
        ("outcome", "timeout"),
        ("kind", "timeout"),
        ("reason", "late"),
    ]
    assert properties(block(step=blocked))[3:] == [("outcome", "blocked"), ("blocked_by", "a")]


def test_known_fields_of_test_meta_are_properties() -> None:
    meta = {"test_id": "PSU-7", "batch": 12, "free": "text", "station": None}
    dut = {"dut": {"serial_number": "A17", "revision": 3, "ports": [1]}}
    recipe = {"path": "recipes/psu.yaml", "test_meta": meta | dut}
    assert properties(block(recipe=recipe))[4:] == [
        ("test_id", "PSU-7"),
        ("dut", "A17 3"),
        ("dut.serial_number", "A17"),
        ("dut.revision", 3),
        ("batch", 12),
    ]


def test_measurements_are_properties_with_their_name() -> None:
    ripple = {
        "name": "ripple",
        "value": 61.4,
        "unit": "mV",
        "high": 50,
        "margin": -11.4,
        "verdict": "fail",
        "line": 7,
    }
    ripple |= {"uncertainty": 0.5, "rule": "nonbinary", "decided": "conditional fail"}
    absent = {"name": "noise", "low": 0, "verdict": "unset", "line": 9}
    listed = {"name": "raw", "value": [1, 2], "verdict": "pass", "line": 10}
    text = {"name": "model", "value": "B", "equals": "A", "verdict": "fail", "line": 11}
    assert properties(block(measurements=[ripple, absent, listed, text]))[4:] == [
        ("measurement.ripple.value", 61.4),
        ("measurement.ripple.unit", "mV"),
        ("measurement.ripple.high", 50),
        ("measurement.ripple.margin", -11.4),
        ("measurement.ripple.verdict", "fail"),
        ("measurement.ripple.uncertainty", 0.5),
        ("measurement.ripple.rule", "nonbinary"),
        ("measurement.ripple.decided", "conditional fail"),
        ("measurement.noise.low", 0),
        ("measurement.noise.verdict", "unset"),
        ("measurement.raw.verdict", "pass"),
        ("measurement.model.value", "B"),
        ("measurement.model.equals", "A"),
        ("measurement.model.verdict", "fail"),
    ]


def test_the_elements_of_a_loop_are_one_nested_record() -> None:
    measured = {"name": "volts", "value": 12, "unit": "V", "high": 5, "verdict": "fail", "line": 3}
    elements = [
        {"index": 0, "item": 1, "state": "passed"},
        {
            "index": 1,
            "item": {"a": 2},
            "state": "failed",
            "kind": "criterion",
            "reason": "too much",
            "measurements": [measured],
        },
    ]
    found = dict(properties(block(elements=elements)))
    assert json.loads(str(found["elements"])) == [
        {"index": 0, "item": 1, "state": "passed"},
        {
            "index": 1,
            "item": {"a": 2},
            "state": "failed",
            "kind": "criterion",
            "reason": "too much",
            "measurements": {"volts": {"value": 12, "unit": "V", "high": 5, "verdict": "fail"}},
        },
    ]
    assert not [name for name in found if name.startswith("measurement.")]
