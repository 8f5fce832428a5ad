"""Failure texts and errors of recipes on a terminal: their width, colours and short forms."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.location import Place, excerpt
from pytest_orchestrator.reports.failure_view import has_excerpt, lines, one_line_each, plain
from pytest_orchestrator.reports.text import terminal_width

NAME = "ripple_of_the_output_at_full_load"
STEP = (
    "  - {name: ripple_of_the_output_at_full_load, type: shell, cmd: bin/ripple, needs: [warm_up],"
    " measurements: {ripple: {value: result.ripple, unit: mV, high: 50}}}"
)
FAILED = f"""\
recipes/psu.yaml:2:152: 2 of 3 checks failed after step 'ripple_of_the_output_at_full_load'

   1 | steps:
   2 | {STEP}
     | {" " * STEP.index("high")}^^^^
E   ripple = 61.4 mV, max 50.0 mV (11.4 mV above, 22.8 %)  (line 2)
E   exit_code: exit code 3, expected 0 or 4  (line 2)
    also checked, OK: status ok
    attempt 1: exit code 3
elements   2 of 4 failed, 1 interrupted, 1 not run
context keys written
  + psu.channel_1.ripple_of_the_output_v1  61.4
  ~ log[0]                                 "a" -> "b"
    warning: artifacts: no file matches out/*.csv
resources  0.00 s
rerun      pytest recipes/psu.yaml::ripple_of_the_output_at_full_load"""

UNREADABLE_STEP = (
    "  - {name: set, type: shell, cmds: psu set 12 V, "
    "description: Sets the voltage of channel one.}"
)
UNREADABLE = f"""\
recipes/a b.yaml:2:32: unknown key 'cmds' in shell step 'set' (did you mean 'cmd'?)

   1 | steps:
   2 | {UNREADABLE_STEP}
     |                              ^^^^
recipes/a b.yaml:3:1: unknown key 'finaly' (did you mean 'finally'?)

   3 | finaly: []
     | ^^^^^^
2 problems"""


def tagged(text: str, width: int, *, short: bool = False) -> str:
    """Return what a terminal shows, with each coloured part in brackets: ``red[…]``."""
    return "\n".join(
        "".join(f"{part.colour}[{part.text}]" if part.colour else part.text for part in line)
        for line in lines(text, width, short=short)
    )


HEAD = [
    "red[E   ripple = 61.4 mV, ]green[max 50.0 mV]red[ (11.4 mV above, 22.8 %)  (line 2)]",
    "red[E   exit_code: exit code 3, ]green[expected 0 or 4]red[  (line 2)]",
]
MIDDLE = [
    "    also checked, OK: status ok",
    "    attempt 1: exit code 3",
    "elements   red[2 of 4 failed], red[1 interrupted], 1 not run",
    "context keys written",
]
END = [
    "yellow[    warning: artifacts: no file matches out/*.csv]",
    "resources  0.00 s",
    "rerun      pytest recipes/psu.yaml::ripple_of_the_output_at_full_load",
]
ENDS_AT_60 = "…ripple: {value: result.ripple, unit: mV, high: 50}}}"
ENDS_AT_80 = "…up], measurements: {ripple: {value: result.ripple, unit: mV, high: 50}}}"
ENDS_AT_120 = f"…e: shell, cmd: bin/ripple, needs: [warm_up], {ENDS_AT_80[6:]}"


@pytest.mark.parametrize(
    ("width", "name", "row", "key"),
    [
        (60, "ripple_of_the_output_at…", ENDS_AT_60, "+ psu.channel_1.ripple_…"),
        (
            80,
            "ripple_of_the_output_at_full_lo…",
            ENDS_AT_80,
            "+ psu.channel_1.ripple_of_the_o…",
        ),
        (120, NAME, ENDS_AT_120, "+ psu.channel_1.ripple_of_the_output_v1"),
        (200, NAME, STEP, "+ psu.channel_1.ripple_of_the_output_v1"),
    ],
)
def test_a_failure_is_cut_to_the_width_of_the_terminal(
    width: int, name: str, row: str, key: str
) -> None:
    head = [
        f"red[recipes/psu.yaml]:2:152: 2 of 3 checks failed after step '{name}'",
        "",
        "   1 | steps:",
        f"   2 | {row}",
        f"     | {' ' * row.index('high')}red[^^^^]",
        *HEAD,
    ]
    keys = [f"  {key}  61.4", f'  {"~ log[0]":{len(key)}}  "a" -> "b"']

    assert tagged(FAILED, width).split("\n") == [*head, *MIDDLE, *keys, *END]
    assert tagged(FAILED, width, short=True).split("\n") == head


@pytest.mark.parametrize(
    ("width", "row"),
    [
        (60, "  - {name: set, type: shell, cmds: psu set 12 V, des…"),
        (80, "  - {name: set, type: shell, cmds: psu set 12 V, description: Sets the v…"),
        (120, UNREADABLE_STEP),
        (200, UNREADABLE_STEP),
    ],
)
def test_problems_of_a_recipe_are_cut_to_the_width_of_the_terminal(width: int, row: str) -> None:
    shown = [
        "red[recipes/a b.yaml]:2:32: unknown key 'cmds' in shell step 'set' (did you mean 'cmd'?)",
        "",
        "   1 | steps:",
        f"   2 | {row}",
        "     |                              red[^^^^]",
        "red[recipes/a b.yaml]:3:1: unknown key 'finaly' (did you mean 'finally'?)",
        "",
        "   3 | finaly: []",
        "     | red[^^^^^^]",
        "2 problems",
    ]
    assert tagged(UNREADABLE, width).split("\n") == shown
    assert tagged(UNREADABLE, width, short=True).split("\n") == shown  # no E line ends it
    plain_lines = [line.replace("red[", "").replace("]:", ":") for line in shown]
    assert plain(UNREADABLE, width)[:4] == plain_lines[:4]


def test_one_line_has_the_path_the_line_and_the_reason() -> None:
    failed = f"recipes/psu.yaml:2: 2 of 3 checks failed after step '{NAME}'"
    assert one_line_each(FAILED) == [failed]
    needed = f"needed step recipes/psu.yaml::{NAME} did not pass"
    assert one_line_each(f"{needed}\n{FAILED}") == [failed.replace("2: ", f"2: {needed}: ", 1)]
    assert one_line_each(UNREADABLE) == [
        "recipes/a b.yaml:2: unknown key 'cmds' in shell step 'set' (did you mean 'cmd'?)",
        "recipes/a b.yaml:3: unknown key 'finaly' (did you mean 'finally'?)",
    ]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("E   exit code -11 (SIGSEGV), expected 0", "E   exit code -11 (SIGSEGV), <expected 0>"),
        ("E   unit = 'V', expected 'mV'  (line 3)", "E   unit = 'V', <expected 'mV'>  (line 3)"),
        ("E   v = 'a', which 'b c' does not match", "E   v = 'a', which <'b c'> does not match"),
        (
            "E   stdout_contains: no 'ready' in stdout, which ends with 'busy'",
            "E   stdout_contains: no <'ready'> in stdout, which ends with 'busy'",
        ),
        (
            "E   stdout_matches: no match of 'r.y' in stderr, which says nothing",
            "E   stdout_matches: no <match of 'r.y'> in stderr, which says nothing",
        ),
        (
            "E   result.v is 7, maximum 5 (2 above, 40 %); result.w is 1, expected const 2",
            "E   result.v is 7, <maximum 5> (2 above, 40 %); result.w is 1, <expected const 2>",
        ),
        (
            "E   stdout is empty; one JSON object is expected",
            "E   stdout is empty; <one JSON object is expected>",
        ),
        ("E   the bench is off", "E   the bench is off"),
    ],
)
def test_the_expected_part_of_an_error_line_is_green(line: str, shown: str) -> None:
    (parts,) = lines(line, 80)
    marks = {"red": "{}", "green": "<{}>"}
    assert "".join(marks[part.colour].format(part.text) for part in parts) == shown


def test_the_carets_below_a_piece_of_output_are_red() -> None:
    assert tagged("    b'noise'\n      ^", 80) == "    b'noise'\n      red[^]"


def test_output_that_looks_like_an_excerpt_is_not_cut() -> None:
    output = f"  error[E0425]\n   1 | {'x' * 100}\n     | ^^^"
    assert plain(output, 60) == output.split("\n")
    assert not has_excerpt(output)
    assert not has_excerpt("a.py:1:2: no excerpt")
    assert has_excerpt(FAILED)


@given(
    st.lists(st.sampled_from([*"abc: 日é", "e\u0301"]), min_size=1, max_size=180).map("".join),
    st.integers(60, 200),
    st.data(),
)
def test_an_excerpt_fits_a_terminal_as_if_it_was_made_for_it(
    line: str, width: int, data: st.DataObject
) -> None:
    place = Place(1, data.draw(st.integers(1, len(line))), data.draw(st.integers(1, 9)))

    rows = excerpt(line, place, width=400)

    shown = plain(f"a.yaml:1:1: bad\n\n{rows}", width)
    assert shown[2:] == excerpt(line, place, width=width).splitlines()


def test_without_a_terminal_the_width_is_that_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: int) -> os.terminal_size:
        raise OSError

    monkeypatch.setattr(os, "get_terminal_size", none)
    monkeypatch.setenv("COLUMNS", "90")
    assert terminal_width() == 90
    monkeypatch.delenv("COLUMNS")
    assert terminal_width() == 200


LONG = """\
recipes/psu.yaml:1:1: 2 of 3 checks failed after step 'ripple' of the channel

   1 | - {name: ripple}
     | ^
E   ripple = 61.4 mV, max 50.0 mV (11.4 mV above, 22.8 %)  (line 2)
E   電圧電圧電圧電圧電圧電圧電圧電圧電圧電圧電圧: no such file
    stays as long as it is, for it may be a command to copy"""


def test_a_head_and_the_reasons_are_broken_between_words_on_a_terminal() -> None:
    shown = [
        "".join(f"{part.colour}[{part.text}]" if part.colour else part.text for part in line)
        for line in lines(LONG, 40, wrap=True)
    ]

    assert shown == [
        "red[recipes/psu.yaml]:1:1: 2 of 3 checks",
        "  failed after step 'ripple' of the",
        "  channel",
        "",
        "   1 | - {name: ripple}",
        "     | red[^]",
        "red[E   ]red[ripple = 61.4 mV, ]green[max 50.0 mV]red[ (11.4]",
        "red[E     ]red[mV above, 22.8 %)  (line 2)]",
        "red[E   ]red[電圧電圧電圧電圧電圧電圧電圧電圧電圧]",
        "red[E     ]red[電圧電圧: no such file]",
        "    stays as long as it is, for it may be a command to copy",
    ]
