"""Content of a certificate: identity, measurements, remarks, run, instruments, foot."""

from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.addons.certificate import view
from pytest_orchestrator.addons.certificate.view import Certificate
from pytest_orchestrator.core.events import InstrumentOpened, InstrumentSafe
from pytest_orchestrator.reports.head.meta import Row
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.verify import verify_folder
from tests.addons.certificate.recorded import ISSUE, RECIPE, Recorded, certificate

META = {
    "customer": "Müller & Söhne",
    "operator": "Ada",
    "dut": {"serial": "A17", "parts": [{"rev": "C2"}, {"rev": "B1"}], "boards": ["x", "y"]},
    "limits_document": "DOC-123 rev. B",
    "empty": "",
}


def texts(rows: list[Row]) -> dict[str, str]:
    return {
        row.label: " | ".join(f"{one.name} {one.text}".strip() for one in row.lines) for row in rows
    }


def test_all_of_test_meta_is_shown_and_nested_keys_keep_their_names(tmp_path: Path) -> None:
    run = Recorded(tmp_path / "run", test_meta=META)
    run.begin("a")
    run.step("a")
    run.info({"Order": "4711"}, {"Ticket": "https://mes.example/1", "Odd": "javascript:hit()"})
    made = certificate(run.seal())

    identity = texts(made.identity)
    assert identity.pop("Issued").endswith(" UTC")
    assert identity == {
        "Certificate": "run-1",
        "Unit under test": "serial A17 | parts[0].rev C2 | parts[1].rev B1 | boards x, y",
        "Test ID": "not recorded",
        "Operator": "Ada",
        "Station": "not recorded",
        "Limits document": "DOC-123 rev. B",
        "customer": "Müller & Söhne",
    }
    assert [(row.label, row.lines[0].href) for row in made.info] == [
        ("Order", ""),
        ("Ticket", "https://mes.example/1"),
        ("Odd", ""),
    ]


def test_rule_uncertainty_instrument_and_conditions_are_shown(tmp_path: Path) -> None:
    volts = {"value": 2.549, "unit": "V", "high": 2.55, "verdict": "pass", "line": 1}
    judged = {"uncertainty": 0.004, "rule": "nonbinary", "decided": "conditional pass"}
    warm = {"name": "room", "value": 23.4, "unit": "°C", "verdict": "pass", "ambient": True}
    run = Recorded(tmp_path / "run")
    run.begin("a")
    run.step("a", measurements=[{"name": "rail", "instrument": "psu"} | volts | judged, warm])
    made = certificate(run.seal())

    (rail, _) = made.measurements
    assert (rail.verdict, rail.uncertainty, rail.instrument) == ("conditional pass", "4 mV", "psu")
    rules = texts(made.rules)
    assert [*rules] == ["nonbinary", "U"]
    assert "(ILAC-G8:09/2019, 4.2.3)" in rules["nonbinary"]
    assert "k = 2" in rules["U"]
    assert texts(made.ambient) == {"room": "23.4 °C (step a)"}
    assert made.remarks == []
    assert made.title == "CONDITIONAL PASS"


@pytest.mark.parametrize(("u", "remarked"), [(0.0125, False), (0.0126, True)])
def test_an_uncertainty_that_is_large_for_its_limits_is_a_remark(
    tmp_path: Path, u: float, remarked: bool
) -> None:
    volts = {"name": "rail", "value": 2.5, "unit": "V", "low": 2.45, "high": 2.55, "line": 1}
    run = Recorded(tmp_path / "run")
    run.begin("a")
    run.step("a", measurements=[volts | {"verdict": "pass", "uncertainty": u}])

    made = certificate(run.seal())

    text = "rail is judged by limits that are less than 4 times 2U apart"
    assert [(one.steps, one.text) for one in made.remarks] == [("a", text)] * remarked
    assert made.title == "PASSED"


