"""Settings of a session: their effects, and the errors for invalid values."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

import pytest

from tests.tiers import kept_first

if TYPE_CHECKING:
    from tests.plugin.conftest import Project


_TIME = "write 90s, 15m, 1h or a number of seconds"
_SIZE = "write 1MiB, 500kB or a number of bytes"
_RUN_DIR = "write a folder of its own for the runs, such as .orchestrator/runs"
_NO_MATCH = (
    "matches no YAML file below the rootdir; write a pattern relative to it, such as bench/*.yaml"
)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("recipe_timeout = soon", f"recipe_timeout: 'soon' is no size or time; {_TIME}"),
        ("recipe_timeout = -1", f"recipe_timeout: '-1' is no size or time; {_TIME}"),
        ("recipe_timeout = 3 days", f"recipe_timeout: '3 days' is no size or time; {_TIME}"),
        ("recipe_max_size = big", f"recipe_max_size: 'big' is no size or time; {_SIZE}"),
        (
            "recipe_shell = bsh",
            (
                "recipe_shell: 'bsh' should be sh, bash or python, or a list of words: [bsh] "
                "(did you mean 'bash'?)"
            ),
        ),
        (
            "recipe_shell = []",
            "recipe_shell: '[]' should begin with a program, not with an empty text",
        ),
        ("recipe_max_size =", f"recipe_max_size: '' is no size or time; {_SIZE}"),
        (
            "recipe_shell = [",
            (
                "recipe_shell: '[' has one bracket without the other; write sh, bash, python or a "
                "list of words such as [zsh, -e]"
            ),
        ),
        ("report_logo = a.png", "report_logo: there is no file a.png; the path is relative to {}"),
        (
            "report_logo = pytest.ini",
            "report_logo: pytest.ini is no picture; use one of svg, png, jpg, jpeg, webp, gif",
        ),
        ("recipe_run_dir =", f"recipe_run_dir: '' is the rootdir; {_RUN_DIR}"),
        ("recipe_run_dir = a/..", f"recipe_run_dir: 'a/..' is the rootdir; {_RUN_DIR}"),
        ("recipe_run_dir = ..", f"recipe_run_dir: '..' contains the rootdir; {_RUN_DIR}"),
        ("recipe_files = ../x.yaml", f"recipe_files: '../x.yaml' {_NO_MATCH}"),
        ("recipe_files = ok.yaml ./x.yaml", f"recipe_files: './x.yaml' {_NO_MATCH}"),
        ("recipe_files = /bench/*.yaml", f"recipe_files: '/bench/*.yaml' {_NO_MATCH}"),
        ("recipe_files = bench", f"recipe_files: 'bench' {_NO_MATCH}"),
        ("recipe_files = [", f"recipe_files: '[' {_NO_MATCH}"),
    ],
)
def test_an_invalid_value_is_a_usage_error(project: Project, line: str, said: str) -> None:
    project.ini(line)
    project.recipe("x", {"one": ""})

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines == [f"ERROR: ini key {said.format(project.path)}", ""]
    assert project.ran == []


@pytest.mark.parametrize("pattern", ["bench/*", "bench/**", "bench/x?yaml", "bench/x.YML", "**/x*"])
def test_a_pattern_that_can_match_a_yaml_file_is_accepted(project: Project, pattern: str) -> None:
    project.ini(f"recipe_files = {pattern}")

    assert project.run().ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_logo_that_is_too_large_is_a_usage_error(project: Project) -> None:
    (project.path / "big.png").write_bytes(b"x" * 2_000_001)
    project.recipe("x", {"one": ""})

    result = project.run("-o", "report_logo=big.png")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = "ERROR: ini key report_logo: big.png has 2,000,001 bytes; the most are 2,000,000"
    assert result.errlines == [said, ""]
    assert project.ran == []


@pytest.mark.parametrize("value", ['recipe_files = "recipes/*.yaml"', "recipe_files = [1]"])
def test_a_value_of_another_type_is_a_usage_error(project: Project, value: str) -> None:
    (project.path / "pytest.ini").unlink()
    project.write("pyproject.toml", f"[tool.pytest]\n{value}\n")
    project.recipe("x", {"one": ""})

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    key = value.partition(" ")[0]
    result.stderr.fnmatch_lines([f"ERROR: *pyproject.toml: config option '{key}' *"])
    result.stderr.no_fnmatch_line("*Traceback*")


@pytest.mark.counted
@pytest.mark.parametrize("key", ["recipe_validate", "recipe_github", "recipe_html"])
def test_a_value_that_is_no_boolean_is_a_usage_error(project: Project, key: str) -> None:
    project.recipe("x", {"one": ""})

    result = project.run("-o", f"{key}=maybe")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = f"ERROR: ini key {key}: invalid truth value 'maybe'; write true or false"
    assert result.errlines == [said, ""]
    assert project.ran == []


@pytest.mark.parametrize("table", ["tool.pytest", "tool.pytest.ini_options"])
@pytest.mark.parametrize("value", ['"maybe"', "[]"])
def test_a_toml_value_that_is_no_boolean_is_a_usage_error(
    project: Project, table: str, value: str
) -> None:
    _toml(project, f"[{table}]\nrecipe_validate = {value}\n")
    project.recipe("x", {"one": ""})

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    what = value.replace('"', "'")
    cure = "write true or false, without quotes"
    said = f"ERROR: ini key recipe_validate: {what} is no boolean; {cure}"
    assert result.errlines == [said, ""]
    assert project.ran == []


def test_a_boolean_of_the_command_line_is_not_blamed_on_the_file(project: Project) -> None:
    _toml(project, "[tool.pytest]\nrecipe_validate = true\n")
    project.recipe("x", {"one": ""})

    result = project.run("-o", "recipe_validate=maybe")

    said = "ERROR: ini key recipe_validate: invalid truth value 'maybe'; write true or false"
    assert result.errlines == [said, ""]


@pytest.mark.counted
@pytest.mark.parametrize("name", ["pyproject.toml", "pytest.toml"])
def test_native_values_of_toml_are_accepted(project: Project, name: str) -> None:
    own = "pytest" if name == "pytest.toml" else "tool.pytest"
    lines = """
        recipe_jobs = 2
        recipe_keep_runs = 3
        recipe_timeout = 30.5
        recipe_max_size = 100000
        recipe_shell = ["bash", "-e"]
        recipe_github = false
    """
    _toml(project, f"[{own}]\n{lines}", name)
    project.recipe("x", {"one": "type: shell, parse: text, cmd: '[[ a == a* ]]'"})

    result = project.run()

    assert result.ret == 0
    result.stdout.fnmatch_lines(["orchestrator *: 1 recipe, 1 step, 2 jobs"])


def test_a_list_in_the_old_toml_table_raises_no_warning(project: Project) -> None:
    _toml(project, '[tool.pytest.ini_options]\nrecipe_shell = ["bash", "-e"]\n')
    project.recipe("x", {"one": "type: shell, parse: text, cmd: '[[ a == a* ]]'"})

    result = project.run()

    result.assert_outcomes(passed=1, warnings=0)
    assert result.errlines == []


_JOBS = "is no number of jobs; write a number from 1 to 9999"
_RUNS = "is no number of runs; write a number up to 999999999, such as 20, or 0 to keep all"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("recipe_jobs = true", f"recipe_jobs: 'true' {_JOBS}"),
        ("recipe_jobs = [2]", f"recipe_jobs: '[2]' {_JOBS}"),
        ("recipe_timeout = -1", f"recipe_timeout: '-1' is no size or time; {_TIME}"),
        ("recipe_keep_runs = -3", f"recipe_keep_runs: '-3' {_RUNS}"),
        ('recipe_keep_runs = "-3"', f"recipe_keep_runs: '-3' {_RUNS}"),
        ("recipe_keep_runs = 1.5", f"recipe_keep_runs: '1.5' {_RUNS}"),
        ("recipe_keep_runs = 9999999999", f"recipe_keep_runs: '9999999999' {_RUNS}"),
    ],
)
def test_a_wrong_native_value_of_toml_is_a_usage_error(
    project: Project, line: str, said: str
) -> None:
    _toml(project, f"[tool.pytest]\n{line}\n")
    project.recipe("x", {"one": ""})

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines == [f"ERROR: ini key {said}", ""]
    assert project.ran == []


def _toml(project: Project, text: str, name: str = "pyproject.toml") -> None:
    (project.path / "pytest.ini").unlink()
    project.write(name, text)


@pytest.mark.parametrize("value", ["0", "1h", "90 s", "1.5m", "2000ms", "7"])
def test_times_accept_all_units(project: Project, value: str) -> None:
    project.ini(f"recipe_timeout = {value}")
    project.recipe("x", {"one": ""})

    assert project.run().ret == 0


@pytest.mark.parametrize("value", ["1MiB", "2 mb", "500kB", "4KiB", "100000"])
def test_sizes_accept_all_units(project: Project, value: str) -> None:
    project.ini(f"recipe_max_size = {value}")
    project.recipe("x", {"one": ""})

    assert project.run().ret == 0


def test_a_debugger_switches_timeouts_off(project: Project) -> None:
    project.recipe("x", {"one": "type: shell, cmd: sleep 0.2, parse: text, timeout: 10ms"})

    assert project.run("--pdb").ret == 0


# Longer than 50 ms, so that no machine meets a timeout of 50 ms.
_SECONDS = {"passed": 0.3, "failed": 600}


@pytest.mark.parametrize(
    ("factor", "isolation", "word"),
    [
        ("1", "process", "failed"),
        ("1", "inline", "failed"),
        ("2000", "process", "passed"),
        ("2000", "inline", "passed"),
        ("0", "process", "passed"),
        ("0", "inline", "passed"),
    ],
)
def test_a_factor_stretches_the_timeouts_of_python_steps(
    project: Project, factor: str, isolation: str, word: str
) -> None:
    project.write(
        "slow.py",
        f"""
        import time


        def step(params):
            time.sleep({_SECONDS[word]})
            return {{"status": "ok"}}
        """,
    )
    keys = f"module: slow, function: step, isolation: {isolation}, timeout: 50ms"
    path = project.recipe("x", {"one": f"type: python, {keys}"})

    found = project.outcomes(f"--recipe-timeout-factor={factor}")

    assert found == {f"{path}::one": word}


_FACTORS = (("1", "failed"), (".5", "failed"), ("2000.5", "passed"), ("0", "passed"))
_WAYS: tuple[tuple[str, ...], ...] = ((), ("--recipe-jobs=2",), ("-n1",))


@pytest.mark.parametrize(
    "way_and_factor",
    kept_first(
        product(_WAYS, _FACTORS),
        *(((), one) for one in _FACTORS),
        *((way, one) for way in _WAYS[1:] for one in _FACTORS[::2]),
    ),
)
def test_a_factor_stretches_default_and_own_timeouts(
    project: Project, way_and_factor: tuple[tuple[str, ...], tuple[str, str]]
) -> None:
    args, (factor, word) = way_and_factor
    project.ini("recipe_timeout = 50ms")
    sleep = f"type: shell, cmd: sleep {_SECONDS[word]}, parse: text, needs: []"
    path = project.recipe("x", {"one": sleep, "two": f"{sleep}, timeout: 50ms"})

    found = project.outcomes(f"--recipe-timeout-factor={factor}", *args)

    assert found == {f"{path}::one": word, f"{path}::two": word}


def test_a_stretched_timeout_reports_the_stretched_time(project: Project) -> None:
    project.recipe("x", {"one": "type: shell, cmd: sleep 600, parse: text, timeout: 50ms"})

    reasons = project.reasons("--recipe-timeout-factor=2")["one"]

    assert reasons == "timeout: still running after 0.1 s; its whole process tree was ended"


@pytest.mark.parametrize("factor", ["-1", "nan", "inf", "1e308", "twice", "", "1000000", "2x"])
def test_an_invalid_factor_is_a_usage_error(project: Project, factor: str) -> None:
    project.recipe("x", {"one": ""})

    result = project.run(f"--recipe-timeout-factor={factor}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    cure = "write a number below 1000000, such as 2.5, or 0 for no timeouts"
    said = f"ERROR: --recipe-timeout-factor: {factor!r} is no factor; {cure}"
    assert result.errlines == [said, ""]
    assert project.ran == []


def test_settings_and_options_are_listed_with_help(project: Project) -> None:
    lines = project.run("--help").stdout

    title = "orchestrator: YAML recipes as tests:"
    lines.fnmatch_lines([title, "*--recipe-needs={run,snapshot,none}*"])
    lines.fnmatch_lines(["*recipe_files (args):*"])
    lines.fnmatch_lines(["*recipe_max_size (string):*"])
    lines.fnmatch_lines(["*recipe_timeout (string):*"])


def test_each_option_is_listed_with_its_ini_key_and_default(project: Project) -> None:
    text = project.run("--help").stdout.str()
    group = text.partition("orchestrator: YAML recipes as tests:")[2].partition("\n\n")[0]
    keys = set(re.findall(r"^  ((?:recipe|report)_\w+) \(", text, re.MULTILINE))
    options = re.split(r"\n  --", group)[1:]
    assert len(options) == 26
    for option in options:
        words = " ".join(option.split())
        word = re.split("[ =]", option)[0].removeprefix("recipe-")
        name = "recipe_" + word.replace("-", "_")
        own = [key for key in keys if key in (name, f"{name}s")]
        assert all(f"ini: {key}" in words for key in own), words
        assert re.search(r"\(default|; default", words), words


def test_the_marker_is_listed(project: Project) -> None:
    lines = project.run("--markers").outlines
    assert any(one.startswith("@pytest.mark.recipe(path, matrix={...}): ") for one in lines)


def test_fixtures_are_listed(project: Project) -> None:
    lines = project.run("--fixtures").stdout

    lines.fnmatch_lines(["ctx [[]session scope] -- *", "*The Context of the session, or *"])
    lines.fnmatch_lines(["orchestrator_context [[]session scope] -- *"])


@pytest.mark.parametrize("value", ["bash", "[bash, -eo, pipefail]"])
def test_recipe_shell_sets_the_shell_of_all_command_lines(project: Project, value: str) -> None:
    project.ini(f"recipe_shell = {value}")
    project.recipe(
        "x",
        {
            "own": "type: shell, needs: [], parse: text, cmd: '[[ a == a* ]]'",
            "piped": "type: shell, needs: [], parse: text, cmd: 'false | true'",
            "sh": "type: shell, needs: [], parse: text, shell: sh, cmd: 'false | true'",
            "listed": "type: shell, needs: [], parse: text, cmd: [echo, '[[']",
        },
    )

    assert project.reasons() == {"piped": "exit code 1, expected 0"}


@pytest.mark.parametrize(
    ("key", "cure"),
    [
        (
            "recipe_github_artifact",
            "the job summary names the path of the report in the uploaded files",
        ),
        ("report_css", "pages keep their own styles; report_title and report_logo stay"),
    ],
)
def test_an_ini_key_of_earlier_versions_is_a_warning_with_its_cure(
    project: Project, key: str, cure: str
) -> None:
    project.ini(f"{key} = old")
    project.recipe("a", {"one": ""})

    result = project.run()

    assert result.parseoutcomes() == {"passed": 1, "warnings": 1}
    said = f"there is no ini key {key} any more; remove it: {cure}"
    assert f"PytestConfigWarning: {said}" in " ".join(result.stdout.str().split())
