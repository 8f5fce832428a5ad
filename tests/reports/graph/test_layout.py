"""Layered layout of the graph of a recipe."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.reports.graph.layout import HEIGHT, WIDTH, layered_layout


def steps(**needs: str) -> list[dict[str, Any]]:
    return [{"name": name, "needs": each.split()} for name, each in needs.items()]


def graph_of(masks: list[int]) -> list[dict[str, Any]]:
    """Return steps: bit n of a mask makes a step need step n; the last may be in `finally`."""
    return [
        {
            "name": f"s{place}",
            "needs": [f"s{other}" for other in range(place) if mask >> other & 1],
            "final": bool(place and place == len(masks) - 1 and mask % 2),
        }
        for place, mask in enumerate(masks)
    ]


graphs = st.lists(st.integers(0, 2**14 - 1), min_size=1, max_size=14).map(graph_of)


@given(graphs)
def test_boxes_do_not_overlap_and_lie_inside_the_picture(graph: list[dict[str, Any]]) -> None:
    layout = layered_layout(graph)

    boxes = [*layout.boxes.values()]
    assert len(boxes) == len(graph)
    for place, (x, y) in enumerate(boxes):
        assert 0 <= x <= layout.width - WIDTH
        assert 0 <= y <= layout.height - HEIGHT
        for other_x, other_y in boxes[place + 1 :]:
            assert abs(x - other_x) >= WIDTH or abs(y - other_y) >= HEIGHT


@given(graphs)
def test_every_dependency_has_an_arrow(graph: list[dict[str, Any]]) -> None:
    arrows = {(arrow.start, arrow.stop) for arrow in layered_layout(graph).arrows}

    assert arrows == {(need, step["name"]) for step in graph for need in step["needs"]}


def test_short_recipe_is_drawn_to_the_right_and_long_one_downwards() -> None:
    short = layered_layout(steps(a="", b="a", c="b")).boxes
    long = layered_layout(
        [{"name": f"s{n}", "needs": [f"s{n - 1}"] * (n > 0)} for n in range(9)]
    ).boxes

    assert short["a"][0] < short["b"][0] < short["c"][0]
    assert len({y for _, y in short.values()}) == 1
    assert len({x for x, _ in long.values()}) == 1
    assert [y for _, y in long.values()] == sorted(y for _, y in long.values())


def test_avoidable_crossings_are_avoided() -> None:
    # `left` is listed before `right`, but the steps that need them in the other order.
    boxes = layered_layout(steps(left="", right="", of_right="right", of_left="left")).boxes

    assert boxes["left"][1] < boxes["right"][1]
    assert boxes["of_left"][1] < boxes["of_right"][1]


def test_finally_steps_follow_one_by_one_at_the_end() -> None:
    graph = [*steps(a="", b="a"), {"name": "off", "final": True}, {"name": "away", "final": True}]

    boxes = layered_layout(graph).boxes

    assert sorted(boxes, key=lambda name: boxes[name][0]) == ["a", "b", "off", "away"]


def test_dependency_by_after_has_a_weak_arrow() -> None:
    (arrow,) = layered_layout([{"name": "a"}, {"name": "b", "needs": [], "after": ["a"]}]).arrows

    assert arrow.weak


def test_layout_without_steps_is_empty() -> None:
    assert layered_layout([]).boxes == {}
