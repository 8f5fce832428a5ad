"""Python step inside pytest: arguments, return values, exceptions, timeout and usage."""

from __future__ import annotations

import sys
import traceback
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import UNSET

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Failure

if TYPE_CHECKING:
    from tests.execution.conftest import Bench

CURE = 'return a mapping with a status, such as {"status": "ok"}'


def failure_of(ended: Ended) -> Failure:
    assert ended.failure is not None
    return ended.failure


def frames_of(failure: Failure) -> list[str]:
    assert failure.exception is not None
    return [frame.name for frame in traceback.extract_tb(failure.exception.__traceback__)]


def test_a_function_receives_the_context_and_the_params(bench: Bench) -> None:
    ended = bench.python(
        """
        def step(ctx, params):
            ctx.set("seen", params)
            return {"status": "ok", "gain": params["gain"]}
        """,
        params={"gain": 2},
    )
    assert (ended.failure, ended.skipped) == (None, None)
    assert ended.value == {"status": "ok", "gain": 2}
    assert bench.context.to_dict() == {"seen": {"gain": 2}}


def test_a_class_validates_and_then_runs(bench: Bench) -> None:
    ended = bench.python(
        """
        class Step:
            def validate(self, ctx, params):
                self.validated = True

            def run(self, ctx, params):
                return {"status": "success", "validated": self.validated}
        """,
        class_="Step",
    )
    assert (ended.failure, ended.value) == (None, {"status": "success", "validated": True})


def test_fixtures_are_passed_by_keyword(bench: Bench) -> None:
    ended = bench.python(
        """
        def step(params, bench, *, psu):
            return {"status": "ok", "given": [bench, psu]}
        """,
        {"bench": "B", "psu": "P", "other": "O"},
    )
    assert (ended.failure, ended.value) == (None, {"status": "ok", "given": ["B", "P"]})


def test_each_run_receives_its_own_copy_of_the_params(bench: Bench) -> None:
    source = "def step(params): params['l'].append(1); return {'status': 'ok', 'l': params['l']}"
    step = bench.python_step(source, params={"l": []})
    for _ in range(2):
        ended = bench.result(step).ended
        assert ended is not None
        assert ended.value == {"status": "ok", "l": [1]}


def test_the_rootdir_is_on_the_path(bench: Bench) -> None:
    bench.write("lab/tools.py", "NAME = 'tools'\n")
    ended = bench.python("from lab.tools import NAME\ndef step(): return {'status': NAME}\n")
    assert failure_of(ended).reason == "status 'tools', no reason given"
    assert sys.path[0] == str(bench.root)


def test_a_step_runs_in_the_rootdir_and_pytest_keeps_its_working_directory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    source = "import os\ndef step(): return {'status': 'ok', 'cwd': os.getcwd()}\n"
    assert bench.python(source).value == {"status": "ok", "cwd": str(bench.root.resolve())}
    assert Path.cwd() == Path("/")


def test_the_status_skip_skips_the_step(bench: Bench) -> None:
    ended = bench.python("def step(): return {'status': 'skip', 'reason': 'no PSU'}\n")
    assert (ended.failure, ended.skipped) == (None, "no PSU")


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("None", f"step returned None; {CURE}"),
        ("'ok'", f"step returned text; {CURE}"),
        ("True", f"step returned a boolean; {CURE}"),
        ("0", f"step returned a number; {CURE}"),
        ("1.5", f"step returned a number; {CURE}"),
        ("[{'status': 'ok'}]", f"step returned a list; {CURE}"),
        ("({'status': 'ok'},)", f"step returned a tuple; {CURE}"),
        ("{1}", f"step returned a set; {CURE}"),
        ("OSError()", f"step returned an OSError; {CURE}"),
        (
            "{'status': 'ok', 'v': float('nan')}",
            "step: result['v'] is nan, which JSON does not have; use None or leave it out",
        ),
        (
            "{'status': 'ok', 'v': [(1, 2)]}",
            "step: result['v'][0] is a tuple, which JSON does not have; use a list",
        ),
        (
            "{'status': 'ok', 1: 2}",
            "step: result has a key that is an int, not text; use str()",
        ),
    ],
)
def test_an_invalid_return_value_is_reported_with_its_cure(
    bench: Bench, returned: str, reason: str
) -> None:
    ended = bench.python(f"def step(): return {returned}\n")
    assert ended.failure == Failure(kind="protocol", reason=reason)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("async def step(): pass", f"step is an async function; {CURE} without await"),
        ("def step(): yield", f"step is a generator, it yields; {CURE}"),
        ("async def step(): yield", f"step returned an async_generator; {CURE}"),
    ],
)
def test_an_async_function_or_generator_is_reported(bench: Bench, source: str, reason: str) -> None:
    assert bench.python(source).failure == Failure(kind="protocol", reason=reason)


