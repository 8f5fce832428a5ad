"""Unselected dependencies of items, run in their setup; groups of items for xdist.

Tests that ask for a recipe by a marker go where its steps go. Workers know which tests
these are and the scheduler does not, so the first worker that has collected writes them
to a file that the controller named.
"""

import json
import os
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.collection.file_matching import SUFFIXES
from pytest_orchestrator.plugin.collection.nodes import StepItem
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.core.result import StepResult
    from pytest_orchestrator.execution.scheduling.serial import RecipeRun
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step

_MOST = 20

FIXTURE = "_recipe_needs"
"""Name of the fixture that runs them; asked for by those items that need one."""


@dataclass(frozen=True)
class Needs:
    """What one item needs to have run before its body.

    Attributes:
        run: The run of the recipe that the steps belong to.
        steps: The steps, in the order they run.
        needed: Names of those that must have passed; the others must have ended.
        first: The runs of whole recipes that have to be through before.
        also: Those among them that a test has asked for by marks of their own: they are brought
            to their end after their last test, as that of ``run`` is.
        refused: What keeps the item from running at all, as a message; empty if nothing.
    """

    run: "RecipeRun"
    steps: "tuple[Step, ...]"
    needed: frozenset[str]
    refused: str = ""
    first: "tuple[RecipeRun, ...]" = ()
    also: "tuple[RecipeRun, ...]" = ()

    @property
    def used(self) -> "tuple[RecipeRun, ...]":
        """The runs that the item uses, the nearest one first."""
        return (self.run, *reversed(self.also))

    @property
    def asked(self) -> "list[tuple[RecipeRun, tuple[Step, ...]]]":
        """The runs with those steps that have to run before the item, in order."""
        whole = [(run, run.recipe.steps) for run in self.first]
        return [] if self.refused else [*whole, (self.run, self.steps)]


NEEDS = pytest.StashKey[Needs | str]()
"""The needs of an item, or why they cannot be known."""

SNAPSHOT: "pytest.StashKey[Callable[[], None]]" = pytest.StashKey()
"""Restores the Context that stands for what an item needs, where that does not run."""

RESULTS = pytest.StashKey["list[tuple[RecipeRun, Step, StepResult]]"]()
"""What became of the steps that ran in the setup of an item."""


@pytest.fixture(name=FIXTURE)
def run_what_is_needed(request: pytest.FixtureRequest) -> None:
    """Run the steps of a recipe that an item needs and that were not selected.

    Raises:
        pytest.fail.Exception: A needed step did not pass, or may not run by itself.
    """
    needs = request.node.stash[NEEDS]
    told = request.node.stash.setdefault(RESULTS, [])
    if isinstance(needs, str) or needs.refused:
        pytest.fail(needs if isinstance(needs, str) else needs.refused, pytrace=False)
    if has_snapshot(request.node):
        request.node.stash[SNAPSHOT]()
    for run in needs.first:
        _run_whole(request, run, told)
    for step in needs.steps:
        _run_one(request, needs.run, step, told, must_meet=step.name in needs.needed)


def has_snapshot(item: pytest.Item) -> bool:
    """Tell whether an item has a Context restored in its setup."""
    return SNAPSHOT in item.stash


def _run_whole(
    request: pytest.FixtureRequest,
    run: "RecipeRun",
    told: "list[tuple[RecipeRun, Step, StepResult]]",
) -> None:
    """Run all steps of a recipe, and bring it to its end where no item does that."""
    ends_here = not is_used(run, request.session)
    try:
        for step in run.recipe.steps:
            _run_one(request, run, step, told)
    except pytest.fail.Exception:
        if ends_here:
            _end(request, run, told)
        raise
    wrong = _end(request, run, told) if ends_here else []
    if wrong:
        pytest.fail(wrong[0], pytrace=False)


def _end(
    request: pytest.FixtureRequest,
    run: "RecipeRun",
    told: "list[tuple[RecipeRun, Step, StepResult]]",
) -> list[str]:
    """Run the ``finally`` steps of a recipe that were not yet; return what went wrong."""
    wrong: list[str] = []
    for step in run.recipe.final if run.begun or run.owes_finally else ():
        try:
            _run_one(request, run, step, told)
        except pytest.fail.Exception as error:
            wrong.append(str(error))
    for result in run.over():
        run.tell_heard(result.step)
        step = run.recipe.step(result.step)
        told.append((run, step, result))
        if result.failure is not None:
            wrong.append(_text(request.config, run, step, result))
    return wrong


