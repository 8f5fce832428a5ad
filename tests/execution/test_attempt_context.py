"""Environment variables and paths of an attempt."""

import os
from pathlib import Path

import pytest

from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.run_config import RunConfig


def test_a_step_receives_the_present_environment_of_pytest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = AttemptContext(config=RunConfig(root=tmp_path))
    for name, value in {"A": "1", "Ü": "ü", "RAW": "\udcff", "A_": ""}.items():
        monkeypatch.setenv(name, value)
        assert attempt.variables() == dict(os.environ)
    monkeypatch.setenv("A", "2")
    assert attempt.variables() == dict(os.environ)
    monkeypatch.delenv("A")
    assert attempt.variables() == dict(os.environ)


def test_a_step_receives_a_copy_of_the_environment(tmp_path: Path) -> None:
    environ = {"A": "1"}
    for attempt in (
        AttemptContext(config=RunConfig(root=tmp_path)),
        AttemptContext(config=RunConfig(root=tmp_path), environ=environ),
    ):
        variables = attempt.variables()
        variables["CHANGED"] = "1"
        assert "CHANGED" not in {**attempt.variables(), **os.environ, **environ}


def test_log_and_sample_files_are_named_by_step_and_attempt(tmp_path: Path) -> None:
    config = RunConfig(root=tmp_path)
    attempt = AttemptContext(config=config, logs=tmp_path / "logs", resources=tmp_path, number=2)
    assert attempt.log("measure", "stderr") == f"{tmp_path}/logs/measure.2.stderr"
    assert attempt.samples("measure") == f"{tmp_path}/measure.2.jsonl"
    assert attempt.log("measure", "stderr", 1) == f"{tmp_path}/logs/measure.1.stderr"
    assert AttemptContext(config=config).log("measure", "stderr") is None
    assert AttemptContext(config=config).samples("measure") is None