def test_an_exception_keeps_only_frames_of_the_user(bench: Bench) -> None:
    failure = failure_of(
        bench.python(
            """
            def measure():
                try:
                    {}["ripple"]
                except KeyError as error:
                    raise RuntimeError("no ripple\\nat all") from error

            def step(ctx, params):
                measure()
            """
        )
    )
    assert (failure.kind, failure.reason) == ("exception", "RuntimeError: no ripple")
    assert frames_of(failure) == ["step", "measure"]


def test_the_traceback_of_a_refused_write_ends_in_the_line_of_the_step(bench: Bench) -> None:
    failure = failure_of(bench.python("def step(ctx, params):\n    ctx.set('a', {1})\n"))
    assert failure.reason.startswith("NotJson: ")
    assert frames_of(failure) == ["step"]


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        ("ValueError", "ValueError"),
        ("ValueError('a\\x1b[31m')", "ValueError: a"),
        ("asyncio.CancelledError('late')", "CancelledError: late"),
        ("GeneratorExit", "GeneratorExit"),
        ("AssertionError", "AssertionError"),
        ("Unspeakable", "Unspeakable: its text cannot be had"),
        ("ExceptionGroup('both', [ValueError(1)])", "ExceptionGroup: both (1 sub-exception)"),
    ],
)
def test_every_exception_is_a_failure(bench: Bench, raised: str, reason: str) -> None:
    failure = failure_of(
        bench.python(
            f"""
            import asyncio

            class Unspeakable(Exception):
                def __str__(self):
                    raise RuntimeError

            def step():
                raise {raised}
            """
        )
    )
    assert (failure.kind, failure.reason) == ("exception", reason)
    assert frames_of(failure) == ["step"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "sys.exit() was called"),
        ("0", "sys.exit(0) was called"),
        ("'bye'", "sys.exit('bye') was called"),
    ],
)
def test_sys_exit_is_a_failure_whatever_its_code(bench: Bench, code: str, reason: str) -> None:
    failure = failure_of(bench.python(f"import sys\ndef step():\n    sys.exit({code})\n"))
    assert (failure.kind, failure.reason) == ("exception", reason)
    assert failure.exception is not None
    assert failure.exception.__notes__ == [
        f"{reason}: a step ends by returning a mapping with a status"
    ]
    assert frames_of(failure) == ["step"]


def test_only_ctrl_c_and_passes_through_exceptions_are_raised(bench: Bench) -> None:
    bench.configure(exit_exceptions=(EOFError,))
    for end in (KeyboardInterrupt, EOFError):
        with pytest.raises(end):
            bench.python(f"def step(): raise {end.__name__}\n")


@pytest.mark.parametrize(("text", "reason"), [("no PSU", "no PSU"), ("", "skipped by the step")])
def test_an_exception_of_skips_skips_the_step(bench: Bench, text: str, reason: str) -> None:
    bench.configure(skip_exceptions=(LookupError,))
    ended = bench.python(f"def step(): raise LookupError({text!r})\n")
    assert (ended.failure, ended.skipped) == (None, reason)


