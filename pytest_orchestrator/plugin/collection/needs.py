"""Unselected dependencies of items, which run in the setup; groups of items for xdist.

A test that requests a recipe by a marker runs in the same worker as the steps of the recipe.
Workers know these tests, but the scheduler of the controller does not. So each worker writes its
groups after the collection to a file whose path the controller sent.
"""

import json
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from pytest_orchestrator.core.files import replacing
from pytest_orchestrator.plugin.collection.file_matching import SUFFIXES
from pytest_orchestrator.plugin.collection.nodes import StepItem
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.core.location import Place
    from pytest_orchestrator.core.result import StepResult
    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Source, Step

_MOST = 20  # the error and the frames of the user stand at the end of a traceback

FIXTURE = "_recipe_needs"
"""Name of the fixture that runs the needed steps; items with such needs request it."""


class Refusal(msgspec.Struct, frozen=True):
    """The reason why an item must not run.

    Attributes:
        source: The recipe file of the place.
        place: The place in that file that is the cause.
        reason: One line for tables and the short test summary.
        cures: Lines that say what to do.
        who: Node id of the item, if the reason is a sentence only with it as the subject.
    """

    source: "Recipe | Source"
    place: "Place"
    reason: str
    cures: tuple[str, ...]
    who: str = ""

    @property
    def text(self) -> str:
        """The whole error message."""
        where = f"{self.source.id}:{self.place.line}:{self.place.column}:"
        head = " ".join(filter(None, (where, self.who, self.reason)))
        return "\n    ".join((head, *self.cures))


class Needs(msgspec.Struct, frozen=True):
    """Steps and recipes that must run before an item.

    Attributes:
        run: The run of the recipe that contains `steps`.
        steps: The steps, in the order in which they run.
        needed: Names of the steps that must pass; the others only have to end.
        first: The runs of whole recipes that must end before the item.
        also: The runs in `first` that the test's own markers request. Like `run`, they end
            after the last test that uses them.
        refused: The reason why the item must not run; None if it may.
    """

    run: "RecipeRun"
    steps: "tuple[Step, ...]"
    needed: frozenset[str]
    refused: Refusal | None = None
    first: "tuple[RecipeRun, ...]" = ()
    also: "tuple[RecipeRun, ...]" = ()

    @property
    def used(self) -> "tuple[RecipeRun, ...]":
        """The recipe runs that the item uses; the run of the nearest marker is first."""
        return (self.run, *reversed(self.also))

    @property
    def asked(self) -> "list[tuple[RecipeRun, tuple[Step, ...]]]":
        """The recipe runs, each with the steps that must run before the item, in run order.

        Empty if the item must not run.
        """
        whole = [(run, run.recipe.steps) for run in self.first]
        return [] if self.refused else [*whole, (self.run, self.steps)]


NEEDS = pytest.StashKey[Needs | str]()
"""The needs of an item, or an error message if its marker cannot be resolved."""

CONTEXT: "pytest.StashKey[Context]" = pytest.StashKey()
"""The own Context of the recipe that a test requests, if the recipe has one."""

_HOOKS = "pytest_orchestrator.plugin.hooks"
_END_CTX: "pytest.StashKey[Callable[[], None]]" = pytest.StashKey()
"""Ends the fixture `ctx`, and the fixtures that use it."""

SNAPSHOT: "pytest.StashKey[Callable[[], None]]" = pytest.StashKey()
"""Restores the Context of an earlier run in the setup of an item, instead of its needed steps."""

RESULTS = pytest.StashKey["list[tuple[RecipeRun, Step, StepResult]]"]()
"""The results of the steps that ran in the setup of an item."""


@pytest.fixture(name=FIXTURE)
def run_needed_steps(request: pytest.FixtureRequest) -> None:
    """Run the unselected steps that the requesting item needs.

    Raises:
        pytest.fail.Exception: A needed step did not pass, or must not run unselected.
    """
    needs = request.node.stash.get(NEEDS, None)
    if needs is None:  # only other parametrizations of the test have needs
        return
    results = request.node.stash.setdefault(RESULTS, [])
    if isinstance(needs, str) or needs.refused:
        pytest.fail(needs if isinstance(needs, str) else needs.refused.text, pytrace=False)
    if has_snapshot(request.node):
        request.node.stash[SNAPSHOT]()
    for run in (*needs.first, needs.run):
        if run.gate.is_closed and run.gate.lacks and not run.gate.fails:
            pytest.skip(f"{run.recipe.key} requires: {run.gate.lacks}")
    for run in needs.first:
        _run_recipe(request, run, results)
    for step in needs.steps:
        _run_step(request, needs.run, step, results, must_meet=step.name in needs.needed)


