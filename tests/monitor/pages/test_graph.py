"""Graph tab: the Cytoscape graph, and the picture of a recipe with too many steps."""

from typing import Any

from pytest_orchestrator.monitor.pages import graph

STEPS: list[dict[str, Any]] = [
    {"name": "flash", "state": "passed", "seconds": 1.5},
    {"name": "measure", "state": "running", "needs": ["flash"]},
    {"name": "note", "state": "waiting", "after": ["flash"]},
    {"name": "power_off", "state": "waiting", "final": True},
    {"name": "release", "state": "waiting", "final": True},
]


def test_graph_has_a_node_per_step_and_an_edge_per_dependency() -> None:
    drawn = graph.elements(STEPS, ["flash", "measure"], "note")
    nodes = {one["data"]["id"]: one["classes"].split() for one in drawn if "label" in one["data"]}
    edges = {
        (one["data"]["source"], one["data"]["target"]): one["classes"].split()
        for one in drawn
        if "source" in one["data"]
    }

    assert drawn[0]["data"]["label"] == "flash\n✔ passed · 1.50 s"
    assert nodes["flash"] == ["passed", "critical"]
    assert nodes["note"] == ["waiting", "picked"]
    assert nodes["power_off"] == ["waiting", "final"]
    assert edges == {
        ("flash", "measure"): ["critical"],
        ("flash", "note"): ["weak"],
        ("measure", "power_off"): ["weak"],
        ("note", "power_off"): ["weak"],
        ("power_off", "release"): ["weak"],
    }


def test_graph_with_too_many_steps_is_a_picture() -> None:
    many = [{"name": f"step_{number}"} for number in range(301)]

    shown = graph.graph(many, (), None, "graph").to_plotly_json()
    assert shown["props"]["children"].src.startswith("data:image/svg+xml;base64,")
    assert graph.graph(STEPS, (), None, "graph").to_plotly_json()["type"] == "Cytoscape"
