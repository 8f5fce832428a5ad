"""The services of one run of a recipe: started by their steps, ended when the run is over."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pytest_orchestrator.core.result import Ended, Failure, Process, StepResult
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.service import Body, Complete, Service
from pytest_orchestrator.recipe.graph import needed
from pytest_orchestrator.recipe.model import Recipe
from pytest_orchestrator.recipe.step_keys import Step


class Services:
    """Keeps what goes on in the background of a recipe.

    Args:
        recipe: The recipe.

    Attributes:
        heard: What those that have ended logged and warned of since they were ready, by step.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.heard: dict[str, list[dict[str, Any]]] = {}
        self._kept: dict[str, Service] = {}

    def started(self, step: Step, env: Environment, body: Body, process: Process) -> Ended:
        """Start the service of a step, and wait until it is ready.

        Args:
            step: The step.
            env: The surroundings of the run.
            body: Runs it to its end.
            process: What is started, without its end.

        Returns:
            How the step ended. Where it did as wanted, the service goes on.
        """
        self.ended(step.name)  # of a try before
        service = Service(step, env, body, process)
        ended = service.until_ready()
        if ended.failure is None and ended.skipped is None:
            self._kept[step.name] = service
        return ended

    def ended(self, name: str) -> Ended | None:
        """End a service that is of no use any more; return how it ended, if there was one."""
        service = self._kept.pop(name, None)
        if service is None:
            return None
        service.stop()
        return service.ended

    def at_end(self, name: str, complete: Complete) -> bool:
        """Have the result of a service completed when it has ended; tell whether there is one."""
        service = self._kept.get(name)
        if service is not None:
            service.complete = complete
        return service is not None

    def missing(self, step: Step) -> Failure | None:
        """Return the failure of a step that needs a service which has died, or None."""
        dead = {
            name: death
            for name, one in tuple(self._kept.items())
            if (death := one.death) and not one.step.continue_on_error
        }
        for each in needed(self._recipe, step.name) if dead else ():
            if each.name in dead:
                death = dead[each.name]
                return msgspec.structs.replace(
                    _death(self._kept[each.name], death),
                    reason=f"needs service '{each.name}', which has died: {death.reason}",
                    place=step.at.get("needs", step.at["name"]),
                )
        return None

    def over(self, results: Mapping[str, StepResult]) -> list[StepResult]:
        """End all services, the last one first.

        Args:
            results: Those of their steps, from when they were ready.

        Returns:
            The results, complete; that of one that died has its failure there.

        Raises:
            KeyboardInterrupt: Ctrl-C meanwhile; all of them were ended at once.
        """
        kept, self._kept = self._kept, {}
        interrupts: list[BaseException] = []
        for service in reversed(kept.values()):
            with _kept_for_later(interrupts):
                service.stop()
        if interrupts:
            raise interrupts[0]
        self.heard = {name: list(service.late) for name, service in kept.items() if service.late}
        told = [(service, results[name]) for name, service in kept.items() if name in results]
        return [service.complete(_ended(service, result)) for service, result in told]


def _ended(service: Service, result: StepResult) -> StepResult:
    """Return the result of a service that has ended."""
    death = service.death
    if death is None:
        return msgspec.structs.replace(result, ended=service.ended)
    failure = _death(service, death)
    return msgspec.structs.replace(
        result, ended=service.ended, outcome="failed", failure=failure, meets=False
    )


def _death(service: Service, death: Failure) -> Failure:
    """Return how a service died, as the step of it and those that need it tell it."""
    seconds = service.ended.usage.seconds if service.ended else 0.0
    return Failure(
        kind="crash",
        reason=f"the service died after {seconds:.1f} s: {death.reason}",
        place=death.place,
        detail=service.tail(),
    )


@contextlib.contextmanager
def _kept_for_later(interrupts: list[BaseException]) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupts.append(interrupt)