def pytest_fixture_setup(
    fixturedef: "pytest.FixtureDef[object]", request: pytest.FixtureRequest
) -> None:
    """Keep how the fixture `ctx` of this plugin is ended."""
    if getattr(fixturedef.func, "__module__", "") == _HOOKS and fixturedef.argname == "ctx":
        request.config.stash[_END_CTX] = lambda: fixturedef.finish(cast("Any", request))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """End the fixture `ctx` if the item needs another Context than the item before it.

    The fixture has the scope of the session, so that fixtures of each scope may use it. But the
    marks of an item, which name its recipe, may differ from those of its other parametrizations.
    """
    state, context = state_of(item.config), item.stash.get(CONTEXT, None)
    if context is not state.own_context:
        state.own_context = context
        item.config.stash.get(_END_CTX, lambda: None)()


def __dir__() -> list[str]:
    """Return the names that pytest finds when this module is registered, see `Plugin`."""
    return ["pytest_fixture_setup", "pytest_runtest_setup", "run_needed_steps"]


def has_snapshot(item: pytest.Item) -> bool:
    """Return True if the setup of an item restores the Context of an earlier run."""
    return SNAPSHOT in item.stash


def _run_recipe(
    request: pytest.FixtureRequest,
    run: "RecipeRun",
    results: "list[tuple[RecipeRun, Step, StepResult]]",
) -> None:
    """Run all steps of a recipe; end its run if no item of the session uses that run."""
    ends_here = not is_used(run, request.session)
    try:
        for step in run.recipe.steps:
            _run_step(request, run, step, results)
    except pytest.fail.Exception:
        if ends_here:
            _end(request, run, results)
        raise
    errors = _end(request, run, results) if ends_here else []
    if errors:
        pytest.fail(errors[0], pytrace=False)


def _end(
    request: pytest.FixtureRequest,
    run: "RecipeRun",
    results: "list[tuple[RecipeRun, Step, StepResult]]",
) -> list[str]:
    """Run the ``finally`` steps of a recipe that are due, and end its services; return errors."""
    errors: list[str] = []
    for step in run.recipe.final if run.begun or run.has_pending_finally else ():
        try:
            _run_step(request, run, step, results)
        except pytest.fail.Exception as error:
            errors.append(str(error))
    for result in run.finish():
        run.replay_late_events(result.step)
        step = run.recipe.step(result.step)
        results.append((run, step, result))
        if result.failure is not None:
            errors.append(_text(request.config, run, step, result))
    return errors


def _run_step(
    request: pytest.FixtureRequest,
    run: "RecipeRun",
    step: "Step",
    results: "list[tuple[RecipeRun, Step, StepResult]]",
    *,
    must_meet: bool = True,
) -> None:
    from pytest_orchestrator.plugin.collection.nodes import fixtures_of
    from pytest_orchestrator.plugin.results.failures import show_output

    has_run = step.name in run.results
    blocker = run.blocker(step)
    if blocker is not None and not has_run:
        result = run.block(step, blocker)
    else:
        values = {} if has_run else fixtures_of(request.getfixturevalue, run, step)
        try:
            result = run.result(step, values)
        except (KeyboardInterrupt, pytest.exit.Exception):
            results.append((run, step, run.results[step.name]))
            raise
    if not has_run:
        results.append((run, step, result))
        show_output(state_of(request.config).masked(result))
    if must_meet and not result.meets and not _is_blocked_by_item(request.config, run, result):
        pytest.fail(_text(request.config, run, step, result), pytrace=False)


def _is_blocked_by_item(config: pytest.Config, run: "RecipeRun", result: "StepResult") -> bool:
    """Return True if a step was blocked by a selected step or recipe, which has its own report."""
    selected = state_of(config).selected
    chosen = {*selected.get(run.recipe.key, set()), *selected}
    return result.outcome == "blocked" and result.blocked_by in chosen


def cut_off(item: pytest.Item) -> pytest.TestReport | None:
    """Return a report of an item whose setup was interrupted in a needed step, else None."""
    from pytest_orchestrator.plugin import masking
    from pytest_orchestrator.plugin.results import blocks

    results = item.stash.get(RESULTS, None)
    if not results:
        return None
    failure = results[-1][2].failure
    if failure is None or failure.kind != "interrupted":
        return None
    report = pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=_text(item.config, *results[-1]),
        when="setup",
    )
    setattr(report, blocks.NEEDED, [blocks.block_of(item.config, *one) for one in results])
    results.clear()
    if state_of(item.config).has_secrets:
        masking.mask(report, state_of(item.config).secrets)
    return report


