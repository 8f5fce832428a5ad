"""A graph as Cytoscape draws it, and as a picture where it cannot."""

from typing import Any

from pytest_orchestrator.monitor.pages import graph

STEPS: list[dict[str, Any]] = [
    {"name": "flash", "state": "passed", "seconds": 1.5},
    {"name": "measure", "state": "running", "needs": ["flash"]},
    {"name": "note", "state": "waiting", "after": ["flash"]},
    {"name": "power_off", "state": "waiting", "final": True},
    {"name": "release", "state": "waiting", "final": True},
]


def test_boxes_have_states_and_arrows_what_is_waited_for() -> None:
    found = graph.elements(STEPS, ["flash", "measure"], "note")
    boxes = {one["data"]["id"]: one["classes"].split() for one in found if "label" in one["data"]}
    arrows = {
        (one["data"]["source"], one["data"]["target"]): one["classes"].split()
        for one in found
        if "source" in one["data"]
    }

    assert found[0]["data"]["label"] == "flash\n✔ passed · 1.50 s"
    assert boxes["flash"] == ["passed", "critical"]
    assert boxes["note"] == ["waiting", "picked"]
    assert arrows == {
        ("flash", "measure"): ["critical"],
        ("flash", "note"): ["weak"],
        ("measure", "power_off"): ["weak"],
        ("note", "power_off"): ["weak"],
        ("power_off", "release"): ["weak"],
    }


def test_a_graph_that_is_too_large_for_a_browser_is_a_picture() -> None:
    many = [{"name": f"step_{number}"} for number in range(301)]

    shown = graph.graph(many, (), None, "graph").to_plotly_json()
    assert shown["props"]["children"].src.startswith("data:image/svg+xml;base64,")
    assert graph.graph(STEPS, (), None, "graph").to_plotly_json()["type"] == "Cytoscape"