@pytest.mark.parametrize(
    ("body", "reason", "kept"),
    [
        ("raise ValueError('gain < 0')", "Step.validate refused: ValueError: gain < 0", True),
        ("return False", "Step.validate refused: it returned False", False),
    ],
)
def test_a_step_whose_validate_fails_does_not_run(
    bench: Bench, body: str, reason: str, *, kept: bool
) -> None:
    failure = failure_of(
        bench.python(
            f"""
            class Step:
                def validate(self, ctx, params):
                    {body}

                def run(self, ctx, params):
                    ctx.set("ran", True)
            """,
            class_="Step",
        )
    )
    assert (failure.kind, failure.reason) == ("validation", reason)
    assert bench.context.keys() == []
    if kept:
        assert frames_of(failure) == ["validate"]
    else:
        assert failure.exception is None


def test_a_parameter_without_a_value_is_reported_with_the_correction(bench: Bench) -> None:
    failure = failure_of(bench.python("def step(ctx, p): pass\n"))
    assert failure == Failure(
        kind="validation",
        reason="params has no 'p', which step(ctx, p) needs; a parameter called params gets the "
        "whole mapping, and a pytest fixture is named in the step's fixtures",
        place=Place(5, 15, 6),
    )


@pytest.mark.parametrize(
    ("params", "reason", "place"),
    [
        (
            {"load": 1, "voltz": 5},
            "params has 'voltz' (did you mean 'volts'?), which step(volts, load=…) does not take",
            Place(6, 25, 7),
        ),
        (
            {"load": 1},
            (
                "params has no 'volts', which step(volts, load=…) needs; a parameter called params "
                "gets the whole mapping, and a pytest fixture is named in the step's fixtures"
            ),
            Place(6, 13, 11),
        ),
    ],
)
def test_params_that_do_not_fit_fail_at_their_place(
    bench: Bench, params: dict[str, int], reason: str, place: Place
) -> None:
    failure = failure_of(bench.python("def step(volts, load=2): pass\n", params=params))
    assert failure == Failure(kind="validation", reason=reason, place=place)


@pytest.mark.parametrize("body", ["time.sleep(20)", "while True: pass"])
def test_a_step_is_interrupted_at_its_timeout(bench: Bench, body: str) -> None:
    ended = bench.python(f"import time\ndef step():\n    {body}\n", timeout="500ms")
    failure = failure_of(ended)
    assert (failure.kind, failure.reason) == ("timeout", "timeout: still running after 0.5 s")
    assert failure.place == Place(6, 14, 7)
    assert frames_of(failure) == ["step"]
    assert str(failure.exception) == failure.reason
    assert ended.usage.seconds < 15


def test_a_module_that_takes_too_long_to_import_is_a_timeout(bench: Bench) -> None:
    failure = failure_of(bench.python("import time\ntime.sleep(20)\n", timeout="500ms"))
    assert failure.kind == "timeout"
    assert frames_of(failure) == ["<module>"]


def test_a_step_that_catches_its_timeout_fails(bench: Bench) -> None:
    source = """
        import time
        def step():
            try:
                time.sleep(20)
            finally:
                return {"status": "ok"}
        """
    if sys.version_info >= (3, 14):
        pytest.skip("`return` in `finally` is a SyntaxWarning")
    assert failure_of(bench.python(source, timeout="50ms")).kind == "timeout"


def test_a_missing_module_is_reported_with_the_nearest(bench: Bench) -> None:
    bench.write("scriptlets/flash.py", "")
    failure = failure_of(bench.python("", module="orchestrator.scriptlets.flash"))
    assert failure == Failure(
        kind="not_found",
        reason="no module 'orchestrator.scriptlets.flash' (did you mean 'scriptlets.flash'?)",
        place=Place(4, 13, 31),
    )


