"""Steps are items like test functions: ids, lines, markers, expected failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project


@pytest.fixture
def bench(project: Project) -> Project:
    """A project with a recipe of three steps and a final one."""
    project.recipe(
        "bench",
        {"flash": "tags: [slow]", "measure-1": "", "release": "tags: [slow, risky]"},
        {"off": ""},
        head="tags: [bench]",
    )
    return project


def test_verbose_output_names_each_step(bench: Project) -> None:
    result = bench.run("-v")

    assert [line.split("  ")[0] for line in result.outlines if "::" in line] == [
        "recipes/bench.yaml::flash PASSED",
        "recipes/bench.yaml::measure-1 PASSED",
        "recipes/bench.yaml::release PASSED",
        "recipes/bench.yaml::off PASSED",
    ]
    assert result.ret == 0


def test_the_location_of_a_step_is_its_line_in_the_recipe(bench: Project) -> None:
    items, _ = bench.pytester.inline_genitems("-p", "no:hypothesispytest")

    assert [item.location for item in items] == [
        ("recipes/bench.yaml", 2, "flash in recipes/bench.yaml"),
        ("recipes/bench.yaml", 3, "measure-1 in recipes/bench.yaml"),
        ("recipes/bench.yaml", 4, "release in recipes/bench.yaml"),
        ("recipes/bench.yaml", 6, "off in recipes/bench.yaml"),
    ]


def test_a_step_is_no_parametrized_function(bench: Project) -> None:
    items, _ = bench.pytester.inline_genitems("-p", "no:hypothesispytest")

    assert [hasattr(item, "callspec") for item in items] == 4 * [False]
    assert isinstance(items[0], pytest.Function)


def test_tags_are_registered_markers(bench: Project) -> None:
    strict = ("--strict-markers", "-W", "error")

    assert bench.items(*strict, "-m", "bench and not slow") == [
        "recipes/bench.yaml::measure-1",
        "recipes/bench.yaml::off",
    ]
    assert bench.items(*strict, "-m", "slow and risky") == ["recipes/bench.yaml::release"]


def test_a_keyword_selects_by_step_name_and_by_recipe_name(bench: Project) -> None:
    bench.recipe("other", {"flash": ""})

    assert bench.items("-k", "flash and not bench") == ["recipes/other.yaml::flash"]
    assert bench.items("-k", "measure-1 or off") == [
        "recipes/bench.yaml::measure-1",
        "recipes/bench.yaml::off",
    ]


@pytest.fixture
def expected(project: Project) -> Project:
    """A project with steps that are expected to fail; the second one passes."""
    project.recipe(
        "x",
        {
            "fails": "function: refuse, xfail: BUG-17",
            "raises": "function: boom, xfail: BUG-18, needs: []",
            "passes": "xfail: BUG-19, needs: []",
            "needs": "needs: [fails]",
            "uses": "needs: [passes]",
        },
    )
    return project


def test_an_expected_failure_is_xfailed_and_still_blocks_dependents(expected: Project) -> None:
    result = expected.run("-ra")

    assert [line for line in result.outlines if line.startswith(("XFAIL", "XPASS", "SKIP"))] == [
        "SKIPPED [1] recipes/x.yaml:2: blocked by recipes/x.yaml::fails",
        "XFAIL recipes/x.yaml::fails - BUG-17",
        "XFAIL recipes/x.yaml::raises - BUG-18",
        "XPASS recipes/x.yaml::passes - BUG-19",
    ]
    assert result.parseoutcomes() == {"passed": 1, "skipped": 1, "xfailed": 2, "xpassed": 1}
    assert result.ret == 0


def test_an_unexpected_pass_fails_with_xfail_strict(expected: Project) -> None:
    expected.ini("xfail_strict = true")

    result = expected.run("-rf")

    assert "FAILED recipes/x.yaml::passes - [XPASS(strict)] BUG-19" in result.outlines
    assert result.parseoutcomes() == {"passed": 1, "skipped": 1, "xfailed": 2, "failed": 1}
    assert result.ret == 1


def test_reports_contain_xfailed_and_xpassed_outcomes(expected: Project) -> None:
    def states(*args: str) -> dict[str, str]:
        return {name: block["step"]["state"] for name, block in expected.blocks(*args).items()}

    assert states() == {
        "fails": "xfailed",
        "raises": "xfailed",
        "passes": "xpassed",
        "needs": "blocked",
        "uses": "passed",
    }
    assert states("-o", "xfail_strict=true")["passes"] == "failed"


def test_a_recipe_with_only_expected_failures_has_passed(expected: Project) -> None:
    expected.run().stdout.fnmatch_lines(["recipes/x.yaml  passed  * xfailed*"])


def test_fixtures_of_a_step_are_listed(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def supply():
            "A power supply."
        """,
    )
    project.recipe("x", {"one": "fixtures: [supply]"})

    project.run("--fixtures-per-test").stdout.fnmatch_lines(
        ["-* fixtures used by one -*", "-* (recipes/x.yaml:2) -*", "supply -- conftest.py:3"]
    )
    project.run("--setup-show").stdout.fnmatch_lines(
        ["*SETUP    F supply*", "*recipes/x.yaml::one (fixtures used: *supply) ."]
    )


def test_the_durations_option_lists_steps(project: Project) -> None:
    project.recipe("x", {"one": "type: shell, cmd: 'sleep 0.05', parse: text"})

    project.run("--durations=1").stdout.re_match_lines([r"\d+\.\d\ds call     recipes/x.yaml::one"])
