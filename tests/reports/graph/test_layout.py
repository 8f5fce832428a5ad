"""Layered layout of the graph of a recipe."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.reports.graph import layout as layouts
from pytest_orchestrator.reports.graph.layout import HEIGHT, WIDTH, Layout
from pytest_orchestrator.reports.graph.nodes import Steps
from pytest_orchestrator.reports.graph.nodes import graph as graph_from
from pytest_orchestrator.reports.graph.picture import svg
from tests.growth import TIMES, is_linear


def steps(**needs: str) -> list[dict[str, Any]]:
    return [{"name": name, "needs": each.split()} for name, each in needs.items()]


def layered_layout(steps: Steps, columns: int = layouts.COLUMNS) -> Layout:
    return layouts.layered_layout(graph_from(steps, fold=False), columns)


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
    arrows = {(start, stop) for start, stop, _ in layered_layout(graph).arrows}

    needed = {(need, step["name"]) for step in graph for need in step["needs"]}
    assert needed <= arrows
    ends = {name for step in graph if step["final"] for name in [step["name"]]}
    assert {stop for _, stop in arrows - needed} <= ends


def chain(count: int) -> list[dict[str, Any]]:
    return [{"name": f"s{n}", "needs": [f"s{n - 1}"] * (n > 0)} for n in range(count)]


def test_a_chain_turns_at_the_right_edge_of_a_page() -> None:
    layout = layered_layout(chain(12))

    corners = [layout.boxes[f"s{number}"] for number in range(12)]
    columns = sorted({x for x, _ in corners})
    rows = sorted({y for _, y in corners})
    places = [(columns.index(x), rows.index(y)) for x, y in corners]
    assert places[:5] == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]
    assert places[5:10] == [(4, 1), (3, 1), (2, 1), (1, 1), (0, 1)]
    assert places[10:] == [(0, 2), (1, 2)]
    assert layout.width <= 1120


def test_a_picture_for_a_narrow_screen_has_two_columns() -> None:
    layout = layered_layout(chain(12), 2)

    assert len({x for x, _ in layout.boxes.values()}) == 2
    assert layout.width * 0.76 < 345


def test_steps_without_needs_fill_the_page_and_are_no_tower() -> None:
    layout = layered_layout([{"name": f"s{number}"} for number in range(40)])

    assert len({x for x, _ in layout.boxes.values()}) == 5
    assert layout.height < 500


def test_arrows_to_many_steps_share_a_trunk() -> None:
    names = [f"s{number}" for number in range(500)]
    wide: list[dict[str, Any]] = [
        {"name": "on"},
        *({"name": name, "needs": ["on"]} for name in names),
    ]

    wide.append({"name": "off", "needs": names})
    layout = layered_layout(wide)

    assert len(layout.arrows) == 1000
    assert layout.lines.count("M") < 1200


@pytest.mark.parametrize(
    "needs",
    [
        pytest.param(lambda n: [n - 1], id="chain"),
        pytest.param(lambda n: [], id="no needs"),
        pytest.param(lambda n: [n - 1, 0], id="all of the first"),
        pytest.param(lambda n: [n - 1, n - 50], id="long arrows"),
    ],
)
def test_the_time_of_a_picture_grows_with_the_number_of_steps(
    needs: Callable[[int], list[int]],
) -> None:
    def draw(dots: str) -> None:
        svg([
            {"name": f"s{n}", "needs": [f"s{one}" for one in {*needs(n)} if 0 <= one < n]}
            for n in range(len(dots))
        ])  # fmt: skip

    assert is_linear(draw, "." * 125, "." * 125 * TIMES)


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
    layout = layered_layout([{"name": "a"}, {"name": "b", "needs": [], "after": ["a"]}])

    assert layout.arrows == [("a", "b", True)]
    assert (layout.lines, bool(layout.dashed)) == ("", True)


def test_layout_without_steps_is_empty() -> None:
    assert layered_layout([]).boxes == {}
