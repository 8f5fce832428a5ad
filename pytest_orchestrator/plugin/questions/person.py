"""Person at the terminal or the operator page of a session, as far as recipes require one."""

import pytest

from pytest_orchestrator.core.extras import CI
from pytest_orchestrator.plugin.options.settings import run_dir

TERMINAL = "orchestrator_terminal"
"""Key of `workerinput` of xdist: True if a person can answer at the controller's terminal."""


def has_person(config: pytest.Config) -> bool:
    """Return True if a person can answer, or answers were given before the run.

    The person is at the terminal, or at an operator page of a monitor.

    In a pipeline, where ``CI`` is set, no person answers.

    Args:
        config: The configuration of the session; in an xdist worker the controller's terminal
            counts.
    """
    if config.getoption("recipe_answer") or config.getoption("recipe_answers"):
        return True
    given = getattr(config, "workerinput", {}).get(TERMINAL)
    if given is not None:
        return bool(given)
    from pytest_orchestrator.plugin.questions.presenter import terminal_of
    from pytest_orchestrator.runs.operator import page_lease

    with terminal_of(config) as found:
        if not isinstance(found, str):
            return True
    return found != CI and page_lease.has_page(run_dir(config))
