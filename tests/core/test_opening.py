"""Where Unix sockets are made: in a folder of the user's own, by a path that is short enough."""

import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core import opening


def _long(tmp_path: Path) -> Path:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    return folder


def test_sockets_have_a_private_folder_where_temporary_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")

    with opening.private_folder() as folder:
        assert Path(folder).parent == Path("/tmp")
        assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert not Path(folder).exists()


@pytest.mark.parametrize("runtime", ["relative", "long", "gone", ""])
def test_a_folder_whose_path_is_too_long_for_a_socket_is_not_taken(
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {"relative": "run", "long": str(_long(tmp_path)), "gone": "/tmp/gone-of-orchestrator"}
    monkeypatch.setattr(tempfile, "tempdir", paths["long"])
    monkeypatch.setenv("XDG_RUNTIME_DIR", paths.get(runtime, ""))

    with opening.private_folder() as folder, socket.socket(socket.AF_UNIX) as one:
        one.bind(f"{folder}/{'x' * 37}")
        assert Path(folder).parent == Path("/tmp")


def test_the_folder_of_the_users_session_comes_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(_long(tmp_path)))
    with tempfile.TemporaryDirectory(dir="/tmp") as own:
        monkeypatch.setenv("XDG_RUNTIME_DIR", own)

        with opening.private_folder() as folder:
            assert Path(folder).parent == Path(own)


def test_where_no_folder_is_short_enough_each_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_bases", lambda: iter(["/" + "x" * 60, "/gone"]))

    with pytest.raises(OSError, match="no place") as error:
        opening.private_folder()

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
    assert opening.path_text(os.fsdecode(path)) == text
    assert os.fsencode(opening.path_of(text)) == path


_NAMES = st.text(st.sampled_from(["\\", "x", "f", "8", "é", "\udcff", "\udc80"]))


@given(st.lists(_NAMES | st.binary().map(os.fsdecode), min_size=2, max_size=2, unique=True))
def test_no_two_paths_have_the_same_text(paths: list[str]) -> None:
    one, other = map(opening.path_text, paths)

    assert one != other
    assert (one.encode().decode(), other.encode().decode()) == (one, other)
    assert [opening.path_of(one), opening.path_of(other)] == paths
