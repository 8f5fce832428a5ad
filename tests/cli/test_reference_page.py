"""Commands on the pages print what the pages show."""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator import Context
from pytest_orchestrator.context.rpc.server import Server
from tests.cli.conftest import Project
from tests.cli.history.fleet import fleet
from tests.house.transcript import normal, pattern
from tests.runs.built import Built, Runs

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
PAGE = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
SHOWN = {
    "run": "a test plays the whole page for users of the old guide, which shows it",
}
BURN_IN = "recipes/psu_burn_in.yaml"


def section_of(verb: str) -> str:
    """Return the section of a command in the reference page."""
    return PAGE.partition(f"\n## `{verb}`\n")[2].partition("\n## ")[0]


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the commands in a text, each with the output that the text shows."""
    console = "".join(re.findall(r"```console\n(.*?)```\n", text, re.DOTALL))
    examples = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", console, re.MULTILINE)
    return [(command, shown.replace("...\n", "…\n")) for command, shown in examples]


def burnt_in(runs: Runs, seconds: float, sha256: str) -> Built:
    """Start a run of the sample recipe and end all its steps except the last one."""
    digests = {"scriptlets/shell/flash.sh": sha256}
    built = runs.new(BURN_IN).begin("flash", "measure_ripple", "release", digests=digests)
    built.change("flash", "dut.state_v1", "idle")
    built.step("flash", seconds=seconds)
    built.change("measure_ripple", "psu.ripple_mv", 41.3)
    return built.step("measure_ripple")


def two_runs(runs: Runs) -> Built:
    """Create runs that passed, and a worse one that is still running."""
    for seconds in (3.1, 3.2, 3.3, 3.2):
        burnt_in(runs, seconds, "9b0c5b7e0c1d" + "0" * 52).step("release").seal()
    last = burnt_in(runs, 9.7, "41f7d0a2be93" + "0" * 52)
    last.change("measure_ripple", "dut.state_v1", "loaded")
    reason = "ripple = 61.4 mV, max 50.0 mV (11.4 mV above)"
    return last.step("release", "failed", kind="criterion", reason=reason)


def worse(runs: Runs) -> None:
    """Create a run that is worse than the earlier ones."""
    two_runs(runs).seal()


def changed(runs: Runs) -> None:
    """Create a run whose log was changed after its end."""
    built = two_runs(runs)
    log = built.write("logs/psu_burn_in/flash.1.stderr", "done\n")
    built.seal()
    log.write_text("gone\n")


def example(runs: Runs) -> None:
    """Create a run of the sample recipe with two steps."""
    built = runs.new("recipes/example.yaml").begin("sample_python", "sample_shell")
    built.step("sample_python").step("sample_shell").seal()


def nothing(runs: Runs) -> None:
    """Create no run."""


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
        ("instruments", nothing),
        ("stats", fleet),
    ],
)
def test_command_of_the_reference_page_prints_the_shown_output(
    verb: str,
    before: Callable[[Runs], None],
    project: Project,
    runs: Runs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)  # `validate` warns of prompts where it is set
    for name in [name for name in sys.modules if name.partition(".")[0] == "scriptlets"]:
        monkeypatch.delitem(sys.modules, name)  # other tests have imported those of this checkout
    if verb == "init":
        (project.path / "pytest.ini").unlink()
    else:
        for folder in ("recipes", "scriptlets"):
            shutil.copytree(ROOT / folder, project.path / folder)
        shutil.copy(ROOT / "station.yaml", project.path)
    before(runs)
    examples = blocks(section_of(verb))
    assert examples

    for command, shown in examples:
        assert_prints(project, command, shown)


def assert_prints(project: Project, command: str, shown: str) -> None:
    """Run a command and compare its output with the shown one."""
    program, *words = shlex.split(command)
    assert program == "pytest-orchestrator"
    done = project.call(*words)
    printed = "".join(f"{normal(line)}\n" for line in done.out.splitlines())
    assert pattern(shown).fullmatch(printed), f"$ {command}\n{done.out}{done.err}"


def test_page_about_a_run_shows_the_printed_output(project: Project, runs: Runs) -> None:
    shutil.copytree(ROOT / "recipes", project.path / "recipes")
    example(runs)
    page = (HOW_TO / "read-a-run.md").read_text(encoding="utf-8")
    examples = blocks(page.partition("\n## An example\n")[0])
    assert len(examples) == 4

    for command, shown in (one for one in examples if not one[0].endswith("--open")):
        assert_prints(project, command, shown)
    assert (project.path / "example.svg").exists()


def test_page_about_the_context_shows_the_printed_output(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = blocks((HOW_TO / "share-the-context.md").read_text(encoding="utf-8"))
    of_ctx = [
        one
        for one in examples
        if one[0].startswith("pytest-orchestrator ctx") and ">" not in one[0]
    ]
    assert len(of_ctx) == 2
    with Server(Context()) as server:
        monkeypatch.setenv("ORCHESTRATOR_ADDRESS", server.address)
        monkeypatch.setenv("ORCHESTRATOR_TOKEN", server.token)
        for command, shown in of_ctx:
            assert_prints(project, command, shown)


_COUNTS = ("steps", "tests", "left_out")  # objects whose keys are outcomes or reasons


def member_names(value: Any) -> set[str]:
    """Return the names of the members of all objects in a JSON value."""
    members: set[str] = set()
    if isinstance(value, list):
        members.update(*map(member_names, value))
    elif isinstance(value, dict):
        for name, member in value.items():
            members |= {name} | (set() if name in _COUNTS else member_names(member))
    return members


def test_every_member_of_json_output_is_described_on_the_page(project: Project, runs: Runs) -> None:
    for folder in ("recipes", "scriptlets"):
        shutil.copytree(ROOT / folder, project.path / folder)
    shutil.copy(ROOT / "station.yaml", project.path)
    project.write("scriptlets/bad.py", "def\n")
    project.write("recipes/bad.yaml", "steps: 1\n")
    fleet(runs)
    worse(runs)
    commands = {
        "runs": ["", "--dut A1", "show", "prune --dry-run --keep 1", "--trend", "--trend flash"],
        "compare": [""],
        "verify": ["latest"],
        "steps": [""],
        "validate": [""],
        "instruments": [""],
        "measurements": ["--run latest"],
        "stats": [""],
        "ctx": [
            "--run latest history dut.state_v1",
        ],
    }
    for verb, lines in commands.items():
        words = set(re.findall(r"`(\w+)`", section_of(verb)))
        words |= set(re.findall(r"`(\w+)`", section_of("runs"))) if verb == "compare" else set()
        for line in lines:
            done = project.call(verb, *line.split(), "--json")
            assert member_names(json.loads(done.out)) - words == set(), f"{verb} {line}"


def test_every_section_with_a_command_is_tested() -> None:
    verbs = re.findall(r"^## `(\w+)`$", PAGE, re.MULTILINE)
    (mark,) = (
        one
        for one in test_command_of_the_reference_page_prints_the_shown_output.pytestmark  # type: ignore[attr-defined]
        if one.name == "parametrize"
    )

    assert {verb for verb in verbs if blocks(section_of(verb))} - SHOWN.keys() == {
        one[0] for one in mark.args[1]
    }
