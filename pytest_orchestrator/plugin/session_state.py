"""Session state: recipes, runs, Context, under a typed stash key."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import pytest

from pytest_orchestrator.plugin import masking, worker_context
from pytest_orchestrator.plugin.options import runner, variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.context.rpc.xdist import SharedContext
    from pytest_orchestrator.core.events import RunStarted
    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.execution.environment import Environment
    from pytest_orchestrator.execution.lanes.lane import Slot
    from pytest_orchestrator.execution.scheduling.serial import RecipeRun
    from pytest_orchestrator.plugin.journal.recorder import JournalRecorder
    from pytest_orchestrator.plugin.journal.resume import ResumedSession
    from pytest_orchestrator.plugin.journal.step_hooks import StepHooks
    from pytest_orchestrator.recipe import Extensions, Recipe, RecipeError
    from pytest_orchestrator.recipe.variables import Given
    from pytest_orchestrator.runs.folder import RunFolder
    from pytest_orchestrator.runs.journal.reader import Lines

T = TypeVar("T")

RUN = "orchestrator_run"
"""Name under which xdist's workers are told the id of the run."""
CONTROLLER = "orchestrator_controller"
"""Name under which they are told the pid of their controller."""
GUARD = "orchestrator_guard"
"""Name under which they are told the file that says whether they had to be ended."""


class Factories(Protocol):
    """Makes what a session has, with what imports this module; the hooks hand it in."""

    def environment(self, config: pytest.Config) -> "Environment":
        """Return what all steps of the session are given."""

    def follower(self, config: pytest.Config) -> "StepHooks | None":
        """Return what calls the hooks for steps; None where no plugin has such a hook."""

    def recorder(self, state: "SessionState") -> "JournalRecorder":
        """Return the recorder of the journal."""

    def resumed(self, config: pytest.Config) -> "ResumedSession | None":
        """Return the earlier run that this session resumes; None where it resumes none."""

    def run(self, state: "SessionState", recipe: "Recipe") -> "RecipeRun":
        """Return a new run of a recipe."""


FACTORIES: pytest.StashKey[Factories] = pytest.StashKey()
"""What makes the parts of the session that a configuration belongs to."""


