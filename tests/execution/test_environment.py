"""The surroundings that every step of a run is given."""

import os
from pathlib import Path

import pytest

from pytest_orchestrator.execution.environment import Environment


def test_a_step_is_given_the_environment_as_it_is_now(
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


def test_a_step_is_given_a_copy(tmp_path: Path) -> None:
    environ = {"A": "1"}
    for env in (Environment(root=tmp_path), Environment(root=tmp_path, environ=environ)):
        given = env.variables()
        given["CHANGED"] = "1"
        assert "CHANGED" not in {**env.variables(), **os.environ, **environ}


def test_files_of_a_step_are_named_by_its_try(tmp_path: Path) -> None:
    env = Environment(root=tmp_path, logs=tmp_path / "logs", resources=tmp_path, attempt=2)
    assert env.log("measure", "stderr") == f"{tmp_path}/logs/measure.2.stderr"
    assert env.samples("measure") == f"{tmp_path}/measure.2.jsonl"
    assert Environment(root=tmp_path).log("measure", "stderr") is None
    assert Environment(root=tmp_path).samples("measure") is None
