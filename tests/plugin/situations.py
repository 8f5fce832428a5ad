"""Situations whose screens are recorded: projects, arguments of pytest, and their limits."""

from collections.abc import Iterator
from typing import Final, NamedTuple

OPTIONS: Final = ("-pno:rerunfailures", "-pno:cacheprovider")
"""Options of pytest in all situations."""
_INI: Final = "[pytest]\npythonpath = .\ntestpaths = recipes\n"


class Situation(NamedTuple):
    """A project in which pytest is run at a terminal.

    Attributes:
        files: The text of each file of the project.
        args: The arguments of pytest.
        ctrl_c_at: Name of the file that a step creates when a person types Ctrl-C; may be empty.
        max_lines: Maximum lines of the screen, without the rows of dots that pytest writes.
        status: Exit status of pytest.
    """

    files: dict[str, str]
    args: tuple[str, ...] = ()
    ctrl_c_at: str = ""
    max_lines: int = 250
    status: int = 1


_PSU = """\
test_meta: {dut: PSU-7}
steps:
  - name: power_on
    type: shell
    cmd: |
      echo '{"status": "ok", "volts": 12.02}'
    outputs: {psu.volts_v1: "${{ result.volts }}"}
    measurements:
      volts: {value: result.volts, unit: V, low: 11.4, high: 12.6}
  - name: settle
    type: shell
    cmd: "true"
    parse: text
  - name: measure_ripple
    type: shell
    cmd: |
      echo '{"status": "ok", "ripple": RIPPLE}'
    measurements:
      ripple: {value: result.ripple, unit: mV, high: 50, marginal: {percent: 10}}
  - name: report
    type: shell
    cmd: echo rows 10
    parse: text
"""
_CDU = """\
steps:
  - {name: poll_cdu, type: shell, cmd: echo kpa 310, parse: text}
  - {name: flash, type: shell, cmd: echo flashed, parse: text}
"""
_GREEN: Final = {
    "recipes/cdu.yaml": _CDU,
    "recipes/psu.yaml": _PSU.replace("RIPPLE", "46.5"),
}
_CRITERIA = """\
steps:
  - name: measure_ripple
    type: shell
    cmd: |
      echo "scope ready" >&2
      echo '{"status": "ok", "ripple": 61.4}'
    measurements:
      ripple: {value: result.ripple, unit: mV, high: 50}
  - name: flash_firmware
    type: shell
    needs: []
    cmd: echo "no device found" >&2; exit 3
    parse: text
    success: {max_seconds: 30, stdout_matches: flashed}
"""
_MODULE = '''\
"""Steps of the bench."""


def compare_gains(ctx, params):
    measured = {"ch1": 10.02, "ch2": 9.97, "ch3": 12.5}
    expected = {"ch1": 10.02, "ch2": 9.97, "ch3": 10.0}
    assert measured == expected, "gain of a channel is wrong"
'''
_ASSERTION = """\
steps:
  - {name: power_on, type: shell, cmd: echo on, parse: text}
  - {name: compare_gains, type: python, module: steps, function: compare_gains}
"""
_BLOCKED = """\
steps:
  - {name: power_on, type: shell, cmd: "echo no current >&2; exit 1", parse: text}
  - {name: flash, type: shell, cmd: "true", parse: text}
  - {name: calibrate, type: shell, cmd: "true", parse: text}
  - {name: measure, type: shell, cmd: "true", parse: text}
  - {name: self_test, type: shell, cmd: "true", parse: text, needs: []}
finally:
  - {name: power_off, type: shell, cmd: "true", parse: text}
"""
_RETRIED = """\
steps:
  - name: find_device
    type: shell
    cmd: echo x >> tries; test $(wc -l < tries) -ge 3
    parse: text
    retry: {attempts: 4, delay: 1ms}
  - name: find_probe
    type: shell
    cmd: "echo no probe >&2; exit 1"
    parse: text
    needs: []
    retry: {attempts: 2, delay: 1ms}
"""
_XFAIL = """\
steps:
  - {name: power_on, type: shell, cmd: "true", parse: text}
  - name: self_test
    type: shell
    cmd: exit 3
    parse: text
    xfail: the supply is on its way
"""
_SKIPPED = """\
steps:
  - {name: power_on, type: shell, cmd: "true", parse: text}
  - {name: burn_in, type: shell, cmd: "true", parse: text, if: "1 > 2"}
  - name: self_test
    type: shell
    cmd: echo '{"status":"skip","reason":"no probe"}'
    needs: []
"""
_TIMEOUT = """\
steps:
  - name: soak
    type: shell
    cmd: echo "waiting for the chamber"; sleep 60
    parse: text
    timeout: 300ms
  - {name: report, type: shell, cmd: "true", parse: text}
"""
_INTERRUPTED = """\
steps:
  - {name: power_on, type: shell, cmd: "true", parse: text}
  - {name: soak, type: shell, cmd: "echo at 85 degrees; touch begun; sleep 60", parse: text}
  - {name: measure, type: shell, cmd: "true", parse: text}
  - {name: report, type: shell, cmd: "true", parse: text}
finally:
  - {name: power_off, type: shell, cmd: "true", parse: text}
"""
_MATRIX = """\
matrix: {volts: [5, 12, 24], load: [10, 40, 100]}
steps:
  - {name: power_on, type: shell, cmd: "true", parse: text}
  - name: measure
    type: shell
    cmd: |
      echo "{\\"status\\": \\"ok\\", \\"ripple\\": ${{ matrix.volts * matrix.load / 40 }}}"
    measurements:
      ripple: {value: result.ripple, unit: mV, high: 29, marginal: {percent: 1}}
  - {name: report, type: shell, cmd: "true", parse: text}
"""
_LONG = """\
steps:
  - name: measure_the_output_ripple_at_full_load_with_a_name_that_no_column_of_a_table_can_hold
    type: shell
    cmd: "echo 電源が切れています, cafe\u0301 zu >&2; exit 1"
    parse: text
  - name: log
    type: shell
    needs: []
    cmd: echo '{"status":"ok", "ripple":61.4, "note":"電源, a line longer than most terminals"}'
    measurements:
      ripple_of_the_output_at_full_load_in_a_climate_chamber:
        {value: result.ripple, unit: mV, high: 50}
  - name: poll
    type: shell
    cmd: "true"
    foreach: [電源電源電源電源電源電源電源電源, cafe\u0301]
    parse: text
    needs: []
"""
_ERRORS = """\
steps:
  - name: power_on
    type: shell
    cmd: "true"
    parse: text
    timeut: 3s
  - {name: flash, type: shell, cmd: "true", parse: text, needs: [power_onn]}
"""


