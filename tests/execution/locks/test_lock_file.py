"""Lock files are safe in a folder that all users may write to."""

import fcntl
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_orchestrator.core.errors import LockError
from pytest_orchestrator.execution.locks import lock_file
from pytest_orchestrator.execution.locks.lock_file import Owner


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for all users, moved below `tmp_path`."""
    monkeypatch.delenv("ORCHESTRATOR_LOCK_DIR", raising=False)
    monkeypatch.setattr(lock_file, "SHARED", str(tmp_path / "shared"))
    return tmp_path / "shared"


@pytest.fixture
def lock() -> Iterator[Callable[[Path], int | None]]:
    """Return a function that locks a file until the end of the test."""
    fds: list[int] = []

    def lock(path: Path) -> int | None:
        fd = lock_file.try_lock(str(path))
        fds.extend([] if fd is None else [fd])
        return fd

    yield lock
    for fd in fds:
        lock_file.close(fd)


def test_the_lock_folder_is_shared_or_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ORCHESTRATOR_LOCK_DIR", raising=False)
    assert lock_file.default_folder() == "/tmp/pytest-orchestrator-locks"
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", "/run/bench")
    assert lock_file.default_folder() == "/run/bench"


names = st.text(max_size=300)


@example("x" * 300, "x" * 299)
@given(names, names)
def test_every_name_has_a_safe_and_unique_file(one: str, other: str) -> None:
    path = lock_file.path_of("/locks", one)
    file = Path(path)

    assert str(file.parent) == "/locks"
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{1,90}", file.name)
    assert (path.lower() == lock_file.path_of("/locks", other).lower()) == (one == other)


def test_the_name_of_a_lock_file_is_readable() -> None:
    path = lock_file.path_of("/locks", "psu 1/scope: \N{OHM SIGN}")

    assert path.startswith("/locks/psu_1_scope-")


def test_the_umask_does_not_restrict_the_shared_folder_and_its_files(
    shared: Path, lock: Callable[[Path], int | None]
) -> None:
    before = os.umask(0o077)
    try:
        assert lock(shared / "psu")
    finally:
        os.umask(before)

    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    assert stat.S_IMODE((shared / "psu").stat().st_mode) == 0o666


def test_an_unfinished_folder_or_file_is_repaired(
    shared: Path, lock: Callable[[Path], int | None]
) -> None:
    shared.mkdir(mode=0o700)
    (shared / "psu").touch(mode=0o600)

    assert lock(shared / "psu")
    assert lock(shared / "scope")

    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    assert stat.S_IMODE((shared / "psu").stat().st_mode) == 0o666


def test_a_private_folder_keeps_its_mode(
    tmp_path: Path, lock: Callable[[Path], int | None]
) -> None:
    (tmp_path / "locks").mkdir(mode=0o700)

    assert lock(tmp_path / "locks" / "psu")
    assert lock(tmp_path / "more" / "locks" / "psu")

    assert stat.S_IMODE((tmp_path / "locks").stat().st_mode) == 0o700


def test_an_existing_file_is_opened_without_o_creat(
    tmp_path: Path, lock: Callable[[Path], int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a folder for all users Linux refuses O_CREAT for the file of another user.
    (tmp_path / "psu").touch()
    (tmp_path / "psu").chmod(0o666)
    flags: list[int] = []
    real = os.open

    def spy(path: str, how: int, *more: Any, **others: Any) -> int:
        flags.append(how)
        return real(path, how, *more, **others)

    monkeypatch.setattr(os, "open", spy)

    assert lock(tmp_path / "psu")
    assert [how & os.O_CREAT for how in flags] == [0]


def test_a_file_without_its_final_mode_is_opened_again(
    tmp_path: Path, lock: Callable[[Path], int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "psu").touch()
    real = os.open

    def refuse(path: str, how: int) -> int:
        monkeypatch.setattr(os, "open", real)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)

    assert lock(tmp_path / "psu")


@pytest.mark.parametrize(
    "trap",
    [
        lambda path, mine: path.symlink_to(mine),
        lambda path, mine: path.hardlink_to(mine),
        lambda path, mine: os.mkfifo(path),
        lambda path, mine: path.mkdir(),
        lambda path, mine: path.symlink_to(mine.with_name("nothing")),
    ],
    ids=["link", "name", "pipe", "folder", "link to nothing"],
)
def test_a_link_pipe_or_folder_is_refused(
    tmp_path: Path,
    lock: Callable[[Path], int | None],
    trap: Callable[[Path, Path], None],
) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    mine.chmod(0o600)
    trap(tmp_path / "psu", mine)

    with pytest.raises(LockError):
        lock(tmp_path / "psu")

    assert mine.read_text() == "precious"
    assert stat.S_IMODE(mine.stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "psu"}


@pytest.mark.parametrize("content", ["precious", '{"x": 1}', "\0" * 4097, "\0key"])
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666])
def test_a_file_with_other_content_is_refused_unchanged(
    tmp_path: Path, lock: Callable[[Path], int | None], content: str, mode: int
) -> None:
    # Another user may move such a file here from a folder that both users may write to.
    (tmp_path / "psu").write_text(content)
    (tmp_path / "psu").chmod(mode)

    with pytest.raises(LockError) as caught:
        lock(tmp_path / "psu")

    assert str(caught.value) == (
        f"a lock cannot be had by {tmp_path / 'psu'}: it has something else in it than the record "
        "of a lock; put that right, or name another folder by ORCHESTRATOR_LOCK_DIR, the same "
        "for all who share the machine"
    )
    assert (tmp_path / "psu").read_text() == content
    assert stat.S_IMODE((tmp_path / "psu").stat().st_mode) == mode


def test_a_file_that_another_program_has_open_keeps_its_mode(
    tmp_path: Path, lock: Callable[[Path], int | None]
) -> None:
    # A program created it for itself, and writes to it after another user has moved it.
    mine = os.open(tmp_path / "psu", os.O_CREAT | os.O_RDWR, 0o600)

    assert lock(tmp_path / "psu")

    os.write(mine, b"precious")
    assert stat.S_IMODE(os.fstat(mine).st_mode) == 0o600
    os.close(mine)
    assert (tmp_path / "psu").read_bytes() == b""


@pytest.mark.parametrize("left", ["", "\0" * 200, '{"pid":1,"host":"\N{ZERO WIDTH JOINER}","us'])
def test_a_damaged_record_does_not_prevent_locking(
    tmp_path: Path, lock: Callable[[Path], int | None], left: str
) -> None:
    (tmp_path / "psu").write_text(left)
    (tmp_path / "psu").chmod(0o666)

    assert lock(tmp_path / "psu")


def test_a_partly_written_record_is_removed(
    tmp_path: Path, lock: Callable[[Path], int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fd, real = lock(tmp_path / "psu"), os.pwrite
    assert fd is not None
    monkeypatch.setattr(os, "pwrite", lambda fd, line, at: real(fd, line[:5], at))

    lock_file.write_owner(fd, Owner.here("r", "s"))

    assert (tmp_path / "psu").read_bytes() == b""


AS_ANOTHER = """
import os, sys
from pytest_orchestrator.core.errors import LockError
from pytest_orchestrator.execution.locks import lock_file
os.setgid(65534)
os.setuid(65534)
for path in sys.argv[1:]:
    try:
        print(lock_file.try_lock(path))
    except LockError as error:
        print(str(error).split("; ")[0])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another user")
