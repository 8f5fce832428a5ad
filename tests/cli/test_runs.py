"""`pytest-orchestrator runs`."""

import json
from typing import Any, cast

import pytest

from pytest_orchestrator.cli.verbs.runs import shortest
from pytest_orchestrator.core.events import ElementFinished, QuestionAsked
from pytest_orchestrator.runs.block import Answered, Element, plain
from tests.cli.conftest import Project
from tests.runs.built import RECIPE, Runs


def four_runs(runs: Runs) -> list[str]:
    good = runs.new(test_meta={"dut": {"serial_number": "A17"}}).begin("flash", "burn_in")
    folders = [good.step("flash").step("burn_in", seconds=2.5).seal()]
    bad = runs.new().begin("flash", "burn_in").step("flash", "failed", reason="no link")
    bad.finish("burn_in", "blocked", blocked_by=f"{RECIPE}::flash")
    folders.append(bad.seal(1))
    cut = runs.new().begin("flash", "burn_in")
    cut.start("flash")
    folders.append(cut.cut())
    changed = runs.new().begin("flash").step("flash").seal()
    path = changed / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"passed"', b'"failed"', 1))
    return [path.name for path in [*folders, changed]]


def test_runs_are_listed_newest_first(project: Project, runs: Runs) -> None:
    good, bad, cut, changed = four_runs(runs)

    lines = project.call("runs").out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["run", "verdict", "start"],
        [changed, "damaged", "2026-11-18"],
        [cut, "interrupted", "2026-11-18"],
        [bad, "failed", "2026-11-18"],
        [good, "passed", "2026-11-18"],
    ]
    assert lines[2].endswith("  1 interrupted, 1 not run  recipes/psu.yaml  -")
    assert lines[3].endswith("  1 failed, 1 blocked       recipes/psu.yaml  -")
    assert lines[4].endswith("      8.0  2 passed                  recipes/psu.yaml  A17")