def _many(steps: int, failing: int = 0) -> str:
    """Return a recipe with many steps, of which one may fail."""
    return "\n".join(["steps:", *_lines(steps, failing)]) + "\n"


def _lines(steps: int, failing: int) -> Iterator[str]:
    for number in range(1, steps + 1):
        cmd = "echo no answer >&2; exit 1" if number == failing else "true"
        yield f'  - {{name: step_{number:02}, type: shell, parse: text, cmd: "{cmd}"}}'


_SWEEP = "\n".join(
    [
        'matrix: {cell: "${{ range(40) }}"}',
        "defaults: {isolation: inline}",
        "steps:",
        *(
            f"  - {{name: step_{number:02}, type: python, module: steps, function: nothing}}"
            for number in range(1, 51)
        ),
    ]
)
_NOTHING = "def nothing(ctx, params):\n    return {'status': 'ok'}\n"

_SITUATIONS: Final = {
    "green": Situation(_GREEN, status=0),
    "failed-criterion": Situation({"recipes/psu.yaml": _CRITERIA}),
    "failed-assertion": Situation({"recipes/gains.yaml": _ASSERTION, "steps.py": _MODULE}),
    "blocked": Situation({"recipes/psu.yaml": _BLOCKED}),
    "retried": Situation({"recipes/probe.yaml": _RETRIED}),
    "xfail": Situation({"recipes/psu.yaml": _XFAIL}, status=0),
    "skipped": Situation({"recipes/psu.yaml": _SKIPPED}, status=0),
    "timeout": Situation({"recipes/soak.yaml": _TIMEOUT}),
    "interrupted": Situation({"recipes/soak.yaml": _INTERRUPTED}, ctrl_c_at="begun", status=2),
    "matrix": Situation({"recipes/ripple.yaml": _MATRIX}),
    "noise": Situation(
        {
            "recipes/a.yaml": _many(60),
            "recipes/b.yaml": _many(60, failing=7),
            "recipes/c.yaml": _many(60),
        },
        max_lines=45,
    ),
    "green-matrix": Situation(
        {"recipes/sweep.yaml": _SWEEP, "steps.py": _NOTHING}, max_lines=12, status=0
    ),
    "collection-error": Situation(_GREEN | {"recipes/psu.yaml": _ERRORS}, status=2),
    "quiet": Situation(_GREEN | {"recipes/bad.yaml": _CRITERIA}, ("-q",)),
    "exit-first": Situation({"recipes/psu.yaml": _BLOCKED, "recipes/z.yaml": _CDU}, ("-x",)),
    "long-names": Situation({"recipes/ripple.yaml": _LONG}),
}
SITUATIONS: Final = {
    name: one._replace(files=one.files | {"pytest.ini": _INI}) for name, one in _SITUATIONS.items()
}
"""Each situation by its name, which is also the name of its recordings."""
