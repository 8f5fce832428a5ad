"""Settings and fixtures of all tests: time limit, hypothesis profile, port, coverage, locks.

`LAW_EXAMPLES` sets the number of examples of each law of hypothesis that has none of its own.
"""

import contextlib
import faulthandler
import gc
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from typing import Final

import pytest

from benchmarks import ports

# `pytest --list-steps` loads this file also in a clone without the extra `dev`.
if find_spec("hypothesis"):
    from hypothesis import HealthCheck, settings

    # No deadline: an example takes longer under load. Speed limits have tests of their own.
    settings.register_profile(
        "any machine",
        deadline=None,
        max_examples=int(os.environ.get("LAW_EXAMPLES", "30")),
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("any machine")

# A shell ignores Ctrl-C in a command that it starts in the background, and so do all its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

_COUNT_FROZEN: Final = gc.get_freeze_count

_LIMIT: Final = 1800.0 if "MEASURE_ALL" in os.environ else 300.0
"""Seconds that a test may take in a worker of xdist; the longest of the gate takes a tenth."""


def pytest_configure(config: pytest.Config) -> None:
    """Limit the time of each test of a worker: write its stacks to standard error, end the worker.

    xdist reports the test as failed and starts another worker. The sessions that tests run in
    this process would cancel the limit when one of their tests fails, so they cannot.
    """
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(_TimeLimit())


class _TimeLimit:
    def __init__(self) -> None:
        self._errors = os.dup(2)  # tests redirect descriptor 2
        self._cancel = faulthandler.cancel_dump_traceback_later
        vars(faulthandler)["cancel_dump_traceback_later"] = lambda: None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        faulthandler.dump_traceback_later(_LIMIT, exit=True, file=self._errors)
        try:
            return (yield)
        finally:
            self._cancel()


def pytest_collection_finish() -> None:
    """Collect less garbage: the items of all tests stay, and a session leaves few cycles.

    With the usual threshold, the collector takes a tenth of the time of a session in this process.
    Each session asks several times whether objects are frozen, and Python counts them one by one,
    which takes as long as a search for garbage.
    """
    gc.freeze()
    vars(gc)["get_freeze_count"] = lambda: 100_000
    gc.set_threshold(10_000)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Measure the coverage of the imports of all tests in the first worker of xdist only.

    Each worker imports the same modules, which takes twice the time if it is measured.
    """
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0":
        return (yield)
    with _unmeasured():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure no coverage of laws, of long tests, of the house, and of most sessions.

    It takes as long as the test itself. A long test repeats the code of others a thousand times,
    and nearly all sessions of `tests/plugin` execute the same code: those with the marker
    `counted` execute nine tenths of what all execute, in a thirtieth of the time. With
    `MEASURE_ALL` set, as the long tier does, long tests and the first cases of all sessions are
    measured.
    """
    if _is_measured(item):
        return (yield)
    with _unmeasured():
        return (yield)


@contextlib.contextmanager
def _unmeasured() -> Iterator[None]:
    trace, trace_of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(trace_of_threads)
        sys.settrace(trace)


def _is_measured(item: pytest.Item) -> bool:
    if item.get_closest_marker("measured") is not None:
        return True
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        return False
    if item.get_closest_marker("unmeasured") is not None:
        return "MEASURE_ALL" in os.environ
    if isinstance(item, pytest.Function) and "plugin" in item.path.parts:
        is_counted = "MEASURE_ALL" in os.environ or item.get_closest_marker("counted") is not None
        return is_counted and _is_first_case(item)
    return item.path.parent.name != "house"


def _is_first_case(item: pytest.Function) -> bool:
    case = getattr(item, "callspec", None)
    return case is None or not any(case.indices.values())


@pytest.fixture
def thawed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Unfreeze the objects of this process during a test, so that they are searched for garbage."""
    monkeypatch.setitem(vars(gc), "get_freeze_count", _COUNT_FROZEN)
    gc.unfreeze()
    yield
    gc.freeze()


@pytest.fixture
def port() -> Iterator[int]:
    """A free port, which the system gives to no other process."""
    with ports.kept() as number:
        yield number


@pytest.fixture(autouse=True)
def coverage_of_children(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the coverage of child processes only in tests with the marker `measured`.

    It takes a third of the time of a child, and nearly all runs execute the same code in it.
    """
    if request.node.get_closest_marker("measured") is None:
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(scope="session", autouse=True)
def locks_of_this_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use locks and counted resources of this session instead of those of the whole machine.

    Another worker, or another run of these tests, could hold a lock that a test expects to be
    free.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_LOCK_DIR", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture(scope="session", autouse=True)
def temporary_files_of_this_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the folders of `tmp_path` of the sessions that tests run within those of this session.

    A session removes the folders of earlier sessions when it ends. If those of all tests were
    among them, one session would take up to a minute for them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DEBUG_TEMPROOT", str(tmp_path_factory.getbasetemp()))
        yield
