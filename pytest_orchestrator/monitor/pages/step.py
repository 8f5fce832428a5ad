"""View of one step, with links to its files."""

from typing import Final
from urllib.parse import quote

from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.html.budget import ContentBudget, Files
from pytest_orchestrator.reports.html.step_view import StepView
from pytest_orchestrator.runs.record import StepRecord

_BUDGET: Final = ContentBudget(
    log=4_000, failed_log=16_000, text=20_000, points=240, changes=50, value=1_000
)


def files_url(run: str) -> str:
    """Return the prefix of links to the files of a run.

    Args:
        run: Name of the folder of the run.
    """
    return f"/run/{quote(run)}/file/"


def step_view(view: RunView, step: StepRecord) -> StepView:
    """Return the view of a step that the reports use.

    Args:
        view: The run.
        step: A step of it.
    """
    recipe = view.record.recipes[step.recipe]
    order = step.about.get("index", 0) + 1
    name = recipe.name
    files = Files(view.folder, files_url(view.folder.name))
    return StepView("step", order, step, name, files, _BUDGET)
