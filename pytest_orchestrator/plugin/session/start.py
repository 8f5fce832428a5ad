"""Start of a session: order of the items by recipe, and dependencies of each item.

The functions run at the end of the collection: only then have ``--ff`` and plugins that shuffle
items set their order.
"""

import gc
from collections import Counter
from typing import TYPE_CHECKING, cast

import pytest

from pytest_orchestrator.core.files import has_frozen_modules, may_freeze
from pytest_orchestrator.plugin import worker_context
from pytest_orchestrator.plugin.collection import needs, recipe_needs
from pytest_orchestrator.plugin.collection.needs import (
    NEEDS,
    Needs,
    recipes_of_marks,
    refusal,
    request_fixture,
)
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.reporting import progress
from pytest_orchestrator.plugin.reporting.header import Header
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.runs.journal.debt_marks import may_have_debts

if TYPE_CHECKING:
    from pytest_orchestrator.context.rpc.xdist import SharedContext
    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.plugin.collection.nodes import StepItem
    from pytest_orchestrator.plugin.instruments.owed import OwedSafeStates
    from pytest_orchestrator.plugin.journal.snapshots import Snapshots
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.model.step import Step


def keep_recipes_whole(session: pytest.Session) -> bool:
    """Order the items of a session by recipe, store their needs, and register the plugins.

    Returns:
        True if the session has steps, or tests that need a recipe.
    """
    steps = _steps(session)
    marked = [item for item in session.items if item.get_closest_marker("recipe")]
    register = session.config.pluginmanager.register
    header = Header(session, steps)
    register(header, "orchestrator-header")
    if not steps and not marked:
        _begin_for_mistakes(session)
        return False
    header.owed = _owed_safe_states(session.config)
    register(needs, "orchestrator-needs")
    if session.config.getoption("dist", "no") == "no":
        progress.start_progress(session.config, {item.nodeid for item in steps})
    state = state_of(session.config)
    _regroup(session, steps, state)
    if _is_plain_list(session.config) and not marked and _are_whole(steps, state):
        return True
    for item in steps:
        recipe_needs.link(item.run, state)
    tests = [(test, _linked(test)) for test in marked]
    _drop_unused_runs(steps, tests, state)
    resumed = state.resumed
    if resumed is not None:
        resumed.restore_steps(list(state.runs.values()))
        header.earlier.append(resumed)
    snapshots = _snapshots(session.config)
    header.earlier += [] if snapshots is None else [snapshots]
    if worker_context.is_shared(session.config):
        _add_results_of_others(state)
    _note_needs(session, steps, tests, snapshots)
    if resumed is not None:
        resumed.mark(steps)
    _refuse_uncompared(session.config, steps)
    if not session.config.option.collectonly:
        from pytest_orchestrator.plugin.session import running

        running.start(session)
        _spare_searches(session, steps)
    has_units = any(run.recipe.units is not None for run in state.runs.values())
    if has_units or settings.slots(session.config)[0] > 1:
        from pytest_orchestrator.plugin.session import parallel

        header.serial = parallel.start(session)
    needs.write_groups(session, header.lines)
    return True


def refuse_in_worker(session: pytest.Session, error: pytest.UsageError) -> None:
    """Report a usage error to the controller of xdist, as an error of the collection; run no test.

    xdist hears of no exception of a worker: its session would end by an internal error.
    """
    session.items.clear()
    report = pytest.CollectReport("", "failed", str(error), [])
    session.config.hook.pytest_collectreport(report=report)


def _drop_unused_runs(
    steps: "list[StepItem]",
    tests: "list[tuple[pytest.Item, tuple[RecipeRun, ...] | str]]",
    state: "SessionState",
) -> None:
    """Drop the runs of recipes that were collected, but are neither selected nor needed."""
    used = dict.fromkeys(item.run for item in steps)
    used |= dict.fromkeys(run for _, runs in tests if not isinstance(runs, str) for run in runs)
    needed = (each for run in used for each in (*recipe_needs.upstream_runs(run), run))
    state.runs = {run.recipe.key: run for run in needed}


def _begin_for_mistakes(session: pytest.Session) -> None:
    """Begin a run that has no step if recipes that cannot be collected are to be exported."""
    state = state_of(session.config)
    if state.uncollected:
        from pytest_orchestrator.plugin.session import journal, run_end

        if run_end.exports_mistakes(state):
            journal.begin(session, state)


_MANY = 1_000
"""Steps whose items and recipes are as many objects as the modules of a session."""