def test_measurements_of_steps_and_elements_are_rows_with_their_verdicts(tmp_path: Path) -> None:
    def one(name: str, verdict: str = "pass", **more: Any) -> dict[str, Any]:
        return {"name": name, "value": 5.0, "unit": "mV", "verdict": verdict, "line": 1} | more

    run = Recorded(tmp_path / "run")
    run.begin("a", "b", "c")
    ranged: dict[str, Any] = {"low": 0.0, "high": 20.0, "margin": 5.0}
    run.step("a", measurements=[one("x", **ranged), one("y"), one("z", marginal=True, **ranged)])
    elements = [
        {"index": 3, "item": 12.5, "state": "passed", "measurements": [one("e", high=9.0)]},
        {"index": 4, "item": "hot", "state": "passed", "measurements": [one("e", equals=5.0)]},
    ]
    run.step("b", elements=elements)
    lost = {"name": "gone", "unit": "V", "high": 1.0, "verdict": "unset"}
    bad = one("bad", "fail", high=4.0, margin=-1.0)
    run.step("c", "failed", measurements=[bad, bad | {"allow_fail": True}, lost])
    made = certificate(run.seal(1))

    rows = [
        (row.step, row.name, row.item, row.texts.margin, row.verdict, row.may_fail)
        for row in made.measurements
    ]
    assert rows == [
        ("a", "x", "", "50.0", "pass", False),
        ("a", "y", "", "", "recorded", False),
        ("a", "z", "", "50.0", "marginal", False),
        ("b", "e[3]", "12.5", "", "pass", False),
        ("b", "e[4]", "hot", "", "pass", False),
        ("c", "bad", "", "-25.0", "fail", False),
        ("c", "bad", "", "-25.0", "fail", True),
        ("c", "gone", "", "", "unset", False),
    ]
    assert [row.is_first for row in made.measurements] == [
        *(True, False, False, True, False, True, False, False)
    ]
    assert [(one.name, one.sign, one.look) for one in made.steps] == [
        ("a", "✔", "passed"),
        ("b", "✔", "passed"),
        ("c", "✘", "failed"),
    ]
    assert made.statement == (
        "2 of 3 steps passed; 4 of 7 measurements within limits, 1 recorded without limits."
    )
    assert [(one.steps, one.text) for one in made.remarks] == [
        ("a", "z is marginal: near a limit"),
        ("c", "bad is out of its limits, as allow_fail permits"),
    ]


def test_of_many_measurements_the_notable_ones_are_listed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(view, "_MOST_ROWS", 4)
    run = Recorded(tmp_path / "run")
    run.begin("a")
    names = [{"name": f"m{at}", "value": at, "high": 9.0, "verdict": "pass"} for at in range(9)]
    names[7] |= {"marginal": True}
    run.step("a", measurements=names)
    made = certificate(run.seal())

    assert [row.name for row in made.measurements] == ["m0", "m1", "m2", "m7"]
    assert made.left_out == 5
    assert "9 of 9 measurements" in made.statement


def test_remarks_name_attempts_reruns_xfail_and_conditions_of_equal_steps_together(
    tmp_path: Path,
) -> None:
    attempts = [{"attempt": 1, "kind": "exit_code", "reason": "exit code 1, expected 0"}]
    retried = {"attempt": 2}
    run = Recorded(tmp_path / "run", vars={"u": {"value": 24, "origin": "--recipe-var"}})
    run.begin("a", "b", "c", "d", "e")
    run.step("a", step=retried, attempts=attempts)
    run.step("b", step=retried, attempts=attempts)
    run.finish("c", "failed")
    run.step("c", step={"reruns": 1})
    run.finish("d")
    run.report("d", "xpassed")
    run.step("e", "skipped", step={"reason": "if: vars.u > 30"})
    made = certificate(run.seal(2, "Ctrl-C"))

    assert [(one.steps, one.text) for one in made.remarks] == [
        ("", "the session ended early: Ctrl-C"),
        ("a, b", "2 attempts (attempt 1: exit code 1, expected 0)"),
        ("c", "rerun by a plugin of pytest"),
        ("d", "passed, although xfail expects it to fail"),
        ("e", "skipped by its if: vars.u > 30"),
    ]
    assert made.title == "PASSED"
    assert made.statement == "4 of 5 steps passed, 1 was skipped by its own condition."
    assert texts(made.test) == {
        "Started": "2026-11-25 10:15:02 UTC",
        "Duration": "3.2 s",
        "Computer": "bench_3, user me",
        "Command": "pytest recipes -q",
        "Revision": "c0ffeec0ffee (main)",
        "Vars set for this run": "u = 24 (--recipe-var)",
        "Recipe": f"{RECIPE} | SHA-256 {'9b' * 32}",
    }