def test_a_list_of_runs_fits_into_a_terminal_of_80_columns(
    project: Project, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad, cut, changed = four_runs(runs)
    listed = project.call("runs", "--json").out
    monkeypatch.setenv("COLUMNS", "80")

    assert project.call("runs").out == (
        "run               verdict      seconds  steps               recipes          dut\n"
        f"{changed[:16]}  damaged          2.0  1 interrupted       …/psu.yaml       -\n"
        f"{cut[:16]}  interrupted    ≥ 2.0  1 interrupted, 1…   …/psu.yaml       -\n"
        f"{bad[:16]}  failed           7.0  1 failed, 1 block…  …/psu.yaml       -\n"
        f"{good[:16]}  passed           8.0  2 passed            …/psu.yaml       A17\n"
        "left out: start (--wide shows all)\n"
    )
    assert project.call("runs", "--json").out == listed
    wide = project.call("runs", "--wide").out
    monkeypatch.delenv("COLUMNS")
    assert project.call("runs").out == wide
    assert max(map(len, wide.splitlines())) > 100


def test_ids_of_one_second_are_cut_where_they_differ() -> None:
    start = "20261125T203249Z"
    assert [
        shortest(f"{start}-bench-2-{end}", [f"{start}-bench-2-{one}" for one in ("a1b2", "a1c2")])
        for end in ("a1b2", "a1c2")
    ] == [f"{start}-bench-2-a1b", f"{start}-bench-2-a1c"]
    assert shortest(f"{start}-a1b2", [f"{start}-a1b2", "20261125T203250Z-a1b2"]) == start


def test_reasons_are_broken_into_lines_at_a_terminal(
    project: Project, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "measure_the_ripple_at_full_load_in_the_climate_chamber"
    reason = "ripple = 61.4 mV, high 50 mV (over by 11.4 mV, 22.8 %)"
    run = runs.new().begin(name).step(name, "failed", reason=reason).seal(1).name
    monkeypatch.setenv("COLUMNS", "80")

    assert project.call("runs", "show", run).out == (
        f"{run}: failed, 2026-11-18 11:07:40Z, 5.0 s\n"
        "\n"
        "recipes/psu.yaml\n"
        "  step                      state   seconds  peak MB  reason\n"
        "  measure_the_ripple_at_f…  failed     1.00     50.0  ripple = 61.4 mV, high 50\n"
        "                                                      mV (over by 11.4 mV, 22.8\n"
        "                                                      %)\n"
        "\n"
        f"context 0 keys   .orchestrator/runs/{run}\n"
    )
    assert reason in project.call("runs", "show", run, "--wide").out


def test_a_run_that_failed_and_was_killed_shows_both(project: Project, runs: Runs) -> None:
    built = runs.new().begin("flash", "burn_in").step("flash", "failed", reason="no link")
    built.start("burn_in")
    run = built.cut().name

    assert project.call("runs", "show", run).out.startswith(f"{run}: failed, interrupted, 2026")
    assert "failed, interrupted  2026" in project.call("runs").out


def test_runs_are_listed_as_json(project: Project, runs: Runs) -> None:
    good, *_ = four_runs(runs)
    listed = json.loads(project.call("runs", "--json").out)

    assert listed["folder"] == str(runs.base)
    assert listed["runs"][-1] == {
        "id": good,
        "state": "finished",
        "verdict": "passed",
        "start": "2026-11-18T11:07:40.000000Z",
        "seconds": 8.0,
        "recipes": [{"recipe": RECIPE, "verdict": "passed", "steps": {"passed": 2}}],
        "steps": {"passed": 2},
        "tests": {"passed": 2},
        "exit_status": 0,
        "dut": "A17",
    }


def test_empty_list_of_runs_is_no_error(project: Project) -> None:
    assert project.call("runs") == (0, f"no run in {project.path}/.orchestrator/runs\n", "")
    project.write("pytest.ini", "[pytest]\nrecipe_run_dir = out\n")
    assert project.call("runs").out == f"no run in {project.path}/out\n"


@pytest.mark.parametrize(("value", "what"), [("", "is"), ("..", "contains")])
def test_a_folder_of_the_runs_that_is_no_folder_of_its_own_is_an_error(
    project: Project, value: str, what: str
) -> None:
    project.write("pytest.ini", f"[pytest]\nrecipe_run_dir = {value}\n")

    said = f"ini key recipe_run_dir: {value!r} {what} the rootdir; write a folder of its own"
    cure = "for the runs, such as .orchestrator/runs"
    done = project.call("runs")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1] == f"pytest-orchestrator runs: error: {said} {cure}"


def test_unreadable_run_does_not_hide_other_runs(project: Project, runs: Runs) -> None:
    (good,) = runs.history(1.0)
    (runs.base / "20991231T000000Z-0000").mkdir()
    (runs.base / "20991231T000001Z-0000").mkdir()
    (runs.base / "20991231T000001Z-0000" / "journal.jsonl").touch()
    lines = project.call("runs").out.splitlines()

    assert [line.split()[:3] for line in lines[1:]] == [
        ["20991231T000001Z-0000", "interrupted", "-"],
        ["20991231T000000Z-0000", "unreadable", "-"],
        [good.name, "passed", "2026-11-18"],
    ]
    assert project.call("runs", "--trend").code == 0
    done = project.call("verify", "20991231T000000Z")
    assert done == (1, "20991231T000000Z-0000: journal.jsonl: it is gone\n", "")


def test_runs_show_prints_the_steps_of_a_run(project: Project, runs: Runs) -> None:
    _, bad, *_ = four_runs(runs)
    done = project.call("runs", "show", bad)

    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"{bad}: failed, 2026-11-18 11:08:40Z, 7.0 s\n"
        "\n"
        "recipes/psu.yaml\n"
        "  step     state    seconds  peak MB  reason\n"
        "  flash    failed      1.00     50.0  no link\n"
        "  burn_in  blocked        -        -  recipes/psu.yaml::flash\n"
        "\n"
        f"context 0 keys   .orchestrator/runs/{bad}\n"
    )
    assert json.loads(project.call("runs", "show", bad, "--json").out)["rows"][1] == {
        "recipe": RECIPE,
        "step": "burn_in",
        "state": "blocked",
        "blocked_by": f"{RECIPE}::flash",
    }


