"""Placement: the offers of workers, and the choice of the workers that can run a step."""

import socket
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.recipe.fields.extensions import asks
from pytest_orchestrator.recipe.model.step import CodeStep, SshStep, Step
from pytest_orchestrator.recipe.problems import Problem, RecipeError


class Offer(msgspec.Struct, frozen=True):
    """Names and resources that one Dask worker offers to steps.

    Attributes:
        address: The address by which the scheduler identifies the worker.
        name: The name of the worker.
        host: The name of its machine.
        resources: The number of units of each resource, by its name.
    """

    address: str
    name: str
    host: str
    resources: Mapping[str, float] = {}

    def answers_to(self, label: str | None) -> bool:
        """Return True if a step whose ``host`` is ``label`` may run on this worker."""
        if label is None or label in (self.name, self.address) or label in self.resources:
            return True
        return label.lower() in _names(self.host) or (is_here(label) and is_here(self.host))


def is_here(label: str) -> bool:
    """Return True if a label names this machine."""
    return label.lower() in {"localhost", *_names(socket.gethostname())}


def beside(step: Step, fixtures: Collection[str] = ()) -> str:
    """Return the reason why a step must run on pytest's machine; empty if it need not.

    Args:
        step: The step.
        fixtures: The fixtures of all steps of its recipe.
    """
    if step.background:
        return "services run beside pytest"
    if isinstance(step, SshStep):
        return "ssh steps are started beside pytest"
    if asks(step):
        return "it asks a person, and pytest's session asks"
    from pytest_orchestrator.recipe.fields import type_hooks

    if type_hooks.has_hook(step, "instruments"):
        return "instruments belong to the machine of the session"
    if isinstance(step, CodeStep) and step.isolation == "inline":
        return "its isolation is inline"
    if isinstance(step, CodeStep) and (step.fixtures or fixtures):
        return f"its fixture '{(*step.fixtures, *fixtures)[0]}' is beside pytest"
    return ""


def misplaced(
    steps: Iterable[Step], fixtures: Collection[str] = (), *, elsewhere: bool = False
) -> Iterator[Problem]:
    """Yield a problem for each step that names another machine but runs on this one.

    Args:
        steps: The steps.
        fixtures: The fixtures of all steps of the recipe.
        elsewhere: True if workers run the steps that need not run on pytest's machine.
    """
    for step in steps:
        label = step.host
        if label is None or isinstance(step, SshStep) or is_here(label):
            continue
        here, why = socket.gethostname(), beside(step, fixtures)
        if not elsewhere:
            head = f"step '{step.name}' is to run on '{label}', and this machine is '{here}'"
            hint = f"host: {here}" if why else f"--recipe-runner=dask, or host: {here}"
            yield placed(step, Problem(step.at["host"], head, hint=hint))
        elif why:
            head = f"step '{step.name}' is to run on '{label}', and runs on '{here}': {why}"
            yield placed(step, Problem(step.at["host"], head, hint=f"host: {here}"))


def workers_for(step: Step, offers: Iterable[Offer], counted: Collection[str] = ()) -> list[str]:
    """Return the addresses of the workers that can run a step.

    Args:
        step: The step.
        offers: The offers of all workers.
        counted: Names of resources that the session itself counts; workers need not offer them.
    """
    wanted = _wanted(step, counted)
    return [one.address for one in offers if one.answers_to(step.host) and _has(one, wanted)]


def refusals(
    steps: Iterable[Step], offers: Sequence[Offer], counted: Collection[str] = ()
) -> list[Problem]:
    """Return a problem for each step that no worker can run.

    Args:
        steps: The steps that workers run.
        offers: The offers of all workers.
        counted: Names of resources that the session itself counts; workers need not offer them.
    """
    return [
        placed(step, _refusal(step, offers, _wanted(step, counted)))
        for step in steps
        if not workers_for(step, offers, counted)
    ]


def placed(step: Step, problem: Problem) -> Problem:
    """Return the problem of a step, with a position in the recipe.

    For a step of a used file, it is a new problem, with the problem in that file as its cause.

    Args:
        step: The step.
        problem: The problem, with a position in the file that contains the step.
    """
    if step.file_use is None:
        return problem
    outermost, source = step.uses[-1], step.file_use.source
    cause = RecipeError([problem], source.id, source.text)
    return Problem(outermost.place, f"'{source.id}' has a step that cannot run", cause=cause)


def _names(host: str) -> set[str]:
    """Return the full name of a machine and its name without the domain, in lower case."""
    return {host.lower(), host.lower().partition(".")[0]}


def _wanted(step: Step, counted: Collection[str]) -> dict[str, int]:
    return {name: number for name, number in step.resources.items() if name not in counted}


def _has(offer: Offer, wanted: Mapping[str, int]) -> bool:
    return all(offer.resources.get(name, 0) >= number for name, number in wanted.items())


def _refusal(step: Step, offers: Sequence[Offer], wanted: Mapping[str, int]) -> Problem:
    start = f"step '{step.name}'"
    if not offers:
        return Problem(step.at[""], f"{start} has no worker: none is running", hint="dask worker")
    there = [one for one in offers if one.answers_to(step.host)]
    if not there and step.host is not None:
        known = [name for one in offers for name in (one.name, one.host, *one.resources)]
        head = f"{start} is to run on '{step.host}', and no worker has that name, host or resource"
        near = nearest(step.host, known).strip(" ()")
        return Problem(step.at["host"], head, hint=near or f"dask worker --name {step.host}")
    at = "" if step.host is None else f" on '{step.host}'"
    for name, number in wanted.items():
        most = max(one.resources.get(name, 0) for one in there)
        if most >= number:
            continue
        head = f"{start} needs {number} of '{name}', and no worker{at} has "
        near = "" if most else nearest(name, {key for one in there for key in one.resources})
        head += f"more than {most:g}" if most else "any"
        cure = near.strip(" ()") or _cure({name: number})
        return Problem(step.at["resources"], head, hint=cure)
    needs = " and ".join(f"{number} of '{name}'" for name, number in wanted.items())
    head = f"{start} needs {needs}, and no worker{at} has all of that"
    return Problem(step.at["resources"], head, hint=_cure(wanted))


def _cure(wanted: Mapping[str, int]) -> str:
    """Return the command that starts a worker with the wanted resources."""
    resources = " ".join(f"{name}={number}" for name, number in wanted.items())
    return f'dask worker --resources "{resources}"'