def _spare_searches(session: pytest.Session, steps: "list[StepItem]") -> None:
    """Leave the present objects out of the searches of the garbage collector during the run.

    They are the modules, the items and the recipes, which live as long as the session, and in a
    large one are most of the objects. After the run they are searched again, also by pytest at its
    end. A session with tests of the user is not changed: they may look at what the collector finds.
    Nor is one whose objects the user has frozen, nor a small one whose modules are frozen already.
    """
    is_small = len(steps) < _MANY and has_frozen_modules()
    if len(steps) == len(session.items) and not is_small and may_freeze():
        gc.freeze()
        session.config.add_cleanup(gc.unfreeze)


def _owed_safe_states(config: pytest.Config) -> "list[OwedSafeStates]":
    """Return the header's source of lines about owed safe states; none if no run has debts."""
    if not may_have_debts(settings.run_dir(config)):
        return []
    from pytest_orchestrator.plugin.instruments.owed import OwedSafeStates

    return [OwedSafeStates(config)]


def _add_results_of_others(state: "SessionState") -> None:
    """Add results that the controller knows from other workers to this worker's recipe runs."""
    worker_context.add_known_results(cast("SharedContext", state.context), state.runs.values())


def _steps(session: pytest.Session) -> "list[StepItem]":
    from pytest_orchestrator.plugin.collection.nodes import StepItem

    return [item for item in session.items if isinstance(item, StepItem)]


def _refuse_uncompared(config: pytest.Config, steps: "list[StepItem]") -> None:
    if settings.comparison(config) is not None:
        from pytest_orchestrator.plugin.journal import baseline

        baseline.refuse_uncompared(config, steps)


def _snapshots(config: pytest.Config) -> "Snapshots | None":
    """Return the object that restores Contexts if ``--recipe-needs=snapshot`` asks for it."""
    if config.getoption("recipe_needs") != "snapshot":
        return None
    from pytest_orchestrator.plugin.journal.snapshots import Snapshots

    return Snapshots(config)


def _is_plain_list(config: pytest.Config) -> bool:
    """Return True if the session only lists its items, and its options ask for nothing else.

    With ``--collect-only``, the header still says which steps ``--recipe-resume`` restores, which
    Contexts ``--recipe-needs=snapshot`` restores, and which recipes ``--recipe-jobs`` runs one
    step at a time.
    """
    if not config.option.collectonly or hasattr(config, "workerinput"):
        return False
    has_earlier = (
        config.getoption("recipe_resume") or config.getoption("recipe_needs") == "snapshot"
    )
    return not has_earlier and settings.jobs(config) == 1


def _are_whole(steps: "list[StepItem]", state: "SessionState") -> bool:
    """Return True if all steps of the recipes are selected, and of the recipes that they need.

    The header and the listing then name no prerequisite steps.
    """
    selected = Counter(item.recipe.key for item in steps)
    recipes = {item.recipe.key: item.recipe for item in steps}
    return all(
        selected[one.key] == len(one.steps) + len(one.final)
        for recipe in recipes.values()
        for one in (*recipe_needs.needed_recipes(recipe, state), recipe)
    )


def _regroup(session: pytest.Session, steps: "list[StepItem]", state: "SessionState") -> None:
    """Move the items of each recipe to the place of its first item, in recipe order.

    The items of recipes that a recipe needs are moved ahead of its own.
    """
    groups: dict[str, list[StepItem]] = {}
    for item in steps:
        groups.setdefault(item.recipe.key, []).append(item)
    for group in groups.values():
        group.sort(key=lambda item: item.step.index)
    ours = {id(item): item for item in steps}
    ordered: list[pytest.Item] = []
    for one in session.items:
        step = ours.get(id(one))
        if step is None:
            ordered.append(one)
        elif step.recipe.key in groups:
            for recipe in (*recipe_needs.needed_recipes(step.recipe, state), step.recipe):
                ordered += groups.pop(recipe.key, [])
    session.items[:] = ordered


