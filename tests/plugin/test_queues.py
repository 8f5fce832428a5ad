"""Queue of steps for Dask workers: no step waits for a busy worker while another is idle."""

import pytest

from tests.plugin.conftest import Project

pytestmark = pytest.mark.nightly

_NUMBER = 12


def test_no_step_waits_behind_a_long_step_while_a_worker_is_idle(project: Project) -> None:
    """The long step ends after all others; before it, Dask has learnt that steps are short."""
    names = [f"early{number}" for number in range(_NUMBER)]
    late = [f"late{number}" for number in range(_NUMBER)]
    until = f"until [ $(wc -l < ran.txt) = {2 * _NUMBER} ]; do sleep 0.1; done"
    after = f"needs: [{', '.join(names)}]"
    long = f"type: shell, parse: text, timeout: 60, cmd: '{until}', {after}"
    project.recipe(
        "x", dict.fromkeys(names, "needs: []") | {"long": long} | dict.fromkeys(late, after)
    )

    result = project.spawn("--recipe-dask=local:2", f"--recipe-jobs={_NUMBER + 1}")

    result.assert_outcomes(passed=2 * _NUMBER + 1)