def _text(config: pytest.Config, run: "RecipeRun", step: "Step", result: "StepResult") -> str:
    from pytest_orchestrator.plugin.results.failures import failure_text

    head = f"needed step {run.recipe.node(step.name)} did not pass"
    result = state_of(config).masked(result)
    if result.failure is None:
        return f"{head}: {result.reason or result.outcome}"
    text = f"{head}\n{failure_text(config, run.recipe, step, result)}"
    raised = result.failure.exception
    return text if raised is None else f"{text}\n{_explanation(config, raised)}"


def _explanation(config: pytest.Config, raised: BaseException) -> str:
    """Return the last 20 lines of the traceback of an exception that a needed step raised."""
    from pytest_orchestrator.execution.outcome import Raised
    from pytest_orchestrator.plugin.results.failures import explained_there

    if isinstance(raised, Raised):
        lines = str(explained_there(config, raised)).splitlines()
    else:
        lines = "".join(traceback.format_exception(raised)).splitlines()
    return "\n".join(lines[-_MOST:])


def shorten_refusal(item: pytest.Item, error: BaseException, shown: Any) -> None:
    """Set the message and the place of a failed setup to those of a refusal, if that is its reason.

    Args:
        item: The item.
        error: The error of its setup.
        shown: The longrepr of the report.
    """
    needs = item.stash.get(NEEDS, None)
    refused = needs.refused if isinstance(needs, Needs) else None
    if refused is not None and str(error) == refused.text:
        from pytest_orchestrator.plugin.results import failures

        failures.blame(shown, refused.source.path, refused.place.line, refused.reason)


def refusal(
    run: "RecipeRun", steps: "tuple[Step, ...]", who: str, config: pytest.Config
) -> Refusal | None:
    """Return the reason why a needed step must not run unselected, or None if it may.

    Args:
        run: The run of the recipe that contains the steps.
        steps: Steps that were not selected.
        who: Node id of the item that needs the steps.
        config: The configuration of the session; it holds ``--deselect``.
    """
    recipe = run.recipe
    for step in steps:
        if step.is_final:  # finally steps run even if they are not selected
            continue
        node = recipe.node(step.name)
        place = step.at["name"]
        if not step.implicit:
            why = "it says `implicit: false`, so it never runs just because another step needs it"
            place = step.at.get("implicit", place)
        elif _deselected(node, config):
            why = "it was taken out by --deselect"
        else:
            continue
        return Refusal(
            source=recipe.source(step),
            place=place,
            reason=f"needs step '{step.name}', which was not selected; {why}",
            cures=(
                f"select it too: pytest {node} {who}",
                f"or run without what is needed: pytest --recipe-needs=none {who}",
            ),
            who=who,
        )
    return None


def _deselected(node: str, config: pytest.Config) -> bool:
    prefixes = tuple(config.getoption("deselect", None) or ())
    return bool(prefixes) and node.startswith(prefixes)


def request_fixture(item: pytest.Item) -> None:
    """Make an item request the fixture that runs the needed steps of the item."""
    # All parametrizations of a test share the list, so another item may have inserted it.
    names = getattr(item, "fixturenames", None)
    if names is None or FIXTURE in names:
        return
    place = 0
    if isinstance(item, StepItem):
        # The place is after the autouse fixtures and before the fixtures that the recipe names.
        own = {*item.recipe.fixtures, *item.step.fixtures, "request"}
        place = next((at for at, name in enumerate(names) if name in own), len(names))
    names.insert(place, FIXTURE)


def recipes_of_marks(item: pytest.Item) -> "tuple[RecipeRun, ...] | str":
    """Return the recipe runs that a test's markers request, or an error message.

    The run of the nearest marker is last.
    """
    runs: dict[RecipeRun, None] = {}
    for mark in reversed([*item.iter_markers("recipe")]):
        run = recipe_of_mark(mark, item.config)
        if isinstance(run, str):
            return run
        runs.pop(run, None)
        runs[run] = None
    return tuple(runs)


