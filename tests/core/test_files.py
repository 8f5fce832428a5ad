"""Private folders for Unix sockets, texts of paths, reading and replacing of files."""

import errno
import fcntl
import os
import resource
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core import files


def _long(tmp_path: Path) -> Path:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    return folder


def test_the_private_folder_is_in_the_folder_of_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")

    with files.private_folder() as folder:
        assert Path(folder).parent == Path("/tmp")
        assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert not Path(folder).exists()


@pytest.mark.parametrize("runtime", ["relative", "long", "gone", ""])
def test_a_folder_that_is_too_long_for_a_socket_is_not_used(
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {"relative": "run", "long": str(_long(tmp_path)), "gone": "/tmp/gone-of-orchestrator"}
    monkeypatch.setattr(tempfile, "tempdir", paths["long"])
    monkeypatch.setenv("XDG_RUNTIME_DIR", paths.get(runtime, ""))

    with files.private_folder() as folder, socket.socket(socket.AF_UNIX) as one:
        one.bind(f"{folder}/{'x' * 37}")
        assert Path(folder).parent == Path("/tmp")


def test_the_runtime_folder_of_the_user_is_the_second_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(_long(tmp_path)))
    with tempfile.TemporaryDirectory(dir="/tmp") as own:
        monkeypatch.setenv("XDG_RUNTIME_DIR", own)

        with files.private_folder() as folder:
            assert Path(folder).parent == Path(own)


def test_each_folder_is_named_if_none_is_short_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_bases", lambda: iter(["/" + "x" * 60, "/gone"]))

    with pytest.raises(OSError, match="no place") as error:
        files.private_folder()

    assert str(error.value) == (
        f"there is no place for a socket: /{'x' * 60} is too long; /gone: No such file or directory"
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"a b/\xc3\xa9.txt", "a b/é.txt"),
        (b"a\xffb.txt", r"a\xffb.txt"),
        (rb"a\xffb.txt", r"a\\xffb.txt"),
        (b"a\\\xff", r"a\\\xff"),
        (rb"c:\xray", r"c:\xray"),
        (b"\xc3", r"\xc3"),
    ],
)
def test_a_byte_that_is_not_utf8_is_escaped_in_the_text_of_a_path(path: bytes, text: str) -> None:
    assert files.path_text(os.fsdecode(path)) == text
    assert os.fsencode(files.path_of(text)) == path


_NAMES = st.text(st.sampled_from(["\\", "x", "f", "8", "é", "\udcff", "\udc80"]))


@given(st.lists(_NAMES | st.binary().map(os.fsdecode), min_size=2, max_size=2, unique=True))
def test_no_two_paths_have_the_same_text(paths: list[str]) -> None:
    one, other = map(files.path_text, paths)

    assert one != other
    assert (one.encode().decode(), other.encode().decode()) == (one, other)
    assert [files.path_of(one), files.path_of(other)] == paths


def test_a_file_is_read_whole_or_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a\r\nb\rc\n")

    assert files.content(path) == files.content(path, 7) == b"a\r\nb\rc\n"
    assert files.content(path, 2, whole=False) == b"a\r"
    assert files.text(path) == "a\nb\nc\n"
    with pytest.raises(OSError, match="it has more than 6 bytes") as error:
        files.content(path, 6)
    assert error.value.errno == errno.EFBIG


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_device_or_folder_is_not_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")

    with pytest.raises(OSError, match="it is no regular file"):
        files.content(path)
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        files.content(tmp_path)


def test_reading_does_not_wait_for_a_file_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulate /proc/kmsg, which the kernel reports as a regular file, but which blocks."""
    path = tmp_path / "x"
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR)
    monkeypatch.setattr(stat, "S_ISREG", lambda _: True)

    with pytest.raises(BlockingIOError):
        files.content(path)
    os.close(held)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_text("old")

    with files.replacing(path, 0o600) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"

    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_that_the_user_names_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    with files.output(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"

    assert path.read_text() == "new"


def test_a_regular_file_below_a_way_through_dev_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old")
    with files.output(f"/dev/..{path}") as file:
        file.write(b"new")

    assert path.read_text() == "new"


def test_a_pipe_that_the_user_names_is_written_and_stays_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with files.output(path) as file:
        file.write(b"new")
    assert os.read(reader, 9) == b"new"
    os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_link_to_a_device_that_the_user_names_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.symlink_to("/dev/null")
    with files.output(path) as file:
        file.write(b"new")

    assert path.is_symlink()
    assert stat.S_ISCHR(path.stat().st_mode)


def test_an_open_file_of_the_process_is_written_in_place(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"old ")
    with (tmp_path / "log").open("ab") as log, files.output(f"/dev/fd/{log.fileno()}") as file:
        file.write(b"new")

    assert [*tmp_path.iterdir()] == [tmp_path / "log"]
    assert (tmp_path / "log").read_bytes() == b"old new"


def test_a_file_whose_replacement_fails_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_text("old")

    with pytest.raises(TypeError), files.replacing(path) as file:
        file.writelines([b"new", None])  # type: ignore[list-item]

    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("name", [".", "..", "/", ""])
def test_a_folder_is_not_replaced(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(IsADirectoryError, match="Is a directory"), files.replacing(name):
        pass

    assert not [*tmp_path.iterdir()]


def test_a_link_at_the_place_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    (tmp_path / f".values.{os.getpid()}").symlink_to(other)

    with files.replacing(tmp_path / "values") as file:
        file.write(b"new")

    assert not other.exists()


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("measure", "measure"),
        ("psu.measure", "psu.measure"),
        ("m[channel:1,load:a]", "m[channel=1,load=a]"),
        (f"m[a:{'x' * 190}]", f"m[a={'x' * 190}]"),
        (f"m[a:{'x' * 240}]", f"m[a={'x' * 176}-565cb9672b7b2cd1"),
    ],
)
def test_the_files_of_a_step_have_a_short_name_without_a_colon(step: str, name: str) -> None:
    assert files.step_file_name(step) == name


def test_long_names_of_cells_give_different_file_names() -> None:
    names = {files.step_file_name(f"m[a:{'é' * 150}{end}]") for end in "xyz"}

    assert len(names) == 3
    assert max(len(name.encode()) for name in names) <= 200


@pytest.fixture(params=[0, 1024])
def pipe(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """The descriptors of a pipe; the one to read from has the given number or a larger one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    first, end = os.pipe()
    source = fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, request.param)
    os.close(first)
    yield source, end
    os.close(source)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_pipe_is_readable_once_it_has_data(pipe: tuple[int, int]) -> None:
    source, end = pipe
    before = time.monotonic()
    assert not files.is_readable(source, 0.05)
    assert time.monotonic() - before >= 0.04
    os.write(end, b"x")
    assert files.is_readable(source, 60)
    os.read(source, 1)
    assert not files.is_readable(source, 0)
    os.close(end)
    assert files.is_readable(source, 60)


_FREEZES: Final = """
import gc
from pytest_orchestrator.core.files import freeze_modules, may_freeze
gc.disable()
old = [[] for _ in range(100_000)]
freeze_modules()
print(may_freeze())
own = [[]]
gc.freeze()
del old
print(may_freeze())
"""


def test_objects_that_the_user_froze_are_known_also_after_others_have_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FREEZES], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]