def test_instruments_of_the_recipe_are_listed_and_an_overdue_one_is_a_gap(
    tmp_path: Path,
) -> None:
    run = Recorded(tmp_path / "run")
    run.begin("a")
    run.step("a")
    folder = run.seal()
    record = lookup.load_record(folder)
    none = Certificate(record, record.recipes[RECIPE], verify_folder(folder), ISSUE).instruments
    record.recipes[RECIPE].opened["dmm"] = InstrumentOpened(
        recipe=RECIPE,
        instrument="dmm",
        resource="TCPIP::dmm",
        due="2026-11-01",
        overdue="its calibration was due on 2026-11-01",
    )
    made = Certificate(record, record.recipes[RECIPE], verify_folder(folder), ISSUE)

    assert none == []
    assert [one.name for one in made.instruments] == ["dmm"]
    assert (made.title, made.remarks) == ("NOT COMPLETE", [])
    assert [one.text for one in made.gaps] == [
        "instrument dmm: its calibration was due on 2026-11-01"
    ]


def test_head_and_foot_of_a_sheet_name_number_unit_and_seal_and_cannot_leave_their_strings(
    tmp_path: Path,
) -> None:
    hostile = 'A"}\\</style>\n@import'
    run = Recorded(tmp_path / "20261125T101502Z-7f3a", test_meta={"dut": hostile})
    run.begin("a")
    run.step("a")
    made = certificate(run.seal())
    cut = Recorded(tmp_path / "cut")
    cut.begin("a")

    assert set(made.footer + made.header) <= {
        *"\\ 0123456789abcdefABCDEFGHIJKLMNOPQRSTUVWXYZghijklmnopqrstuvwxyz"
    }
    assert made.seal[:12] in made.footer
    assert (made.number, made.replaces) == ("20261125T101502Z-7f3a-1", "")
    assert made.header.startswith(r"Certificate 20261125T101502Z\2d 7f3a\2d 1 \b7  A\22 ")
    assert "no seal" in certificate(cut.cut()).footer


def boxed(folder: Path, *, fails: bool = False, skips: bool = False, simulated: bool) -> list[str]:
    """Return the words of the box, the verdict first, then the simulated instruments."""
    run = Recorded(folder)
    run.begin("a", "b", unselected=("b",) if skips else ())
    simulation = "psu.yaml" if simulated else ""
    used: dict[str, Any] = {"recipe": RECIPE, "instrument": "psu"}
    run.add(InstrumentOpened(**used, resource="r", simulation=simulation))
    run.step("a")
    if not skips:
        run.step("b")
    run.add(InstrumentSafe(**used, reason="no answer" if fails else ""))
    run.seal()
    record = lookup.load_record(folder)
    made = Certificate(record, record.recipes[RECIPE], verify_folder(folder), ISSUE)
    return [made.title, *made.others, made.simulated]


def test_the_box_has_the_first_word_that_holds_and_names_the_others(tmp_path: Path) -> None:
    assert boxed(tmp_path / "1", simulated=False) == ["PASSED", ""]
    assert boxed(tmp_path / "2", simulated=True) == ["SIMULATED", "psu"]
    assert boxed(tmp_path / "3", skips=True, simulated=True) == [
        "NOT COMPLETE",
        "SIMULATED",
        "psu",
    ]
    assert boxed(tmp_path / "4", fails=True, skips=True, simulated=True) == [
        "FAILED",
        "NOT COMPLETE",
        "SIMULATED",
        "psu",
    ]


def test_a_safe_state_that_was_not_reached_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    boxed(tmp_path / "run", fails=True, simulated=False)
    record = lookup.load_record(tmp_path / "run")
    made = Certificate(record, record.recipes[RECIPE], verify_folder(tmp_path / "run"), ISSUE)

    assert [(one.steps, one.text) for one in made.failures] == [
        ("psu (safe state)", "not reached: no answer")
    ]


@pytest.mark.parametrize(
    ("checked", "title", "remarks", "gaps"),
    [
        (False, "PASSED", ["foreach: the list is empty"], []),
        (True, "NOT COMPLETE", [], ["foreach: the list is empty, so nothing was checked"]),
    ],
)
def test_a_loop_over_nothing_is_a_gap_if_it_should_have_checked_something(
    tmp_path: Path, checked: bool, title: str, remarks: list[str], gaps: list[str]
) -> None:
    run = Recorded(tmp_path / "run")
    run.begin("a", "loop")
    run.step("a")
    step = {"reason": "foreach: the list is empty"} | ({"checked_loop": True} if checked else {})
    run.step("loop", elements=[], step=step)
    folder = run.seal()
    record = lookup.load_record(folder)
    made = Certificate(record, record.recipes[RECIPE], verify_folder(folder), ISSUE)

    assert made.title == title
    assert [one.text for one in made.remarks] == remarks
    assert [one.text for one in made.gaps] == gaps
