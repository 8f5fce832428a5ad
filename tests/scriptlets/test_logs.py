"""Logger of scriptlets: one line for each record on stderr, beside any other handlers."""

import logging
import os
import re
import sys
from collections.abc import Iterator

import pytest

from pytest_orchestrator.scriptlets.base import get_logger


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"tests.logs.{request.node.name}"
    yield name
    for one in [one for one in logging.root.manager.loggerDict if one.startswith(name)]:
        logging.getLogger(one).handlers.clear()
        logging.getLogger(one).setLevel(logging.NOTSET)


def test_a_record_is_one_line_on_stderr(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    get_logger(name).info("%d of %s", 1, "two")

    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d \| INFO \| {name} \| 1 of two\n", err)


def test_a_traceback_follows_its_record(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        int("x")
    except ValueError:
        get_logger(name).exception("failed")

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(f"| ERROR | {name} | failed")
    assert lines[-1].startswith("ValueError: invalid literal")


def test_get_logger_twice_returns_the_same_logger_and_one_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert get_logger(name) is get_logger(name)

    get_logger(name).info("once")

    assert capsys.readouterr().err.count("once") == 1
    assert len(get_logger(name).handlers) == 1


@pytest.mark.parametrize("names", [("", ".below"), (".below", "")])
def test_a_logger_below_another_writes_once(
    name: str, names: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for end in names:
        get_logger(name + end)

    logging.getLogger(f"{name}.below").info("once")
    logging.getLogger(f"{name}.other").info("twice is not once")

    err = capsys.readouterr().err
    assert err.count("| once") == 1
    assert err.count("| twice") == 1


def test_a_logger_is_silent_if_the_root_logger_writes_to_stderr(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.StreamHandler(sys.stderr)
    logging.root.addHandler(root)
    try:
        get_logger(name).info("once")
    finally:
        logging.root.removeHandler(root)

    assert capsys.readouterr().err == "once\n"


def test_a_logger_writes_if_the_root_logger_writes_to_a_file(
    name: str, tmp_path: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.FileHandler(f"{tmp_path}/log")
    logging.root.addHandler(root)
    try:
        get_logger(name).info("once")
    finally:
        logging.root.removeHandler(root)
        root.close()

    assert capsys.readouterr().err.endswith("| once\n")


def test_pytest_captures_the_record(name: str, caplog: pytest.LogCaptureFixture) -> None:
    get_logger(name).info("seen")

    assert caplog.record_tuples == [(name, logging.INFO, "seen")]


@pytest.mark.parametrize(
    ("variable", "level"),
    [
        (None, logging.INFO),
        ("", logging.INFO),
        ("debug", logging.DEBUG),
        ("WARNING", logging.WARNING),
        ("15", 15),
        ("loud", logging.INFO),
    ],
)
def test_the_environment_sets_the_level(
    name: str, variable: str | None, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORCHESTRATOR_LOG_LEVEL", raising=False)
    if variable is not None:
        monkeypatch.setenv("ORCHESTRATOR_LOG_LEVEL", variable)

    assert get_logger(name).level == level


def test_a_level_that_is_already_set_is_not_changed(name: str) -> None:
    logging.getLogger(name).setLevel(logging.ERROR)

    assert get_logger(name).level == logging.ERROR


def test_without_stderr_nothing_is_written(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = get_logger(name)
    monkeypatch.setattr(sys, "stderr", None)

    logger.info("to nobody")


def test_a_record_of_another_process_is_not_written_to_stderr_again(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = get_logger(name)
    theirs = logging.makeLogRecord({"msg": "theirs", "levelno": 30, "process": os.getpid() + 1})
    logger.handle(theirs)
    logger.warning("ours")
    assert [line.rpartition(" ")[2] for line in capsys.readouterr().err.splitlines()] == ["ours"]