def test_a_file_moved_by_another_user_keeps_its_content_and_mode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The other user could not write the coverage file.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    with tempfile.TemporaryDirectory() as shared:
        paths = [Path(shared, name) for name in ("psu.lock", "psu.lock.turn")]
        for path in paths:
            path.write_text("precious")
            path.chmod(0o600)
            os.chown(path, 65534, 65534)
        Path(shared).chmod(0o777)

        run = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER, *map(str, paths)],
            capture_output=True,
            text=True,
            check=True,
        )

        reason = "it has something else in it than the record of a lock"
        assert run.stdout.splitlines() == [
            f"a lock cannot be had by {path}: {reason}" for path in paths
        ]
        assert [path.read_text() for path in paths] == ["precious"] * 2
        assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600] * 2


def test_a_refusal_names_reason_and_cure(
    tmp_path: Path, lock: Callable[[Path], int | None]
) -> None:
    os.mkfifo(tmp_path / "psu")

    with pytest.raises(LockError) as caught:
        lock(tmp_path / "psu")

    assert str(caught.value) == (
        f"a lock cannot be had by {tmp_path / 'psu'}: it is no plain file, or has another name as "
        "well; put that right, or name another folder by ORCHESTRATOR_LOCK_DIR, the same for all "
        "who share the machine"
    )


def test_a_shared_folder_that_is_a_link_is_refused(
    shared: Path, lock: Callable[[Path], int | None], tmp_path: Path
) -> None:
    shared.symlink_to(tmp_path)

    with pytest.raises(LockError, match=r"/shared: it is no folder; put that right"):
        lock(shared / "psu")


def test_a_path_below_a_file_raises_an_error(
    tmp_path: Path, lock: Callable[[Path], int | None]
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(LockError, match=r"/file/psu: Not a directory; put that right"):
        lock(tmp_path / "file" / "psu")


def test_a_file_removed_while_it_is_locked_is_created_again(
    tmp_path: Path, lock: Callable[[Path], int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock

    def remove(fd: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        (tmp_path / "psu").unlink()
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", remove)

    assert lock(tmp_path / "psu")
    assert lock(tmp_path / "psu") is None


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b'{"pid":1}',
        b'{"x":' + b"[" * 4000,
        b'{"pid":1,"host":"h","user":"u","run":"r","step":"s","since":"yesterday"}',
        b'{"pid":1,"host":"h","user":"u","run":"\\u001b[2J","step":"s","since":"2024-01-01"}',
    ],
)
def test_an_invalid_owner_record_is_none(tmp_path: Path, record: bytes) -> None:
    (tmp_path / "psu").write_bytes(record)

    assert lock_file.owner_of(str(tmp_path / "psu")) is None
    assert lock_file.owner_of(str(tmp_path / "scope")) is None


def test_reading_an_owner_does_not_block_on_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "psu")

    assert lock_file.owner_of(str(tmp_path / "psu")) is None


def test_the_record_of_an_owner_is_replaced_by_a_shorter_one(
    tmp_path: Path, lock: Callable[[Path], int | None]
) -> None:
    path = tmp_path / "psu"
    fd = lock(path)
    assert fd is not None
    lock_file.write_owner(fd, Owner.here("r" * 100, "s"))
    owner = Owner.here("r", "s")
    lock_file.write_owner(fd, owner)

    assert lock_file.owner_of(str(path)) == owner
    assert path.read_bytes().splitlines() == [path.read_bytes().strip()]
    assert 0 <= owner.age() < 20
