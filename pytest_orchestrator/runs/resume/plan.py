"""Resume plan: for each step restore, run again, or ask a person.

A step that passed is restored, unless it does other work now or something before it runs
again; how it was called in reports or how long it might take is no other work.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from pytest_orchestrator.core.mask_stream import MASK
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord, StepRecord

_FILE: Final = "file "


class CurrentRecipe(NamedTuple):
    """A recipe as it is now.

    Attributes:
        recipe: The recipe.
        digests: Of each of its steps by name, as `recipe.analysis.fingerprint` makes them.
        needs: Keys of the recipes that have to be through before it.
    """

    recipe: Recipe
    digests: Mapping[str, Mapping[str, str]]
    needs: Sequence[str] = ()


class ResumeDecision(NamedTuple):
    """What becomes of a step in a run that goes on from another one.

    Attributes:
        kind: restored; again where it ran there and runs again; refused where only a person
            can decide; first where it never ran.
        why: Why it is not restored, for a person; empty for one that never ran.
        spreads: What depends on it runs again as well.
    """

    kind: Literal["restored", "again", "refused", "first"]
    why: str = ""
    spreads: bool = True


class ResumePlan(NamedTuple):
    """How a run goes on.

    Attributes:
        run: Id of the run that it goes on from.
        fates: What becomes of each step, by key of its recipe and by its name.
    """

    run: str
    fates: Mapping[str, Mapping[str, ResumeDecision]]

    def of(self, recipe: str, step: str) -> ResumeDecision:
        """Return what becomes of a step."""
        return self.fates.get(recipe, {}).get(step, _FIRST)


_FIRST: Final = ResumeDecision("first")
_RESTORED: Final = ResumeDecision("restored", spreads=False)


def plan(
    record: RunRecord, recipes: Sequence[CurrentRecipe], rerun: Collection[tuple[str, str]] = ()
) -> ResumePlan:
    """Decide of all steps of today's recipes.

    Args:
        record: The earlier run.
        recipes: The recipes, each after those that it needs.
        rerun: Key of the recipe and name of the steps that are to run whatever they did.
    """
    fates: dict[str, dict[str, ResumeDecision]] = {}
    written = _Written(record)
    for today in recipes:
        key = today.recipe.key
        spreading = next((need for need in today.needs if _spreads(fates.get(need, {}))), "")
        names = {name for recipe, name in rerun if recipe == key}
        old = record.recipes.get(key)
        fates[key] = _Decider(old, written, today, names, spreading).all()
    return ResumePlan(record.id, fates)


def is_done(step: StepRecord) -> bool:
    """Tell whether a step did what it was to do: it passed, or had nothing to do."""
    ended = step.ended
    if ended is None or was_cut_off(step) or step.state == "failed":
        return False
    return ended.meets and ended.outcome in ("passed", "skipped")


def was_cut_off(step: StepRecord) -> bool:
    """Tell whether a step began and never came to its end."""
    told = (step.block or {}).get("step", {}) if step.ended else {}
    return bool(step.is_open or step.cut_off_in or told.get("kind") == "interrupted")


def node_of(step: StepRecord) -> str:
    """Return the node id of a step."""
    path, bracket, cell = step.recipe.partition("[")
    return str(step.about.get("node") or f"{path}::{step.name}{bracket}{cell}")


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Say what a step does that it did not do before; empty where it does the same.

    Args:
        before: Its digests then.
        now: Its digests now.
    """
    if not before:
        return "nothing tells what it did"
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if not names:
        return ""
    if "step" in names:
        return "the recipe says something else of it"
    file = next((name for name in names if name.startswith(_FILE)), "")
    if file:
        return f"{file.removeprefix(_FILE)} was changed"
    return f"{names[0]} has another value"


class _Written:
    """What each step of a run changed in the Context.

    Attributes:
        keys: The keys, by node id.
        masked: One of them where something in the change was secret.
    """

    def __init__(self, record: RunRecord) -> None:
        self.keys: dict[str, set[str]] = {}
        self.masked: dict[str, str] = {}
        for _, change in record.changes.all():
            if change.by:
                self.keys.setdefault(change.by, set()).add(change.key)
                if change.masked:
                    self.masked[change.by] = change.key


