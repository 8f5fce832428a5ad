"""Environment variables and paths that every step of a run receives."""

import os
from pathlib import Path

import pytest

from pytest_orchestrator.execution.environment import Environment


def test_a_step_receives_the_present_environment_of_pytest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = Environment(root=tmp_path)
    for name, value in {"A": "1", "Ü": "ü", "RAW": "\udcff", "A_": ""}.items():
        monkeypatch.setenv(name, value)
        assert env.variables() == dict(os.environ)
    monkeypatch.setenv("A", "2")
    assert env.variables() == dict(os.environ)
    monkeypatch.delenv("A")
    assert env.variables() == dict(os.environ)


def test_a_step_receives_a_copy_of_the_environment(tmp_path: Path) -> None:
    environ = {"A": "1"}
    for env in (Environment(root=tmp_path), Environment(root=tmp_path, environ=environ)):
        variables = env.variables()
        variables["CHANGED"] = "1"
        assert "CHANGED" not in {**env.variables(), **os.environ, **environ}


def test_log_and_sample_files_are_named_by_step_and_attempt(tmp_path: Path) -> None:
    env = Environment(root=tmp_path, logs=tmp_path / "logs", resources=tmp_path, attempt=2)
    assert env.log("measure", "stderr") == f"{tmp_path}/logs/measure.2.stderr"
    assert env.samples("measure") == f"{tmp_path}/measure.2.jsonl"
    assert Environment(root=tmp_path).log("measure", "stderr") is None
    assert Environment(root=tmp_path).samples("measure") is None
