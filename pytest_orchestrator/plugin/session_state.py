"""State of a session (recipes, runs, Context), kept in the stash of pytest's config."""

import os
import shlex
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import pytest

from pytest_orchestrator.plugin import masking, worker_context
from pytest_orchestrator.plugin.options import runner, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.context.rpc.xdist import SharedContext
    from pytest_orchestrator.core.events import RunStarted
    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.core.typed_fields import InputField
    from pytest_orchestrator.execution.instruments.transcript import Transcript
    from pytest_orchestrator.execution.lanes.lane import Slot
    from pytest_orchestrator.execution.run_config import RunConfig
    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.plugin.journal.recorder import JournalRecorder
    from pytest_orchestrator.plugin.journal.resume import ResumedSession
    from pytest_orchestrator.plugin.journal.step_hooks import StepHooks
    from pytest_orchestrator.plugin.options.station import StationFile
    from pytest_orchestrator.recipe import Extensions, Recipe, RecipeError
    from pytest_orchestrator.recipe.station.model import Station
    from pytest_orchestrator.recipe.variables import ExternalValue
    from pytest_orchestrator.runs.folder import RunFolder
    from pytest_orchestrator.runs.journal.reader import JournalIndex

T = TypeVar("T")

RUN = "orchestrator_run"
"""Key of `workerinput` of xdist: the id of the run."""
CONTROLLER = "orchestrator_controller"
"""Key of `workerinput`: the pid of the controller."""
CAUSE = "orchestrator_cause"
"""Key of `workerinput`: the channel through which the controller sends why it was interrupted."""
GUARD = "orchestrator_guard"
"""Key of `workerinput`: the file to which the watchdog writes that it killed the worker."""
SERIAL = "orchestrator_serial"
"""Key of `workeroutput`: the reasons why recipes ran one step at a time."""


class Factories(Protocol):
    """Interface of the factory of session parts, which avoids import cycles.

    The module `activation` implements it.
    """

    def run_config(self, state: "SessionState") -> "RunConfig":
        """Return the settings of all runs of the session."""

    def step_hooks(self, config: pytest.Config) -> "StepHooks | None":
        """Return the caller of the step hooks; None if no plugin implements a step hook."""

    def recorder(self, state: "SessionState") -> "JournalRecorder":
        """Return the journal recorder."""

    def resumed(self, config: pytest.Config) -> "ResumedSession | None":
        """Return the earlier run that this session resumes; None if it resumes no run."""

    def run(self, state: "SessionState", recipe: "Recipe") -> "RecipeRun":
        """Return a new run of a recipe."""

    def ask_inputs(
        self, config: pytest.Config, recipe: "Recipe", fields: "Mapping[str, InputField]"
    ) -> "Mapping[str, ExternalValue]":
        """Ask a person for the values of inputs of a recipe; return the values by name."""

    def answer_options(self, config: pytest.Config, recipe: "Recipe") -> list[str]:
        """Return the options of the session that answer questions of a recipe."""


FACTORIES: pytest.StashKey[Factories] = pytest.StashKey()
"""The factory of the session's parts."""