def recipe_of_mark(mark: pytest.Mark, config: pytest.Config) -> "RecipeRun | str":
    """Return the recipe run that a test's ``recipe`` marker requests, or an error message."""
    from pytest_orchestrator.plugin.collection import recipe_needs, unsupported
    from pytest_orchestrator.recipe import RecipeError

    if not unsupported.HERE:
        return f"the recipe of this test cannot be run: {unsupported.WHERE}"
    matrix = mark.kwargs.get("matrix", {})
    if (
        len(mark.args) != 1
        or mark.kwargs.keys() - {"matrix"}
        or not isinstance(mark.args[0], (str, Path))
        or not isinstance(matrix, dict)
    ):
        return (
            "write @pytest.mark.recipe('recipes/name.yaml'): one path, relative to the rootdir, "
            "and matrix={'name': value} where it has a matrix"
        )
    path = Path(config.rootpath, mark.args[0])
    if not path.is_file():
        from pytest_orchestrator.core import suggestions

        near = suggestions.recipe_hint(str(mark.args[0]), config.rootpath)
        return f"the recipe of this test is not there: {mark.args[0]}{near}"
    try:
        cells = state_of(config).cells(path)
        recipe_needs.check_needs_in(cells[0], state_of(config))
    except RecipeError as error:
        return f"the recipe of this test is not usable\n{error}"
    matching = [recipe for recipe in cells if _is_cell(recipe, matrix)]
    if len(matching) == 1:
        return state_of(config).run(matching[0])
    names = ", ".join(recipe.cell.id for recipe in cells if recipe.cell) or "none: no matrix"
    number = f"{len(matching)} cells" if matching else "no cell"
    near = ""
    for values in (recipe.cell.values for recipe in reversed(cells) if recipe.cell):
        if all(str(values.get(name)) == str(value) for name, value in matrix.items()):
            near = f" (write matrix={values!r})"
    head = f"matrix={matrix!r} of this test means {number} of {mark.args[0]}; its cells are {names}"
    return head + near


def _is_cell(recipe: "Recipe", matrix: "dict[str, object]") -> bool:
    values = recipe.cell.values if recipe.cell else {}
    return all(name in values and values[name] == value for name, value in matrix.items())


INPUT = "orchestrator_groups"
"""Key of `workerinput`: the path of the file of groups."""


def write_groups(session: pytest.Session, header: "Callable[[], list[str]]") -> None:
    """Write the recipes and the groups of items for the controller; do nothing outside workers.

    Args:
        session: The session of the worker.
        header: Function that returns the header lines of the session.
    """
    from pytest_orchestrator.plugin.collection import recipe_needs

    target = getattr(session.config, "workerinput", {}).get(INPUT)
    if target is None:
        return
    runs = state_of(session.config).runs.values()
    item_needs = [item.stash.get(NEEDS, None) for item in session.items]
    used = [needs.used for needs in item_needs if isinstance(needs, Needs)]
    together = recipe_needs.grouped_recipes(runs, used)
    groups = {}
    for item in session.items:
        needs = item.stash.get(NEEDS, None)
        group = needs.run.recipe.id if isinstance(needs, Needs) else _group_of(item)
        group = group or recipe_of(item.nodeid)
        if group and (group in together or group != recipe_of(item.nodeid)):
            groups[item.nodeid] = together.get(group, group)
    if (groups or runs) and Path(target).parent.is_dir():
        recipes = {run.recipe.key: run.recipe.id for run in runs}
        content = {"groups": groups, "recipes": recipes, "header": header()}
        with replacing(target) as file:
            file.write(json.dumps(content).encode())


def _group_of(item: pytest.Item) -> str:
    """Return the ``xdist_group`` of a test under ``--dist loadgroup``, else empty text.

    xdist would append the group to the node id, but pytest 9.2 does not allow this
    (pytest-xdist#1386).
    """
    if not getattr(item.config.option, "loadgroup", False):
        return ""
    marks = item.iter_markers("xdist_group")
    names = {str(next(iter((*mark.args, *mark.kwargs.values())), "default")) for mark in marks}
    return f"group {'_'.join(sorted(names))}" if names else ""


def read_groups(file: Path) -> Any:
    """Return the groups, the paths of the recipes by key, and the header in a worker's file.

    All are empty without the file.
    """
    if not file.exists():
        return {"groups": {}, "recipes": {}, "header": []}
    return json.loads(file.read_text("utf-8"))


def recipe_of(nodeid: str) -> str:
    """Return the path of the recipe in a step's node id; empty for any other node id."""
    file = nodeid.partition("::")[0]
    return file if file.endswith(SUFFIXES) else ""


def is_used(run: "RecipeRun", session: pytest.Session) -> bool:
    """Return True if an item of the session uses a recipe run; the last such item ends it."""
    return any(run in runs_of(item) for item in session.items)


def runs_of(item: pytest.Item) -> "tuple[RecipeRun, ...]":
    """Return the recipe runs that an item uses; empty for a test that requests no recipe."""
    if isinstance(item, StepItem):
        return (item.run,)
    needs = item.stash.get(NEEDS, None)
    return needs.used if isinstance(needs, Needs) else ()