class SessionState:
    """Everything that recipes share in one session of pytest.

    Kept by recipe and not in the nodes: plugins that rerun tear nodes down and up.

    Attributes:
        config: The configuration of the session.
        recipes: Recipe files that were read, with what came of it.
        runs: The run of each recipe, by its id.
        selected: Names of the steps of each recipe that pytest was asked to run.
        tags: Tags that are registered as markers.
        uncollected: Reports of files that could not be collected, until there is a journal.
        others: Number of YAML files that were passed by because they are no recipes.
        scopes: The own Contexts of recipes, by their keys.
        slots: Where steps run at the same time, once that was asked for.
        restored: Blocks of steps that do not run in this session, by recipe and name.
        lines: Reads steps back from the journal; None where this process does not write it.
        started: The first event of the journal; None where there is none here.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.recipes: dict[Path, Recipe | RecipeError] = {}
        self.runs: dict[str, RecipeRun] = {}
        self.selected: dict[str, set[str]] = {}
        self.tags: set[str] = set()
        self.uncollected: list[pytest.CollectReport] = []
        self.others = 0
        self.scopes: dict[str, Context] = {}
        self.restored: dict[tuple[str, str], dict[str, Any]] = {}
        self.lines: Lines | None = None
        self.started: RunStarted | None = None
        self._resuming: tuple[ResumedSession | None] | None = None
        self._context: Context | None = None
        self._follower: StepHooks | None = None
        self._keeper: JournalRecorder | None = None
        self._secrets: Masker | None = None
        self._environment: Environment | None = None
        self._folder: RunFolder | None = None
        self._cells: dict[Path, list[Recipe]] = {}
        self._given: Mapping[str, Given] | None = None
        self.slots: list[Slot] = []
        self._extensions: tuple[tuple[object, ...], Extensions] | None = None

    @property
    def _factories(self) -> Factories:
        return self.config.stash[FACTORIES]

    @property
    def context(self) -> "Context":
        """The session's one Context."""
        if self._context is None:
            from pytest_orchestrator.context.context import Context

            self._context = self.followed(worker_context.joined(self.config) or Context())
            self.secrets.watch(self._context)
            if worker_context.is_shared(self.config):
                ask = cast("SharedContext", self._context).request
                self.secrets.share(partial(ask, worker_context.LEARNT))
            # Where workers run the recipes no run is made here that would have it kept.
            if self.config.getoption("dist", "no") != "no":
                self.keep_changes()
        return self._context

    def followed(self, context: "Context") -> "Context":
        """Let changes that no step makes be told, too."""
        if self.follower is None:
            return context
        return context.bound(
            "user", self.environment.main_queue.in_main_thread(self.follower.changed)
        )

    @property
    def follower(self) -> "StepHooks | None":
        """What tells plugins that follow the session; None where there are none."""
        if self._follower is None:
            self._follower = self._factories.follower(self.config)
        return self._follower

    @property
    def keeper(self) -> "JournalRecorder | None":
        """What keeps the events of the session; None in a worker that shares nothing."""
        is_shared = worker_context.is_shared(self.config)
        if self._keeper is None and (is_shared or not hasattr(self.config, "workerinput")):
            self._keeper = self._factories.recorder(self)
            if is_shared:
                self._keeper.begin(
                    worker_context.RemoteJournal(cast("SharedContext", self.context)), []
                )
        return self._keeper

    def keep_changes(self) -> None:
        """Keep changes of the Context in the journal, where that is kept in this process."""
        if self.keeper is not None and not worker_context.is_shared(self.config):
            self.context.observed(self.keeper.changed)

    def drop_early(self) -> None:
        """Forget what waits for a journal: nobody runs a recipe."""
        if self._keeper is not None:
            self._keeper.drop()

    @property
    def resuming(self) -> "ResumedSession | None":
        """What takes the earlier run up that this session goes on from; None where none is."""
        if self._resuming is None:
            self._resuming = (self._factories.resumed(self.config),)
        return self._resuming[0]

    @property
    def secrets(self) -> "Masker":
        """What masks the secrets of this session."""
        if self._secrets is None:
            from pytest_orchestrator.plugin.options.settings import masker

            self._secrets = masker(self.config)
        return self._secrets

    @property
    def has_secrets(self) -> bool:
        """True where a recipe was met and anything is secret."""
        return bool(self._secrets)

    def masked(self, value: T) -> T:
        """Return a value without what is secret in it."""
        return value if self._secrets is None else self._secrets.of(value)

    def masked_value(self, value: T) -> T:
        """Return a value that a step has made without what is secret in it, keys included."""
        return value if self._secrets is None else self._secrets.value(value)

    @property
    def environment(self) -> "Environment":
        """What all steps of the session are given."""
        if self._environment is None:
            self._environment = self._factories.environment(self.config)
        return self._environment

    @property
    def folder(self) -> "RunFolder":
        """The folder of this run; all workers of xdist share one."""
        if self._folder is None:
            from pytest_orchestrator.plugin.options import settings
            from pytest_orchestrator.runs.folder import RunFolder, free_id

            base = settings.run_dir(self.config)
            given = getattr(self.config, "workerinput", {}).get(RUN)
            self._folder = RunFolder(base, given or free_id(base))
        return self._folder

    @property
    def extensions(self) -> "Extensions":
        """The types of steps and the criteria that recipes of this session may use."""
        from pytest_orchestrator.plugin import extensions

        plugins = extensions.extension_plugins(self.config)
        if self._extensions is None or plugins != self._extensions[0]:
            self._extensions = plugins, extensions.session_extensions(self.config)
        return self._extensions[1]

    def recipe(self, path: Path) -> "Recipe":
        """Return the recipe of a file; it is read once in a session.

        Raises:
            RecipeError: The file is no good recipe.
        """
        from pytest_orchestrator.plugin.options.settings import size_limit
        from pytest_orchestrator.recipe import RecipeError, load

        if path not in self.recipes:
            self.secrets.learn(os.environ)
            try:
                recipe = self.recipes[path] = load(
                    path,
                    root=self.config.rootpath,
                    max_bytes=size_limit(self.config),
                    known=self.extensions,
                )
                self._declare(recipe.secrets)
                masking.learn_args(recipe, self.secrets)
            except RecipeError as error:
                self.recipes[path] = error
        found = self.recipes[path]
        if isinstance(found, RecipeError):
            raise found
        return found

    def cells(self, path: Path) -> "list[Recipe]":
        """Return a recipe for each cell of the matrix of a file; one where it has none.

        Raises:
            RecipeError: The file is no good recipe, or lacks a value from outside.
        """
        if path not in self._cells:
            from pytest_orchestrator.execution.expression_scope import collected
            from pytest_orchestrator.recipe import Problem, RecipeError, cells
            from pytest_orchestrator.recipe.expressions.expression import ExpressionError

            recipe = self.recipe(path)
            missing = [name for name in recipe.required if name not in self.given]
            problems = [
                Problem(
                    recipe.at[f"required.{name}"],
                    f"no value is given for '{name}'",
                    hint=f"--recipe-var {name}=...",
                )
                for name in missing
            ]
            found: list[Recipe] = []
            try:
                found = [] if problems else cells(recipe, collected(recipe, self.given))
                there, away = (
                    variables.resource_counts(self.config),
                    runner.wanted(self.config) is not None,
                )
                # What is asked for there is no expression, so that all cells ask for the same.
                problems += (
                    variables.resource_problems(recipe, there, elsewhere=away) if found else ()
                )
            except ExpressionError as error:
                problems = [Problem(error.place or recipe.at["matrix"], str(error))]
            if problems:
                raise RecipeError(problems, recipe.id, recipe.text)
            self._cells[path] = found
        return self._cells[path]

    @property
    def given(self) -> "Mapping[str, Given]":
        """Values of vars that come from outside the recipes."""
        if self._given is None:
            self._given = variables.given_vars(self.config)
        return self._given

    def _declare(self, secrets: tuple[str, ...]) -> None:
        """Mask what a recipe calls secret from now on."""
        if secrets:
            given = {name: one.value for name, one in self.given.items()}
            self.secrets.declare(secrets, given)
            self.secrets.learn(os.environ)
            if worker_context.is_shared(self.config):
                worker_context.tell_secrets(cast("SharedContext", self.context), secrets, given)

    def run(self, recipe: "Recipe") -> "RecipeRun":
        """Return the run of a recipe; there is one in a session."""
        if recipe.key not in self.runs:
            self.keep_changes()
            self.runs[recipe.key] = self._factories.run(self, recipe)
        return self.runs[recipe.key]


_KEY = pytest.StashKey[SessionState]()


def state_of(config: pytest.Config) -> SessionState:
    """Return the state of the session that a configuration belongs to."""
    state = config.stash.get(_KEY, None)
    if state is None:  # asked for some ten times in each step: made only where it is not there
        state = config.stash[_KEY] = SessionState(config)
    return state
