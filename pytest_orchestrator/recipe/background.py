"""What a service cannot be asked for, since it goes on when its step has passed.

Such a key is an error that says what to do instead.
"""

from collections.abc import Iterable, Sequence

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.graph import upstream
from pytest_orchestrator.recipe.nodes import pairs
from pytest_orchestrator.recipe.problems import Problems
from pytest_orchestrator.recipe.step_types import CodeStep, ShellStep
from pytest_orchestrator.recipe.steps import Draft

_AT_THE_END = frozenset(
    {
        "exit_code",
        "result_schema",
        "max_cpu_seconds",
        "max_rss_mb",
        "leftover_processes",
    }
)
_LEAVE = "leave it out"
_OWN = "and a service has a process of its own"
_GOES_ON = "and a service goes on"


class Background:
    """Checks the services among the steps of a file.

    Args:
        problems: Takes what is wrong.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def check(self, drafts: Sequence[Draft], fixtures: Sequence[str]) -> None:
        """Note what cannot be; let what a service prints be read as text.

        Args:
            drafts: All steps, in the order in which they run, with their needs.
            fixtures: Those of the recipe.
        """
        needs = {each.name: tuple(each.fields.get("needs", ())) for each in drafts}
        for each in drafts:
            if not each.fields.get("background"):
                self._check_other(each)
                continue
            self._check_service(each, fixtures)
            self._check_locks(each, drafts, upstream(each.name, needs))
            if issubclass(each.model, ShellStep):
                each.fields.setdefault("parse", "text")

    def _check_other(self, each: Draft) -> None:
        for key in ("ready", "stop_signal"):
            if key in each.at:
                cure = "say background: true, or leave it out"
                self._note(each, key, " belongs to services", cure)

    def _check_service(self, each: Draft, fixtures: Sequence[str]) -> None:
        fields = each.fields
        if fields.get("isolation") == "inline":
            self._note(each, "isolation", f" is 'inline', {_OWN}", _LEAVE)
        if issubclass(each.model, CodeStep) and (names := [*fields.get("fixtures", ()), *fixtures]):
            tail = f" has '{names[0]}', so the step would run inside pytest, {_OWN}"
            self._note(each, "fixtures", tail, "hand over by the Context what it needs")
        if fields.get("heap"):
            self._note(each, "heap", " is told by a step that returns, and a service is ended")
        if fields.get("parse", "text") != "text":
            tail = f" reads what was printed to the end, {_GOES_ON}"
            self._note(each, "parse", tail, f"{_LEAVE}; 'ready' has 'stdout_matches'")
        for criterion in fields.get("success", ()):
            if criterion.name in _AT_THE_END:
                tail = f" is known at the end of a step, {_GOES_ON}"
                self._add(each, criterion.place, criterion.name, tail, _LEAVE)
        if fields.get("ready") is not None and pairs(each.node_of("ready")).keys() <= {"timeout"}:
            cure = "give 'file', 'port' or 'stdout_matches'"
            self._note(each, "ready", " names nothing to wait for", cure)

    def _check_locks(self, each: Draft, drafts: Iterable[Draft], before: set[str]) -> None:
        """Note who would wait for ever for what a service holds to the end."""
        held = set(each.fields.get("locks", ()))
        for other in drafts:
            shared = [name for name in other.fields.get("locks", ()) if name in held]
            if shared and other is not each and other.name not in before:
                tail = f" has '{shared[0]}', which service '{each.name}' holds to the end"
                self._note(other, "locks", tail, "leave it to the service")

    def _note(self, each: Draft, key: str, tail: str, cure: str = _LEAVE) -> None:
        self._add(each, each.at.get(key, each.at[""]), key, tail, cure)

    def _add(self, each: Draft, place: Place, key: str, tail: str, cure: str) -> None:
        where = f" in {each.model.type} {each.title}"
        self._problems.add(place, f"'{key}'", where, tail, hint=cure)
