"""Failure text of a step on the terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_PSU = """
steps:
  - name: flash
    type: python
    module: steps
    function: note
    params: {name: flash}
  - name: measure
    type: shell
    description: Measures.
    cmd: bin/measure
    args: {RANGE: 200, MODE: dc}
    timeout: 30s
    success:
      exit_code: 0
      ctx_has_keys: [done.flash, done.flsh, ripple]
      files_exist: [steps.py, out/log.csv]
"""
_CRITERIA = """\
recipes/psu.yaml:15:34: 3 of 6 checks failed after step 'measure'

   7 |   - name: measure
   … |
  12 |     timeout: 30s
  13 |     success:
  14 |       exit_code: 0
  15 |       ctx_has_keys: [done.flash, done.flsh, ripple]
     |                                  ^^^^^^^^^
E   ctx_has_keys: the context has no key 'done.flsh' (did you mean 'done.flash'?)  (line 15)
E   ctx_has_keys: the context has no key 'ripple'; it has done.flash  (line 15)
E   files_exist: out/log.csv is not there, nor is its folder  (line 16)
    also checked, OK: status ok; exit_code 0; ctx_has_keys done.flash; files_exist steps.py
resources  N s, CPU N s
rerun      pytest recipes/psu.yaml::measure
command    env RANGE=200 MODE=dc bin/measure
"""
_LIMITS = """
steps:
  - name: measure
    type: shell
    cmd: "echo 'ripple: 61 mV' | tee out.txt; echo done >&2; exit 3"
    parse: text
    success:
      exit_code: [0, 4]
      max_seconds: 60
      stdout_matches: '^ripple: \\d+ mV$'
      stdout_not_contains:
        - PASS
        - 61 mV
      stderr_contains: done
      files:
        - path: out.txt
          min_bytes: 100
          fresh: true
"""
_EIGHT = """\
recipes/psu.yaml:7:18: 3 of 8 checks failed after step 'measure'

   2 |   - name: measure
   … |
   4 |     cmd: "echo 'ripple: 61 mV' | tee out.txt; echo done >&2; exit 3"
   5 |     parse: text
   6 |     success:
   7 |       exit_code: [0, 4]
     |                  ^^^^^^
E   exit_code: exit code 3, expected 0 or 4  (line 7)
E   stdout_not_contains: '61 mV' is in line 1 of stdout: 'ripple: 61 mV'  (line 12)
E   files: out.txt has 14 B, limit 100 B (86 B below, 86 %)  (line 16)
    also checked, OK: max_seconds 60; stdout_matches ^ripple: \\d+ mV$; stdout_not_contains PASS; \
stderr_contains done; files {"path": "out.txt", "fresh": true}
"""
_BENCH = """
def check(ctx, params):
    values = [1, 2, 3]
    return compare(values)


def compare(values):
    assert values == [1, 2, 4], "the bench is off"
