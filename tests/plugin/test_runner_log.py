"""Log in the format of the old runner."""

import re
from unittest.mock import Mock

import pytest

from pytest_orchestrator.plugin import runner_log
from tests.plugin.conftest import Project

LOG = ("-p", "pytest_orchestrator.plugin.runner_log")
HEAD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d \| ")


def run_with_log(project: Project, *args: str) -> tuple[int, list[str]]:
    result = project.run(*LOG, *args)
    return int(result.ret), [HEAD.sub("", line) for line in result.errlines if HEAD.match(line)]


@pytest.mark.counted
def test_the_log_has_each_step_with_its_output_and_a_last_line(project: Project) -> None:
    project.script(
        "say.sh",
        """
        #!/bin/sh
        printf '{"status": "ok", "key": "%s"}' "$A_TOKEN"
    """,
    )
    project.recipe("one", {"a": "", "b": "type: shell, cmd: ./say.sh, args: {A_TOKEN: hidden-1}"})
    assert run_with_log(project, "recipes") == (
        0,
        [
            "INFO | runner | Running python step a",
            'INFO | runner | Step a output: {"status": "ok"}',
            "INFO | runner | Running shell step b",
            'INFO | runner | Step b output: {"status": "ok", "key": "***"}',
            "INFO | runner | Pipeline complete",
        ],
    )


def test_an_xdist_worker_does_not_write_the_last_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = Mock()
    config.pluginmanager.get_plugin.return_value = None
    config.stash.get.return_value = 1
    runner_log.pytest_unconfigure(config)  # a mock has every attribute, also `workerinput`
    assert capsys.readouterr().err == ""
    del config.workerinput
    runner_log.pytest_unconfigure(config)
    assert capsys.readouterr().err.endswith("| Pipeline failed: pytest exits with 1\n")


def test_the_log_has_the_reason_of_a_step_that_did_not_pass(project: Project) -> None:
    project.recipe(
        "one",
        {
            "a": "function: pause",
            "b": "function: refuse, continue_on_error: false",
            "c": "",
        },
    )
    assert run_with_log(project, "recipes") == (
        1,
        [
            "INFO | runner | Running python step a",
            "WARNING | runner | Step a skipped: nothing to do",
            "INFO | runner | Running python step b",
            "ERROR | runner | Step b failed: status 'off': the bench is off",
            "WARNING | runner | Step c blocked: blocked by recipes/one.yaml::b",
            "ERROR | runner | Pipeline failed: pytest exits with 1",
        ],
    )