def _run_one(
    request: pytest.FixtureRequest,
    run: "RecipeRun",
    step: "Step",
    told: "list[tuple[RecipeRun, Step, StepResult]]",
    *,
    must_meet: bool = True,
) -> None:
    from pytest_orchestrator.plugin.collection.nodes import fixtures_of
    from pytest_orchestrator.plugin.results.failures import tell_output

    known = step.name in run.results
    blocker = run.blocker(step)
    if blocker is not None and not known:
        result = run.block(step, blocker)
    else:
        values = {} if known else fixtures_of(request.getfixturevalue, run, step)
        try:
            result = run.result(step, values)
        except (KeyboardInterrupt, pytest.exit.Exception):
            told.append((run, step, run.results[step.name]))
            raise
    if not known:
        told.append((run, step, result))
        tell_output(state_of(request.config).masked(result))
    if must_meet and not result.meets and not _is_told_by_an_item(request.config, run, result):
        pytest.fail(_text(request.config, run, step, result), pytrace=False)


def _is_told_by_an_item(config: pytest.Config, run: "RecipeRun", result: "StepResult") -> bool:
    """A blocked step is no error of its own where its blocker is an item that tells it."""
    selected = state_of(config).selected
    chosen = {*selected.get(run.recipe.key, set()), *selected}
    return result.outcome == "blocked" and result.blocked_by in chosen


def cut_off(item: pytest.Item) -> pytest.TestReport | None:
    """Return the report of an item whose setup was cut off in a needed step, or None."""
    from pytest_orchestrator.plugin import masking
    from pytest_orchestrator.plugin.results import blocks

    told = item.stash.get(RESULTS, None)
    if not told:
        return None
    failure = told[-1][2].failure
    if failure is None or failure.kind != "interrupted":
        return None
    report = pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=_text(item.config, *told[-1]),
        when="setup",
    )
    setattr(report, blocks.NEEDED, [blocks.block_of(item.config, *one) for one in told])
    told.clear()
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
    """Return the last lines of what there is to say of an exception in a needed step."""
    from pytest_orchestrator.execution.outcome import Raised
    from pytest_orchestrator.plugin.results.failures import explained_there

    if isinstance(raised, Raised):
        lines = str(explained_there(config, raised)).splitlines()
    else:
        lines = "".join(traceback.format_exception(raised)).splitlines()
    return "\n".join(lines[-_MOST:])


def refusal(run: "RecipeRun", steps: "tuple[Step, ...]", who: str, config: pytest.Config) -> str:
    """Say why needed steps may not run by themselves; empty where they may.

    Args:
        run: The run of their recipe.
        steps: Steps that were not selected.
        who: Node id of the item that needs them.
        config: For ``--deselect``.
    """
    recipe = run.recipe
    for step in steps:
        if step.is_final:  # these run whatever was selected
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
        return (
            f"{recipe.source(step).id}:{place.line}:{place.column}: "
            f"{who} needs step '{step.name}', which was not selected; {why}\n"
            f"    select it too: pytest {node} {who}\n"
            f"    or run without what is needed: pytest --recipe-needs=none {who}"
        )
    return ""


def _deselected(node: str, config: pytest.Config) -> bool:
    prefixes = tuple(config.getoption("deselect", None) or ())
    return bool(prefixes) and node.startswith(prefixes)


def request_fixture(item: pytest.Item) -> None:
    """Let an item have what it needs run in its setup."""
    # The list is shared by the parametrized siblings of a test.
    names = getattr(item, "fixturenames", None)
    if names is None or FIXTURE in names:
        return
    place = 0
    if isinstance(item, StepItem):
        # What a needed step would find set up for an item of its own is there before it runs.
        own = {*item.recipe.fixtures, *item.step.fixtures, "request"}
        place = next((at for at, name in enumerate(names) if name in own), len(names))
    names.insert(place, FIXTURE)


def recipes_of_marks(item: pytest.Item) -> "tuple[RecipeRun, ...] | str":
    """Return the runs that a test asks for, that of the nearest mark last, or why one is not."""
    found: dict[RecipeRun, None] = {}
    for mark in reversed([*item.iter_markers("recipe")]):
        run = recipe_of_mark(mark, item.config)
        if isinstance(run, str):
            return run
        found.pop(run, None)
        found[run] = None
    return tuple(found)


