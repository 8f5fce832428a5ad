"""Pictures of trends."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from pytest_orchestrator.reports.pictures.trend import svg
from pytest_orchestrator.runs.compare.drift import BaselineRange
from pytest_orchestrator.runs.compare.trends import Point, Trend

SVG = "{http://www.w3.org/2000/svg}"


def trend(*values: float, failed: int = -1, unit: str = "mV", figure: str = "ripple") -> Trend:
    """Return a trend over runs, of which one may have failed."""
    points = tuple(
        Point(f"run-{index}", f"2026-11-2{index}T10:00:00Z", value, index != failed)
        for index, value in enumerate(values)
    )
    return Trend("r.yaml", "measure <&", figure, unit, points, BaselineRange(41.0, 1.0, 2), None)


def test_a_picture_has_a_dot_for_each_run_and_a_red_one_where_the_recipe_failed() -> None:
    root = ET.fromstring(svg([trend(40, 41, 60.5, failed=2)]))
    dots = root.findall(f"{SVG}circle")

    assert [dot.get("class") for dot in dots] == [None, None, "bad"]
    heights = [float(dot.get("cy", "")) for dot in dots]
    assert heights[0] > heights[1] > heights[2]
    title = dots[2].findtext(f"{SVG}title") or ""
    assert title.startswith("run-2, 2026-11-22 ")
    assert title.endswith(": 60.5 mV, recipe failed")
    texts = [each.text for each in root.findall(f"{SVG}text")]
    assert texts[:2] == ["r.yaml · measure <& · ripple", "3 runs · last 60.5 mV · median 41.0 mV"]
    assert {"40.0 mV", "60.5 mV"} <= {*texts}


def test_equal_values_and_a_single_run_are_drawn_within_the_panel() -> None:
    for one in (trend(41.0), trend(41.0, 41.0), trend(5e7, unit="bytes", figure="max_rss")):
        root = ET.fromstring(svg([one, one]))
        height = float(root.get("height", ""))
        heights = [float(dot.get("cy", "")) for dot in root.iter(f"{SVG}circle")]
        assert len(heights) == 2 * len(one.points)
        assert all(0 < each < height for each in heights)
        assert heights[-1] > height / 2
