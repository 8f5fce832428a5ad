"""The table of states: one word, sign and colour for all reports."""

import re

from pytest_orchestrator.core.text import display_width
from pytest_orchestrator.reports.states import COLOURS, STATES, legend
from pytest_orchestrator.reports.templating import FOLDER


def test_verdicts_have_signs_of_their_own() -> None:
    words = ("passed", "failed", "timeout", "error", "blocked", "skipped", "xfailed", "running")

    assert len({STATES[word].sign for word in words}) == len(words)


def test_each_sign_is_one_column_wide_and_each_style_has_colours() -> None:
    assert {display_width(state.sign) for state in STATES.values()} == {1}
    assert {state.look for state in STATES.values()} == COLOURS.keys()


def test_the_style_sheet_of_the_page_has_the_colours_of_the_table() -> None:
    light, dark = (FOLDER / "page.css").read_text().split("(prefers-color-scheme: dark)")[:2]

    def variables(text: str) -> dict[str, str]:
        return dict(re.findall(r"--([\w-]+): (#\w+)", text))

    for name, colours in COLOURS.items():
        assert variables(light)[name] == colours.line
        assert variables(light)[f"{name}-bg"] == colours.ground
        assert variables(dark)[name] == colours.dark_line
        assert variables(dark)[f"{name}-bg"] == colours.dark_ground


def test_a_legend_has_the_used_signs_in_the_order_of_the_table() -> None:
    shown = legend(["odd", "skipped", "passed", ""], ["final", "solid"])

    assert shown.texts == ["✔ passed", "○ skipped", "· odd", "→ needs", "┄ dashed box: finally"]
