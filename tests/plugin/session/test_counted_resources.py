"""Counted resources on all runners; `scripts/soak --scopes` tests 64 steps."""

from pathlib import Path

import pytest

from benchmarks import scopes
from tests.tiers import kept_first


@pytest.mark.parametrize("way", kept_first(scopes.WAYS, "local"))
def test_steps_of_several_processes_never_exceed_a_counted_resource(
    tmp_path: Path, way: str
) -> None:
    assert scopes.wrong(way, tmp_path, steps=8, seconds=0.2) == []


def test_adjacent_time_spans_do_not_overlap() -> None:
    assert scopes.most_at_once([(0, 2), (1, 3), (2, 4), (3, 9)]) == 2
    assert scopes.most_at_once([(0, 3), (1, 3), (2, 4)]) == 3
