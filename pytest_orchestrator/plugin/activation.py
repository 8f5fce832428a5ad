"""Activation of the plugin in a session: the first recipe, marker, option or setting needs it.

A session that uses nothing of the plugin never imports this module.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin import monitor_process
from pytest_orchestrator.plugin.options import follow_ups, runner, settings, variables
from pytest_orchestrator.plugin.options.values import READERS, list_of, text_of, value_of
from pytest_orchestrator.plugin.results import blocks, terminal_view
from pytest_orchestrator.plugin.session_state import FACTORIES, SessionState, state_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_orchestrator.core.typed_fields import InputField
    from pytest_orchestrator.execution.run_config import RunConfig
    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.plugin.journal.recorder import JournalRecorder
    from pytest_orchestrator.plugin.journal.resume import ResumedSession
    from pytest_orchestrator.plugin.journal.step_hooks import StepHooks
    from pytest_orchestrator.recipe import Recipe
    from pytest_orchestrator.recipe.variables import ExternalValue


class _Factories:
    """Factory of the parts of a session, whose modules are imported at the first use."""

    def run_config(self, state: SessionState) -> "RunConfig":
        """Return the settings of all runs of the session."""
        from pytest_orchestrator.plugin.session.run_factory import session_config

        return session_config(state)

    def step_hooks(self, config: pytest.Config) -> "StepHooks | None":
        """Return the caller of the step hooks; None if no plugin implements a step hook."""
        from pytest_orchestrator.plugin.journal.step_hooks import StepHooks, has_step_hooks

        return StepHooks(config) if has_step_hooks(config) else None

    def recorder(self, state: SessionState) -> "JournalRecorder":
        """Return the journal recorder."""
        from pytest_orchestrator.plugin.journal.recorder import JournalRecorder

        return JournalRecorder(state.config, state)

    def resumed(self, config: pytest.Config) -> "ResumedSession | None":
        """Return the earlier run that this session resumes; None if it resumes no run."""
        from pytest_orchestrator.plugin.journal.resume import resumed_session

        return resumed_session(config)

    def run(self, state: SessionState, recipe: "Recipe") -> "RecipeRun":
        """Return a new run of a recipe."""
        from pytest_orchestrator.plugin.session.run_factory import new_run

        return new_run(state, recipe)

    def ask_inputs(
        self, config: pytest.Config, recipe: "Recipe", fields: "Mapping[str, InputField]"
    ) -> "Mapping[str, ExternalValue]":
        """Ask a person for the values of inputs of a recipe; return the values by name."""
        from pytest_orchestrator.plugin.questions.presenter import ask_inputs

        return ask_inputs(config, recipe, fields)

    def answer_options(self, config: pytest.Config, recipe: "Recipe") -> list[str]:
        """Return the options of the session that answer questions of a recipe."""
        texts, files = config.getoption("recipe_answer"), config.getoption("recipe_answers")
        if not (texts or files):
            return []
        from pytest_orchestrator.plugin.questions.given import options_for

        return [*options_for(recipe, texts, files, Path(config.invocation_params.dir))]


def activate(config: pytest.Config, uncollected: "list[pytest.CollectReport]") -> None:
    """Check the settings of a session and register the plugins of all sessions with recipes.

    Args:
        config: The configuration of the session.
        uncollected: Reports of the files that could not be collected so far.

    Raises:
        pytest.UsageError: A setting is wrong.
    """
    config.stash[FACTORIES] = _Factories()
    check_settings(config)
    if config.getoption("recipe_break"):
        from pytest_orchestrator.plugin.questions import breaks

        breaks.check_terminal(config)
    state_of(config).uncollected = uncollected
    config.pluginmanager.register(blocks.PlainReports(config), "orchestrator-plain")
    terminal_view.show_failures(config)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from pytest_orchestrator.plugin.reporting import github

        github.join(config)
    if settings.serve_at(config) is not None and not hasattr(config, "workerinput"):
        from pytest_orchestrator.plugin import context_access

        config.pluginmanager.register(
            context_access.SessionContextServer(config), "orchestrator-serving"
        )
    monitor_process.start_monitor(config)
    if config.getoption("recipe_batch"):
        from pytest_orchestrator.plugin.session import batch

        batch.join_station(config, Path(config.getoption("recipe_batch")))
    # xdist starts no worker with --collect-only.
    is_distributed = config.getoption("dist", "no") != "no" and not config.option.collectonly
    if (settings.jobs(config) > 1 or is_distributed) and not hasattr(config, "workerinput"):
        from pytest_orchestrator.plugin.journal import baseline

        config.pluginmanager.register(baseline.StepDurations(config), "orchestrator-durations")
    if settings.comparison(config) and not hasattr(config, "workerinput"):
        from pytest_orchestrator.plugin.journal import baseline

        config.pluginmanager.register(baseline.ComparedLine(config), "orchestrator-compared")
    if is_distributed:
        from pytest_orchestrator.plugin.xdist import controller

        controller.join(config)


def show_scriptlets(config: pytest.Config) -> int:
    """Print the list of scriptlets.

    Returns:
        The exit status of pytest: 0, or 1 if a file cannot be read.
    """
    from pytest_orchestrator.plugin.collection.file_matching import asked_folders, claimed
    from pytest_orchestrator.plugin.extensions import with_types
    from pytest_orchestrator.plugin.session_state import state_of
    from pytest_orchestrator.recipe.parsing.source import looks_like_recipe
    from pytest_orchestrator.scriptlets.discovery import discover
    from pytest_orchestrator.scriptlets.model import as_text

    root = config.rootpath
    asked = asked_folders(tuple(config.getini("testpaths")), root, root)
    candidates = claimed([root], root, config.getini("recipe_files"), asked)
    paths = [path for path, claim in candidates if claim == "must be" or looks_like_recipe(path)]
    extensions = state_of(config).extensions
    scriptlets = discover(root, paths, list(map(Path, config.getini("pythonpath"))))
    inventory = with_types(scriptlets, extensions)
    encoding = sys.stdout.encoding or "utf-8"  # it may not encode every file name
    text = as_text(inventory).encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(f"{text}\n")
    return 1 if inventory.has_error else 0


def check_settings(config: pytest.Config) -> None:
    """Read every setting, so that an invalid setting is an error before the collection.

    Raises:
        pytest.UsageError: A setting is wrong.
    """
    if config.getoption("recipe_needs") == "snapshot" and config.getoption("dist", "no") != "no":
        raise pytest.UsageError(
            "--recipe-needs=snapshot makes the Context what it was before one step, and "
            "workers of pytest-xdist share it with others: add -n0"
        )
    settings.warn_of_unread_settings(config)
    settings.check_booleans(config)
    _check_patterns(config)
    list_of(config, "recipe_secret_names")
    if config.hook.pytest_recipe_step_types.get_hookimpls() or (
        config.hook.pytest_recipe_criteria.get_hookimpls()
    ):
        _ = state_of(config).extensions
    for key in READERS:
        value_of(config, key)
    if any(map(config.getoption, ("recipe_var", "recipe_vars_file", "recipe_batch"))):
        _ = state_of(config).given_vars
    _ = state_of(config).replay
    if config.getoption("recipe_station") is not None or text_of(config, "recipe_station"):
        from pytest_orchestrator.plugin.options import station

        station.check_station(state_of(config))
    if config.getoption("recipe_answer") or config.getoption("recipe_answers"):
        from pytest_orchestrator.plugin.questions.session import given_answers

        given_answers(config)
    settings.serve_at(config)
    settings.check_report_files(config)
    for secret in follow_ups.check(config):
        state_of(config).secrets.add(secret)
    measurements = settings.measurement_file(config)
    if measurements is not None:
        from pytest_orchestrator.plugin.journal import measurement_file

        measurement_file.check(measurements)
    variables.resource_counts(config)
    runner.check(config)
    if config.getoption("recipe_resume") or config.getoption("recipe_rerun"):
        _ = state_of(config).resumed
    settings.timeout_factor(config)
    settings.comparison(config)
    settings.compare_factor(config)


def check_given(config: pytest.Config) -> None:
    """Check that each var and each answer of an option belongs to a collected recipe.

    Raises:
        pytest.UsageError: No collected recipe has it, or an answer is wrong.
    """
    if config.getoption("recipe_var"):
        from pytest_orchestrator.plugin.collection import hints

        hints.check_vars(config)
    if config.getoption("recipe_answer") or config.getoption("recipe_answers"):
        from pytest_orchestrator.plugin.questions.session import check_answers

        check_answers(config)


def _check_patterns(config: pytest.Config) -> None:
    """Check the patterns of recipe files.

    Raises:
        pytest.UsageError: A pattern can match no YAML file below the rootdir, or is no text.
    """
    patterns = list_of(config, "recipe_files")
    if patterns:
        from pytest_orchestrator.plugin.collection.file_matching import can_match

        for pattern in map(str, patterns):
            if not can_match(pattern):
                raise pytest.UsageError(
                    f"ini key recipe_files: {pattern!r} matches no YAML file below the rootdir; "
                    "write a pattern relative to it, such as bench/*.yaml"
                )
