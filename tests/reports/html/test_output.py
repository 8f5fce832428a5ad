"""Output and failure texts on a page: colours, carriage returns, and what is not shown twice."""

from pathlib import Path

import pytest

from pytest_orchestrator.reports.html.output import coloured, until_errors, without_closing
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.reports.text import tail
from pytest_orchestrator.runs import lookup
from tests.reports.sample_run import SampleRun

RED = "\x1b[1;31m"
OFF = "\x1b[0m"
TEXT = """\
recipes/a.yaml:3:5: step 'a': exit code 1, expected 0

  3 |   cmd: false
    |        ^^^^^
E   exit code 1, expected 0
    also checked, OK: status ok
context keys written
  + a  1
stderr, 1 line   (all: x)
  bad
resources  0.01 s
rerun      pytest recipes/a.yaml::a"""
TRACEBACK = """\
>   - {name: a, type: python}

recipes/a.yaml:3:\x20
_ _ _ _ _ _ _ _ _ _\x20

    def a():
>       return {}["b"]
E       KeyError: 'b'

a.py:2: KeyError
------------------ recipes/a.yaml::a ------------------
resources  0.01 s
rerun      pytest recipes/a.yaml::a"""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a <b>", "a <b>"),
        (f"{RED}FAIL{OFF} <b>", '<span class="f1 t1">FAIL</span> &lt;b&gt;'),
        ("\x1b[32mok\x1b[39m.", '<span class="f2">ok</span>.'),
        ("\x1b[1ma\x1b[22mb\x1b[4mc", '<span class="t1">a</span>b<span class="t4">c</span>'),
        ("\x1b[97;101mx", '<span class="g1 f7">x</span>'),
        ("\x1b[38;5;3mx\x1b[38;2;1;2;3my", '<span class="f3">x</span>y'),
        ("\x1b[38;5;200;1mx", '<span class="t1">x</span>'),
        ("\x1b[m\x1b[99;7mx\x1b[", "x\x1b["),
    ],
)
def test_terminal_colours_are_spans_and_the_text_is_escaped(text: str, shown: str) -> None:
    assert str(coloured(text)) == shown


def test_a_log_shows_the_last_state_of_overwritten_lines_and_escapes_other_controls(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    log.write_bytes(f"10%\r50%\r100%\r\n{RED}FAIL{OFF}\x1b[K\x1b[2J\n50%\r".encode())

    end = tail(log, 1_000)

    assert end is not None
    assert end.text == f"100%\n{RED}FAIL{OFF}\\x1b[2J\n50%"


def test_a_failure_text_ends_with_its_failed_checks_or_with_stderr() -> None:
    assert until_errors(TEXT).endswith("^^^^^\nE   exit code 1, expected 0")
    assert without_closing(TEXT).endswith("(all: x)\n  bad")
    assert until_errors("E   no head") == "E   no head"
    assert until_errors("") == ""


def test_a_traceback_has_no_frame_of_the_recipe_and_no_figures() -> None:
    expected = "    def a():\n>       return {}[\"b\"]\nE       KeyError: 'b'\n\na.py:2: KeyError"

    assert until_errors(TRACEBACK).lstrip("\n") == expected
    assert without_closing(TRACEBACK).lstrip("\n") == expected


def test_the_panel_of_a_failed_step_says_each_thing_once(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    log = run.log("a.stderr", f"{RED}bad{OFF}\n")
    run.step("a", "failed", (0, 1), text=TEXT, logs={"stderr": log})
    run.seal()

    page = html(lookup.load_record(run.folder), run.folder)

    panel = page.partition('class="panel"')[2]
    assert panel.count("exit code 1, expected 0") == 2  # the head and the line of the error
    assert panel.count("resources  ") == panel.count("also checked") == 0
    assert '<pre class="output" tabindex="0"><code><span class="f1 t1">bad</span>' in panel
    first = page.partition('id="first-failure"')[2].partition("</section>")[0]
    assert "(all: x)\n  bad</pre>" in first
