"""What is started for a step with a command: that, or a client that has it run elsewhere."""

import os
from typing import NamedTuple

import msgspec

from pytest_orchestrator.core.result import Failure, Process
from pytest_orchestrator.execution import ssh
from pytest_orchestrator.execution.command import alone, argv_of, environment_of, stdin_of
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.lanes.lane import slot_of
from pytest_orchestrator.recipe.step_types import ShellStep, SshStep


class Launch(NamedTuple):
    """What is started.

    Attributes:
        process: The program and its arguments.
        variables: Its environment.
        stdin: What it reads; None where it reads nothing.
    """

    process: Process
    variables: dict[str, str]
    stdin: bytes | None


def prepared(step: ShellStep, env: Environment) -> Launch | Failure:
    """Return what is started for a step; for another machine once that is connected.

    Args:
        step: The step.
        env: The surroundings of the run.
    """
    if not isinstance(step, SshStep):
        variables = environment_of(step.args, env.variables())
        return Launch(process_of(step, env), variables, stdin_of(step.stdin))
    socket = slot_of(env).links.to(step.host)
    if isinstance(socket, Failure):
        return msgspec.structs.replace(socket, place=step.at["host"])
    process = process_of(step, env, ssh.argv_of(step, socket))
    return Launch(process, env.variables(), ssh.input_of(step, ssh.new_mark()))


def process_of(step: ShellStep, env: Environment, argv: tuple[str, ...] | None = None) -> Process:
    """Return what is started for a step, without its end.

    Args:
        step: The step.
        env: The surroundings of the run.
        argv: Program and arguments, where they are not those of the command.
    """
    masked = _secret_args(step, env)
    if isinstance(step, SshStep):
        argv = argv or ssh.argv_of(step, None)
        return Process(argv=argv, cwd=str(env.root), alone=ssh.alone(step), masked=masked)
    return Process(
        argv=argv_of(step.cmd, env.root, step.shell),
        cwd=os.path.normpath(os.path.join(env.root, step.cwd or ".")),
        alone=alone(step.cmd, step.args, step.cwd, step.stdin, step.shell),
        masked=masked,
    )


def lost(step: ShellStep, env: Environment, code: int | None) -> Failure | None:
    """Return the failure of a step whose machine went away; None where it did not."""
    if not isinstance(step, SshStep) or code != 255 or not slot_of(env).links.is_lost(step.host):
        return None
    return Failure(kind="crash", reason=f"the connection to {step.host} was lost")


def _secret_args(step: ShellStep, env: Environment) -> tuple[str, ...]:
    """Return the names of those args whose values are not to be told."""
    if not step.args:
        return ()
    given = environment_of(step.args, {})
    env.secrets.learn(given)
    return tuple(name for name, value in given.items() if env.secrets.text(value) != value)
