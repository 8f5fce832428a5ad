"""Ports by name: one for each name of a run, for every thread and process that asks."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.execution import expression_scope

if TYPE_CHECKING:
    from pathlib import Path

ASK = """
import sys
from pathlib import Path
from pytest_orchestrator.execution.expression_scope import port
sys.stdin.read()
print(*[port(Path(sys.argv[1]), f"name {number % 8}") for number in range(24)])
"""


def test_the_same_name_has_the_same_port_and_another_run_another(tmp_path: Path) -> None:
    first = expression_scope.port(tmp_path / "a", "dut")

    assert expression_scope.port(tmp_path / "a", "dut") == first
    assert isinstance(expression_scope.port(tmp_path / "b", "dut"), int)
    assert any(
        is_free(expression_scope.port(tmp_path / "a", name)) for name in "abc"
    )  # another program may have taken one by now


def test_other_users_cannot_open_the_lock_of_the_ports(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        expression_scope.port(tmp_path / "run", "dut")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "run" / "ports").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o777


def is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "é😀", "x" * 5000, "\n", ".lock", ".draft"])
def test_any_text_is_a_name(tmp_path: Path, name: str) -> None:
    number = expression_scope.port(tmp_path, name)

    assert 0 < number < 65536
    assert expression_scope.port(tmp_path, name) == number
    assert expression_scope.port(tmp_path, name + "?") != number


def test_the_port_of_another_name_is_not_reserved_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter([4001, 4001, 4001, 4002])

    class Probe(socket.socket):
        def bind(self, address: object) -> None:
            pass

        def getsockname(self) -> tuple[str, int]:
            return "127.0.0.1", next(numbers)

    monkeypatch.setattr(socket, "socket", Probe)

    assert [expression_scope.port(tmp_path, name) for name in "ab"] == [4001, 4002]


def test_all_processes_and_threads_of_a_run_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ASK, str(tmp_path)]
    asking = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    with ThreadPoolExecutor() as pool:
        printed = [
            stdout.split() for stdout, _ in pool.map(lambda each: each.communicate(""), asking)
        ]
        names = [f"name {number % 8}" for number in range(24)]
        own = [
            str(one) for one in pool.map(lambda name: expression_scope.port(tmp_path, name), names)
        ]

    assert [one == own for one in printed] == [True] * 4
    assert len(set(own)) == 8
