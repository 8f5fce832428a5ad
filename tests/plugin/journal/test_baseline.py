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
        (
            ["--recipe-compare=10"],
            "--recipe-compare: '10' is no LAST:N; write LAST:10 or LAST:10,required",
        ),
        (
            ["--recipe-compare=LAST:7,requird"],
            "--recipe-compare: 'LAST:7,requird' is no LAST:N; write LAST:10 or LAST:10,required",
        ),
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


@pytest.mark.parametrize("words", [[], ["-q"], ["-n1"], ["-q", "-n1"], ["--recipe-jobs=2"]])
def test_the_last_line_says_that_nothing_was_compared(project: Project, words: list[str]) -> None:
    for name in ("x", "y"):
        project.recipe(name, {"a": "", "b": "needs: []"})
    wanted = [*words, "--recipe-compare=LAST:5"]
    said = "orchestrator: nothing compared, 0 of 3 runs"

    assert project.run("recipes/x.yaml", *wanted).outlines[-1] == said
    result = project.run(*wanted)
    assert (result.ret, result.outlines[-1]) == (
        0,
        f"{said.replace('0', '1')}: recipes/x.yaml; nothing compared, 0 of 3 runs: recipes/y.yaml",
    )
    project.run("recipes/x.yaml")
    assert project.run(*wanted).outlines[-1] == (
        "orchestrator: nothing compared, 1 of 3 runs: recipes/y.yaml"
    )
    assert "nothing compared" not in project.run("recipes/x.yaml", *wanted).stdout.str()


@pytest.mark.parametrize("words", [[], ["-n1"], ["--recipe-jobs=2"], ["-k", "b"]])
def test_a_required_comparison_without_runs_is_an_error_before_the_first_step(
    project: Project, words: list[str]
) -> None:
    project.recipe("x", {"a": "", "b": "needs: []"}, {"off": ""})
    project.recipe("y", {"b": ""})
    for _ in range(3):
        project.run("recipes/y.yaml")
    project.forget()
    result = project.run("--recipe-compare=LAST:7,required", *words)

    assert (result.ret, project.ran) == (1, ["b"])
    assert result.outlines[-1] == "orchestrator: nothing compared, 0 of 3 runs: recipes/x.yaml"
    result.stdout.fnmatch_lines(
        [
            "recipes/x.yaml:3:12: nothing compared, 0 of 3 runs",
            "    let it pass in three runs: pytest recipes/x.yaml",
            "    or compare if possible: --recipe-compare without `,required`",
        ]
    )


def test_a_required_comparison_of_a_new_figure_is_an_error_of_its_step(measures: Project) -> None:
    new = "type: shell, cmd: 'true', parse: text, measurements: {v: {value: '1'}}"
    for _ in range(3):
        measures.run()
    measures.recipe("x", {"a": new})

    wanted = "--recipe-compare-factor=1000"
    assert measures.reasons("--recipe-compare=LAST:7", wanted) == {}
    reasons = measures.reasons("--recipe-compare=LAST:7,required", wanted)
    assert reasons == {"a": "compare.v: nothing compared, 1 of 3 runs"}
