"""The body of a step: a service, a call in this process, a process beside it, a worker's."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from pytest_orchestrator.core.context import Context
from pytest_orchestrator.core.result import Ended, Process
from pytest_orchestrator.execution import custom, isolated, launch, python, shell
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.lanes.context_access import opened
from pytest_orchestrator.execution.runners import Here, Submitted
from pytest_orchestrator.execution.services import Services
from pytest_orchestrator.recipe.step_keys import Step
from pytest_orchestrator.recipe.step_types import CodeStep, ShellStep


def submitted(
    step: Step, own: Context, env: Environment, fixtures: Mapping[str, object]
) -> Submitted:
    """Let a try of a step be run by whoever runs it."""
    if step.background:
        return Here(step, env, lambda: _service(step, own, env))
    if isinstance(step, CodeStep) and (fixtures or env.inline or step.isolation == "inline"):
        return Here(step, env, lambda: _inline(step, own, env, fixtures))
    runner = env.slot.runner if env.slot is not None else None
    if runner is None or env.slot is None or not runner.takes(step):
        return Here(step, env, lambda: apart(step, own, env))
    away = env.slot.away = runner.submit(step, own, env)
    return away


def _service(step: Step, own: Context, env: Environment) -> Ended:
    started = _services(env).started
    return started(step, env, lambda within: apart(step, own, within), _process(step, env))


def _inline(
    step: CodeStep, own: Context, env: Environment, fixtures: Mapping[str, object]
) -> Ended:
    env.secrets.learn(env.variables())
    with _guarded(step, env):
        return python.run(custom.called(step, env), own, env, fixtures)


def _guarded(step: CodeStep, env: Environment) -> AbstractContextManager[None]:
    """Have pytest ended from outside where a step in it goes on after its time."""
    guard = env.slot.guard if env.slot is not None else None
    seconds = env.seconds_for(step.timeout)
    if guard is None or seconds is None or env.folder is None:
        return nullcontext()
    place = step.at.get("timeout") or step.at["name"]
    reason = f"timeout: still running after {seconds:g} s; pytest had to be ended for it"
    path = step.part.source.id if step.part else os.path.relpath(env.recipe, env.root)
    where = (path, str(place.line), str(place.column))
    told = f"orchestrator: {':'.join(where)}: step '{step.name}': {reason}"
    return guard.over(seconds, told, (str(env.folder), step.name, reason, *where))


def apart(step: Step, own: Context, env: Environment) -> Ended:
    """Run a body in a process of its own beside this one."""
    with opened(env, step.name, own) as within:
        match step:
            case CodeStep():
                return isolated.run(custom.called(step, within), own, within)
            case ShellStep():
                return shell.run(step, within)
            case _:
                raise TypeError(f"no body is known for {type(step).__name__}")


def _process(step: Step, env: Environment) -> Process:
    """Return what is started for a step, without its end."""
    match step:
        case CodeStep():
            return isolated.process_of(custom.called(step, env))
        case ShellStep():
            return launch.process_of(step, env)
        case _:
            raise TypeError(f"no process is known for {type(step).__name__}")


def _services(env: Environment) -> Services:
    """Return what goes on in the background.

    Raises:
        RuntimeError: The run keeps nothing there, and a step asks for it.
    """
    if env.services is None:
        raise RuntimeError("this run keeps no services; give its Environment some")
    return env.services