class _Decider:
    """Decides of the steps of one recipe, in the order in which they run."""

    def __init__(
        self,
        old: RecipeRecord | None,
        written: _Written,
        today: CurrentRecipe,
        rerun: Collection[str],
        spreading: str,
    ) -> None:
        self._recipe = today.recipe
        self._digests = today.digests
        self._old = {} if old is None else old.steps
        self._written = written
        self._rerun = rerun
        self._spreading = spreading
        self._fates: dict[str, ResumeDecision] = {}

    def all(self) -> dict[str, ResumeDecision]:
        """Decide of all of them."""
        for step in self._recipe.steps:
            self._fates[step.name] = self._of(step)
        for step in self._recipe.final:
            self._fates[step.name] = self._of_final(step)
        return self._fates

    def _of_final(self, step: Step) -> ResumeDecision:
        ran = self._began(step.name)
        return ResumeDecision("again", "a step of finally", spreads=False) if ran else _FIRST

    def _of(self, step: Step) -> ResumeDecision:
        old = self._old.get(step.name)
        if old is None or not self._began(step.name):
            return _FIRST
        if step.name in self._rerun:
            return ResumeDecision("again", "--recipe-rerun asks for it")
        if was_cut_off(old):
            if step.idempotent or step.background:
                return ResumeDecision("again", "it was interrupted")
            return ResumeDecision(
                "refused", "it was interrupted, and nothing says that it may run twice"
            )
        if not is_done(old):
            return ResumeDecision("again", f"it {_WORDS.get(old.state, old.state)} there")
        return self._of_done(step, old)

    def _of_done(self, step: Step, old: StepRecord) -> ResumeDecision:
        """Decide of a step that did what it was to do."""
        assert old.ended is not None  # noqa: S101  # it is done
        why = changed(old.ended.digests, self._digests.get(step.name, {}))
        if why:
            return ResumeDecision("again", why)
        if self._spreading:
            return ResumeDecision("again", f"{self._spreading} does not stay as it was")
        for name in (*step.needs, *step.after):
            if self._fates.get(name, _FIRST).spreads:
                return ResumeDecision("again", f"it comes after {name}")
        for name in self._upstream(step):
            both = self._keys(name) & self._keys(step.name)
            if self._fates[name].kind == "again" and both:
                return ResumeDecision(
                    "again", f"it changes '{min(both)}', which {name} writes again"
                )
        if step.background:
            return ResumeDecision("again", "a service", spreads=False)
        key = self._written.masked.get(self._recipe.node(step.name))
        what = f"what it wrote to '{key}'" if key else self._hidden(step, old)
        if not what:
            return _RESTORED
        if step.idempotent:
            return ResumeDecision("again", f"{what} is secret", spreads=False)
        why = f"{what} is secret and in no journal, and nothing says that it may run twice"
        return ResumeDecision("refused", why)

    def _hidden(self, step: Step, old: StepRecord) -> str:
        """Name the result of a step where it is masked, and an expression reads it."""
        if MASK not in str(old.result):
            return ""
        name = re.escape(step.name)
        texts = {self._recipe.source(each).text for each in self._recipe.steps}
        read = re.compile(rf"steps(\.{name}\b|\[.?['\"]{name}['\"])")
        return "its result, which others read," if any(map(read.search, texts)) else ""

    def _keys(self, name: str) -> set[str]:
        return self._written.keys.get(self._recipe.node(name), set())

    def _upstream(self, step: Step) -> list[str]:
        found: dict[str, None] = {}
        left = [*step.needs, *step.after]
        while left:
            name = left.pop()
            if name not in found and name in self._fates:
                found[name] = None
                other = self._recipe.step(name)
                left += [*other.needs, *other.after]
        return list(found)

    def _began(self, name: str) -> bool:
        """Tell whether a step ran, or what stands for that: it was skipped, or was restored."""
        old = self._old.get(name)
        if old is None:
            return False
        return was_cut_off(old) or (old.ended is not None and old.ended.outcome != "blocked")


_WORDS: Final[Mapping[str, str]] = {
    "error": "failed in its setup or teardown",
    "skipped": "was skipped",
    "xfailed": "failed as expected",
}


def _spreads(fates: Mapping[str, ResumeDecision]) -> bool:
    return any(fate.spreads for fate in fates.values())
