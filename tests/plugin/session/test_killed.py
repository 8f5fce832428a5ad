"""A session that is killed at any moment; `scripts/soak` does it some hundred times."""

from pathlib import Path

from benchmarks import kills, resumes


def test_a_killed_session_has_kept_every_acknowledged_write(tmp_path: Path) -> None:
    assert kills.rounds(3, tmp_path) == []


def test_whoever_goes_on_from_killed_sessions_ends_where_one_would(tmp_path: Path) -> None:
    assert resumes.rounds(1, tmp_path) == []
