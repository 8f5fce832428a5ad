"""Person at the terminal of a session, as far as recipes require one."""

import pytest

TERMINAL = "orchestrator_terminal"
"""Key of `workerinput` of xdist: True if a person can answer at the controller's terminal."""


def has_person(config: pytest.Config) -> bool:
    """Return True if a person can answer at the terminal, or answers were given before the run.

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

    with terminal_of(config) as terminal:
        return not isinstance(terminal, str)
