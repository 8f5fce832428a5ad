"""`--recipe-compare`: a figure outside the range of the last passed runs fails."""

import zipfile

import pytest

from pytest_orchestrator.addons.evidence.bundle import write_bundle
from pytest_orchestrator.runs.lookup import load_record
from tests.plugin.conftest import Project
from tests.runs.built import Runs

RECIPE = "recipes/x.yaml"


def earlier(project: Project, **figures: float) -> None:
    """Write four runs in which the step measured these figures, within 10 %.

    Their durations of 1000 s make the step of this session faster on every machine.
    """
    runs = Runs(project.path)
    for noise in (0.99, 1.0, 1.01, 1.0) * 2:
        measured = {"volts": figures.get("volts", 12.0) * noise}
        built = runs.new(RECIPE).begin("a", "b").step("b", seconds=1000.0)
        limits = {"unit": "V", "low": 0.0, "high": 20.0}
        built.step("a", seconds=1000.0 * noise, measured=measured, limits=limits).seal()


@pytest.fixture
def measures(project: Project) -> Project:
    """A project whose step measures 12 V; its second step measures nothing."""
    volts = "measurements: {volts: {value: '12', unit: V, low: 0, high: 20}}"
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
            "compare.volts: 12 V is 189 deviations, 35 % of the range from the median of the last "
            "8 passing runs, 5 V; at most 7 V"
        )
    }
    assert measures.reasons() == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--recipe-compare=10"],
            (
                "--recipe-compare: '10' is no LAST:N and no FILE.zip; write LAST:10, base.zip, "
                "or one of them with ,required"
            ),
        ),
        (
            ["--recipe-compare=LAST:7,requird"],
            (
                "--recipe-compare: 'LAST:7,requird' is no LAST:N and no FILE.zip; write LAST:10, "
                "base.zip, or one of them with ,required"
            ),
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
    assert reasons == {"a": "compare.v: nothing compared, 1 of 20 runs"}


def bundled(project: Project, outcome: str = "passed", volts: float = 5.0) -> None:
    """Write a bundle of one run elsewhere, in which the step measured a figure."""
    runs = Runs(project.path / "elsewhere")
    built = runs.new(RECIPE).begin("a", "b").step("b", outcome, seconds=1000.0)
    built.step("a", seconds=1000.0, measured={"volts": volts}, limits={"unit": "V"})
    folder = built.seal()
    write_bundle(folder, load_record(folder), project.path / "base.zip")


def test_steps_are_compared_with_the_run_of_a_bundle(measures: Project) -> None:
    bundled(measures)

    assert measures.reasons("--recipe-compare=base.zip", RECIPE) == {
        "a": "compare.volts: 12 V is 35 % of the range from the baseline run, 5 V; at most 7 V"
    }


def test_a_recipe_that_did_not_pass_in_the_bundle_is_not_compared(measures: Project) -> None:
    bundled(measures, "failed")
    optional = measures.run("--recipe-compare=base.zip")
    optional.assert_outcomes(passed=2)
    assert optional.outlines[-1] == "orchestrator: nothing compared, 0 of 1 run"

    required = measures.run("--recipe-compare=base.zip,required")
    required.assert_outcomes(errors=2)
    cure = "name a bundle of a run in which it passed, base.zip has none"
    required.stdout.fnmatch_lines([f"*{cure}*"])


def test_a_bundle_that_was_changed_is_a_usage_error(measures: Project) -> None:
    bundled(measures)
    with zipfile.ZipFile(measures.path / "base.zip", "a") as archive:
        archive.writestr("../outside.txt", "x")
    changed = measures.run("--recipe-compare=base.zip")
    missing = measures.run("--recipe-compare=other.zip")

    path = measures.path
    assert changed.ret == missing.ret == pytest.ExitCode.USAGE_ERROR
    assert changed.errlines[0] == (
        f"ERROR: --recipe-compare: {path / 'base.zip'}: ../outside.txt: it came later"
    )
    assert missing.errlines[0] == f"ERROR: --recipe-compare: there is no file {path / 'other.zip'}"
    assert not (path.parent / "outside.txt").exists()
