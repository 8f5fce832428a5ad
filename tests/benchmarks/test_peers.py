"""Comparison with other tools: same number of steps, and figures by slopes."""

from __future__ import annotations

from benchmarks.measure import Cost
from benchmarks.peers import peers, table


def test_each_tool_has_as_many_steps_as_it_is_asked_for() -> None:
    for tool in peers(port=1):
        texts = tool.files("f", 12).values()

        assert any("s00012" in text or "seq 12" in text for text in texts), tool.name
        assert not any("s00013" in text for text in texts), tool.name


def test_a_step_costs_the_slope_and_a_start_the_session_of_few_steps() -> None:
    few, many = Cost(0.5, 0.6, 40e6), Cost(1.5, 2.6, 41e6)

    (row,) = table({"bash loop": [[few, many], [few, many]]}, (2, 102)).rows

    assert row == ("bash loop", 0.5, 0.6, 10.0, 20.0, 40.0, 10.0)
