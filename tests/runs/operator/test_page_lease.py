"""The lease of the operator page: renewed, expired, removed, or not to be trusted."""

import time
from pathlib import Path

import pytest

from pytest_orchestrator.runs.operator import page_lease


def test_a_page_is_connected_until_some_seconds_after_the_last_renewal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [page_lease.has_page(tmp_path)]
    page_lease.renew(tmp_path)
    seen.append(page_lease.has_page(tmp_path))
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + page_lease.SECONDS + 1)
    seen.append(page_lease.has_page(tmp_path))
    assert seen == [False, True, False]
    assert page_lease.SECONDS < page_lease.seconds_since_page(tmp_path) < page_lease.GRACE


@pytest.mark.parametrize("text", ["", "soon", "1e18", "nan", "1" * 100])
def test_a_lease_of_another_machine_or_start_does_not_count(text: str, tmp_path: Path) -> None:
    (tmp_path / page_lease.FILE).write_text(text)
    assert not page_lease.has_page(tmp_path)


def test_a_page_that_was_opened_before_the_first_run_is_connected(tmp_path: Path) -> None:
    page_lease.renew(tmp_path / ".orchestrator" / "runs")
    assert page_lease.has_page(tmp_path / ".orchestrator" / "runs")


def test_a_folder_that_cannot_be_written_has_no_lease(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    page_lease.renew(tmp_path / "file" / "runs")
    assert not page_lease.has_page(tmp_path / "file" / "runs")
