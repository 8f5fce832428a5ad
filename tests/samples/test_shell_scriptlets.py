"""Shell samples, run as programs."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SHELL = Path(__file__).parents[2] / "scriptlets/shell"


def run(script: str, **env: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [SHELL / script], env={"PATH": os.environ["PATH"], **env}, capture_output=True, check=False
    )


def answer(script: str, **env: str) -> Any:
    done = run(script, **env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_sample_returns_the_message() -> None:
    assert answer("sample.sh", ECHO_TEXT="Hi") == {"status": "ok", "echo": "Hi"}


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1))
def test_sample_returns_any_message_unchanged(message: str) -> None:
    assert answer("sample.sh", ECHO_TEXT=message)["echo"] == message


def test_sample_logs_to_stderr() -> None:
    assert run("sample.sh", ECHO_TEXT="Hi").stderr == b"sample.sh: ECHO_TEXT has 2 characters\n"


def test_count_lines_counts_a_last_line_without_newline(tmp_path: Path) -> None:
    (tmp_path / "a=b.txt").write_bytes(b"one\ntwo\nthree")

    assert answer("count-lines.sh", INPUT=str(tmp_path / "a=b.txt")) == {"status": "ok", "lines": 3}


def test_count_lines_of_an_empty_file_is_zero(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert answer("count-lines.sh", INPUT=str(tmp_path / "empty"))["lines"] == 0


def test_the_unit_is_polled_ten_times_by_default() -> None:
    said = answer("simulate_cdu_poll.sh")

    assert said["polls"] == 10
    assert [reading["poll"] for reading in said["readings"]] == list(range(1, 11))


def test_the_same_seed_gives_the_same_readings() -> None:
    first, again, other = (answer("simulate_cdu_poll.sh", SEED=seed) for seed in ("7", "7", "8"))

    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", ["0", "1", "999999999"])
def test_readings_are_those_of_a_steady_unit(seed: str) -> None:
    for reading in answer("simulate_cdu_poll.sh", SEED=seed, POLLS="100")["readings"]:
        assert 317 < reading["supply_pressure_kpa"] < 323
        assert 177 < reading["return_pressure_kpa"] < 183
        assert 31.8 < reading["supply_temperature_c"] < 32.2
        assert 41.3 < reading["return_temperature_c"] < 42.7


def test_the_readings_file_agrees_with_stdout(tmp_path: Path) -> None:
    path = tmp_path / "new folder/readings.jsonl"
    said = answer("simulate_cdu_poll.sh", POLLS="3", READINGS=str(path))

    assert [json.loads(line) for line in path.read_bytes().splitlines()] == said["readings"]


@pytest.mark.parametrize(
    ("script", "env", "reason"),
    [
        ("sample.sh", {}, "ECHO_TEXT is empty"),
        ("count-lines.sh", {}, "missing INPUT"),
        ("count-lines.sh", {"INPUT": "/"}, "missing file"),
        ("simulate_cdu_poll.sh", {"POLLS": "0"}, "POLLS must be a whole number from 1 to 1000"),
        ("simulate_cdu_poll.sh", {"POLLS": "010"}, "POLLS must be a whole number from 1 to 1000"),
        ("simulate_cdu_poll.sh", {"SEED": "-1"}, "SEED must be a whole number from 0 to 999999999"),
        ("simulate_cdu_poll.sh", {"READINGS": "/dev/null/x"}, "READINGS cannot be written"),
        ("simulate_cdu_poll.sh", {"READINGS": "/"}, "READINGS cannot be written"),
    ],
)
def test_a_wrong_argument_is_reported(script: str, env: dict[str, str], reason: str) -> None:
    done = run(script, **env)

    assert done.returncode == 1
    assert json.loads(done.stdout) == {"status": "error", "reason": reason}
    assert reason in done.stderr.decode()
