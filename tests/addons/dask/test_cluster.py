"""Addresses of Dask schedulers, as users write them."""

from pathlib import Path

import pytest

from pytest_orchestrator.addons.dask.cluster import Scheduler, parsed

_SUCH = "write tcp://HOST:8786, the path of a scheduler file, or local:2"
_NONE = f"is no address of a scheduler; {_SUCH}"
_NUMBER = "is no number of workers; write local:2, at most local:1000"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://bench-1:8786", "tcp://bench-1:8786"),
        ("tls://10.0.0.1:1", "tls://10.0.0.1:1"),
        ("bench-1:8786", "tcp://bench-1:8786"),
        ("tcp://[::1]:65535", "tcp://[::1]:65535"),
    ],
)
def test_an_address_is_parsed(text: str, address: str, tmp_path: Path) -> None:
    found = parsed(text, tmp_path)

    assert found == Scheduler(address=address)
    assert str(found) == address


def test_local_names_a_number_of_workers(tmp_path: Path) -> None:
    assert parsed("local:2", tmp_path) == Scheduler(workers=2)
    assert str(parsed("local:1000", tmp_path)) == "local:1000"


def test_a_scheduler_file_is_checked_and_kept_as_a_path(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    file.write_text('{"type": "Scheduler", "address": "tcp://10.0.0.1:8786"}')

    assert parsed("scheduler.json", tmp_path) == Scheduler(file=file)
    assert str(parsed(str(file), Path("/"))) == str(file)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", f"'' {_NONE}"),
        ("http://bench-1:8786", f"'http://bench-1:8786' {_NONE}"),
        ("tcp://bench-1:0", f"'tcp://bench-1:0' {_NONE}"),
        ("tcp://bench-1:65536", f"'tcp://bench-1:65536' {_NONE}"),
        ("tcp://bench-1:8786/status", f"'tcp://bench-1:8786/status' {_NONE}"),
        (
            "tls://bench-1",
            "'tls://bench-1' is no address of a scheduler; write tls://bench-1:8786",
        ),
        ("local", f"'local' {_NUMBER}"),
        ("local:0", f"'local:0' {_NUMBER}"),
        ("local:1001", f"'local:1001' {_NUMBER}"),
        ("local:two", f"'local:two' {_NUMBER}"),
        (
            "lab/s.json",
            (
                f"'lab/s.json' is no address, and no such file exists; {_SUCH}. "
                "A file is written by: dask scheduler --scheduler-file lab/s.json"
            ),
        ),
        (
            "bad.json",
            (
                "'bad.json' is no scheduler file: it has no JSON with an address. "
                "One is written by: dask scheduler --scheduler-file bad.json"
            ),
        ),
        ("folder", "'folder' cannot be read: Is a directory"),
    ],
)
def test_a_text_without_a_scheduler_raises_an_error_with_a_hint(
    text: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.json").write_text('{"id": 1}')
    (tmp_path / "folder").mkdir()

    with pytest.raises(ValueError, match=r".") as caught:
        parsed(text, tmp_path)

    assert str(caught.value) == reason
