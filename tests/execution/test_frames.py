"""Tracebacks contain only frames of the user's code, in every exception of a chain."""

import importlib
import inspect
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.addons.dask.broker import AttemptBroker
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.execution.outcome import user_frames, user_stack
from pytest_orchestrator.execution.remote.attempt import RemoteWork
from pytest_orchestrator.scriptlets.call import call
from tests.addons.dask.test_broker import TERMS
from tests.execution.conftest import Bench


def names(error: BaseException | None) -> list[str]:
    assert error is not None
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def caught(function: Callable[[], object]) -> BaseException:
    try:
        call(function, None, None)
    except ValueError as error:
        return error
    raise AssertionError("nothing was raised")


def fail() -> None:
    raise ValueError


def fail_from_another() -> None:
    try:
        call(fail, None, None)
    except ValueError as error:
        raise ValueError from error


def fail_after_another() -> None:
    try:
        call(fail, None, None)
    except ValueError:
        raise ValueError  # noqa: B904


def fail_in_a_circle() -> None:
    error = ValueError()
    error.__cause__ = error
    raise error


def test_frames_of_this_package_are_removed() -> None:
    error = caught(fail)
    assert names(error) == ["caught", "call", "fail"]
    assert user_frames(error) is error
    assert names(error) == ["caught", "fail"]


def test_a_wait_of_this_package_that_raises_is_removed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = AttemptBroker(TERMS)
    attempt = broker.issue(RemoteWork(bench.shell_step("true"), Context(), bench.attempt))
    monkeypatch.setattr(attempt._has_moved, "wait", threading.Condition().wait)  # noqa: SLF001

    with pytest.raises(RuntimeError, match="cannot wait") as raised:
        attempt.wait_until(time.monotonic() + 1.0)

    here = "test_a_wait_of_this_package_that_raises_is_removed"
    assert names(raised.value) == [here, "wait_until", "wait"]
    assert names(user_frames(raised.value)) == [here]


def test_frames_of_this_package_are_removed_from_causes_and_contexts() -> None:
    error = user_frames(caught(fail_from_another))
    assert names(error.__cause__) == ["fail_from_another", "fail"]
    error = user_frames(caught(fail_after_another))
    assert names(error.__context__) == ["fail_after_another", "fail"]


def test_a_circle_of_causes_ends() -> None:
    assert names(user_frames(caught(fail_in_a_circle))) == ["caught", "fail_in_a_circle"]


def test_frames_of_the_import_system_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outer_of_frames.py").write_text("import inner_of_frames\n")
    (tmp_path / "inner_of_frames.py").write_text("1 / 0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ZeroDivisionError) as caught:
        importlib.import_module("outer_of_frames")
    frames = traceback.extract_tb(user_frames(caught.value).__traceback__)
    assert [Path(frame.filename).name for frame in frames] == [
        "test_frames.py",
        "outer_of_frames.py",
        "inner_of_frames.py",
    ]


def test_a_stack_contains_only_frames_from_the_call_of_the_users_code_on() -> None:
    lines: list[str] = []

    def inner() -> None:
        lines.extend(user_stack(inspect.currentframe(), called=True))

    def outer() -> None:
        call(inner, None, None)

    call(outer, None, None)

    assert [re.findall(r", in (\w+)\n", line) for line in lines] == [["outer"], ["inner"]]


def test_a_thread_without_the_users_code_has_no_stack() -> None:
    over = threading.Event()
    names: dict[str, Any] = {"__name__": "pytest_reruns", "wait": over.wait}
    exec("def serve(): wait()", names)
    ours = threading.Thread(target=call, args=(over.wait, None, None))
    plugins = threading.Thread(target=names["serve"])
    ours.start()
    plugins.start()
    with ThreadPoolExecutor(1) as idle:
        idle.submit(str).result()
        frames = sys._current_frames()  # noqa: SLF001
        others = [frames[one.ident or 0] for one in (ours, plugins, *idle._threads)]  # noqa: SLF001
        stacks = [user_stack(one) for one in others]
    over.set()
    ours.join()
    plugins.join()

    assert stacks == [[], [], []]
