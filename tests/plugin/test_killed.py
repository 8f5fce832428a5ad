"""A session that is killed at any moment; `scripts/soak` does it some hundred times."""

from pathlib import Path

from benchmarks import kills


def test_a_killed_session_has_kept_every_acknowledged_write(tmp_path: Path) -> None:
    assert kills.rounds(3, tmp_path) == []