@pytest.mark.parametrize(
    ("keys", "reason", "place"),
    [
        ({"function": "stop"}, "function 'stop' (did you mean 'step'?)", Place(5, 15, 6)),
        ({"class_": "Flesh"}, "class 'Flesh' (did you mean 'Flash'?)", Place(5, 12, 7)),
        ({"function": "Nothing"}, "function 'Nothing'", Place(5, 15, 9)),
    ],
)
def test_a_missing_function_or_class_is_reported_with_the_nearest(
    bench: Bench, keys: dict[str, Any], reason: str, place: Place
) -> None:
    bench.write("steps_with_names.py", "class Flash: pass\ndef step(): pass\n")
    failure = failure_of(bench.python("", module="steps_with_names", **keys))
    assert failure == Failure(
        kind="not_found", reason=f"module 'steps_with_names' has no {reason}", place=place
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_module_that_raises_keeps_its_own_frames(bench: Bench, source: str, reason: str) -> None:
    step = bench.python_step(source)
    failure = bench.result(step).failure
    assert failure is not None
    assert (failure.kind, failure.place) == ("not_found", step.at["module"])
    assert failure.reason == f"module '{step.module}' cannot be imported: {reason}"
    assert frames_of(failure) == ["<module>"]


def test_a_module_with_a_syntax_error_is_reported(bench: Bench) -> None:
    step = bench.python_step("def step(:\n")
    failure = bench.result(step).failure
    assert failure is not None
    assert failure.reason == (
        f"module '{step.module}' cannot be imported: "
        f"SyntaxError: invalid syntax ({step.module}.py, line 1)"
    )


def test_before_import_is_called_once_for_a_module(bench: Bench) -> None:
    announced: list[str] = []
    bench.configure(before_import=announced.append)
    step = bench.python_step("def step(): return {'status': 'ok'}\n")
    for _ in range(2):
        assert bench.result(step).failure is None
    assert announced == [step.module]


def test_the_usage_of_this_process_is_measured(bench: Bench) -> None:
    usage = bench.python(
        """
        import time
        def step():
            start = time.process_time()
            while time.process_time() - start < 0.4:
                pass
            return {"status": "ok"}
        """
    ).usage
    cpu = (usage.cpu_user_seconds or 0) + (usage.cpu_system_seconds or 0)
    assert cpu == pytest.approx(0.4, abs=0.15)
    assert usage.seconds >= 0.4
    assert (usage.max_rss, usage.processes) == (UNSET, UNSET)
    assert usage.source["cpu"] == "times of this process"


def test_heap_true_measures_the_python_heap(bench: Bench) -> None:
    source = """
        kept = []

        def step():
            kept.append(bytes(1_000_000))
            bytes(3_000_000)
            return {"status": "ok"}
    """
    usage = bench.python(source, heap=True).usage
    assert 1_000_000 <= (usage.heap_current or 0) < 1_100_000
    assert 4_000_000 <= (usage.heap_peak or 0) < 4_100_000
    assert usage.source["heap"] == "tracemalloc"


def test_the_heap_is_not_traced_by_default(bench: Bench) -> None:
    source = """
        import tracemalloc

        def step():
            return {"status": "ok", "traced": tracemalloc.is_tracing()}
    """
    assert bench.python(source).value == {"status": "ok", "traced": False}
    assert bench.python(source).usage.heap_peak is UNSET
    assert bench.python(source, heap=True).value == {"status": "ok", "traced": True}
    assert not tracemalloc.is_tracing()


def test_the_heap_of_a_step_that_raises_is_measured(bench: Bench) -> None:
    usage = bench.python("def step(): raise ValueError(len(bytes(2_000_000)))", heap=True).usage
    assert 2_000_000 <= (usage.heap_peak or 0) < 2_100_000
    assert not tracemalloc.is_tracing()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("timeout", "status"), ("protocol", "protocol"), ("missing", "not_found")],
)
def test_an_error_of_an_instrument_fails_a_step_with_its_sentence(
    bench: Bench, kind: str, expected: str
) -> None:
    source = f"""
        from pytest_orchestrator.instrument import InstrumentError

        def step(instrument):
            try:
                instrument("psu")
            except InstrumentError as error:
                assert str(error) == "psu: instruments cannot be used here"
            raise InstrumentError("psu: no answer to 'VOLT?'", kind="{kind}")
        """

    failure = failure_of(bench.python(source))

    assert (failure.kind, failure.reason) == (expected, "psu: no answer to 'VOLT?'")
    assert failure.exception is not None
