"""Summary and verdict of a run, for lists and reports."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.core.events import InstrumentOpened, epoch_seconds
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import ByHand, is_conditional
from pytest_orchestrator.runs.block import marginal_count, measurements_of, plain
from pytest_orchestrator.runs.record import NOT_REACHED, RecipeRecord, RunRecord, StepRecord
from pytest_orchestrator.runs.units import by_unit, units_in
from pytest_orchestrator.runs.verdicts import (
    NAMED,
    NOT_GOOD,
    Outcome,
    Word,
    count_fields,
    of_run,
    of_steps,
    rank,
    unsafe,
    unsafe_fields,
)

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block

_HIDES: Final = ("restored", "xpassed")
"""Good states that say nothing about a conditional pass."""
_INTERRUPTED: Final = 2
_CRASHED: Final = (3, 4)
_NOTHING: Final = 5


def verdict(run: RunRecord, recipes: Iterable[Word] | None = None) -> Word:
    """Return the verdict of a run.

    Args:
        run: The run.
        recipes: The verdicts of its recipes, if the caller has them.

    Returns:
        The state of the journal, ``damaged`` or ``running``; else the worst of the verdicts of
        its recipes and tests, of ``error`` if a file could not be collected or pytest itself
        failed, of ``interrupted`` if the session was stopped, and of ``failed`` if its exit
        status is not 0 for another reason; ``empty`` if pytest ran nothing.
    """
    if run.state in ("damaged", "running"):
        return run.state
    if recipes is None:
        recipes = [verdict_of(recipe) for recipe in run.recipes.values()]
    tests = [test.outcome for test in run.tests.values() if test.step is None]
    status = run.finished.exit_status if run.finished else _INTERRUPTED
    more: list[Word] = []
    if run.uncollected or (status in _CRASHED and not _is_stopped(run)):
        more.append("error")
    elif _is_stopped(run):
        more.append("interrupted")
    word = of_run(recipes, tests, more)
    if status in (0, _NOTHING):
        return "passed" if word == "empty" and not status else word
    return word if word in NOT_GOOD else "failed"


def _is_stopped(run: RunRecord) -> bool:
    """Return True if a run was stopped from outside: by a signal, or by `pytest.exit`."""
    if run.finished is None or run.finished.exit_status == _INTERRUPTED:
        return True
    # With -x the session has a reason too, and a failure that is worse.
    return bool(run.finished.reason and run.finished.exit_status)


def interruption(run: RunRecord) -> str:
    """Return why a run was interrupted, such as ``Ctrl-C``, ``SIGTERM`` or ``killed``.

    Returns:
        The cause on one line; empty if the run reached its end, or no cause is known.
    """
    if run.state == "interrupted":
        return "killed"
    end = run.finished
    if end is None or run.uncollected or not end.exit_status:
        return ""
    if end.exit_status == _INTERRUPTED or (end.reason and verdict(run) == "interrupted"):
        cut = (step.reason for step in run.steps if step.state == "interrupted")
        return end.reason or next(cut, "")
    return ""


def verdict_of(recipe: RecipeRecord) -> Word:
    """Return the verdict of a recipe in a run; steps that were not selected do not count."""
    plain: set[str] = set()  # of 100,000 steps that passed, one is enough
    named: list[Outcome] = []
    for step in recipe.steps.values():
        if step.state in NAMED or _needs_block(step):
            named.append(_outcome(step))
        else:
            plain.add(step.state)
    states = (Outcome("", state) for state in plain - NOT_REACHED)
    return of_steps([*states, *named, *unsafe(recipe.unsafe)])


def outcomes(recipe: RecipeRecord) -> list[Outcome]:
    """Return what the verdict of a recipe is made of: its steps, and safe states not reached."""
    reached = (step for step in recipe.steps.values() if step.state not in NOT_REACHED)
    return [*map(_outcome, reached), *unsafe(recipe.unsafe)]


def cause_of(recipe: RecipeRecord) -> str:
    """Return the reason of the first step, or of the safe state, that did not pass; or empty."""
    bad = [one.reason for one in recipe.steps.values() if one.state in NOT_GOOD]
    return next(iter([*bad, *(one.reason for one in recipe.unsafe)]), "")


def _outcome(step: StepRecord) -> Outcome:
    """Return the state of a step; its block is read only if the state alone does not decide."""
    block = step.block if _needs_block(step) else None
    return Outcome(step.name, step.state) if block is None else outcome_of(block, step.state)


def _needs_block(step: StepRecord) -> bool:
    """Return True if the state of a step alone does not decide what it means for its recipe."""
    if step.state in ("failed", "blocked"):
        return True
    if step.state in NOT_REACHED or step.ended is None:
        return False
    return step.held or (step.state in _HIDES and step.may_have(b'"conditional pass"'))


def outcome_of(block: "Block", state: str) -> Outcome:
    """Return the outcome of a step; a conditional pass is one also if it is restored or xpassed.

    Args:
        block: The block of the step.
        state: Its state.
    """
    step = block.step
    by = (step.blocked_by or "").rpartition("::")[2]
    if state in _HIDES and is_conditional(measurements_of(block)):
        state = "conditional pass"
    return Outcome(step.name, state, step.kind or "", by, by_hand=step.is_by_hand)


def _counts(steps: Iterable[StepRecord]) -> dict[str, Json]:
    """Return the numbers of the steps and of the sampled values that were reached, by word."""
    return count_fields(step for step in steps if step.state not in NOT_REACHED)


def counts_shown(row: Mapping[str, Any]) -> dict[str, int]:
    """Return the numbers of a run that lists show: its steps by word, and its other errors.

    As for pytest, a sampled value that failed and a safe state that was not reached are errors.

    Args:
        row: The summary of the run.
    """
    errors = sum(len(one.get("unsafe", ())) for one in row["recipes"])
    errors += sum(number for word, number in row.get("sampled", {}).items() if word in NOT_GOOD)
    numbers = Counter(row["steps"]) + Counter(error=errors)
    return {word: numbers[word] for word in sorted(numbers, key=rank)}


def flaky(steps: Iterable[StepRecord]) -> list[StepRecord]:
    """Return the steps that passed only after a ``retry`` or a rerun by a plugin."""
    return [
        step for step in steps if step.state == "passed" and (step.attempt > 1 or step.reruns > 0)
    ]


def empty_loops(steps: Iterable[StepRecord]) -> list[StepRecord]:
    """Return the steps that passed because the list of their ``foreach`` had no element."""
    found = (step for step in steps if step.may_have(b'"elements":[]'))
    return [step for step in found if step.block and step.block.elements == []]


def simulated_in(opened: Iterable[InstrumentOpened]) -> tuple[str, ...]:
    """Return the names of the instruments that are simulated."""
    return tuple(dict.fromkeys(one.instrument for one in opened if one.simulation))


def seconds(run: RunRecord) -> float:
    """Return the duration of a run in seconds, from its first journal line to its last."""
    if not run.first or not run.last:
        return 0.0
    return max(epoch_seconds(run.last) - epoch_seconds(run.first), 0.0)


def summary(run: RunRecord, name: str = "") -> dict[str, Json]:
    """Return the summary of a run, as lists of runs show it.

    Args:
        run: The run.
        name: Id of the run, if its journal does not have its first event.

    Returns:
        Plain data; unknown values are absent.
    """
    words = [verdict_of(recipe) for recipe in run.recipes.values()]
    row: dict[str, Json] = {
        "id": run.id or name,
        "state": run.state,
        "verdict": verdict(run, words),
        "start": run.first,
        "seconds": round(seconds(run), 3),
        "recipes": [
            {
                "recipe": one.key,
                "verdict": word,
                **_counts(one.steps.values()),
                **_marginal(one.steps.values()),
                **unsafe_fields(one.unsafe),
                **_units(one),
                **({"remarks": [*remarks]} if (remarks := remarks_of(one)) else {}),
            }
            for one, word in zip(run.recipes.values(), words, strict=True)
        ],
        **_counts(run.steps),
        "tests": {**_tests(run)},
        **_marginal(run.steps),
    }
    if again := flaky(run.steps):
        row["flaky"] = [f"{step.recipe}::{step.name}" for step in again]
    if empty := empty_loops(run.steps):
        row["empty_loops"] = [f"{step.recipe}::{step.name}" for step in empty]
    if simulated := simulated_in(run.opened):
        row["simulated"] = [*simulated]
    if run.uncollected:
        row["uncollected"] = [one.path for one in run.uncollected]
    if cause := interruption(run):
        row["interruption"] = cause
    if run.finished:
        row["exit_status"] = run.finished.exit_status
    if run.started and run.started.resumed_from:
        row["resumed_from"] = run.started.resumed_from
    if run.started and run.started.replay:
        row["replay"] = run.started.replay
    if duts := list(dict.fromkeys(_duts(run))):
        row["dut"] = ", ".join(duts)
    return row


def remarks_of(recipe: RecipeRecord) -> tuple[str, ...]:
    """Return why a run of a recipe counts in no baseline, yield, chart or estimate.

    The words are ``replay``, and what people did at a prompt: ``set``, ``skip`` and ``redo``.
    """
    acts = dict.fromkeys(act for step in recipe.steps.values() for act in acts_before(step))
    return (*(("replay",) if recipe.is_replay else ()), *acts)


def acts_before(step: StepRecord) -> Sequence[ByHand]:
    """Return what a person did at a prompt before a step; few steps have a block that is read."""
    was_held = step.held or (step.state == "restored" and step.may_have(b'"by_hand"'))
    return (step.block and step.block.step.by_hand) or () if was_held else ()


def _units(recipe: RecipeRecord) -> dict[str, Json]:
    """Return the verdict of each unit of a recipe by its name; empty without units."""
    found: dict[str, Json] = {}
    for unit, serial in units_in(recipe).items():
        found[unit] = {"serial": serial, "verdict": "empty" if serial == "" else "not selected"}
    for one in by_unit([recipe]) if found else ():
        found[one.about["unit"]] = {**found[one.about["unit"]], "verdict": verdict_of(one)}  # type: ignore[dict-item]
    return {"units": found} if found else {}


def marginal(steps: Iterable[StepRecord]) -> int:
    """Return the number of measurements of steps that pass but are near a limit."""
    return sum(marginal_count(step.block) for step in steps if step.may_have(b'"marginal"'))


def _marginal(steps: Iterable[StepRecord]) -> dict[str, Json]:
    number = marginal(steps)
    return {"marginal": number} if number else {}


def step_row(step: StepRecord) -> dict[str, Json]:
    """Return the summary of a step, as lists of steps show it."""
    row: dict[str, Json] = {"recipe": step.recipe, "step": step.name, "state": step.state}
    if step.started:
        row |= {"start": step.start, "attempt": step.attempt}
    used = step.figures
    row |= {name: used[name] for name in ("seconds", "max_rss", "source") if name in used}
    row |= step.where
    about = step.outcome_fields
    row |= {name: about[name] for name in ("kind", "reason", "blocked_by") if name in about}
    elements = step.block_elements
    if elements:
        row["elements"] = _elements(step)
    if step.asked is not None:
        row["asks"] = step.asked.message
    if step.block and step.block.answers:
        row["answers"] = [plain(one) for one in step.block.answers]
    return row | _marginal([step])


def _elements(step: StepRecord) -> dict[str, Json]:
    """Return the number of elements of a step with ``foreach``: all, failed and ended ones."""
    elements = step.block_elements
    return {
        "count": max(len(elements), step.progress.total if step.progress else 0),
        "failed": sum(one.state == "failed" for one in elements),
        "ended": sum(one.state not in ("interrupted", "not run") for one in elements),
    }


def _tests(run: RunRecord) -> dict[str, int]:
    """Return the number of pytest items by outcome."""
    if run.finished and run.finished.counts:
        return run.finished.counts
    by_outcome: dict[str, int] = {}
    for test in run.tests.values():
        by_outcome[test.outcome] = by_outcome.get(test.outcome, 0) + 1
    return by_outcome


def _duts(run: RunRecord) -> Iterable[str]:
    """Yield the ``dut`` in ``test_meta`` of each recipe as text; join the values of a mapping."""
    for recipe in by_unit(run.recipes.values()):
        dut = recipe.test_meta.get("dut")
        if isinstance(dut, dict):
            yield " ".join(str(value) for value in dut.values())
        elif dut is not None:
            yield str(dut)
