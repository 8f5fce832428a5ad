from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Project
from tests.runs.built import RECIPE, Runs


@pytest.fixture
def recipe(project: Project) -> Path:
    return project.write(
        "recipes/psu.yaml",
        """
        steps:
          - {name: flash, type: shell, cmd: flash}
          - {name: burn_in, type: shell, cmd: burn}
        finally:
          - {name: power_off, type: shell, cmd: psu off}
        """,
    )


def test_a_recipe_is_drawn_as_mermaid(project: Project, recipe: Path) -> None:
    assert project.call("graph", "recipes/psu.yaml") == (
        0,
        """\
flowchart TD
    s0["flash"]
    s1["burn_in"]
    subgraph finally
        s2["power_off"]
    end
    s0 --> s1
""",
        "",
    )


@pytest.mark.parametrize(
    ("suffix", "first"), [("mmd", "flowchart TD"), ("dot", "digraph recipe {"), ("svg", "<svg ")]
)
def test_the_suffix_of_a_file_says_what_it_is(
    project: Project, recipe: Path, suffix: str, first: str
) -> None:
    assert project.call("graph", "recipes/psu.yaml", "-o", f"out.{suffix}") == (0, "", "")

    text = (project.path / f"out.{suffix}").read_text()
    assert text.startswith(first)
    assert "power_off" in text


def test_a_run_gives_the_states(project: Project, runs: Runs) -> None:
    run = runs.new().begin("flash", "burn_in")
    run.step("flash").step("burn_in", "failed").seal(1)

    for name in (RECIPE, "psu"):
        told = project.call("graph", name, "--run", "latest")
        assert told.code == 0
        assert 's1["burn_in<br/>✘ failed"]:::failed' in told.out
    project.call("graph", "psu", "--run", "latest", "-o", "out.svg")
    titles = ElementTree.parse(project.path / "out.svg").iter("{http://www.w3.org/2000/svg}title")
    assert [one.text for one in titles] == [
        "flash: ✔ passed · 1.00 s",
        "burn_in: ✘ failed · 1.00 s",
    ]


def test_what_cannot_be_drawn_is_told(project: Project, runs: Runs, recipe: Path) -> None:
    runs.new().begin("flash").step("flash").seal()
    project.write("recipes/bad.yaml", "steps: []\n")

    def mistake(*words: str) -> str:
        told = project.call("graph", *words)
        assert (told.code, told.out) == (2, "")
        return told.err.partition("error: ")[2]

    assert mistake("recipes/psu.yaml", "-o", "x.png") == "x.png ends in none of .svg, .mmd, .dot\n"
    assert mistake("recipes/psu.yml") == (
        "there is no recipes/psu.yml (did you mean 'recipes/psu.yaml'?)\n"
    )
    assert mistake("recipes/bad.yaml") == (
        "recipes/bad.yaml is no good recipe; pytest-orchestrator validate tells why\n"
    )
    assert "has no recipe 'recipes/ps.yaml' (did you mean 'recipes/psu.yaml'?)" in mistake(
        "recipes/ps.yaml", "--run", "latest"
    )
    assert mistake("recipes/psu.yaml", "-o", "no/x.svg") == "no/x.svg: No such file or directory\n"


def test_of_several_cells_of_a_matrix_one_is_named(project: Project, runs: Runs) -> None:
    key = "recipes/psu.yaml[gain:{}]"
    run = runs.new(key.format(1)).begin("flash").step("flash")
    run.recipe = key.format(2)
    run.begin("flash").step("flash", "failed").seal(1)

    told = project.call("graph", "recipes/psu.yaml", "--run", "latest")
    assert told.code == 2
    assert f"has several: {key.format(1)}, {key.format(2)}\n" in told.err
    assert "failed" in project.call("graph", key.format(2), "--run", "latest").out
