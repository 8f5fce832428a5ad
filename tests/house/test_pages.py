"""Claims of pages: named tests, options and verbs exist, and commands print what is shown."""

import ast
import os
import re
import shutil
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from pytest_orchestrator.cli.main import known_verbs
from pytest_orchestrator.plugin import hooks
from pytest_orchestrator.recipe import load
from scriptlets.python.steps.unit_console import serve
from tests.house.transcript import output, play

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PLUGINS = "-p no:randomly -p no:hypothesispytest -p no:cacheprovider"


def named_tests() -> Iterator[tuple[str, str, str]]:
    for page in PAGES:
        for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text()):
            yield page.name, path, name


def test_every_test_that_a_page_names_exists() -> None:
    tests = list(named_tests())
    functions: dict[str, set[str]] = {}
    for path in {path for _, path, _ in tests}:
        body = ast.parse((ROOT / path).read_text()).body
        functions[path] = {one.name for one in body if isinstance(one, ast.FunctionDef)}

    assert len(tests) > 40
    assert [one for one in tests if one[2] not in functions[one[1]]] == []


def test_every_guarantee_names_its_proof() -> None:
    folder = ROOT / "docs" / "explanation"
    pages = "".join((folder / f"{one}.md").read_text() for one in ("guarantees", "more-guarantees"))
    rows = [row for row in re.findall(r"^\| (.+) \|$", pages, re.MULTILINE) if row[0] not in "-g"]

    assert len(rows) > 80
    assert [row for row in rows if "`tests/" not in row.rpartition(" | ")[2]] == []


def test_every_option_and_verb_that_a_page_names_exists() -> None:
    parser = Mock()
    hooks.pytest_addoption(parser)
    options = {
        call.args[0] for call in parser.mock_calls if call.args and str(call.args[0])[:2] == "--"
    }
    named, verbs = set(), set()
    for page in [*PAGES, ROOT / "README.md"]:
        text = page.read_text()
        named |= set(re.findall(r"(?<![\w-])--recipe-[a-z-]+\b", text))
        verbs |= set(re.findall(r"^\$ pytest-orchestrator (\w+)", text, re.MULTILINE))

    assert len(named) > 10
    assert named - options == set()
    assert verbs - known_verbs().keys() == set()


def test_every_name_of_the_old_guide_has_its_row() -> None:
    page = (ROOT / "docs" / "how-to" / "from-the-old-guide.md").read_text()
    rows = " ".join(re.findall(r"^\| (.*?) \|", page, re.MULTILINE))
    names = "runner.py --recipe|run_context_server.py|update_state.sh|orchestrator.context|Context|"
    names += (
        "BaseScriptlet|track_resources|get_logger|pytest -q|pytest --json-report|sample_step.py|"
    )
    names += "compute_message_length.py|sample.sh|count-lines.sh|simulate_cdu_poll.sh|__main__|"
    names += (
        "orchestrator/recipes/|orchestrator/scriptlets/shell/|templates|test_meta|steps|idx|name|"
    )
    names += "type|module|class|function|params|cmd|args"

    assert [one for one in names.split("|") if one not in rows] == []


def test_every_link_of_the_readme_leads_to_an_existing_file() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    text = (ROOT / "README.md").read_text()
    pages = re.findall(rf"{urls['Documentation']}/en/latest/([^)#]+)\.html", text)
    files = [f"docs/{page}.md" for page in pages]
    files += re.findall(rf"{urls['Source']}/blob/main/([^)#]+)", text)
    files += re.findall(r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/main/([^\"]+)", text)

    assert len(files) > 20
    assert [file for file in files if not (ROOT / file).is_file()] == []
    assert not re.search(r"\]\((?!https://)", text)  # the package index has no other files


def test_the_page_for_programs_has_a_valid_recipe_and_existing_links(tmp_path: Path) -> None:
    text = (ROOT / "docs/llms.txt").read_text()
    pages = re.findall(r"\]\(([^)]+)\.html\)", text)
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    recipe = tmp_path / "recipes/psu.yaml"
    recipe.parent.mkdir()
    recipe.write_text(block)

    assert len(pages) > 10
    assert [page for page in pages if not (ROOT / f"docs/{page}.md").is_file()] == []
    assert [step.name for step in load(recipe, root=tmp_path).steps] == ["power_on", "ripple"]


def test_the_readme_can_be_read_in_five_minutes() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 900


@pytest.mark.parametrize(
    "name", ["from-a-bash-script", "from-a-makefile", "from-the-old-guide", "parallel"]
)
def test_commands_print_the_output_that_a_page_shows(name: str, tmp_path: Path) -> None:
    for folder in ("recipes", "scriptlets"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "station.yaml", tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    page = ROOT / "docs" / "how-to" / f"{name}.md"
    assert play(page, tmp_path, {"PATH": programs, "PYTEST_ADDOPTS": PLUGINS}) >= 1


def test_the_page_on_instruments_can_be_followed_from_an_empty_folder(tmp_path: Path) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    page = ROOT / "docs" / "how-to" / "instruments.md"
    environment = {"PATH": programs, "PYTEST_ADDOPTS": PLUGINS}
    assert play(page, tmp_path, environment) == 9
    console = tmp_path / "console"
    threading.Thread(target=serve, args=({"link": str(console)},), daemon=True).start()
    while not console.is_symlink():
        time.sleep(0.01)
    command = f"pytest -q recipes --recipe-var console={console}"
    assert "; 10 steps: 10 passed; " in output(command, tmp_path, environment)
