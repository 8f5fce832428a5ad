"""Verdicts and states: their words, signs, styles and order, and what became of a recipe or a run.

A step, a recipe and a run have words of one enumeration. All views ask `of_steps` for the verdict
of a recipe and `of_run` for that of a run, so no view has a verdict of its own.

A failed step makes a recipe ``failed``. If nothing failed but a step ran longer than its timeout,
the word is ``timeout``; if nothing failed but a fixture, a collection, a safe state or pytest
itself, ``error``. A session that was stopped is ``interrupted``: an operator's Ctrl-C is no failed
unit. A recipe is ``blocked`` if a cause outside of it kept a step from running.
"""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias, cast

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import InstrumentSafe
    from pytest_orchestrator.core.json_values import Json

_Ran: TypeAlias = Literal["passed", "conditional pass", "by hand", "failed", "timeout", "error"]
_Cut: TypeAlias = Literal["interrupted", "blocked", "skipped", "not run", "empty"]
Word: TypeAlias = Literal[_Ran, _Cut, "running", "damaged"]
"""A verdict; ``running`` and ``damaged`` are states of a journal."""

Sense: TypeAlias = Literal["good", "bad", "cut", "expected", "left out", "open", "flag"]


class State(NamedTuple):
    """Sign, style and colour of a state, and how it counts.

    Attributes:
        sign: Character before the word, for readers who do not see the colour.
        look: Style: passed, failed, blocked, running, skipped or waiting.
        sense: ``good``; ``bad``; ``cut`` off from outside; ``expected`` by `xfail`; ``left out``,
            since it did not run; ``open``, since it has not ended; or ``flag`` of another state.
        terminal: Colour of the word in a terminal; empty for that of other text.
        rank: Place among the verdicts, 0 for the worst; -1 for a state that is no verdict.
    """

    sign: str
    look: str
    sense: Sense
    terminal: str = ""
    rank: int = -1


STATES: Final = {
    "passed": State("✔", "passed", "good", "green", 10),
    "conditional pass": State("◐", "passed", "good", "yellow", 9),
    "by hand": State("✎", "blocked", "bad", "yellow", 8),
    "failed": State("✘", "failed", "bad", "red", 1),
    "timeout": State("◷", "failed", "bad", "red", 2),
    "error": State("‼", "failed", "bad", "red", 3),
    "damaged": State("!", "failed", "bad", rank=0),
    "interrupted": State("!", "blocked", "cut", "yellow", 5),
    "blocked": State("⊘", "blocked", "left out", "yellow", 6),
    "marginal": State("≈", "blocked", "flag", "yellow"),
    "running": State("▶", "running", "open", rank=4),
    "retrying": State("↻", "running", "open"),
    "locked": State("◔", "running", "open"),
    "asks": State("?", "running", "open"),
    "xfailed": State("⊖", "skipped", "expected", "yellow"),
    "xpassed": State("✔", "passed", "expected", "yellow"),
    "restored": State("⇤", "passed", "good"),
    "skipped": State("○", "skipped", "left out", "yellow", 11),
    "not run": State("□", "waiting", "left out", "yellow", 7),
    "not selected": State("·", "waiting", "left out"),
    "waiting": State("·", "waiting", "open"),
    "empty": State("·", "waiting", "left out", rank=12),
}
"""All words of states, verdicts and flags."""

UNKNOWN: Final = State("·", "waiting", "flag")
"""State of a word that is not in the table."""

BAD: Final = frozenset(word for word, one in STATES.items() if one.sense == "bad")
"""States of a step that make its recipe fail."""

NOT_GOOD: Final = BAD | {word for word, one in STATES.items() if one.sense == "cut"}
"""Words of steps that ran and did not pass."""

_BY_RANK: Final = sorted(STATES, key=lambda word: STATES[word].rank)

URGENT: Final = tuple(word for word in _BY_RANK if word in NOT_GOOD)
"""The same words, the worst first."""

NOTABLE: Final = tuple(one for one in _BY_RANK if 0 <= STATES[one].rank < STATES["passed"].rank)
"""Verdicts that a reader has to look at, the worst first."""

_GIVES: Final[dict[str, Word]] = {
    **dict.fromkeys(("restored", "xfailed", "xpassed"), "passed"),
    **dict.fromkeys(("locked", "retrying", "asks"), "running"),
}
"""Verdict that a state gives its recipe, if it has another word."""

_EXCUSED: Final = NOT_GOOD | {"xfailed", "not run"}

NAMED: Final = _EXCUSED | {"blocked"}
"""States of steps whose names and reasons `of_steps` needs; of others the state is enough."""


