"""Logs of steps, masked while they are written, and again for secrets that were found later."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.steps.artifacts import mask_logs

if TYPE_CHECKING:
    from tests.execution.conftest import Bench

TOKEN = "station-key-7c1f"


@pytest.fixture
def secret(bench: Bench) -> Bench:
    """A bench with a secret."""
    secrets = Masker()
    secrets.add(TOKEN)
    bench.configure(secrets=secrets)
    return bench


def logged(bench: Bench, stream: str, attempt: int = 1) -> str:
    return (bench.root / f"logs/s.{attempt}.{stream}").read_text()


def test_the_log_is_masked_and_the_result_is_not(secret: Bench) -> None:
    printed = f'{{"status": "ok", "key": "{TOKEN}"}}'

    ended = secret.shell(f"echo '{printed}'; echo {TOKEN} >&2")

    assert ended.value == {"status": "ok", "key": TOKEN}
    assert logged(secret, "stdout") == '{"status": "ok", "key": "***"}\n'
    assert logged(secret, "stderr") == "***\n"


def test_a_long_result_is_restored_from_its_masked_log(secret: Bench) -> None:
    script = secret.write(
        "long.py",
        f"""\
        import json
        print(json.dumps({{"status": "ok", "all": ["{TOKEN}", "x" * 50] * 5000}}))
        """,
    )

    ended = secret.shell(f"python {script}")

    assert ended.value == {"status": "ok", "all": [TOKEN, "x" * 50] * 5000}
    assert TOKEN not in logged(secret, "stdout")
    assert logged(secret, "stdout").count("***") == 5000


def test_a_secret_that_is_printed_in_two_pieces_is_masked(secret: Bench) -> None:
    secret.shell(f"printf %s {TOKEN[:7]}; sleep 0.1; printf %s {TOKEN[7:]} {TOKEN[:3]}")

    assert logged(secret, "stdout") == f"***{TOKEN[:3]}"


def test_the_excerpt_of_invalid_output_is_masked_before_it_is_cut(secret: Bench) -> None:
    ended = secret.shell(f"echo '{{}}' '{TOKEN}' and more of all that it has to say")

    assert ended.failure is not None
    assert ended.failure.reason == "stdout has text after its JSON object, at byte 3"
    assert ended.failure.detail[:2] == ("'{} *** and more of all that it ha' …", "    ^")


def test_a_value_of_a_declared_key_is_masked_in_the_logs_of_all_attempts(bench: Bench) -> None:
    bench.configure(secrets=Masker())
    bench.attempt.config.secrets.watch(bench.context)
    bench.attempt.config.secrets.declare(["ctx.key"])
    step = bench.shell_step(
        f"printf {TOKEN}; echo {TOKEN} >&2; test -e again || {{ touch again; false; }}",
        parse="text",
        retry={"attempts": 2},
        outputs={"key": "${{ stdout }}"},
    )
    loop = bench.retry_loop(step)

    assert loop.prepare() is None
    assert loop.run() is None
    assert logged(bench, "stdout") == TOKEN
    assert loop.run() is not None

    assert bench.context["key"] == TOKEN
    for attempt in (1, 2):
        assert logged(bench, "stdout", attempt) == "***"
        assert logged(bench, "stderr", attempt) == "***\n"
    assert list((bench.root / "logs").glob(".*")) == []


def test_live_output_is_masked(secret: Bench) -> None:
    ours, theirs = os.pipe()
    secret.configure(live=(theirs, theirs))

    secret.shell(f"echo key {TOKEN}; echo key {TOKEN} >&2", parse="text")

    os.close(theirs)
    assert os.read(ours, 1000) == b"key ***\nkey ***\n"
    os.close(ours)


def test_the_repeating_line_masks_secret_args(bench: Bench) -> None:
    args = {"API_KEY": "it's-a-key", "GAIN": 1, "URL": "http://it's-a-key@bench", "NONE_KEY": None}

    process = bench.shell("true", parse="text", args=args).process

    assert process is not None
    assert process.masked == ("API_KEY", "URL")
    assert bench.attempt.config.secrets.mask(process).alone == (
        "env -u NONE_KEY 'API_KEY=***' GAIN=1 'URL=http://***@bench' true"
    )


def test_a_log_that_cannot_be_masked_is_removed(
    secret: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = secret.write("logs/s.1.stdout", TOKEN)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    mask_logs(secret.shell_step("true"), secret.attempt)

    assert not log.exists()
    assert list((secret.root / "logs").iterdir()) == []
