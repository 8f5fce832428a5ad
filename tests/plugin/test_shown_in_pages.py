"""Outputs on how-to pages are equal to the outputs of real sessions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.house.transcript import normal, pattern
from tests.plugin.journal.test_resume import cut_run  # noqa: F401  # a fixture

if TYPE_CHECKING:
    from tests.plugin.conftest import Project
    from tests.plugin.journal.test_resume import Cut

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
STEP = "steps:\n  - {name: measure, type: shell, cmd: 'true', parse: text}\n"


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a language on a page."""
    text = (HOW_TO / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def shows(result: pytest.RunResult, text: str) -> bool:
    """Return True if the output of a session contains a text of a page."""
    output = "".join(f"{normal(line)}\n" for line in result.outlines)
    return pattern(f"…\n{text}…\n").fullmatch(output) is not None


def test_the_page_shows_measurements_outside_their_limits(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, *_ = blocks("measurements.md", "yaml")
    shown, *_ = blocks("measurements.md", "text")
    answer = {"volts": 11.4, "ripple_mv": 61.4, "offset_mv": 0, "noise_mv": 9, "state": "ready"}
    project.script("bin/psu", f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    monkeypatch.setenv("PATH", str(project.path / "bin"), prepend=":")
    project.write("recipes/psu.yaml", recipe)

    assert shows(project.run(), shown)


def test_the_page_shows_how_shells_end_at_a_failing_line(project: Project) -> None:
    flash, *_ = blocks("shells.md", "yaml")
    by_bash, by_sh = blocks("shells.md", "text")
    mean = blocks("shells.md", "yaml")[-1]
    write = (
        "  - {name: write, type: shell, cmd: 'true', outputs: {readings: [1, 2]}, parse: text}\n"
    )
    project.write("recipes/flash.yaml", flash)
    project.write("recipes/sh.yaml", flash.replace("    shell: bash\n", ""))
    project.write(
        "recipes/mean.yaml", f"steps:\n{write}{mean}    success: {{stdout_contains: '1.5'}}\n"
    )
    result = project.run()

    assert result.parseoutcomes() == {"passed": 2, "failed": 2}
    assert shows(result, by_bash)
    assert shows(result, f"…\n{by_sh}")


def test_the_page_shows_the_error_of_a_missing_var(project: Project) -> None:
    (recipe,) = (one for one in blocks("vars-and-matrix.md", "yaml") if "required" in one)
    shown, *_ = blocks("vars-and-matrix.md", "text")
    project.write("recipes/psu.yaml", recipe + STEP)

    assert shows(project.run(), shown)


@pytest.mark.counted
def test_the_page_shows_the_cells_of_a_step(project: Project) -> None:
    (recipe,) = (one for one in blocks("vars-and-matrix.md", "yaml") if "name: Channels" in one)
    _, cells, error = blocks("vars-and-matrix.md", "text")
    path = project.write("recipes/channels.yaml", recipe)

    items = [f"{node} {outcome.upper()}\n" for node, outcome in project.outcomes().items()]
    assert "".join(items) == cells

    path.write_text(recipe.replace("ch${{ matrix.channel }}_mv_v1", "mv_v1"))
    output = " ".join(" ".join(project.run().outlines).split())
    assert " ".join(error.split()) in output


def test_the_page_shows_a_sample_outside_its_limits(project: Project) -> None:
    recipe, *_ = blocks("sampling.md", "yaml")
    (shown,) = blocks("sampling.md", "text")
    wait = "until grep -q 91 case_temperature.txt.seen; do sleep 0.01; done"
    recipe = recipe.replace("sleep 0.5\n      echo 91", "echo 91").replace("sleep 0.5", wait)
    cat, tee = "cat case_temperature.txt", "tee case_temperature.txt.seen < case_temperature.txt"
    recipe, shown = recipe.replace(cat, tee), shown.replace(cat, tee)
    project.write("recipes/burn_in.yaml", recipe)

    assert shows(project.run(), shown)


@pytest.mark.counted
def test_the_page_shows_the_header_of_a_resumed_run(
    project: Project,
    cut_run: Cut,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    recipe, *_ = blocks("resume-after-a-crash.md", "yaml")
    pending, _, _, confirmation, rerun, switched_off, *_ = blocks("resume-after-a-crash.md", "text")
    for name in ("flash", "power", "burn_in", "measure"):
        project.script(f"bench/{name}.sh", '#!/bin/sh\necho \'{"status": "ok"}\'\n')
    project.write("recipes/burn_in.yaml", recipe)
    page = ("-o", "recipe_html=true")
    cut_run("burn_in", event="step_started")

    assert shows(project.run("--collect-only"), pending)
    assert shows(project.run("--recipe-resume", "recipes", "-rs", *page), confirmation)
    result = project.run("--recipe-resume", "--recipe-rerun=burn_in", "recipes")
    assert shows(result, rerun)
    assert shows(result, switched_off)