class SessionState:
    """State that all recipes of a session share.

    The state is not kept in pytest's nodes, because rerun plugins set nodes up again.

    Attributes:
        config: The configuration of the session.
        recipes: The recipe, or the error in it, of each file that was read, by path.
        runs: The run of each recipe, by the key of the recipe.
        selected: Names of the selected steps, by the key of their recipe.
        collected: Node ids of the selected steps, in a controller of xdist.
        tags: Tags of recipes and steps that are registered as markers.
        uncollected: Reports of files that could not be collected before the journal began.
        others: Number of YAML files that were ignored because they do not look like recipes.
        scopes: The own Context of each recipe that has one, by the key of the recipe.
        slots: The worker slots; empty before `run_config` is read.
        restored: Report blocks of restored steps, by the key of the recipe and step name.
        lines: Reader of the journal's lines; None if this process writes no journal.
        started: The first event of the journal; None if this process writes no journal.
        interrupted: The cause by which the session was interrupted, such as ``Ctrl-C``; empty if
            it was not.
        simulated: True once a simulated instrument was opened.
        by_hand: True once a person has skipped a step, or set the Context, at a prompt.
        own_context: The own Context of the recipe that the current test requests; None if the
            test uses the Context of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.recipes: dict[Path, Recipe | RecipeError] = {}
        self.runs: dict[str, RecipeRun] = {}
        self.selected: dict[str, set[str]] = {}
        self.collected: set[str] = set()
        self.tags: set[str] = set()
        self.uncollected: list[pytest.CollectReport] = []
        self.others = 0
        self.scopes: dict[str, Context] = {}
        self.restored: dict[tuple[str, str], dict[str, Any]] = {}
        self.lines: JournalIndex | None = None
        self.started: RunStarted | None = None
        self.interrupted = ""
        self.simulated = self.by_hand = False
        self.own_context: Context | None = None
        self._resumed: tuple[ResumedSession | None] | None = None
        self._context: Context | None = None
        self._step_hooks: StepHooks | None = None
        self._recorder: JournalRecorder | None = None
        self._secrets: Masker | None = None
        self._run_config: RunConfig | None = None
        self._folder: RunFolder | None = None
        self._cells: dict[Path, list[Recipe]] = {}
        self._asked: dict[str, ExternalValue] = {}
        self._station_error: tuple[RecipeError, Path] | None = None
        self.slots: list[Slot] = []
        self._extensions: tuple[tuple[object, ...], Extensions] | None = None

    @property
    def _factories(self) -> Factories:
        return self.config.stash[FACTORIES]

    @property
    def context(self) -> "Context":
        """The Context of the session."""
        if self._context is None:
            from pytest_orchestrator.context.context import Context

            self._context = self.followed(worker_context.joined(self.config) or Context())
            self.secrets.watch(self._context)
            if worker_context.is_shared(self.config):
                ask = cast("SharedContext", self._context).request
                self.secrets.share(partial(ask, worker_context.LEARNT))
            # A controller of xdist makes no recipe run, which would start this recording.
            if self.config.getoption("dist", "no") != "no":
                self.keep_changes()
        return self._context

    def followed(self, context: "Context") -> "Context":
        """Return a view of a Context that passes changes to the step hooks.

        Without step hooks, return the Context itself.
        """
        if self.step_hooks is None:
            return context
        changed = self.run_config.main_queue.in_main_thread(self.step_hooks.changed)
        return context.bound("user", changed)

    @property
    def step_hooks(self) -> "StepHooks | None":
        """The caller of the step hooks; None if no plugin implements a step hook."""
        if self._step_hooks is None:
            self._step_hooks = self._factories.step_hooks(self.config)
        return self._step_hooks

    @property
    def recorder(self) -> "JournalRecorder | None":
        """The journal recorder; None in a worker of xdist that shares no Context."""
        if self._recorder is not None:
            return self._recorder
        is_shared = worker_context.is_shared(self.config)
        if is_shared or not hasattr(self.config, "workerinput"):
            self._recorder = self._factories.recorder(self)
            if is_shared:
                self._recorder.begin(
                    worker_context.RemoteJournal(cast("SharedContext", self.context)), []
                )
        return self._recorder

    def keep_changes(self) -> None:
        """Start to record changes of the Context, if this process writes the journal."""
        if self.recorder is not None and not worker_context.is_shared(self.config):
            self.context.set_callbacks(self.recorder.changed)

    def discard_buffered(self) -> None:
        """Discard the buffered events of a session that runs no recipe."""
        if self._recorder is not None:
            self._recorder.discard_buffered()

    @property
    def resumed(self) -> "ResumedSession | None":
        """The earlier run that this session resumes; None if it resumes no run."""
        if self._resumed is None:
            self._resumed = (self._factories.resumed(self.config),)
        return self._resumed[0]

    @property
    def secrets(self) -> "Masker":
        """The masker of the session's secrets."""
        if self._secrets is None:
            from pytest_orchestrator.plugin.options.settings import masker

            self._secrets = masker(self.config)
        return self._secrets

    @property
    def has_secrets(self) -> bool:
        """True if the session has a masker that is not empty."""
        return bool(self._secrets)

    def masked(self, value: T) -> T:
        """Return a value with secrets masked."""
        return value if self._secrets is None else self._secrets.mask(value)

    def masked_value(self, value: T) -> T:
        """Return a JSON value with secrets masked, also in the keys of mappings."""
        return value if self._secrets is None else self._secrets.mask_json(value)

    @property
    def run_config(self) -> "RunConfig":
        """The settings of all runs of the session; `slots` has the first worker slot then."""
        if self._run_config is None:
            self._run_config = self._factories.run_config(self)
        return self._run_config

    @property
    def folder(self) -> "RunFolder":
        """The run folder of the session, which all xdist workers share."""
        if self._folder is None:
            from pytest_orchestrator.plugin.options import settings
            from pytest_orchestrator.runs.folder import RunFolder, free_id

            base = settings.run_dir(self.config)
            run_id = getattr(self.config, "workerinput", {}).get(RUN)
            self._folder = RunFolder(base, run_id or free_id(base, self._station_name))
        return self._folder

    @property
    def extensions(self) -> "Extensions":
        """The step types and criteria that recipes of this session may use."""
        from pytest_orchestrator.plugin import extensions

        plugins = extensions.extension_plugins(self.config)
        if self._extensions is None or plugins != self._extensions[0]:
            self._extensions = plugins, extensions.session_extensions(self.config)
        return self._extensions[1]

    @cached_property
    def station_file(self) -> "StationFile | None":
        """The station file; None if the session has none."""
        from pytest_orchestrator.plugin.options import settings

        if not settings.may_have_station(self.config):
            return None
        from pytest_orchestrator.plugin.options.station import station_file

        return station_file(self.config)

    @cached_property
    def station(self) -> "Station | None":
        """The station; None if the session has no station file. The file is read at first use.

        Raises:
            RecipeError: The station file does not exist or has errors.
        """
        found, root = None, self.config.rootpath
        if self.station_file is not None:
            from pytest_orchestrator.plugin.options.station import station_of

            found = station_of(self.station_file, root, self._max_bytes)
        if self.replay is not None:
            from pytest_orchestrator.plugin.options import replay

            found = replay.station_of(self.replay, found, root)
        return found

    @cached_property
    def replay(self) -> "Transcript | None":
        """The run whose exchanges answer for the instruments; None if the real ones answer.

        Raises:
            pytest.UsageError: The option is wrong, or the run cannot be replayed.
        """
        if self.config.getoption("recipe_instruments") is None:
            return None
        from pytest_orchestrator.plugin.options.replay import replayed

        return replayed(self.config)

    @property
    def _station_name(self) -> str:
        """The name in the station file; empty without one, and if recipes report its errors."""
        from pytest_orchestrator.recipe import RecipeError

        try:
            return self.station.name if self.station else ""
        except RecipeError:
            return ""

    def is_of_station(self, error: "RecipeError") -> bool:
        """Return True for the errors of the station file."""
        return self._station_error is not None and self._station_error[0] is error

    def _known(self, path: Path) -> "Extensions":
        """Return the extensions with the names of the station's instruments, for a recipe.

        Raises:
            RecipeError: The station file has errors. The error of the first recipe shows them.
        """
        if self.station_file is None and self.replay is None:
            return self.extensions
        from pytest_orchestrator.plugin.options.station import repeated_error
        from pytest_orchestrator.recipe import RecipeError

        if self._station_error is not None and self._station_error[1] != path:
            raise repeated_error(*self._station_error, path, self.config.rootpath)
        try:
            station = self.station
        except RecipeError as error:
            self._station_error = error, path
            raise
        instruments = None if station is None else station.instruments
        sources = None if station is None else station.sources
        return self.extensions.with_settings(instruments, sources)

    @cached_property
    def _max_bytes(self) -> int:
        """The largest size of a recipe file in bytes."""
        from pytest_orchestrator.plugin.options.values import value_of

        return int(value_of(self.config, "recipe_max_size"))

    @cached_property
    def _resources(self) -> "tuple[dict[str, int], bool]":
        """The number of units of each counted resource; True if Dask workers run steps."""
        is_on_dask = runner.dask_scheduler(self.config) is not None
        return self.resource_counts, is_on_dask

    @property
    def resource_counts(self) -> dict[str, int]:
        """The number of units of each counted resource: of the station, ini key and option."""
        own = {} if self.station is None else self.station.resources
        return own | variables.resource_counts(self.config)

    def recipe(self, path: Path) -> "Recipe":
        """Return the recipe in a file; read the file once per session.

        Raises:
            RecipeError: The recipe has errors.
        """
        from pytest_orchestrator.recipe import RecipeError, load

        if path not in self.recipes:
            self.secrets.add_environment(os.environ)
            try:
                recipe = self.recipes[path] = load(
                    path,
                    root=self.config.rootpath,
                    max_bytes=self._max_bytes,
                    known=self._known(path),
                )
                self._declare(recipe.secrets)
                masking.learn_args(recipe, self.secrets)
                if recipe.evaluates_variables:
                    masking.learn_vars(recipe, self.secrets, self.var_values)
            except RecipeError as error:
                self.recipes[path] = error
        recipe_or_error = self.recipes[path]
        if isinstance(recipe_or_error, RecipeError):
            raise recipe_or_error
        return recipe_or_error

    def cells(self, path: Path) -> "list[Recipe]":
        """Return a recipe for each cell of a file's matrix; one recipe if the file has no matrix.

        Raises:
            RecipeError: The recipe has errors, or a required var has no value.
        """
        if path not in self._cells:
            from pytest_orchestrator.execution.expression_scope import collected
            from pytest_orchestrator.recipe import Problem, RecipeError, cells
            from pytest_orchestrator.recipe.expressions.expression import (
                ExpressionError,
                end_collection,
            )

            if not self._cells:
                self.config.add_cleanup(end_collection)
            recipe = self.recipe(path)
            missing = [name for name in recipe.required if name not in self.var_values]
            problems = [
                Problem(
                    recipe.at[f"required.{name}"],
                    f"no value is given for '{name}'",
                    hint=shlex.join(["--recipe-var", f"{name}=..."]),
                )
                for name in missing
            ]
            if recipe.inputs:
                from pytest_orchestrator.plugin.options.inputs import input_problems, mask_inputs

                self.ask_for_inputs(recipe)
                mask_inputs(recipe, self.var_values, self.secrets)
                collect_only = self.config.option.collectonly
                problems += input_problems(recipe, self.var_values, collect_only=collect_only)
            cell_recipes: list[Recipe] = []
            try:
                cell_recipes = [] if problems else cells(recipe, collected(recipe, self.var_values))
                counts, on_dask = self._resources
                # `resources` may hold no expression, so all cells need the same units.
                problems += (
                    variables.resource_problems(recipe, counts, elsewhere=on_dask)
                    if cell_recipes
                    else ()
                )
            except ExpressionError as error:
                problems = [Problem(error.place or recipe.at["matrix"], str(error))]
            if problems:
                raise RecipeError(problems, recipe.id, recipe.text)
            self._cells[path] = cell_recipes
        return self._cells[path]

    def read_again(self, path: Path, refusal: "Callable[[list[Recipe]], str]") -> str:
        """Read the recipe in a file again, and use it from now on if it can be used.

        Args:
            path: The file.
            refusal: Returns the reason why its cells cannot be used; empty if they can.

        Returns:
            The reason, or the errors of the recipe; empty if it is used.
        """
        from pytest_orchestrator.recipe import RecipeError

        before = self.recipes.pop(path), self._cells.pop(path)
        try:
            reason = refusal(self.cells(path))
        except (RecipeError, OSError) as error:
            reason = str(error)
        if reason:
            self.recipes[path], self._cells[path] = before
        return reason

    def ask_for_inputs(self, recipe: "Recipe") -> dict[str, str]:
        """With ``--recipe-ask``, ask a person for the missing inputs of a recipe.

        An xdist worker asks no person: the controller has asked before it started.

        Returns:
            The text of each value that was given, by the name of the input.
        """
        config = self.config
        if not config.getoption("recipe_ask") or config.option.collectonly:
            return {}
        from pytest_orchestrator.recipe.variables import missing_inputs

        missing = missing_inputs(recipe.inputs, self.var_values)
        if not missing or hasattr(config, "workerinput"):
            return {}
        given = self._factories.ask_inputs(config, recipe, missing)
        self._asked |= given
        return {name: one.text or "" for name, one in given.items()}

    def answer_options(self, recipe: "Recipe") -> list[str]:
        """Return the options of the session that answer questions of a recipe."""
        return self._factories.answer_options(self.config, recipe)

    @property
    def var_values(self) -> "Mapping[str, ExternalValue]":
        """Values of vars from outside the recipes by name: of the station, and those given."""
        if self.station is None or not self.station.vars:
            return self.given_vars | self._asked if self._asked else self.given_vars
        from pytest_orchestrator.plugin.options.station import station_vars

        return station_vars(self.station) | self.given_vars | self._asked

    @cached_property
    def given_vars(self) -> "dict[str, ExternalValue]":
        """Values of vars from command-line options, by name."""
        return variables.given_vars(self.config)

    def _declare(self, secrets: tuple[str, ...]) -> None:
        """Add the secrets that a recipe declares to the masker, and to the controller's masker."""
        if secrets:
            values = {name: one.value for name, one in self.var_values.items()}
            self.secrets.declare(secrets, values)
            self.secrets.add_environment(os.environ)
            if worker_context.is_shared(self.config):
                worker_context.send_secrets(cast("SharedContext", self.context), secrets, values)

    def unselected(self, recipe: "Recipe") -> tuple[str, ...]:
        """Return the names of the steps of a recipe that are not selected."""
        selected = self.selected.get(recipe.key, set())
        names = [
            step.name
            for step in (*recipe.steps, *recipe.final)
            if step.name not in selected and recipe.node(step.name) not in self.collected
        ]
        for one in recipe.samplers:  # a sampled value is selected with the steps that it watches
            if {step.name for step in one.watched(recipe.steps)} <= {*names}:
                names.append(one.name)
        return tuple(names)

    def run(self, recipe: "Recipe") -> "RecipeRun":
        """Return the session's run of a recipe; make it at the first call."""
        if recipe.key not in self.runs:
            self.keep_changes()
            self.runs[recipe.key] = self._factories.run(self, recipe)
        return self.runs[recipe.key]


_KEY = pytest.StashKey[SessionState]()


def state_of(config: pytest.Config) -> SessionState:
    """Return the state of the session with this configuration; make it at the first call."""
    state = config.stash.get(_KEY, None)
    if state is None:  # `setdefault` would make a state at each call
        state = config.stash[_KEY] = SessionState(config)
    return state
