"""Law: a certificate says PASSED exactly if each step did, in a run whose seal holds."""

import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from tests.addons.certificate.recorded import BAD, GOOD, Recorded, certificate

ENDS = ("sealed", "killed", "line changed", "line removed", "file changed", "file added", "torn")
_SKIPPED = "skipped by its if"


def ended(run: Recorded, end: str) -> Path:
    """End a run in one of the ways of `ENDS` and return its folder."""
    path = run.folder / "logs" / "a.stdout"
    path.parent.mkdir()
    path.write_text("out\n")
    if end == "killed":
        return run.cut()
    folder = run.seal()
    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    if end == "line changed":
        lines[-2] = lines[-2].replace(b"psu", b"PSU", 1)
    elif end == "line removed":
        del lines[-2]
    elif end == "torn":
        lines[-1] = lines[-1][:-5]
    elif end == "file changed":
        path.write_text("OUT\n")
    elif end == "file added":
        path.with_name("b.stdout").write_text("")
    journal.write_bytes(b"".join(lines))
    return folder


@given(
    good=st.lists(st.sampled_from(sorted(GOOD)), min_size=1, max_size=4),
    bad=st.lists(st.sampled_from(sorted(BAD)), max_size=1),
    end=st.sampled_from(("sealed", "sealed", *ENDS)),
    at=st.integers(0, 3),
)
@example(good=["passed"], bad=[], end="sealed", at=0)
@example(good=["passed"], bad=["restored and reported"], end="sealed", at=0)
@example(good=["passed"], bad=["skipped by a fixture"], end="sealed", at=1)
@example(good=[_SKIPPED], bad=[], end="sealed", at=0)
@example(good=[], bad=[], end="sealed", at=0)
def test_a_certificate_says_passed_only_if_each_step_passed_and_the_seal_holds(
    good: list[str], bad: list[str], end: str, at: int
) -> None:
    ways = [*good[:at], *bad, *good[at:]]
    with tempfile.TemporaryDirectory() as place:
        run = Recorded(Path(place, "20261125T101502Z-7f3a"))
        run.begin(*(f"s{index}" for index, _ in enumerate(ways)))
        for index, way in enumerate(ways):
            (GOOD | BAD)[way](run, f"s{index}")
        made = certificate(ended(run, end))

    proved = end == "sealed" and not bad and any(way != _SKIPPED for way in good)
    assert (made.word == "passed") == proved
    assert made.title == ("PASSED" if proved else made.word.upper())
    assert proved == (not made.failures and not made.gaps)


def test_each_way_to_miss_a_pass_is_named_beside_its_step(tmp_path: Path) -> None:
    words = {}
    for number, way in enumerate(BAD):
        run = Recorded(tmp_path / str(number))
        run.begin("first", "it", it={"continue_on_error": True} if "went on" in way else {})
        run.step("first")
        BAD[way](run, "it")
        made = certificate(run.seal())
        (found,) = [*made.failures, *made.gaps]
        words[way] = (made.title, f"{found.steps}: {found.text}")

    old = "20261124T101502Z-7f3a"
    assert words == {
        "failed": ("FAILED", "it: failed"),
        "failed, and the recipe went on": (
            "FAILED",
            "it: failed (continue_on_error: the recipe went on)",
        ),
        "error in its teardown": ("FAILED", "it: failed"),
        "xfailed": ("FAILED", "it: failed, as expected by xfail"),
        "reported as passed, recorded as failed": (
            "FAILED",
            "it: reported as passed, recorded as failed",
        ),
        "failed in one of two workers": (
            "FAILED",
            "it: ran 2 times in this run and did not pass each time",
        ),
        "interrupted in one of two workers": (
            "FAILED",
            "it: ran 2 times in this run and did not pass each time",
        ),
        "skipped by a requirement": ("NOT COMPLETE", "it: skipped: requires: x"),
        "skipped by a fixture": ("NOT COMPLETE", "it: skipped: if: vars.on"),
        "skipped by its own code": ("NOT COMPLETE", "it: skipped: if: vars.on"),
        "skipped by the if of the recipe": ("NOT COMPLETE", "it: skipped: if of the recipe: x"),
        "blocked": ("NOT COMPLETE", "it: blocked"),
        "interrupted": ("NOT COMPLETE", "it: interrupted"),
        "not run": ("NOT COMPLETE", "it: not run"),
        "without any event": ("NOT COMPLETE", "it: not selected"),
        "without an end": (
            "NOT COMPLETE",
            "it: interrupted: pytest was killed, or the machine went down, while it ran",
        ),
        "started again without an end": ("NOT COMPLETE", "it: interrupted"),
        "restored": ("NOT COMPLETE", f"it: restored from run {old}, did not run in this one"),
        "restored and reported": (
            "NOT COMPLETE",
            f"it: restored from run {old}, did not run in this one",
        ),
        "restored as skipped": (
            "NOT COMPLETE",
            f"it: restored from run {old}, did not run in this one",
        ),
        "out of limits": ("FAILED", "it: u is out of its limits"),
        "without a value": ("FAILED", "it: u is without a value"),
        "with a restored element": ("NOT COMPLETE", "it: element [1] 2 restored"),
        "with a skipped element": ("NOT COMPLETE", "it: element [1] 2 skipped"),
        "with a failed element": ("FAILED", "it: element [1] 2 failed"),
        "with an element that did not run": ("NOT COMPLETE", "it: element [1] 2 not run"),
        "with a block of a later version": (
            "NOT COMPLETE",
            "it: its results in the journal cannot be read",
        ),
    }


def test_a_broken_seal_a_killed_run_and_a_missing_start_are_named(tmp_path: Path) -> None:
    words = {}
    for end in ENDS:
        run = Recorded(tmp_path / end.replace(" ", "_"))
        run.begin("it")
        run.step("it")
        made = certificate(ended(run, end))
        words[end] = [one.text for one in made.gaps]
    run = Recorded(tmp_path / "unlisted")
    run.step("it")
    unlisted = certificate(run.seal())

    assert words == {
        "sealed": [],
        "killed": ["the run was killed before its end, so its journal has no seal"],
        "line changed": ["the seal is broken: journal.jsonl:5: " + _flaw(tmp_path, "line_changed")],
        "line removed": ["the seal is broken: journal.jsonl:5: " + _flaw(tmp_path, "line_removed")],
        "file changed": ["the seal is broken: logs/a.stdout: it was changed"],
        "file added": ["the seal is broken: logs/b.stdout: it came after the run had ended"],
        "torn": ["the run was killed before its end, so its journal has no seal"],
    }
    assert [one.text for one in unlisted.gaps] == [
        "the journal has no start of the recipe with this step",
        "no step has passed in this run",
    ]


def _flaw(base: Path, run: str) -> str:
    from pytest_orchestrator.runs.verify import verify_folder

    return verify_folder(base / run).flaws[0].why
