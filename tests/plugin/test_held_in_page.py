"""The page on holding before a step: its recipe, its session at a terminal, and its commands."""

import re
from collections.abc import Callable
from pathlib import Path

from pytest_orchestrator.plugin.questions.prompt import HoldPrompt
from tests.plugin.conftest import Project
from tests.plugin.terminal_session import Screen

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "hold-before-a-step.md"


def test_the_session_of_the_page_is_as_shown(
    project: Project, screen: Callable[..., Screen]
) -> None:
    text = PAGE.read_text()
    recipe, session = (
        re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("yaml", "console")
    )
    assert recipe is not None
    assert session is not None
    project.write("recipes/bring_up.yaml", recipe[1])
    project.script("bring_up.sh", "#!/bin/sh\necho up >> ran.txt\n")
    ripple = '#!/bin/sh\necho \'{{"status": "ok", "volts": {}}}\'\n'
    project.script("ripple.sh", ripple.format(0.048))
    command, *lines = session[1].splitlines()
    shown = screen(*command.split()[2:])
    for line in lines:
        prompt, sign, typed = line.partition("> ")
        if prompt == "ripple" or "[y/N] " in line:
            shown.reads(prompt + sign if sign else line.removesuffix("y"))
            if line.endswith("y"):
                project.script("ripple.sh", ripple.format(0.041))
            shown.types(f"{typed or 'y'}\n")
        elif line.strip() != "…":
            shown.reads(line.strip())
    assert shown.status() == 0, shown.seen
    assert project.ran == ["up"]


def test_the_page_names_each_command() -> None:
    commands = {name[3:] for name in vars(HoldPrompt) if name.startswith("do_")} - {"help"}
    rows = "".join(re.findall(r"^\| (`.*?) \|", PAGE.read_text(), re.MULTILINE))
    assert set(re.findall(r"`([a-z]+)", rows)) == commands
