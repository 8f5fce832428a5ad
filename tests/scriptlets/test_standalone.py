"""Standalone runner: one JSON object on stdout, other output on stderr, exit codes."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import pytest_orchestrator
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.scriptlets.base import BaseScriptlet
from pytest_orchestrator.scriptlets.standalone import main, run_alone

ROOT = Path(pytest_orchestrator.__file__).parents[1]


class Greet(BaseScriptlet):
    def validate(self, ctx: Any, params: Any) -> None:
        if "name" not in params:
            raise ValueError("a name is wanted")

    def run(self, ctx: Any, params: Any) -> dict[str, Any]:
        return {"status": "ok", "hello": params["name"]}


def run(target: Any, capfd: pytest.CaptureFixture[str], *argv: str) -> tuple[int, Any, str]:
    code = run_alone(target, argv)
    out, err = capfd.readouterr()
    return code, json.loads(out) if out else None, err


def test_a_result_is_one_json_object(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(Greet, capfd, "--params", '{"name": "µ\\ud83d\\ude00"}') == (
        0,
        {"status": "ok", "hello": "µ😀"},
        "",
    )


@pytest.mark.parametrize("status", ["ok", "success", "skip"])
def test_a_good_status_gives_exit_code_0(status: str, capfd: pytest.CaptureFixture[str]) -> None:
    answer = {"status": status}

    assert run(lambda: MappingProxyType(answer), capfd) == (0, answer, "")


@pytest.mark.parametrize(
    ("result", "printed", "message"),
    [
        (
            {"status": "failed", "reason": "too hot"},
            {"status": "failed", "reason": "too hot"},
            "status 'failed': too hot",
        ),
        ({"status": None}, {"status": None}, "status None, no reason given"),
        (
            {},
            {},
            'the result has no status; return a mapping with a status, such as {"status": "ok"}',
        ),
        (
            None,
            {
                "status": "error",
                "reason": 'returned null; return a mapping with a status, such as {"status": "ok"}',
            },
            'returned null; return a mapping with a status, such as {"status": "ok"}',
        ),
        (
            {"status": "ok", "x": [(1,)]},
            {
                "status": "error",
                "reason": "result['x'][0] is a tuple, which JSON does not have; use a list",
            },
            "result['x'][0] is a tuple, which JSON does not have; use a list",
        ),
    ],
)
def test_any_other_result_gives_exit_code_1_with_a_message(
    result: Any, printed: Any, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(lambda: result, capfd)

    assert (code, out) == (1, printed)
    assert err == f"<lambda>: {message}\n"


def test_params_may_come_from_a_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "params.json"
    file.write_text('\ufeff{"name": "x"}', encoding="utf-8")

    assert run(Greet, capfd, "--params-file", str(file))[1] == {"status": "ok", "hello": "x"}


def test_the_context_has_the_initial_values(capfd: pytest.CaptureFixture[str]) -> None:
    def work(ctx: Any) -> dict[str, Any]:
        return {"status": "ok", "all": ctx.to_dict(), "who": ctx.get_history("a.b")[0]["who"]}

    code, out, _ = run(work, capfd, "--context", '{"a.b": [1]}')

    assert (code, out) == (0, {"status": "ok", "all": {"a.b": [1]}, "who": "--context"})


def test_an_exception_shows_only_frames_of_the_user(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def work() -> None:
        raise KeyError("gain")

    code, out, err = run(work, capfd)

    assert (code, out) == (1, {"status": "error", "reason": "KeyError: 'gain'"})
    assert err.splitlines()[0] == "Traceback (most recent call last):"
    assert err.count("  File ") == 1
    assert 'raise KeyError("gain")' in err
    assert err.splitlines()[-1] == "work: KeyError: 'gain'"


def test_a_refused_validation_shows_the_reason(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(Greet, capfd)

    assert code == 1
    assert out["reason"] == "Greet.validate refused: ValueError: a name is wanted"
    assert err.count("  File ") == 1
    assert 'raise ValueError("a name is wanted")' in err


@pytest.mark.parametrize("code", [0, 3, None])
def test_an_exit_by_the_scriptlet_is_a_failure(
    code: int | None, capfd: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(lambda: sys.exit(code), capfd)

    assert status == 1
    assert out["reason"].startswith(f"sys.exit({code}) was called; return a mapping")


def test_a_skip_of_pytest_is_a_failure_without_pytest(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(lambda: pytest.skip("no bench"), capfd)

    assert (code, out["reason"]) == (1, "Skipped: no bench")


def test_an_interrupt_ends_the_run_and_restores_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_alone(work, [])
    sys.stdout.write("back\n")

    assert capfd.readouterr().out == "back\n"


def test_an_async_function_is_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        pass

    code, out, _ = run(work, capfd)

    assert (code, out["reason"]) == (
        1,
        'returned a coroutine; return a mapping with a status, such as {"status": "ok"}',
    )


def test_a_partial_can_be_run(capfd: pytest.CaptureFixture[str]) -> None:
    work = functools.partial(lambda status, params: {"status": status, **params}, "ok")

    assert run(work, capfd, "--params", '{"a": 1}') == (0, {"status": "ok", "a": 1}, "")


def test_params_that_do_not_fit_are_reported(capfd: pytest.CaptureFixture[str]) -> None:
    def measure(volts: float, current: float, load: float) -> None:
        raise AssertionError

    code, out, err = run(measure, capfd, "--params", '{"volt": 5}')

    name = "test_params_that_do_not_fit_are_reported.<locals>.measure(volts, current, load)"
    message = (
        f"params has 'volt' (did you mean 'volts'?), which {name} does not take, and no 'current' "
        "and no 'load', which it needs"
    )
    assert (code, out) == (1, {"status": "error", "reason": message})
    assert err == f"measure: {message}\n"


def test_parameters_receive_values_by_their_names(capfd: pytest.CaptureFixture[str]) -> None:
    def measure(ctx: Context, volts: float, load: float = 2, **more: Any) -> dict[str, Any]:
        return {"status": "ok", "amps": volts / load, "more": more, "keys": ctx.keys()}

    given = ("--params", '{"volts": 5, "x": 1}', "--context", '{"a": 1}')

    assert run(measure, capfd, *given) == (
        0,
        {"status": "ok", "amps": 2.5, "more": {"x": 1}, "keys": ["a"]},
        "",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"a": x}',
            (
                "argument --params: not JSON at line 1, column 7: Expecting value\n"
                '   1 | {"a": x}\n'
                "     |       ^\n"
            ),
        ),
        ("", "not JSON at line 1, column 1: Expecting value"),
        ("{\n  x}", "not JSON at line 2, column 3: Expecting property name"),
        ("[1]", "argument --params: a JSON object is expected, not a list\n"),
        ('{"a": NaN}', "argument --params: not JSON: NaN is not JSON\n"),
        ('{"a": 1e999}', "argument --params: not JSON: value['a'] is inf, which JSON does not"),
        ('{"a": 1, "a": 2}', "argument --params: not JSON: key 'a' is there twice\n"),
        ('{"a": "\\ud800"}', "argument --params: not JSON: value['a'] has a lone surrogate"),
        ("[" * 100_000, "argument --params: not JSON: "),
        ("9" * 10_000, "argument --params: not JSON: "),
    ],
)
def test_params_with_invalid_json_are_reported_with_position(
    text: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(Greet, capfd, "--params", text)

    assert code == 1
    assert out is not None
    assert out["status"] == "error"
    assert out["reason"].startswith("argument --params")
    assert message in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        (b"\xff", "codec can't decode byte 0xff"),
        (b"{", "params.json: not JSON at line 1, column 2"),
    ],
)
def test_an_unreadable_params_file_is_reported(
    content: bytes | None, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "params.json"
    if content is not None:
        file.write_bytes(content)

    code, out, err = run(Greet, capfd, "--params-file", str(file))

    assert code == 1
    assert out is not None
    assert out["status"] == "error"
    assert out["reason"].startswith("argument --params")
    assert message in err


def test_an_invalid_context_key_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(Greet, capfd, "--context", '{"a..b": 1}')

    assert code == 1
    assert "argument --context: key 'a..b' has an empty part; write 'a.b'" in err


def test_help_is_the_docstring_of_the_module(capfd: pytest.CaptureFixture[str]) -> None:
    code = run_alone(Greet, ["--help"])

    assert code == 0
    assert "Standalone runner: one JSON object on stdout" in capfd.readouterr().out


def test_a_replaced_stdout_still_receives_only_the_object(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> dict[str, str]:
        sys.stdout.write("noise\n")
        return {"status": "ok"}

    assert run_alone(work, []) == 0

    assert capsys.readouterr() == ('{"status": "ok"}\n', "noise\n")


def test_main_exits_with_the_code(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(lambda: {"status": "bad"}, [])
    assert caught.value.code == 1

    with pytest.raises(SystemExit) as caught:
        Greet.main(["--params", '{"name": "x"}'])
    assert caught.value.code == 0


NOISY = """
import os, subprocess, sys
from sys import stdout as kept
from pytest_orchestrator import get_logger, main

def work(ctx, params):
    print("print")
    kept.write("kept\\n")
    sys.__stdout__.write("dunder\\n")
    os.write(1, b"descriptor\\n")
    subprocess.run(["/bin/sh", "-c", "echo child"])
    get_logger("bench").info("log")
    ctx.set("a", 1)
    return {"status": "ok", "a": ctx.get("a")}

if __name__ == "__main__":
    main(work)
"""


def test_stdout_has_only_the_object_despite_other_prints(tmp_path: Path) -> None:
    script = tmp_path / "noisy.py"
    script.write_text(NOISY)

    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, '{"status": "ok", "a": 1}\n')
    lines = done.stderr.splitlines()
    assert {"print", "kept", "dunder", "descriptor", "child"} < set(lines)
    assert any(line.endswith("| INFO | bench | log") for line in lines)
