"""Files of a run over HTTP: only those of its folder, and none as a page of the monitor."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.conftest import RUN

SVG = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.fixture
def folder(bench: Path) -> Path:
    """Return the folder of a run with some files, some of them links."""
    made = bench / RUN
    (made / "logs").mkdir()
    (made / "logs" / "flash.1.stdout").write_bytes(b"one\ntwo\n")
    (made / "plot.svg").write_text(SVG)
    (made / "data.bin").write_bytes(b"<script>")
    (made / "page.html").write_text("<script>alert(1)</script>")
    (made / "report.html").write_text("<script>alert(1)</script>")
    (made / 'naïve "name".txt').write_text("x")
    (bench / "secret.txt").write_text("secret")
    (made / "out.txt").symlink_to(bench / "secret.txt")
    (made / "up").symlink_to(bench)
    (made / "inner.txt").symlink_to(made / "logs" / "flash.1.stdout")
    os.mkfifo(made / "pipe.txt")
    return made


def test_a_file_has_its_type_and_an_origin_of_its_own(folder: Path, client: Any) -> None:
    reply = client.get(f"/run/{RUN}/file/logs/flash.1.stdout", buffered=True)

    assert (reply.status_code, reply.data) == (200, b"one\ntwo\n")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none';")
    assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Content-Disposition" not in reply.headers


def test_a_part_of_a_file_can_be_requested(folder: Path, client: Any) -> None:
    path = f"/run/{RUN}/file/logs/flash.1.stdout"
    part = client.get(path, headers={"Range": "bytes=4-6"}, buffered=True)

    assert (part.status_code, part.data) == (206, b"two")
    assert part.headers["Content-Range"] == "bytes 4-6/8"
    assert client.get(path, headers={"Range": "bytes=90-"}, buffered=True).status_code == 416
    whole = client.get(path, buffered=True)
    again = client.get(path, headers={"If-None-Match": whole.headers["ETag"]}, buffered=True)
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("name", ["page.html", "plot.svg"])
def test_a_file_with_a_script_is_sandboxed(name: str, folder: Path, client: Any) -> None:
    policy = client.get(f"/run/{RUN}/file/{name}", buffered=True).headers["Content-Security-Policy"]

    assert policy.startswith("sandbox; ")
    assert "script" not in policy


def test_the_report_runs_its_script_in_an_origin_of_its_own(folder: Path, client: Any) -> None:
    policy = client.get(f"/run/{RUN}/file/report.html", buffered=True).headers[
        "Content-Security-Policy"
    ]

    assert policy.startswith("sandbox allow-scripts ")
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy


def test_a_download_and_an_unknown_type_are_saved(folder: Path, client: Any) -> None:
    log = client.get(f"/run/{RUN}/file/logs/flash.1.stdout?download", buffered=True)
    data = client.get(f"/run/{RUN}/file/data.bin", buffered=True)
    name = client.get(f"/run/{RUN}/file/na%C3%AFve%20%22name%22.txt?download", buffered=True)

    assert log.headers["Content-Disposition"] == (
        "attachment; filename=\"flash.1.stdout\"; filename*=UTF-8''flash.1.stdout"
    )
    assert data.headers["Content-Disposition"].startswith("attachment;")
    assert data.headers["Content-Type"] == "application/octet-stream"
    assert name.headers["Content-Disposition"] == (
        "attachment; filename=\"na_ve__name_.txt\"; filename*=UTF-8''na%C3%AFve%20%22name%22.txt"
    )


@pytest.mark.parametrize(
    "path",
    [
        f"/run/{RUN}/file/../secret.txt",
        f"/run/{RUN}/file/%2e%2e/secret.txt",
        f"/run/{RUN}/file/..%2fsecret.txt",
        f"/run/{RUN}/file/logs/..%2f..%2fsecret.txt",
        f"/run/{RUN}/file/logs%2f..%2f..%2fsecret.txt",
        f"/run/{RUN}/file/..%5csecret.txt",
        f"/run/{RUN}/file/%252e%252e/secret.txt",
        f"/run/{RUN}/file/%2fetc%2fpasswd",
        f"/run/{RUN}/file//etc/passwd",
        f"/run/{RUN}/file/out.txt",
        f"/run/{RUN}/file/up/secret.txt",
        f"/run/{RUN}/file/pipe.txt",
        f"/run/{RUN}/file/logs",
        f"/run/{RUN}/file/logs/",
        f"/run/{RUN}/file/.",
        f"/run/{RUN}/file/missing.txt",
        f"/run/{RUN}/file/a%00b",
        f"/run/{RUN}/file/%ff%fe",
        f"/run/{RUN}/file/{'x' * 5000}",
        f"/run/..%2f{RUN}/file/journal.jsonl",
        f"/run/.%2f{RUN}/file/journal.jsonl",
        "/run/%2e%2e/file/secret.txt",
        "/run/latest/file/journal.jsonl",
    ],
)
def test_nothing_but_files_of_the_run_is_served(path: str, folder: Path, client: Any) -> None:
    reply = client.get(path, follow_redirects=True, buffered=True)

    assert reply.status_code == 404
    assert b"secret\n" not in reply.data + b"\n"
    assert b"root:" not in reply.data


def test_a_link_within_the_run_is_followed(folder: Path, client: Any) -> None:
    assert client.get(f"/run/{RUN}/file/inner.txt", buffered=True).data == b"one\ntwo\n"


def test_files_need_the_token(folder: Path, client: Any) -> None:
    client.delete_cookie("orchestrator_monitor")

    assert client.get(f"/run/{RUN}/file/logs/flash.1.stdout", buffered=True).status_code == 403


def test_a_file_that_grows_while_it_is_sent_has_its_announced_size(
    folder: Path, client: Any
) -> None:
    with client.get(f"/run/{RUN}/file/logs/flash.1.stdout") as reply:
        with (folder / "logs" / "flash.1.stdout").open("ab") as file:
            file.write(b"three\n")
        assert reply.data == b"one\ntwo\n"
        assert reply.headers["Content-Length"] == "8"


def test_a_file_that_becomes_shorter_while_it_is_sent_ends_the_connection(
    folder: Path, client: Any
) -> None:
    path = folder / "long.txt"
    path.write_bytes(b"x" * 1_000_000)
    with client.get(f"/run/{RUN}/file/long.txt") as reply:
        path.write_bytes(b"")
        with pytest.raises(ConnectionError):
            reply.get_data()
