"""`--recipe-compare`: a figure outside the range of the last passed runs fails."""

import pytest

from tests.plugin.conftest import Project
from tests.runs.built import Runs

RECIPE = "recipes/x.yaml"


def earlier(project: Project, **figures: float) -> None:
    """Write four runs in which the step measured these figures, within 10 %.

    Their durations of 1000 s make the step of this session faster on every machine.
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


@pytest.mark.counted
def test_a_step_within_its_baseline_passes_and_reports_the_baseline(measures: Project) -> None:
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

    assert measures.reasons("--recipe-compare=last:10", RECIPE) == {
        "a": (
            "compare.volts: 12 V is 2.4 times the median of the last 4 passing runs, 5 V; "
            "at most 10 V"
        )
    }
    assert measures.reasons("--recipe-compare=LAST:10", "--recipe-compare-factor=2.5") == {}
    assert measures.reasons() == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--recipe-compare=10"], "--recipe-compare: '10' is no LAST:N; write LAST:10"),
        (
            ["--recipe-compare=LAST:2"],
            "2 runs are not enough to compare with; write at least LAST:3",
        ),
        (
            ["--recipe-compare-factor=1"],
            "--recipe-compare-factor: '1' is no factor; write a number above 1, such as 1.5",
        ),
    ],
)
def test_an_invalid_comparison_option_is_a_usage_error(
    project: Project, words: list[str], said: str
) -> None:
    result = project.run(*words)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{said}"])
