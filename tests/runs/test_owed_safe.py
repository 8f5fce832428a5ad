"""Safe states that killed runs owe, until a later run has made the instruments safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_orchestrator.core.events import InstrumentOpened, InstrumentSafe
from pytest_orchestrator.runs.owed_safe import OwedSafe, owed_safe_states
from tests.runs.conftest import RECIPE, WrittenRun

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND, THIRD = (f"2026112{day}T101502Z-7f3a" for day in (5, 6, 7))
AT = "TCPIP::192.0.2.7::INSTR"
OWED = OwedSafe(FIRST, RECIPE, "psu", AT)


def using(base: Path, run: str, *names: str, has_safe_state: bool = True) -> WrittenRun:
    """Start a run that uses instruments."""
    past = WrittenRun(base, run)
    for name in names:
        past.add(
            InstrumentOpened(
                recipe=RECIPE, instrument=name, resource=AT, has_safe_state=has_safe_state
            )
        )
    return past


def safe(past: WrittenRun, name: str = "psu", reason: str = "", run: str = "") -> None:
    past.add(InstrumentSafe(recipe=RECIPE, instrument=name, reason=reason, run=run))


def test_the_instruments_of_a_killed_run_are_not_safe(
    tmp_path: Path,
) -> None:
    past = using(tmp_path, FIRST, "psu", "load")
    safe(past, "load")
    past.killed()

    assert owed_safe_states(tmp_path) == [OWED]


def test_an_orderly_end_and_an_instrument_without_safe_state_owe_nothing(tmp_path: Path) -> None:
    past = using(tmp_path, FIRST, "psu")
    safe(past, reason="psu: no answer")
    past.seal(1)
    using(tmp_path, SECOND, "meter", has_safe_state=False).killed()

    assert owed_safe_states(tmp_path) == []


def test_a_debt_is_paid_by_the_run_that_says_so(tmp_path: Path) -> None:
    using(tmp_path, FIRST, "psu").killed()
    failed = WrittenRun(tmp_path, SECOND)
    safe(failed, reason="psu: no answer", run=FIRST)
    failed.seal(1)
    assert owed_safe_states(tmp_path) == [OWED]

    paid = WrittenRun(tmp_path, THIRD)
    safe(paid, run=FIRST)
    paid.seal()
    assert owed_safe_states(tmp_path) == []


def test_a_later_run_that_made_the_instrument_safe_settles_a_debt(tmp_path: Path) -> None:
    using(tmp_path, FIRST, "psu").killed()
    later = using(tmp_path, SECOND, "psu")
    safe(later)
    later.seal()

    assert owed_safe_states(tmp_path) == [OWED._replace(settled_by=SECOND)]
