"""Criteria on stdout and stderr, which search the whole output in memory or in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.result import Ended, Process, Stream, lasted
from pytest_orchestrator.execution import text_search
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.criteria.simple import CheckInputs

if TYPE_CHECKING:
    from tests.execution.conftest import Bench


def unmet(bench: Bench, stdout: Stream, **success: Any) -> list[str | None]:
    step = bench.step(type="shell", cmd="true", success=success)
    ended = Ended(usage=lasted(0.0), process=Process(argv=("x",), cwd="/", alone="", stdout=stdout))
    inputs = CheckInputs(step, bench.context, ended, 0.0, bench.root, {})
    return [verdict.unmet for verdict in check.checked(inputs)]


def logged(bench: Bench, data: bytes) -> Stream:
    log = bench.write("logs/s.1.stdout", data)
    return Stream(size=len(data), log=str(log), kept=len(data))


def test_each_text_and_pattern_has_a_verdict_of_its_own(bench: Bench) -> None:
    stream = logged(bench, b"boot\nERROR: no bench\nripple: 12 mV\nFAIL\n")
    reasons = unmet(
        bench,
        stream,
        stdout_contains=["boot", "PASS"],
        stdout_not_contains=["WARN", "ERROR", "FAIL"],
        stdout_matches=[r"^ripple: \d+ mV$", "^PASS$"],
    )
    assert reasons == [
        None,
        "no 'PASS' in stdout, which ends with 'FAIL'",
        None,
        "'ERROR' is in line 2 of stdout: 'ERROR: no bench'",
        "'FAIL' is in line 4 of stdout",
        None,
        "no match of '^PASS$' in stdout, which ends with 'FAIL'",
    ]


def test_a_single_text_needs_no_list(bench: Bench) -> None:
    assert unmet(bench, logged(bench, b"x"), stdout_contains="x", stdout_matches="^x$") == [
        None,
        None,
    ]


def test_a_silent_step_has_printed_nothing(bench: Bench) -> None:
    assert unmet(bench, Stream(), stdout_contains="a", stdout_not_contains="a") == [
        "no 'a' in stdout, which says nothing",
        None,
    ]


def test_the_edges_are_searched_if_no_log_has_the_whole_output(bench: Bench) -> None:
    whole = Stream(size=6, edges=(b"abc", b"def"))
    assert unmet(bench, whole, stdout_contains=["cd", "x"], stdout_not_contains="x") == [
        None,
        "no 'x' in stdout, which ends with 'abcdef'",
        None,
    ]


def test_an_output_that_was_not_stored_whole_never_meets_not_contains(bench: Bench) -> None:
    log = bench.write("logs/s.1.stdout", b"first\nsecond\n[cut here]\n")
    cut = Stream(size=5_000, log=str(log), cut=True, kept=13, edges=(b"first", b"one\nlast of all"))
    reasons = unmet(
        bench,
        cut,
        stdout_contains=["second", "last", "cut here"],
        stdout_not_contains=["third", "second", "last"],
    )
    assert reasons == [
        None,
        None,
        "no 'cut here' in stdout, which ends with 'last of all'; 4,972 bytes of it were not kept",
        "it is not known whether 'third' is in stdout; 4,972 bytes of it were not kept",
        "'second' is in line 2 of stdout",
        "'last' is in a line near the end of stdout: 'last of all'",
    ]


def test_a_removed_log_cannot_be_checked(bench: Bench) -> None:
    (reason,) = unmet(bench, Stream(size=9, log="/no/log", kept=9), stdout_contains="a")
    assert reason == (
        "cannot be checked: FileNotFoundError: [Errno 2] No such file or directory: '/no/log'"
    )


def test_control_characters_and_invalid_utf_8_are_shown_escaped(bench: Bench) -> None:
    (reason,) = unmet(bench, logged(bench, b"\x1b[2J\xff"), stdout_contains="a")
    assert reason == r"no 'a' in stdout, which ends with '\x1b[2J\udcff'"


@pytest.mark.parametrize("size", [10, 100_000, 10_000_000])
def test_the_whole_output_of_a_step_is_searched(bench: Bench, size: int) -> None:
    step = bench.shell_step(
        f"for s in 1 2; do yes 1234567 | head -c {size}; echo '<middle>'; done; echo oops >&2",
        parse="text",
        success={
            "stdout_contains": "<middle>",
            "stdout_matches": "<middle>\n1234567\n",
            "stdout_not_contains": "oops",
            "stderr_contains": "oops",
            "stderr_not_contains": "12345",
            "stderr_matches": "^oops$",
        },
    )
    result = bench.result(step)
    assert [(one.name, one.unmet) for one in result.verdicts if one.unmet] == []
    assert len(result.verdicts) == 6
    assert (size > text_search.PART) == (size == 10_000_000)


def test_an_output_above_max_log_never_meets_not_contains(bench: Bench) -> None:
    bench.configure(max_log=1_000)
    step = bench.shell_step(
        "yes 1234567 | head -c 100000; echo PASS",
        parse="text",
        success={"stdout_contains": "PASS", "stdout_not_contains": "limited to"},
    )
    assert [one.unmet for one in bench.result(step).verdicts] == [
        None,
        "it is not known whether 'limited to' is in stdout; 34,469 bytes of it were not kept",
    ]