def word_of(state: str, kind: str) -> str:
    """Return the word that reports show for the state of a step.

    Args:
        state: Its state.
        kind: Kind of its failure; empty without one.

    Returns:
        ``timeout`` for a failed step that ran longer than its timeout, else the state.
    """
    return "timeout" if state == "failed" and kind == "timeout" else state


class Countable(Protocol):
    """Step or sampled value as far as its count needs it: its word, and if it is sampled."""

    @property
    def word(self) -> str:
        """The word that reports show for its state."""

    @property
    def sampled(self) -> object:
        """True for a sampled value; of a step any false value."""


def counts(steps: Iterable[Countable], *, sampled: bool = False) -> Counter[str]:
    """Return the number of steps by word, as all views show it, the worst first.

    A step is one, however many elements its loop has; with a matrix each cell is one. Sampled
    values are no steps, and steps that were not selected do not count.

    Args:
        steps: The steps and sampled values of a recipe, or of a run.
        sampled: True to count the sampled values instead.
    """
    found = Counter(one.word for one in steps if bool(one.sampled) is sampled)
    return Counter({one: found[one] for one in sorted(found, key=rank) if one != "not selected"})


def count_fields(steps: Iterable[Countable]) -> "dict[str, Json]":
    """Return the numbers of steps, and of sampled values if there are any, for summaries."""
    found = [*steps]
    fields: dict[str, Json] = {"steps": {**counts(found)}}
    if values := counts(found, sampled=True):
        fields["sampled"] = {**values}
    return fields


def safe_state(instrument: str) -> str:
    """Return the name under which reports list the safe state of an instrument."""
    return f"{instrument} (safe state)"


class Outcome(NamedTuple):
    """State of a step or of a safe state, as far as a verdict needs it.

    Attributes:
        name: Name of the step.
        state: Its state.
        kind: Kind of its failure; empty without one.
        blocked_by: Name of the step that blocks it; empty if none does.
        reason: Reason why it did not pass; may be empty.
        by_hand: True if it was skipped, or the Context set, at a prompt: the recipe is then at
            best ``by hand``.
    """

    name: str
    state: str
    kind: str = ""
    blocked_by: str = ""
    reason: str = ""
    by_hand: bool = False


def unsafe(ends: "Iterable[InstrumentSafe]") -> list[Outcome]:
    """Return the safe states that were not reached, as outcomes of their recipe."""
    return [Outcome(safe_state(one.instrument), "error", reason=one.reason) for one in ends]


def unsafe_fields(ends: "Iterable[InstrumentSafe]") -> "dict[str, Json]":
    """Return the reasons why safe states were not reached, for summaries; empty without any."""
    reasons: dict[str, Json] = {one.instrument: one.reason for one in ends}
    return {"unsafe": reasons} if reasons else {}


def of_steps(outcomes: Iterable[Outcome]) -> Word:
    """Return the verdict of a recipe: the worst that one of its steps gives it.

    A blocked step gives none if a step of the recipe blocks it that has a verdict of its own.

    Args:
        outcomes: Its steps, without those that were not selected or not reached, and its safe
            states that were not reached.
    """
    steps = [*outcomes]
    excused = {one.name for one in steps if one.state in _EXCUSED}
    words = {
        word_of(one.state, one.kind)
        for one in steps
        if (one.state != "blocked" or one.blocked_by not in excused)
        and not (one.by_hand and one.state == "not run")
    }
    words |= {"by hand" for one in steps if one.by_hand}
    return worst(map(_given_by, words))


def of_run(recipes: Iterable[Word], tests: Iterable[str], more: Iterable[Word] = ()) -> Word:
    """Return the verdict of a run.

    Args:
        recipes: The verdicts of its recipes.
        tests: The outcomes of its hand-written tests.
        more: What else became of it: ``error``, ``interrupted`` or ``failed``.
    """
    return worst([*recipes, *map(_given_by, tests), *more])


def _given_by(state: str) -> Word:
    """Return the verdict that a state gives alone; a state without one is an error."""
    found = _GIVES.get(state, state)
    return cast("Word", found) if STATES.get(found, UNKNOWN).rank >= 0 else "error"


def worst(words: Iterable[Word]) -> Word:
    """Return the worst of several verdicts; if only a part did not run, it was interrupted."""
    found = {*words} - {"empty"}
    if "not run" in found and len(found) > 1:
        found.add("interrupted")
    return min(found, key=rank, default="empty")


def rank(word: str) -> int:
    """Return the place of a word in lists: the verdicts, the worst first, and then other states."""
    place = STATES.get(word, UNKNOWN).rank
    return place if place >= 0 else len(STATES)


def is_good(word: str) -> bool:
    """Return True if a verdict counts as passed."""
    return STATES.get(word, UNKNOWN).sense == "good"
