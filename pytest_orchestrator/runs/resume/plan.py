"""Resume plan: for each step the decision to restore it, run it again, or refuse it.

A step that passed is restored, unless its work has changed or a step that it depends on runs again.
Keys that do not affect its work, such as `tags`, `timeout` and `locks`, may change.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from typing import Final, Literal

import msgspec

from pytest_orchestrator.core.mask_stream import MASK
from pytest_orchestrator.core.result import prevents_pass
from pytest_orchestrator.recipe.fields.extensions import asks
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord, StepRecord
from pytest_orchestrator.runs.summary import acts_before

_FILE: Final = "file "


class CurrentRecipe(msgspec.Struct, frozen=True):
    """Recipe as it is now, for comparison with an earlier run.

    Attributes:
        recipe: The recipe.
        digests: Digests of each step by name, as `recipe.analysis.fingerprint` computes them.
        needs: Keys of the recipes that must have ended before it.
        skipped: The reason why all its steps are skipped now; empty if they may run.
    """

    recipe: Recipe
    digests: Mapping[str, Mapping[str, str]]
    needs: Sequence[str] = ()
    skipped: str = ""


class ResumeDecision(msgspec.Struct, frozen=True):
    """Decision on a step in a run that resumes an earlier run.

    Attributes:
        kind: ``restored``: its earlier result is used; ``again``: it ran in the earlier run and
            runs again; ``refused``: a person must decide; ``first``: it did not run there;
            ``skipped``: the recipe skips all its steps now.
        why: The reason why it is not restored, for messages; empty for a step that never ran.
        spreads: True if the steps that depend on it run again, too.
        keeps_elements: True if its elements of ``foreach`` that passed need not run again.
    """

    kind: Literal["restored", "again", "refused", "first", "skipped"]
    why: str = ""
    spreads: bool = True
    keeps_elements: bool = False


class ResumePlan(msgspec.Struct, frozen=True):
    """Decisions on all steps of a resumed run.

    Attributes:
        run: Id of the earlier run, which is resumed.
        decisions: The decision on each step, by key of its recipe and by its name.
    """

    run: str
    decisions: Mapping[str, Mapping[str, ResumeDecision]]

    def of(self, recipe: str, step: str) -> ResumeDecision:
        """Return the decision on a step."""
        return self.decisions.get(recipe, {}).get(step, _FIRST)


_FIRST: Final = ResumeDecision("first")
_RESTORED: Final = ResumeDecision("restored", spreads=False)


def plan(
    record: RunRecord, recipes: Sequence[CurrentRecipe], rerun: Collection[tuple[str, str]] = ()
) -> ResumePlan:
    """Return the decisions on all steps of the current recipes.

    Args:
        record: The earlier run.
        recipes: The current recipes, each after those that it needs.
        rerun: Steps that run again in any case, each as key of its recipe and name.
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
    """Return True if a step passed, or was skipped because it had nothing to do."""
    ended = step.ended
    if ended is None or was_cut_off(step) or step.state == "failed" or is_by_hand(step):
        return False
    return ended.meets and ended.outcome in ("passed", "skipped")


def is_by_hand(step: StepRecord) -> bool:
    """Return True if the Context was set, or the step skipped, at a prompt before it."""
    return prevents_pass(acts_before(step))


def was_cut_off(step: StepRecord) -> bool:
    """Return True if a step started but did not run to its end."""
    kind = step.block.step.kind if step.block else None
    return bool(step.is_open or step.cut_off_in or kind == "interrupted")


