"""Tests of the examples in these pages: Python blocks run, YAML blocks load as recipes.

Without the extra `dev`, which has sybil, the pages are no tests: ``pytest --list-steps`` loads this
file in any clone, because `testpaths` has its folder.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent, indent
from typing import TYPE_CHECKING

import pytest
import yaml

from pytest_orchestrator import Context, recipe
from pytest_orchestrator.context.rpc.server import Server
from pytest_orchestrator.recipe.fields.readers import keys_of
from pytest_orchestrator.recipe.station.reader import load_station

if TYPE_CHECKING or find_spec("sybil"):
    from sybil import Example, Sybil
    from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser
else:
    CodeBlockParser, Example = object, None

ROOT = Path(__file__).parents[1]
STEP = "name: example\ntype: shell\ncmd: bench\n"


class RecipeParser(CodeBlockParser):
    """Parser of YAML blocks: a recipe, keys of its root, steps, keys of a step, or a station."""

    language = "yaml"

    def evaluate(self, example: Example) -> None:
        """Load a block as a file of its own, in a project with the sample recipes.

        Raises:
            RecipeError: The block is not a valid recipe, or part of one, or a station file.
        """
        with TemporaryDirectory() as folder:
            path = Path(folder, "example.yaml")
            keys = yaml.safe_load(example.parsed)
            if isinstance(keys, dict) and keys.keys() & {"instruments", "hosts"}:
                path.write_text(dedent(example.parsed), encoding="utf-8")
                load_station(path, ROOT)
                return
            path.write_text(_whole(dedent(example.parsed)), encoding="utf-8")
            # No page has the station file of its examples.
            recipe.load(path, root=ROOT, known=recipe.BUILT_IN.with_broken_station())


def _whole(text: str) -> str:
    """Return the block if it is a recipe, else the smallest recipe that contains it."""
    keys = yaml.safe_load(text)
    if isinstance(keys, list):
        return f"steps:\n{text}"
    if "steps" in keys:
        return text
    if keys.keys() <= keys_of(recipe.Recipe).keys():
        return f"{text}\nsteps:\n{_item(STEP)}"
    return f"steps:\n{_item(text if 'name' in keys else STEP + text)}"


def _item(keys: str) -> str:
    return "  - " + indent(keys, "    ").lstrip()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Context server, to which the commands of a page can connect."""
    with Server(Context()) as server:
        monkeypatch.setenv("ORCHESTRATOR_ADDRESS", server.address)
        monkeypatch.setenv("ORCHESTRATOR_TOKEN", server.token)
        yield


# The blocks of each of these pages are the files of a project, which has tests of its own.
_PROJECTS = ["*writing-a-step-type.md", "*http-steps.md", "*scriptlets.md", "*read-a-run.md"]
_PROJECTS += ["*tutorial/cdu.md", "*how-to/instruments.md", "*reading.md"]
_SERVED = "*share-the-context.md"


def _pages(patterns: list[str], excludes: list[str], fixtures: list[str]) -> "Sybil":
    """Collect pages; the examples of one may run in any order, and in different processes."""
    return Sybil(
        parsers=[PythonCodeBlockParser(), RecipeParser()],
        patterns=patterns,
        excludes=excludes,
        fixtures=fixtures,
    )


if find_spec("sybil"):
    pytest_collect_file = (
        _pages(["*.md"], [*_PROJECTS, _SERVED], []) + _pages([_SERVED], [], ["served"])
    ).pytest()