"""


def _without_figures(text: str) -> str:
    text = re.sub(r", (peak|read|wrote) (≤ )?\d+\.\d MB| \(user .*?\)", "", text)
    return re.sub(r"\d+\.\d\d(?= s)", "N", text)


@pytest.fixture
def psu(project: Project) -> Project:
    """A project with a shell step with three failed criteria."""
    project.write("recipes/psu.yaml", _PSU)
    project.script(
        "bin/measure",
        """
        #!/bin/sh
        echo '{"status": "ok"}'
        """,
    )
    return project


@pytest.fixture
def bench(project: Project) -> Project:
    """A project with a Python step with a failed assertion."""
    project.write("bench.py", _BENCH)
    project.recipe("bench", {"check": "type: python, module: bench, function: check"})
    return project


@pytest.mark.parametrize("style", ["auto", "long", "native"])
def test_failed_criteria_are_shown_at_their_lines(psu: Project, style: str) -> None:
    result = psu.run(f"--tb={style}")

    assert _without_figures(psu.shown(result, "measure")) == _CRITERIA
    assert (
        "FAILED recipes/psu.yaml::measure - ctx_has_keys: the context has no key 'done.flsh' "
        "(did you mean 'done.flash'?) (and 2 more)" in result.outlines
    )


def test_three_failed_criteria_of_eight_are_shown(project: Project) -> None:
    project.write("recipes/psu.yaml", _LIMITS)

    output = project.shown(project.run(), "measure")

    assert output.partition("stderr, ")[0] == _EIGHT
    criteria = project.blocks()["measure"]["criteria"]
    assert [one["line"] for one in criteria if not one["held"]] == [7, 12, 16]
    assert criteria[-2] == {
        "name": "files",
        "line": 16,
        "held": False,
        "wanted": {"path": "out.txt", "min_bytes": 100},
        "measured": 14,
        "unit": "bytes",
        "distance": 86,
        "reason": "out.txt has 14 B, limit 100 B (86 B below, 86 %)",
    }


def test_tb_line_names_the_line_of_the_recipe(psu: Project) -> None:
    psu.run("--tb=line").stdout.fnmatch_lines(
        ["*/recipes/psu.yaml:15: ctx_has_keys: the context has no key 'done.flsh'*"]
    )
    nothing = psu.run("--tb=no").stdout
    nothing.no_fnmatch_line("*checks failed*")
    nothing.fnmatch_lines(["FAILED recipes/psu.yaml::measure - ctx_has_keys: *"])


def test_the_last_lines_of_the_output_of_a_step_are_shown(project: Project) -> None:
    project.recipe("x", {"count": "type: shell, cmd: 'seq 12; seq 12 >&2; exit 3'"})
    last = [str(number) for number in range(3, 13)]
    printed = ["-* Captured stdout call -*", "… the last 10 of 12 lines (-vv shows all)", *last]

    result = project.run()

    result.stdout.fnmatch_lines(
        ["stderr, last 10 of 12 lines   (all: *count.1.stderr)", *(f"  {one}" for one in last)],
        consecutive=True,
    )
    result.stdout.fnmatch_lines(printed, consecutive=True)
    result.stdout.no_fnmatch_line("*Captured stderr call*")  # otherwise it would be shown twice
    project.run("-vv").stdout.fnmatch_lines(
        ["-* Captured stderr call -*", "1", "2", *last], consecutive=True
    )


def test_the_failure_text_contains_the_written_context_keys(project: Project) -> None:
    project.write(
        "bench.py",
        """
        def write(ctx, params):
            ctx.set("ripple", {"value": 61.4, "unit": "mV"})
            ctx.set("state", "idle")
            ctx.set("state", "loaded")
            ctx.append("readings", 12.5)
            ctx.delete("ripple")
            return {"status": "off"}
        """,
    )
    project.recipe("x", {"write": "type: python, module: bench, function: write"})

    assert _without_figures(project.shown(project.run(), "write")) == (
        """\
recipes/x.yaml:2:58: step 'write': status 'off', no reason given

   2 |   - {name: write, type: python, module: bench, function: write}
     |                                                          ^^^^^
E   status 'off', no reason given
context keys written
  + ripple       {"value": 61.4, "unit": "mV"}
  + state        "idle"
  ~ state        "idle" -> "loaded"
  + readings[0]  12.5
  - ripple       {"value": 61.4, "unit": "mV"}
resources  N s, CPU N s
rerun      pytest recipes/x.yaml::write
"""
    )


def test_a_failed_step_takes_at_most_forty_lines(project: Project) -> None:
    project.write(
        "bench.py",
        """
        import logging
        import sys

        def talk(ctx, params):
            for number in range(100):
                ctx.set(f"key_{number}", number)
                print(number)
                print(number, file=sys.stderr)
                logging.getLogger().warning("%d", number)
            return {"status": "ok"}
        """,
    )
    keys = [f"missing_{number}" for number in range(50)]
    wanted = f"success: {{ctx_has_keys: [{', '.join(keys)}]}}"
    project.recipe("x", {"talk": f"type: python, module: bench, function: talk, {wanted}"})

    lines = project.run().outlines
    first = next(
        number for number, line in enumerate(lines) if "_ talk in recipes/x.yaml _" in line
    )
    last = next(number for number, line in enumerate(lines) if "- recipes -" in line)

    assert last - first <= 40


def test_an_assertion_is_explained_in_user_frames(bench: Project) -> None:
    result = bench.run()

    result.stdout.fnmatch_lines(
        [
            "-* recipes/bench.yaml::check -*",
            "resources  * s, CPU * s *",
            "rerun      pytest recipes/bench.yaml::check",
        ],
        consecutive=True,
    )
    shown = bench.shown(result, "check")
    assert shown == (
        """
>   - {name: check, type: python, module: bench, function: check}

recipes/bench.yaml:2:
bench.py:3: in check
    return compare(values)
           ^^^^^^^^^^^^^^^

values = [1, 2, 3]

    def compare(values):
>       assert values == [1, 2, 4], "the bench is off"
E       AssertionError: the bench is off
E       assert [1, 2, 3] == [1, 2, 4]
E
E         At index 2 diff: 3 != 4
E         Use -v to get more diff

