"""What pages show of the command line, verb by verb, is what is printed."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator import Context
from pytest_orchestrator.context.rpc.server import Server
from tests.cli.conftest import Project
from tests.house.transcript import normal, pattern
from tests.runs.built import Built, Runs

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
PAGE = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
SHOWN = {
    "run": "it is in the page for users of the old guide, which is done from its begin to its end",
}
BURN_IN = "recipes/psu_burn_in.yaml"


def section_of(verb: str) -> str:
    """Return the section of a verb."""
    return PAGE.partition(f"\n## `{verb}`\n")[2].partition("\n## ")[0]


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the commands that a text shows, each with what it prints."""
    told = "".join(re.findall(r"```console\n(.*?)```\n", text, re.DOTALL))
    found = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", told, re.MULTILINE)
    return [(command, shown.replace("...\n", "…\n")) for command, shown in found]


def burnt_in(runs: Runs, seconds: float, sha256: str) -> Built:
    """Begin a run of the sample recipe, and end all its steps but the last one."""
    digests = {"scriptlets/shell/flash.sh": sha256}
    built = runs.new(BURN_IN).begin("flash", "measure_ripple", "release", digests=digests)
    built.change("flash", "dut.state_v1", "idle")
    built.step("flash", seconds=seconds)
    built.change("measure_ripple", "psu.ripple_mv", 41.3)
    return built.step("measure_ripple")


def two_runs(runs: Runs) -> Built:
    """Leave runs that passed, and one that is worse and goes on."""
    for seconds in (3.1, 3.2, 3.3, 3.2):
        burnt_in(runs, seconds, "9b0c5b7e0c1d" + "0" * 52).step("release").seal()
    last = burnt_in(runs, 9.7, "41f7d0a2be93" + "0" * 52)
    last.change("measure_ripple", "dut.state_v1", "loaded")
    reason = "ripple = 61.4 mV, high 50 mV (over by 11.4 mV)"
    return last.step("release", "failed", kind="criterion", reason=reason)


def worse(runs: Runs) -> None:
    """Leave a run that is worse than those before."""
    two_runs(runs).seal()


def changed(runs: Runs) -> None:
    """Leave a run of which a log was changed later."""
    built = two_runs(runs)
    log = built.write("logs/psu_burn_in/flash.1.stderr", "done\n")
    built.seal()
    log.write_text("gone\n")


def example(runs: Runs) -> None:
    """Leave a run of the sample with two steps."""
    built = runs.new("recipes/example.yaml").begin("sample_python", "sample_shell")
    built.step("sample_python").step("sample_shell").seal()


def nothing(runs: Runs) -> None:
    """Leave no run."""


@pytest.mark.parametrize(
    ("verb", "before"),
    [
        ("init", nothing),
        ("validate", nothing),
        ("compare", worse),
        ("verify", changed),
        ("steps", nothing),
        ("ctx", worse),
        ("graph", example),
    ],
)
def test_a_command_of_the_page_prints_what_the_page_shows(
    verb: str,
    before: Callable[[Runs], None],
    project: Project,
    runs: Runs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "scriptlets"]:
        monkeypatch.delitem(sys.modules, name)  # other tests call those of this checkout
    if verb == "init":
        (project.path / "pytest.ini").unlink()
    else:
        for folder in ("recipes", "scriptlets"):
            shutil.copytree(ROOT / folder, project.path / folder)
    before(runs)
    found = blocks(section_of(verb))
    assert found

    for command, shown in found:
        prints(project, command, shown)


def prints(project: Project, command: str, shown: str) -> None:
    """Call the command line; it must print what is shown."""
    program, *words = command.split()
    assert program == "pytest-orchestrator"
    told = project.call(*words)
    seen = "".join(f"{normal(line)}\n" for line in told.out.splitlines())
    assert pattern(shown).fullmatch(seen), f"$ {command}\n{told.out}{told.err}"


def test_the_page_on_looking_at_a_run_shows_what_is_printed(project: Project, runs: Runs) -> None:
    shutil.copytree(ROOT / "recipes", project.path / "recipes")
    example(runs)
    found = blocks((HOW_TO / "look-at-a-run.md").read_text(encoding="utf-8"))

    for command, shown in (one for one in found if one[0].startswith("pytest-orch")):
        prints(project, command, shown)
    assert (project.path / "example.svg").exists()


def test_the_page_on_sharing_a_context_shows_what_is_printed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = blocks((HOW_TO / "share-the-context.md").read_text(encoding="utf-8"))
    asked = [
        one for one in found if one[0].startswith("pytest-orchestrator ctx") and ">" not in one[0]
    ]
    assert len(asked) == 2
    with Server(Context()) as server:
        monkeypatch.setenv("ORCHESTRATOR_ADDRESS", server.address)
        monkeypatch.setenv("ORCHESTRATOR_TOKEN", server.token)
        for command, shown in asked:
            prints(project, command, shown)


_COUNTS = ("steps", "tests")  # their keys are outcomes


def names(told: Any) -> set[str]:
    """Return the names of the members of all objects in an answer."""
    found: set[str] = set()
    if isinstance(told, list):
        found.update(*map(names, told))
    elif isinstance(told, dict):
        for name, value in told.items():
            found |= {name} | (set() if name in _COUNTS else names(value))
    return found


def test_every_member_of_what_json_prints_has_its_place_in_the_page(
    project: Project, runs: Runs
) -> None:
    for folder in ("recipes", "scriptlets"):
        shutil.copytree(ROOT / folder, project.path / folder)
    project.write("scriptlets/bad.py", "def\n")
    project.write("recipes/bad.yaml", "steps: 1\n")
    worse(runs)
    first = min(path.name for path in runs.base.iterdir())
    asked = {
        "runs": ["", "show", "prune --dry-run --keep 1", "--trend", "--trend flash"],
        "compare": [""],
        "verify": ["latest"],
        "steps": [""],
        "validate": [""],
        "ctx": [
            "--run latest history dut.state_v1",
            "--run latest who dut.state_v1",
            f"diff {first} latest",
        ],
    }
    for verb, lines in asked.items():
        words = set(re.findall(r"`(\w+)`", section_of(verb)))
        words |= set(re.findall(r"`(\w+)`", section_of("runs"))) if verb == "compare" else set()
        for line in lines:
            told = project.call(verb, *line.split(), "--json")
            assert names(json.loads(told.out)) - words == set(), f"{verb} {line}"


def test_every_section_that_shows_a_command_is_run_here() -> None:
    verbs = re.findall(r"^## `(\w+)`$", PAGE, re.MULTILINE)
    (mark,) = (
        one
        for one in test_a_command_of_the_page_prints_what_the_page_shows.pytestmark  # type: ignore[attr-defined]
        if one.name == "parametrize"
    )

    assert {verb for verb in verbs if blocks(section_of(verb))} - SHOWN.keys() == {
        one[0] for one in mark.args[1]
    }
