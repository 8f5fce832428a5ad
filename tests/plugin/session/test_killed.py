"""Sessions that are killed at random moments; `scripts/soak` does it some hundred times."""

from pathlib import Path

import pytest

from benchmarks import kills, resumes

pytestmark = pytest.mark.nightly


def test_a_killed_session_loses_no_acknowledged_write(tmp_path: Path) -> None:
    assert kills.rounds(3, tmp_path) == []


def test_resuming_killed_sessions_ends_as_one_uninterrupted_session(tmp_path: Path) -> None:
    assert resumes.rounds(1, tmp_path) == []
