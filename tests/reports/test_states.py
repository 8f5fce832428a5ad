"""The table of states: one word, sign and colour for all reports."""

import re
from pathlib import Path

from pytest_orchestrator.core.text import display_width
from pytest_orchestrator.reports.github.summary import summary
from pytest_orchestrator.reports.html.page import Page
from pytest_orchestrator.reports.states import COLOURS, legend
from pytest_orchestrator.reports.templating import FOLDER
from pytest_orchestrator.reports.terminal.measurements import state_of
from pytest_orchestrator.reports.views import steps_of
from pytest_orchestrator.runs.lookup import load_record
from pytest_orchestrator.runs.verdicts import STATES
from tests.reports.sample_run import SampleRun

RUN = "20261125T101502Z-7f3a"


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


def test_a_step_that_ran_too_long_is_a_timeout_in_all_reports(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / RUN)
    run.begin({"slow": [], "cut": []})
    run.step("slow", "failed", (0, 0.5), step={"kind": "timeout", "reason": "still running"})
    run.step("cut", "interrupted", (1, 1.5), step={"kind": "interrupted", "reason": "Ctrl-C"})
    run.seal(1)
    record = load_record(tmp_path / RUN)
    (recipe,) = record.recipes.values()
    slow = recipe.steps["slow"].block
    assert slow

    view = Page(record, tmp_path / RUN, "").steps[0]
    assert (slow.step.state, view.state, view.sign, view.look) == (
        "failed",
        "timeout",
        "◷",
        "failed",
    )
    assert steps_of(recipe)[0]["state"] == state_of(slow) == "timeout"
    assert "◷ 1 timeout" in summary({"r": [slow]}, [], [])
    assert Page(record, tmp_path / RUN, "").counts == {"timeout": 1, "interrupted": 1}


def test_an_interruption_is_amber_in_all_reports() -> None:
    assert (STATES["interrupted"].look, STATES["interrupted"].terminal) == ("blocked", "yellow")
