"""`--recipe-compare`: what is out of what the last passing runs took fails."""

import pytest

from tests.plugin.conftest import Project
from tests.runs.built import Runs

RECIPE = "recipes/x.yaml"


def earlier(project: Project, **figures: float) -> None:
    """Leave four runs in which the step measured about this.

    It took so long that it is not out of the usual on any machine.
    """
    runs = Runs(project.path)
    for noise in (0.9, 1.0, 1.1, 1.0):
        measured = {"volts": figures.get("volts", 12.0) * noise}
        built = runs.new(RECIPE).begin("a", "b").step("b", seconds=1000.0)
        built.step("a", seconds=1000.0 * noise, measured=measured).seal()


@pytest.fixture
def measures(project: Project) -> Project:
    """A project whose step measures 12 V; its second step measures nothing."""
    volts = "measurements: {volts: {value: '12', unit: V}}"
    shell = "type: shell, cmd: 'true', parse: text"
    project.recipe("x", {"a": f"{shell}, {volts}", "b": f"{shell}, needs: []"})
    return project


def test_a_step_as_usual_passes_and_says_what_it_was_held_against(measures: Project) -> None:
    earlier(measures)
    blocks = measures.blocks("--recipe-compare=LAST:10")

    assert {name: one["step"]["state"] for name, one in blocks.items()} == {
        "a": "passed",
        "b": "passed",
    }
    names = [one["name"] for one in blocks["a"]["criteria"]]
    assert names[:1] == ["compare.seconds"]
    assert names[-1] == "compare.volts"
    assert all(one["held"] for one in blocks["a"]["criteria"])


def test_a_measurement_that_has_drifted_fails_its_step(measures: Project) -> None:
    earlier(measures, volts=5.0)

    assert measures.told("--recipe-compare=last:10", RECIPE) == {
        "a": (
            "compare.volts: 12 V is 2.4 times the median of the last 4 passing runs, 5 V; "
            "at most 10 V"
        )
    }
    assert measures.told("--recipe-compare=LAST:10", "--recipe-compare-factor=2.5") == {}
    assert measures.told() == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--recipe-compare=10"], "--recipe-compare: '10' is no LAST:N; write LAST:10"),
        (["--recipe-compare=LAST:2"], "2 runs do not tell what is usual; at least 3 do"),
        (
            ["--recipe-compare-factor=1"],
            "--recipe-compare-factor: '1' is no factor; write a number above 1, such as 1.5",
        ),
    ],
)
def test_what_is_no_comparison_is_a_usage_error(
    project: Project, words: list[str], said: str
) -> None:
    result = project.run(*words)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{said}"])