def test_runs_show_marks_a_memory_peak_that_is_an_upper_bound(project: Project, runs: Runs) -> None:
    built = runs.new().begin("flash", "measure")
    built.step("flash", rss=9_031_680, memory="wait4, an upper bound")
    run = built.step("measure", memory="wait4").seal().name

    assert project.call("runs", "show", run).out.splitlines()[4:6] == [
        "  flash    passed     1.00    ≤ 9.0",
        "  measure  passed     1.00     50.0",
    ]
    first, _ = json.loads(project.call("runs", "show", run, "--json").out)["rows"]
    assert first["source"]["memory"] == "wait4, an upper bound"


def test_runs_show_counts_the_elements_of_a_loop(project: Project, runs: Runs) -> None:
    elements = [
        Element(index=index, item=index, state="failed" if index == 2 else "passed")
        for index in range(5)
    ]
    run = runs.new().begin("sweep").step("sweep", "failed", elements=elements).seal(1).name

    row = json.loads(project.call("runs", "show", run, "--json").out)["rows"][0]
    assert row["elements"] == {"count": 5, "failed": 1, "ended": 5}
    assert "failed (1 of 5 elements)" in project.call("runs", "show", run).out


def test_runs_show_names_who_was_asked_and_who_answered(project: Project, runs: Runs) -> None:
    built = runs.new().begin("label", "inspect", "probe")
    first = Answered(button="continue", who="ann", where="answers", when="2026-11-28T10:00:00Z")
    second = Answered(button="fail", who="bob", where="terminal", when="2026-11-28T10:00:00Z")
    built.step("label", answers=[first])
    built.step("inspect", "failed", reason="the LED is red", answers=[first, second, second])
    built.start("probe")
    built.add(QuestionAsked(recipe=built.recipe, step="probe", message="Is it\ngreen?"))
    run = built.folder.name

    label, inspect, probe = project.call("runs", "show", run).out.splitlines()[4:7]
    assert label.endswith("continue by ann (given before the run)")
    assert inspect.endswith(
        "the LED is red; continue by ann (given before the run), fail by bob (terminal)"
    )
    assert probe.startswith("  probe    asks ")
    assert probe.endswith("  asks: Is it green?")
    rows = json.loads(project.call("runs", "show", run, "--json").out)["rows"]
    assert rows[0]["answers"] == [plain(first)]
    assert rows[2]["asks"] == "Is it\ngreen?"


def test_runs_show_counts_the_ended_elements_of_an_interrupted_loop(
    project: Project, runs: Runs
) -> None:
    states = ["passed", "failed", "interrupted", "not run", "not run"]
    elements = [Element(index=at, item=at, state=cast("Any", one)) for at, one in enumerate(states)]
    built = runs.new().begin("sweep", "killed")
    built.step("sweep", "interrupted", elements=elements).start("killed", elements=10)
    for at in range(7):
        built.add(
            ElementFinished(
                recipe=RECIPE,
                step="killed",
                element=at,
                outcome="passed",
                block={"index": at, "item": at, "state": "passed"},
            )
        )
    shown = project.call("runs", "show", built.cut().name).out
    assert "interrupted (2 of 5 elements ended, 1 failed)" in shown
    assert "interrupted (7 of 10 elements ended)" in shown


def test_workers_are_shown_where_steps_ran_on_some(project: Project, runs: Runs) -> None:
    built = runs.new().begin("flash", "measure")
    built.step("flash", where={"worker": "bench-3", "host": "lab-a"}).step("measure")
    run = built.seal().name

    assert project.call("runs", "show", run).out.splitlines()[3:6] == [
        "  step     state   seconds  peak MB  worker            reason",
        "  flash    passed     1.00     50.0  bench-3 of lab-a",
        "  measure  passed     1.00     50.0  -",
    ]
    first, second = json.loads(project.call("runs", "show", run, "--json").out)["rows"]
    assert (first["worker"], first["host"]) == ("bench-3", "lab-a")
    assert "worker" not in second


def test_a_run_that_is_not_there_is_a_mistake(project: Project, runs: Runs) -> None:
    (only,) = runs.history(1.0)
    done = project.call("runs", "show", "2027")

    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"error: no run '2027'; the newest is {only.name}\n")