def work_digest(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 of all digests of a step, as events of the journal contain it."""
    return sha256(msgspec.json.encode(digests)).hexdigest()


def node_of(step: StepRecord) -> str:
    """Return the node id of a step."""
    path, bracket, cell = step.recipe.partition("[")
    return str(step.about.get("node") or f"{path}::{step.name}{bracket}{cell}")


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return the reason why the work of a step has changed since a run; empty if it has not.

    Args:
        before: Digests of the step in the earlier run.
        now: Current digests of the step.
    """
    if not before:
        return "its earlier work is not recorded"
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
    """Context keys that each step of a run changed.

    Attributes:
        keys: The keys, by node id.
        masked: One key whose change contained a secret, by node id.
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
    """Decider on the steps of one recipe, in the order in which the steps run."""

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
        self._skipped = today.skipped
        self._old = {} if old is None else old.steps
        self._violated: dict[str, str] = {}
        for one in today.recipe.samplers if old else ():
            if old and one.name in old.samples.violated:
                watched = one.watched(today.recipe.steps)
                why = f"sampling '{one.name}' was outside its limits there"
                self._violated |= dict.fromkeys((step.name for step in watched), why)
        self._written = written
        self._rerun = rerun
        self._spreading = spreading
        self._fates: dict[str, ResumeDecision] = {}

    def all(self) -> dict[str, ResumeDecision]:
        """Return the decisions on all steps, by name."""
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
        if self._skipped:
            return ResumeDecision("skipped", self._skipped)
        is_refused = was_cut_off(old) and not (step.idempotent or step.background or asks(step))
        if step.name in self._rerun:
            keeps = is_refused and self._keeps_elements(step, old)
            return ResumeDecision("again", "--recipe-rerun asks for it", keeps_elements=keeps)
        if is_refused:
            why = "it was interrupted and is not marked `idempotent: true`"
        elif was_cut_off(old):
            why = "it was interrupted"
        elif not is_done(old):
            why = f"it {_WORDS.get(old.state, old.state)} there"
            if is_by_hand(old):
                why = "it was done by hand there"
        else:
            return self._of_done(step, old)
        keeps = self._keeps_elements(step, old)
        return ResumeDecision("refused" if is_refused else "again", why, keeps_elements=keeps)

    def _keeps_elements(self, step: Step, old: StepRecord) -> bool:
        """Return True if the elements of a step that passed do the same work now."""
        now = work_digest(self._digests.get(step.name, {}))
        works = {one.event.work for one in old.elements.values()}
        return step.foreach is not None and works == {now} and not self._stale(step)

    def _of_done(self, step: Step, old: StepRecord) -> ResumeDecision:
        """Return the decision on a step that passed or was skipped."""
        assert old.ended is not None  # noqa: S101  # it is done
        why = changed(old.ended.digests, self._digests.get(step.name, {}))
        why = why or self._violated.get(step.name, "")
        if why:
            return ResumeDecision("again", why)
        stale = self._stale(step)
        if stale:
            return ResumeDecision("again", stale)
        if step.background:
            return ResumeDecision("again", "a service", spreads=False)
        key = self._written.masked.get(self._recipe.node(step.name))
        what = f"what it wrote to '{key}'" if key else self._hidden(step, old)
        if not what:
            return _RESTORED
        if step.idempotent or asks(step):
            return ResumeDecision("again", f"{what} is secret", spreads=False)
        why = f"{what} is secret and in no journal, and the step is not marked `idempotent: true`"
        return ResumeDecision("refused", why)

    def _stale(self, step: Step) -> str:
        """Return the reason why a step runs on other data than in the earlier run, or ``""``."""
        if self._spreading:
            return f"{self._spreading} does not stay as it was"
        for name in (*step.needs, *step.after):
            if self._fates.get(name, _FIRST).spreads:
                return f"it comes after {name}"
        for name in self._upstream(step):
            both = self._keys(name) & self._keys(step.name)
            if self._fates[name].kind == "again" and both:
                return f"it changes '{min(both)}', which {name} writes again"
        return ""

    def _hidden(self, step: Step, old: StepRecord) -> str:
        """Return a phrase for a masked result that an expression reads; empty otherwise."""
        if MASK not in str(old.result):
            return ""
        name = re.escape(step.name.partition("[")[0])  # `steps.x` has all cells of a matrix
        texts = {self._recipe.source(each).text for each in self._recipe.steps}
        read = re.compile(rf"steps(\.{name}\b|\[.?['\"]{name}['\"\[])")
        return "its result, which others read," if any(map(read.search, texts)) else ""

    def _keys(self, name: str) -> set[str]:
        return self._written.keys.get(self._recipe.node(name), set())

    def _upstream(self, step: Step) -> list[str]:
        names: dict[str, None] = {}
        left = [*step.needs, *step.after]
        while left:
            name = left.pop()
            if name not in names and name in self._fates:
                names[name] = None
                other = self._recipe.step(name)
                left += [*other.needs, *other.after]
        return list(names)

    def _began(self, name: str) -> bool:
        """Return True if a step ran, was skipped or was restored in the earlier run."""
        old = self._old.get(name)
        if old is None:
            return False
        return was_cut_off(old) or (
            old.ended is not None and old.ended.outcome not in ("blocked", "not run")
        )


_WORDS: Final[Mapping[str, str]] = {
    "error": "failed in its setup or teardown",
    "skipped": "was skipped",
    "xfailed": "failed as expected",
}


def _spreads(fates: Mapping[str, ResumeDecision]) -> bool:
    return any(fate.spreads for fate in fates.values())