def _note_needs(
    session: pytest.Session,
    steps: "list[StepItem]",
    marked: "list[tuple[pytest.Item, tuple[RecipeRun, ...] | str]]",
    snapshots: "Snapshots | None",
) -> None:
    """Store in each item the steps and recipes that must run in its setup.

    Args:
        session: The session.
        steps: The items of steps.
        marked: Tests with ``recipe`` markers, each with its runs or an error message.
        snapshots: Object that restores Contexts, so that needed steps need not run; or None.
    """
    state = state_of(session.config)
    for item in steps:
        state.selected.setdefault(item.recipe.key, set()).add(item.step.name)
    if session.config.getoption("recipe_needs") != "none":
        others: dict[str, dict[str, Step]] = {}
        for item in steps:
            unselected = _upstream(item, state.selected[item.recipe.key])
            runs = not refusal(item.run, tuple(unselected.values()), item.nodeid, item.config)
            others.setdefault(item.recipe.key, {}).update(unselected if runs else {})
        for item in steps:
            chosen = state.selected[item.recipe.key]
            follows = item.step.is_final or chosen.intersection(item.step.needs)
            first = [] if follows else recipe_needs.upstream_runs(item.run)
            first = [run for run in first if not _is_selected(run, state)]
            needed = _upstream(item, chosen)
            if snapshots is not None:
                services = {name: step for name, step in needed.items() if step.background}
                _set_needs(item, item.run, tuple(services.values()), [], {*services})
                snapshots.instead(item, tuple(needed.values()), first)
                continue
            asked = tuple(_before(item, needed, others[item.recipe.key]))
            _set_needs(item, item.run, asked, first, {*needed})
    for test, used in marked:
        if isinstance(used, str):
            test.stash[NEEDS] = used
            request_fixture(test)
        else:
            *farther, run = used
            if run.recipe.context == "recipe":
                test.stash[needs.CONTEXT] = run.context
            before = [each for one in used for each in (*recipe_needs.upstream_runs(one), one)]
            first = [one for one in dict.fromkeys(before) if one is not run]
            names = {step.name for step in run.recipe.steps}
            _set_needs(test, run, run.recipe.steps, first, names, tuple(farther))


def _linked(test: pytest.Item) -> "tuple[RecipeRun, ...] | str":
    """Return the recipe runs that a test's ``recipe`` markers request, or an error message."""
    runs = recipes_of_marks(test)
    for run in runs if not isinstance(runs, str) else ():
        recipe_needs.link(run, state_of(test.config))
    return runs


def _upstream(item: "StepItem", selected: set[str]) -> "dict[str, Step]":
    """Return by name the unselected steps that a step needs directly or indirectly.

    The needs of a selected step are left out, because its own item runs them.
    """
    upstream: dict[str, Step] = {}
    queue = [need for need in item.step.needs if need not in selected]
    while queue:
        name = queue.pop()
        if name not in upstream:
            upstream[name] = item.recipe.step(name)
            queue += [need for need in upstream[name].needs if need not in selected]
    return upstream


def _before(item: "StepItem", needed: "dict[str, Step]", others: "dict[str, Step]") -> "list[Step]":
    """Return, in recipe order, the unselected steps that must run in the setup of a step's item.

    Args:
        item: The item of the step.
        needed: Unselected steps that the step needs, by name.
        others: Unselected steps of the recipe that any item needs, by name; those that `after`
            puts ahead of the step or of a needed step are returned too.
    """
    before = dict(needed)
    queue = [item.step, *needed.values()]
    while queue:
        step = queue.pop()
        for name in {*step.after, *(step.needs if step is not item.step else ())} & others.keys():
            if name not in before:
                before[name] = others[name]
                queue.append(others[name])
    return sorted(before.values(), key=lambda step: step.index)


def _is_selected(run: "RecipeRun", state: "SessionState") -> bool:
    """Return True if all steps of a recipe, except ``finally`` steps, are selected."""
    chosen = state.selected.get(run.recipe.key, set())
    return all(step.name in chosen for step in run.recipe.steps)


def _set_needs(
    item: pytest.Item,
    run: "RecipeRun",
    steps: "tuple[Step, ...]",
    first: "list[RecipeRun]",
    needed: set[str],
    also: "tuple[RecipeRun, ...]" = (),
) -> None:
    steps = tuple(step for step in steps if step.name not in run.results)
    if not steps and not first:
        return
    refused, resumed = None, state_of(item.config).resumed
    for each, asked in [*((one, one.recipe.steps) for one in first), (run, steps)]:
        chosen = state_of(item.config).selected.get(each.recipe.key, set())
        others = tuple(step for step in asked if step.name not in chosen)
        refused = refused or refusal(each, others, item.nodeid, item.config)
        if resumed is not None:
            refused = refused or resumed.refusals(each.recipe, others)
    item.stash[NEEDS] = Needs(run, steps, frozenset(needed), refused, tuple(first), also)
    request_fixture(item)