def test_runs_prune_deletes_the_oldest_runs(project: Project, runs: Runs) -> None:
    first, second, third = runs.history(1.0, 1.0, 1.0)

    assert project.call("runs", "prune", "--keep", "2", "--dry-run").out == (
        f"{first}\nwould delete 1 run, keeping the newest 2\n"
    )
    assert first.exists()
    assert project.call("runs", "prune", "--keep", "1").out == (
        f"{second}\n{first}\ndeleted 2 runs, keeping the newest 1\n"
    )
    assert [path.exists() for path in (first, second, third)] == [False, False, True]
    assert project.call("runs", "prune").out == "deleted 0 runs, keeping the newest 20\n"
    assert project.call("runs", "prune", "--keep", "0").code == 2
    project.write("pytest.ini", "[pytest]\nrecipe_keep_runs = all\n")
    assert project.call("runs", "prune").err.endswith(
        "error: ini key recipe_keep_runs: 'all' is no number of runs; write a number up to "
        "999999999, such as 20, or 0 to keep all\n"
    )


def test_the_history_before_a_day_is_deleted_except_of_runs_with_a_folder(
    project: Project, runs: Runs
) -> None:
    folders = runs.history(1.0, 2.0, 3.0)
    assert project.call("runs", "prune", "--keep", "1").code == 0
    assert len(project.call("runs", "--trend", "seconds").out.splitlines()) == 4 + 3
    history = runs.base.parent / "history"
    before = ("runs", "--prune-history", "--before")
    (history / "index-1.sqlite3").write_bytes(b"names of deleted units")

    assert project.call(*before, "2026-11-18").out == "deleted the history of 0 runs\n"
    done = project.call(*before, "2026-11-19")
    assert done.out == (
        "deleted the history of 2 runs\nkept that of 1 run whose folders exist (runs prune)\n"
    )
    assert json.loads(project.call(*before, "2026-11-19", "--json").out) == {
        "folder": str(history),
        "deleted": 0,
        "kept": 1,
    }
    assert [one.stem for one in history.rglob("*.*")] == [folders[2].name]


_NO_DATE = "'25.11.2026' is no date; write year, month and day, as in 2026-11-25"


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["--prune-history", "--before", "25.11.2026"], f"argument --before: {_NO_DATE}"),
        (["--prune-history"], "--prune-history needs --before DATE, as in --before 2026-11-25"),
        (["--before", "2026-11-25"], "--before belongs to --prune-history"),
    ],
)
def test_a_wrong_deletion_of_history_is_a_usage_error(
    project: Project, args: list[str], error: str
) -> None:
    done = project.call("runs", *args)

    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"error: {error}\n")


def test_trends_show_the_step_that_became_slow(project: Project, runs: Runs) -> None:
    last = ""
    for seconds in (1.0, 1.1, 0.9, 1.0, 3.5):
        built = runs.new().begin("flash", "burn_in").step("flash", measured={"ripple": 41.0})
        last = built.step("burn_in", seconds=seconds).seal().name

    assert project.call("runs", "--trend").out.splitlines() == [
        "recipe            step     figure   runs  median   spread  last",
        "recipes/psu.yaml  flash    seconds     5     1 s        0     1  ▁▁▁▁▁",
        "recipes/psu.yaml  flash    ripple      5   41 mV        0    41  ▁▁▁▁▁",
        "recipes/psu.yaml  burn_in  seconds     5   1.0 s  0.14826   3.5  ▁▂▁▁█  3.5 times",
    ]
    lines = project.call("runs", "--trend", "ripple").out.splitlines()
    assert (len(lines), lines[3]) == (9, "flash ripple, mV")
    assert lines[-1] == f"  {last}  41 mV"
    assert project.call("runs", "--trend", "riple").err.endswith(
        "error: no step and no measurement 'riple' in any run (did you mean 'ripple'?)\n"
    )
    (found,) = json.loads(project.call("runs", "--trend", "ripple", "--json").out)["trends"]
    assert (found["step"], found["unit"], found["drift"]) == ("flash", "mV", None)