def recipe_of_mark(mark: pytest.Mark, config: pytest.Config) -> "RecipeRun | str":
    """Return the run that a test's ``recipe`` marker asks for, or why there is none."""
    from pytest_orchestrator.plugin.collection import recipe_needs, unsupported
    from pytest_orchestrator.recipe import RecipeError

    if not unsupported.HERE:
        return f"the recipe of this test cannot be run: {unsupported.WHERE}"
    wanted = mark.kwargs.get("matrix", {})
    if (
        len(mark.args) != 1
        or mark.kwargs.keys() - {"matrix"}
        or not isinstance(mark.args[0], (str, Path))
        or not isinstance(wanted, dict)
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
        recipe_needs.check_recipe_needs(cells[0], state_of(config))
    except RecipeError as error:
        return f"the recipe of this test is not usable\n{error}"
    met = [recipe for recipe in cells if _is_of(recipe, wanted)]
    if len(met) == 1:
        return state_of(config).run(met[0])
    names = ", ".join(recipe.cell.id for recipe in cells if recipe.cell) or "none: no matrix"
    found = f"{len(met)} cells" if met else "no cell"
    return f"matrix={wanted!r} of this test means {found} of {mark.args[0]}; its cells are {names}"


def _is_of(recipe: "Recipe", wanted: "dict[str, object]") -> bool:
    values = recipe.cell.values if recipe.cell else {}
    return all(name in values and values[name] == value for name, value in wanted.items())


INPUT = "orchestrator_groups"
"""What the path of the file is called in the input of a worker."""


def write_groups(session: pytest.Session) -> None:
    """On a worker: write down which recipes there are, and which items are kept together."""
    from pytest_orchestrator.plugin.collection import recipe_needs

    target = getattr(session.config, "workerinput", {}).get(INPUT)
    if target is None:
        return
    runs = state_of(session.config).runs.values()
    known = [item.stash.get(NEEDS, None) for item in session.items]
    used = [needs.used for needs in known if isinstance(needs, Needs)]
    together = recipe_needs.grouped_recipes(runs, used)
    groups = {}
    for item in session.items:
        needs = item.stash.get(NEEDS, None)
        group = needs.run.recipe.id if isinstance(needs, Needs) else _group_of(item)
        group = group or recipe_of(item.nodeid)
        if group and (group in together or group != recipe_of(item.nodeid)):
            groups[item.nodeid] = together.get(group, group)
    if (groups or runs) and Path(target).parent.is_dir():
        partial = Path(f"{target}.{os.getpid()}")
        told = {"groups": groups, "recipes": list(dict.fromkeys(run.recipe.id for run in runs))}
        partial.write_text(json.dumps(told), encoding="utf-8")
        partial.replace(target)


def _group_of(item: pytest.Item) -> str:
    """Return the group of a test where ``--dist loadgroup`` is on, else nothing.

    xdist writes it into node ids, which pytest 9.2 does not let it do (pytest-xdist#1386).
    """
    if not getattr(item.config.option, "loadgroup", False):
        return ""
    marks = item.iter_markers("xdist_group")
    names = {str(next(iter((*mark.args, *mark.kwargs.values())), "default")) for mark in marks}
    return f"group {'_'.join(sorted(names))}" if names else ""


def read_groups(file: Path) -> Any:
    """Return what a worker has written down; nothing where it has nothing to do with recipes."""
    return json.loads(file.read_text("utf-8")) if file.exists() else {"groups": {}, "recipes": []}


def recipe_of(nodeid: str) -> str:
    """Return the path of the recipe that an item stands in; empty where it is no step."""
    file = nodeid.partition("::")[0]
    return file if file.endswith(SUFFIXES) else ""


def is_used(run: "RecipeRun", session: pytest.Session) -> bool:
    """Tell whether an item uses a run, and so brings it to its end."""
    return any(run in runs_of(item) for item in session.items)


def runs_of(item: pytest.Item) -> "tuple[RecipeRun, ...]":
    """Return the recipe runs that an item uses."""
    if isinstance(item, StepItem):
        return (item.run,)
    needs = item.stash.get(NEEDS, None)
    return needs.used if isinstance(needs, Needs) else ()
