"""Verdict of a certificate: what a recipe has proved in one run.

The rule is stricter than the verdict of a run. A recipe has passed only if the run folder is
unmodified and each step of the recipe passed in this run, or was skipped by its own ``if``.
"""

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from pytest_orchestrator.reading import (
    BAD,
    is_good,
    measurements_of,
    safe_state,
    simulated_in,
    verdict_of,
)
from pytest_orchestrator.rendering import (
    LEAST_RATIO,
    counted,
    element_label,
    rerun,
    uncertainty_ratio,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_orchestrator.reading import (
        Attempt,
        Block,
        RecipeRecord,
        RunRecord,
        StepFinished,
        StepRecord,
        Verification,
    )

Word: TypeAlias = Literal[
    "failed", "not complete", "simulated", "replay", "conditional pass", "passed"
]
Kind: TypeAlias = Literal["failure", "gap", "remark"]

_GOOD: Final = frozenset({"passed", "xpassed", "conditional pass"})
_IF: Final = "if: "
"""Start of the reason of a step that its own `if` has skipped."""
_UNFINISHED: Final = {
    "running": "the run is still in progress",
    "interrupted": "the run was killed before its end, so its journal has no seal",
}


class Finding(NamedTuple):
    """One thing that a certificate has to name.

    Attributes:
        kind: ``failure`` and ``gap`` keep the recipe from passing, ``remark`` does not.
        step: The step; empty if it concerns the whole run.
        text: The description, in one line.
    """

    kind: Kind
    step: str
    text: str


class Ruling(NamedTuple):
    """Verdict of a certificate with its reasons.

    Attributes:
        findings: The reasons and remarks, in the order of the steps.
        ran: Number of steps that passed.
        skipped: Number of steps that their own `if` skipped.
        simulated: Names of the simulated instruments.
        is_replay: True if a recorded run has answered for the instruments.
        conditional: True if a measurement has a conditional pass.
    """

    findings: tuple[Finding, ...]
    ran: int
    skipped: int
    simulated: tuple[str, ...] = ()
    is_replay: bool = False
    conditional: bool = False

    @property
    def words(self) -> tuple[Word, ...]:
        """The words that hold, the verdict first; ``passed`` only if no other one does."""
        kinds = {one.kind for one in self.findings}
        held: dict[Word, bool] = {
            "failed": "failure" in kinds,
            "not complete": "gap" in kinds,
            "simulated": bool(self.simulated),
            "replay": self.is_replay,
            "conditional pass": self.conditional,
        }
        return tuple(word for word, holds in held.items() if holds) or ("passed",)

    def of(self, kind: Kind) -> list[Finding]:
        """Return the findings of a kind."""
        return [one for one in self.findings if one.kind == kind]


def rule(run: "RunRecord", recipe: "RecipeRecord", verification: "Verification") -> Ruling:
    """Return the verdict of the certificate of a recipe.

    Args:
        run: The run.
        recipe: One of its recipes.
        verification: The verification of the folder of the run, with the same journal.
    """
    findings = [*_of_the_run(run, verification)]
    ran = skipped = 0
    for step in recipe.steps.values():
        found = [*_of_step(run, step)]
        findings += found
        if not step.sampled and all(one.kind == "remark" for one in found):
            skipped += step.state == "skipped"
            ran += step.state != "skipped"
    findings += [
        Finding("failure", safe_state(one.instrument), f"not reached: {one.reason}")
        for one in recipe.unsafe
    ]
    findings += _calibrations(recipe)
    if not recipe.steps:
        findings.append(Finding("gap", "", "the journal has no steps of this recipe"))
    elif not ran:
        findings.append(Finding("gap", "", "no step has passed in this run"))
    word = verdict_of(recipe)
    if not is_good(word) and all(one.kind == "remark" for one in findings):
        findings.append(Finding("failure" if word in BAD else "gap", "", f"the recipe: {word}"))
    simulated = simulated_in(recipe.opened.values())
    replay = recipe.is_replay
    return Ruling(tuple(findings), ran, skipped, simulated, replay, _is_conditional(recipe))


def _is_conditional(recipe: "RecipeRecord") -> bool:
    blocks = (step.block for step in recipe.steps.values())
    return any(
        one.decided == "conditional pass" and not one.allow_fail
        for block in blocks
        for one in measurements_of(block)
    )


def _calibrations(recipe: "RecipeRecord") -> "Iterator[Finding]":
    """Yield a gap for each real instrument out of calibration, a remark for one without a due."""
    for one in recipe.opened.values():
        if one.overdue:
            yield Finding("gap", "", f"instrument {one.instrument}: {one.overdue}")
        elif not one.due and not one.simulation:
            yield Finding("remark", "", f"instrument {one.instrument}: no calibration recorded")


def _of_the_run(run: "RunRecord", verification: "Verification") -> "Iterator[Finding]":
    if verification.flaws:
        more = len(verification.flaws) - 1
        others = f" (and {more} more)" if more else ""
        yield Finding("gap", "", f"the seal is broken: {verification.flaws[0]}{others}")
    elif verification.state in _UNFINISHED:
        yield Finding("gap", "", _UNFINISHED[verification.state])
    elif not verification.holds:
        yield Finding("gap", "", "the seal of the journal does not hold")
    if run.finished and run.finished.reason:
        yield Finding("remark", "", f"the session ended early: {run.finished.reason}")


def _of_step(run: "RunRecord", step: "StepRecord") -> "Iterator[Finding]":
    """Yield the findings of a step; only remarks if it passed, or was skipped by its `if`."""
    main = _main_finding(run, step)
    if main is not None:
        yield main
    if main is None or main.kind != "gap":
        yield from _remarks(step)
    if "line" not in step.about:
        yield Finding("gap", step.name, "the journal has no start of the recipe with this step")


def _main_finding(run: "RunRecord", step: "StepRecord") -> Finding | None:
    """Return the finding that decides about a step; None if it passed in this run."""
    name, state, ended = step.name, step.state, step.ended
    reason = f": {step.reason}" if step.reason else ""
    reported = run.tests.get(str(step.about.get("node")))
    if state in BAD or (reported is not None and reported.outcome in BAD):
        went_on = " (continue_on_error: the recipe went on)" * ("continue_on_error" in step.about)
        why = step.reason or (reported.reason if reported is not None else "") or "failed"
        return Finding("failure", name, f"{why}{went_on}")
    if state == "xfailed":
        why = reported.reason if reported is not None else ""
        expected = f"failed, as expected by xfail{f' ({why})' if why else ''}"
        return Finding("failure", name, f"{expected}{reason}")
    if ended is None or state == "interrupted":
        return Finding("gap", name, _unfinished(step) + reason)
    if ended.restored:
        return Finding("gap", name, f"restored from run {ended.restored}, did not run in this one")
    if state == "skipped":
        return _skipped(step, ended)
    if state not in _GOOD:
        is_named = state == "blocked" and step.reason.startswith(state)
        return Finding("gap", name, step.reason if is_named else f"{state}{reason}")
    return _unproven(step, ended)


def _unfinished(step: "StepRecord") -> str:
    if step.state == "interrupted":
        return "interrupted"
    return "not selected" if step.state == "not selected" else "did not run to its end"


def _skipped(step: "StepRecord", ended: "StepFinished") -> Finding:
    """Return the finding of a skipped step: a remark if its own `if` skipped it, else a gap.

    Only such a step meets what depends on it although its step code did not run. A fixture, a
    missing requirement or the step code itself can use the same words as reason.
    """
    block = step.block
    if block is not None and not block.time and ended.meets and step.reason.startswith(_IF):
        return Finding("remark", step.name, f"skipped by its {step.reason}")
    return Finding("gap", step.name, f"skipped{f': {step.reason}' if step.reason else ''}")


def _unproven(step: "StepRecord", ended: "StepFinished") -> Finding | None:
    """Return the reason why a step that pytest reports as passed has not proved it; else None."""
    block = step.block
    if ended.outcome != "passed":
        return Finding(
            "failure", step.name, f"reported as {step.state}, recorded as {ended.outcome}"
        )
    failed = sum(one in ("failed", "interrupted") for one in step.earlier)
    if failed > step.reruns:
        times = counted(len(step.earlier) + 1, "time")
        return Finding("failure", step.name, f"ran {times} in this run and did not pass each time")
    if block is None:
        return Finding("gap", step.name, "its results in the journal cannot be read")
    if block.elements == [] and block.step.checked_loop:
        return Finding("gap", step.name, f"{step.reason}, so nothing was checked")
    for one in measurements_of(block):
        if one.verdict != "pass" and not one.allow_fail:
            word = one.decided or _VERDICTS[one.verdict]
            return Finding("failure", step.name, f"{one.name} is {word}")
    for element in block.elements or ():
        if element.state != "passed":
            kind: Kind = "failure" if element.state == "failed" else "gap"
            label = element_label(element.index, element.item)
            why = f": {element.reason}" if element.reason else ""
            run = f" from run {element.restored}" if element.restored else ""
            return Finding(kind, step.name, f"element {label} {element.state}{run}{why}")
    return None


_VERDICTS: Final = {"fail": "out of its limits", "unset": "without a value"}


def _remarks(step: "StepRecord") -> "Iterator[Finding]":
    """Yield what a reader has to know of a step that has a result of this run."""
    block = step.block
    if block is None:
        return
    if step.reruns:
        yield Finding("remark", step.name, f"{rerun(step.reruns)} by a plugin of pytest")
    if block.elements == [] or block.step.by_hand:
        yield Finding("remark", step.name, step.reason)
    if step.state == "xpassed":
        yield Finding("remark", step.name, "passed, although xfail expects it to fail")
    yield from _attempts(step.name, "", block.step.attempt or 1, block.attempts or ())
    for element in block.elements or ():
        where = f"element {element_label(element.index, element.item)}: "
        yield from _attempts(step.name, where, element.attempt or 1, element.attempts or ())
    for text, names in _notable(block).items():
        verb = "is" if len(names) == 1 else "are"
        yield Finding("remark", step.name, f"{', '.join(names)} {verb} {text}")


def _notable(block: "Block") -> dict[str, list[str]]:
    """Return the names of measurements that a reader has to know of, by what is to say of them."""
    found: dict[str, list[str]] = {}
    for one in measurements_of(block):
        if one.verdict != "pass" and one.allow_fail:
            found.setdefault(f"{_VERDICTS[one.verdict]}, as allow_fail permits", []).append(
                one.name
            )
        elif one.verdict == "pass" and one.marginal:
            found.setdefault("marginal: near a limit", []).append(one.name)
        ratio = uncertainty_ratio(one.low, one.high, one.uncertainty or 0)
        if ratio is not None and ratio < LEAST_RATIO:
            text = f"judged by limits that are less than {LEAST_RATIO} times 2U apart"
            found.setdefault(text, []).append(one.name)
    return found


def _attempts(
    step: str, where: str, number: int, attempts: "Sequence[Attempt]"
) -> "Iterator[Finding]":
    """Yield one remark on the attempts before the last one."""
    if number < 2 and not attempts:
        return
    failed = "; ".join(f"attempt {one.attempt}: {one.reason}" for one in attempts)
    text = f"{where}{counted(number, 'attempt')}{f' ({failed})' if failed else ''}"
    yield Finding("remark", step, text)
