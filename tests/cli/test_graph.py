from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Project
from tests.runs.built import RECIPE, Runs

_NO_BROWSER = "no PNG: there is no Chromium, Chrome or Edge; install the package chromium,"


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


def test_graph_prints_mermaid(project: Project, recipe: Path) -> None:
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
    s1 -.-> s2
    legend["→ needs<br/>⇢ after, finally<br/>┄ dashed box: finally"]
    s2 ~~~ legend
    style legend fill:none,stroke:none
    classDef final stroke-dasharray:5 3
    class s2 final
""",
        "",
    )


@pytest.mark.parametrize(
    ("suffix", "first"), [("mmd", "flowchart TD"), ("dot", "digraph recipe {"), ("svg", "<svg ")]
)
def test_suffix_of_the_output_file_selects_the_format(
    project: Project, recipe: Path, suffix: str, first: str
) -> None:
    assert project.call("graph", "recipes/psu.yaml", "-o", f"out.{suffix}") == (0, "", "")

    text = (project.path / f"out.{suffix}").read_text()
    assert text.startswith(first)
    assert "power_off" in text


def test_graph_of_a_run_shows_the_outcomes(project: Project, runs: Runs) -> None:
    run = runs.new().begin("flash", "burn_in")
    run.step("flash").step("burn_in", "failed").seal(1)

    for name in (RECIPE, "psu"):
        done = project.call("graph", name, "--run", "latest")
        assert done.code == 0
        assert 's1["burn_in<br/>✘ failed"]:::failed' in done.out
    project.call("graph", "psu", "--run", "latest", "-o", "out.svg")
    titles = ElementTree.parse(project.path / "out.svg").iter("{http://www.w3.org/2000/svg}title")
    assert [one.text for one in titles] == [
        "flash: ✔ passed · 1.0 s",
        "burn_in: ✘ failed · 1.0 s",
    ]


def test_wrong_arguments_of_graph_are_errors(project: Project, runs: Runs, recipe: Path) -> None:
    runs.new().begin("flash").step("flash").seal()
    project.write("recipes/bad.yaml", "steps: []\n")

    def error_of(*words: str) -> str:
        done = project.call("graph", *words)
        assert (done.code, done.out) == (2, "")
        return done.err.partition("error: ")[2]

    assert (
        error_of("recipes/psu.yaml", "-o", "x.gif")
        == "x.gif ends in none of .svg, .png, .mmd, .dot\n"
    )
    assert error_of("recipes/psu.yml") == (
        "there is no recipes/psu.yml (did you mean 'recipes/psu.yaml'?)\n"
    )
    assert error_of("recipes/bad.yaml") == (
        "recipes/bad.yaml has errors; pytest-orchestrator validate shows them\n"
    )
    assert "has no recipe 'recipes/ps.yaml' (did you mean 'recipes/psu.yaml'?)" in error_of(
        "recipes/ps.yaml", "--run", "latest"
    )
    assert error_of("recipes/psu.yaml", "-o", "no/x.svg") == "no/x.svg: No such file or directory\n"


def test_a_folder_is_no_recipe_to_draw(project: Project, recipe: Path) -> None:
    (project.path / "empty").mkdir()
    for name, cure in (
        ("recipes", "a recipe in it, such as recipes/psu.yaml"),
        (".", "a recipe in it, such as recipes/psu.yaml"),
        ("empty", "a recipe"),
    ):
        done = project.call("graph", name)
        assert (done.code, done.out) == (2, "")
        assert done.err.endswith(f" error: {name} is a folder; name {cure}\n")


def test_cell_of_a_matrix_must_be_named(project: Project, runs: Runs) -> None:
    key = "recipes/psu.yaml[gain:{}]"
    run = runs.new(key.format(1)).begin("flash").step("flash")
    run.recipe = key.format(2)
    run.begin("flash").step("flash", "failed").seal(1)

    done = project.call("graph", "recipes/psu.yaml", "--run", "latest")
    assert done.code == 2
    cells = f"'{key.format(1)}', '{key.format(2)}'"
    assert f"has several cells: {cells}; name one of them\n" in done.err
    assert "failed" in project.call("graph", key.format(2), "--run", "latest").out


def test_the_timeline_of_a_run_is_a_picture(project: Project, runs: Runs) -> None:
    run = runs.new().begin("flash", "burn_in")
    run.step("flash").step("burn_in", "failed").seal(1)

    assert project.call("graph", "psu", "--run", "latest", "--timeline", "-o", "t.svg").code == 0

    root = ElementTree.parse(project.path / "t.svg").getroot()
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    titles = [one.text for one in root.iter("{http://www.w3.org/2000/svg}title")]
    assert {"flash", "burn_in", "✘"} <= {*texts}
    assert titles[0] == "flash, passed: running 1.0 s, from 0 s"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--timeline",), "--timeline draws a run to a file; add --run RUN and -o FILE.svg"),
        (
            ("--run", "latest", "--timeline", "-o", "t.dot"),
            "t.dot ends in none of .svg, .png",
        ),
        (("-o", "t.jpg"), "t.jpg ends in none of .svg, .png, .mmd, .dot"),
        (
            ("-o", "t.png"),
            f"{_NO_BROWSER} or set $CHROME to the path of one, or write an .svg",
        ),
    ],
)
def test_a_picture_that_cannot_be_made_is_a_usage_error(
    project: Project,
    recipe: Path,
    options: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pytest_orchestrator.reports.pictures.chromium._APPLICATIONS", ())
    monkeypatch.setattr("pytest_orchestrator.reports.pictures.chromium._NAMES", ())
    monkeypatch.delenv("CHROME", raising=False)

    done = project.call("graph", "recipes/psu.yaml", *options)

    assert done.code == 2
    assert done.err.endswith(f"error: {said}\n")
