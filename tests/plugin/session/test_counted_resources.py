"""Steps that need counted resources, wherever they run; `scripts/soak --scopes` does 64 of them."""

from pathlib import Path

import pytest

from benchmarks import scopes


@pytest.mark.parametrize("way", scopes.WAYS)
def test_no_more_steps_have_a_resource_than_there_are(tmp_path: Path, way: str) -> None:
    assert scopes.wrong(way, tmp_path, steps=8, seconds=0.2) == []


def test_spans_of_time_that_touch_do_not_overlap() -> None:
    assert scopes.most_at_once([(0, 2), (1, 3), (2, 4), (3, 9)]) == 2
    assert scopes.most_at_once([(0, 3), (1, 3), (2, 4)]) == 3