bench.py:7: AssertionError
"""
    )
    assert "FAILED recipes/bench.yaml::check - AssertionError: the bench is off" in result.outlines


def test_every_traceback_style_shows_only_user_frames(bench: Project) -> None:
    def places(style: str) -> list[str]:
        shown = bench.shown(bench.run(f"--tb={style}"), "check")
        found = re.findall(r'^(\S+):(\d+):|^  File "(.*)", line (\d+)', shown, re.MULTILINE)
        return [
            f"{(name or path).removeprefix(f'{bench.path}/')}:{number or line}"
            for name, number, path, line in found
        ]

    three = ["recipes/bench.yaml:2", "bench.py:3", "bench.py:7"]
    assert places("auto") == three
    assert places("short") == three
    assert places("long") == three
    assert places("native")[-2:] == three[1:]
    bench.run("--tb=line").stdout.fnmatch_lines(["*/bench.py:7: AssertionError: the bench is off"])


def test_showlocals_shows_only_variables_of_the_user(bench: Project) -> None:
    shown = bench.shown(bench.run("--showlocals"), "check")

    assert set(re.findall(r"^ *(\S+) +=", shown, flags=re.MULTILINE)) == {"ctx", "params", "values"}


def test_a_chained_exception_is_shown_with_its_frames(project: Project) -> None:
    project.write(
        "bench.py",
        """
        def read(ctx, params):
            try:
                {}["volts"]
            except KeyError as error:
                raise RuntimeError("no reading") from error
        """,
    )
    project.recipe("x", {"read": "type: python, module: bench, function: read"})

    assert project.frames(project.run(), "read") == [
        "bench.py:3: KeyError",
        "recipes/x.yaml:2:",
        "bench.py:5: RuntimeError",
    ]


def test_the_repeat_commands_work(psu: Project) -> None:
    repeated = psu.run("recipes/psu.yaml::measure")
    shown = psu.shown(repeated, "measure")
    alone = re.findall(r"^command +(.*)$", shown, flags=re.MULTILINE)[0]

    assert repeated.parseoutcomes() == {"failed": 1}
    assert psu.pytester.run("sh", "-c", alone).outlines == ['{"status": "ok"}']


def test_the_repeat_command_works_in_a_subfolder(
    psu: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (psu.path / "docs").mkdir()
    monkeypatch.chdir(psu.path / "docs")

    shown = psu.shown(psu.run("../recipes/psu.yaml::measure"), "measure")
    repeat = re.findall(r"^rerun +(.*)$", shown, flags=re.MULTILINE)[0]

    assert repeat == "pytest ../recipes/psu.yaml::measure"
    assert psu.run(*repeat.split()[1:]).parseoutcomes() == {"failed": 1}


def test_the_repeat_command_contains_the_values_of_vars(project: Project) -> None:
    measured = "parse: text, cmd: 'true', measurements: {x: {value: '2', high: '${{ vars.most }}'}}"
    project.recipe("x", {"one": f"type: shell, {measured}"}, head="required: [most]")

    result = project.run("--recipe-var", "most=1", "--recipe-compare=LAST:9")
    repeat = re.findall(r"^rerun +(.*)$", result.stdout.str(), flags=re.MULTILINE)[0]

    assert repeat == "pytest --recipe-compare=LAST:9 --recipe-var=most=1 recipes/x.yaml::one"
    assert project.run(*repeat.split()[1:]).parseoutcomes() == {"failed": 1}


def test_control_characters_are_escaped(project: Project) -> None:
    project.write("bell.txt", "\x1b[2J\x07 done\n")
    project.recipe("x", {"one": "type: shell, cmd: 'cat bell.txt >&2; exit 3'"})

    result = project.run()

    result.stdout.fnmatch_lines(["stderr, 1 line *", "  \\x1b[[]2J\\x07 done"], consecutive=True)


@pytest.mark.parametrize(
    ("value", "found", "cure"),
    [
        (
            "result",
            "a mapping",
            (
                "write `result.NAME`; "
                "if the step prints only a number, `stdout | float` or `parse: data`"
            ),
        ),
        ("stdout", "text", "write `stdout | float`"),
    ],
)
def test_a_measurement_of_a_whole_output_says_how_it_becomes_a_number(
    project: Project, value: str, found: str, cure: str
) -> None:
    limit = f"measurements: {{volts: {{value: {value}, low: 3}}}}"
    project.recipe("x", {"one": f"type: shell, cmd: echo 3.3, parse: text, {limit}"})

    lines = project.run().outlines

    head = "recipes/x.yaml:2:101: volts has no number after step 'one'"
    assert [line for line in lines if line.endswith("after step 'one'")] == [head]
    error = f"E   volts is {found}, and a number is needed for its limit ({cure})  (line 2)"
    assert error in lines
