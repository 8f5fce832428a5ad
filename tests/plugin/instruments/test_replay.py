"""Replay: the exchanges of an earlier run answer for the instruments of a session."""

import hashlib
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.addons.evidence.bundle import write_bundle
from pytest_orchestrator.cli.main import main
from pytest_orchestrator.execution.locks import locks
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs.lookup import load_record
from tests.plugin.conftest import Project
from tests.plugin.instruments.conftest import HANG, Bench

STEPS = """
import hashlib

import pytest

from pytest_orchestrator.instrument import InstrumentError


def many(params, instrument):
    psu, total = instrument("psu"), 0.0
    for n in range(params["times"]):
        psu.write(f"VOLT {n / 10:.1f}")
        total += float(psu.query("MEAS:COUNT?"))
    return {"status": "ok", "total": total}


def polls(instrument):
    psu, times = instrument("psu"), 1
    while psu.query("POLL?") == "0":
        times += 1
    return {"status": "ok", "times": times, "last": psu.query("MEAS:COUNT?")}


def block(instrument):
    data = instrument("psu").query_block("CURV?")
    return {"status": "ok", "size": len(data), "digest": hashlib.sha256(data).hexdigest()}


def misuse(instrument):
    psu = instrument("psu")
    psu.write("NONSENSE")
    with pytest.raises(InstrumentError) as caught:
        psu.query("NEVER?")
    return {"status": "ok", "errors": psu.errors(), "kind": caught.value.kind}
"""
ONE_MB = bytes(range(256)) * 4096
REPLAY = "--recipe-instruments=replay:"


def step(function: str, more: str = "") -> str:
    return f"type: python, module: replayed, function: {function}, needs: []{more}"


def measured(name: str, **more: str) -> str:
    keys = {"value": f"result.{name}", **more}
    return f", measurements: {{{name}: {{{', '.join(f'{k}: {v}' for k, v in keys.items())}}}}}"


ALL = {
    "many": step("many", ", params: {times: 100}" + measured("total", low="0")),
    "polls": step("polls", measured("times", equals="4") + ', outputs: {p: "${{ result.last }}"}'),
    "block": step(
        "block", measured("size", equals="1048576") + ', outputs: {b: "${{ result.digest }}"}'
    ),
    "misuse": step("misuse", ', outputs: {e: "${{ result.errors }}", k: "${{ result.kind }}"}'),
    "scpi": "type: scpi, instrument: psu, needs: [misuse], commands: "
    '[OUTP ON, VOLT 3, {query: "MEAS:VOLT?", as: volts}]' + measured("volts", low="1", high="4"),
}


class Counter:
    """Answers that differ each time, each after some milliseconds."""

    def __init__(self) -> None:
        self.count, self.polled = 0, 0

    def counted(self) -> str:
        time.sleep(0.03)
        self.count += 1
        return str(self.count)

    def poll(self) -> str:
        self.polled += 1
        return str(int(self.polled > 3))


@pytest.fixture
def lab(bench: Bench) -> Bench:
    """A bench whose power supply also counts, answers a poll, sends a block and is silent."""
    counter, header = Counter(), f"#7{len(ONE_MB):07}".encode()
    bench.psu.answers |= {
        "MEAS:COUNT?": counter.counted,
        "POLL?": counter.poll,
        "CURV?": header + ONE_MB + b"\n",
        "NEVER?": None,
    }
    bench.project.write("replayed.py", STEPS)
    return bench


def newest(project: Project) -> Path:
    """Return the folder of the newest run."""
    return (project.path / ".orchestrator/runs/latest").resolve()


def journal(project: Project, at: int = -1) -> list[dict[str, Any]]:
    """Return the lines of the journal of a run, of the newest one unless another is named."""
    runs = sorted((project.path / ".orchestrator/runs").glob("*/journal.jsonl"))
    return [json.loads(line) for line in runs[at].read_text().splitlines()]


def exchanges(lines: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the exchanges of steps; the step that opens an instrument is the first of several."""
    names = "do", "command", "answer", "data", "error", "kind", "step", "attempt", "element"
    return [
        tuple(one.get(name) for name in names)
        for one in lines
        if one["event"] == "instrument_exchange"
        and one.get("step")
        and one.get("command", "*IDN?") != "*IDN?"
    ]


def verdicts(lines: list[dict[str, Any]]) -> list[Any]:
    """Return how steps ended, and what they have measured and written."""
    return [
        (one["step"], one["outcome"], block.get("measurements"), [w["new"] for w in writes])
        for one in lines
        if one["event"] == "step_finished"
        and (block := one["block"])
        and (writes := block["context"]["writes"]) is not None
    ]


def seconds(lines: list[dict[str, Any]], name: str) -> float:
    """Return the duration of a step."""
    [found] = [one for one in lines if one["event"] == "step_finished" and one["step"] == name]
    return float(found["block"]["time"]["seconds"])


@pytest.mark.counted
@pytest.mark.parametrize("options", [(), ("-n1",), ("--recipe-jobs=2",)], ids=str)
def test_a_run_replays_with_equal_verdicts_measurements_and_order(
    lab: Bench, options: tuple[str, ...]
) -> None:
    lab.project.recipe("a", ALL)
    lab.project.run(*options).assert_outcomes(passed=5)
    sent = lab.psu.texts
    (lab.project.path / "station.yaml").unlink()

    result = lab.project.run(f"{REPLAY}latest", *options)

    result.assert_outcomes(passed=5)
    assert lab.psu.texts == sent
    before, after = journal(lab.project, 0), journal(lab.project)
    assert len(exchanges(before)) > 200
    if "--recipe-jobs=2" in options:
        assert sorted(exchanges(before), key=str) == sorted(exchanges(after), key=str)
        assert sorted(verdicts(before), key=str) == sorted(verdicts(after), key=str)
    else:
        assert exchanges(before) == exchanges(after)
        assert verdicts(before) == verdicts(after)
    assert hashlib.sha256(ONE_MB).hexdigest() in str(verdicts(after))
    assert "Undefined" in str(verdicts(after))
    assert "timeout" in str(verdicts(after))


@pytest.mark.nightly  # a figure, which a loaded machine may miss
@pytest.mark.unmeasured
def test_two_hundred_commands_replay_in_a_tenth_of_their_time(lab: Bench) -> None:
    lab.project.recipe("a", {"many": ALL["many"]})
    lab.project.run().assert_outcomes(passed=1)

    lab.project.run(f"{REPLAY}latest").assert_outcomes(passed=1)

    before, after = (seconds(journal(lab.project, at), "many") for at in (0, -1))
    assert before > 3.0
    assert after < before / 10


def test_a_changed_command_fails_at_its_line_with_the_nearest_recorded_one(lab: Bench) -> None:
    lab.project.recipe("a", {"scpi": ALL["scpi"].replace("misuse", ""), "many": ALL["many"]})
    lab.project.run().assert_outcomes(passed=2)
    run = newest(lab.project).name
    lab.project.write("replayed.py", STEPS.replace("VOLT {n / 10:.1f}", "VOLT {n / 10:.2f}"))
    scpi = ALL["scpi"].replace("misuse", "").replace("MEAS:VOLT?", "MEAS:VOLT:DC?")
    lab.project.recipe("a", {"scpi": scpi, "many": ALL["many"]})

    result = lab.project.run(f"{REPLAY}latest")

    result.assert_outcomes(failed=2)
    # A copy of this line must not drive the bench.
    result.stdout.fnmatch_lines([f"rerun * {REPLAY}*{run} *::scpi"])
    changed = "psu: '{}' cannot be replayed from run {}: it was not recorded; the nearest recorded "
    changed += "command is '{}'"
    assert changed.format("MEAS:VOLT:DC?", run, "MEAS:VOLT?") in result.stdout.str()
    assert changed.format("VOLT 0.00", run, "VOLT 0.0") in result.stdout.str()
    result.stdout.fnmatch_lines(["recipes/a.yaml:2:*", "replayed.py:11:*"])
    folder = newest(lab.project)
    page = html(load_record(folder), folder)
    assert f"pytest {REPLAY}{run} recipes/a.yaml::scpi" in page


def test_a_bundle_replays_in_another_folder(lab: Bench, tmp_path: Path) -> None:
    lab.project.recipe("a", ALL)
    lab.project.run().assert_outcomes(passed=5)
    bundle = tmp_path / "sent.zip"
    write_bundle(newest(lab.project), load_record(newest(lab.project)), bundle)
    shutil.rmtree(lab.project.path / ".orchestrator")
    (lab.project.path / "recipes/a.yaml").unlink()
    lab.project.recipe("moved/b", ALL)
    (lab.project.path / "station.yaml").unlink()

    result = lab.project.run(f"{REPLAY}{bundle}", "recipes/moved/b.yaml")

    result.assert_outcomes(passed=5)


def test_a_masked_exchange_cannot_be_replayed(lab: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIN", "leak-0815")
    keys = "type: scpi, instrument: psu, check_errors: false, commands: ['PIN ${{ env.PIN }}']"
    lab.project.recipe("a", {"pin": keys}, head="secrets: [env.PIN]")
    lab.project.run().assert_outcomes(passed=1)

    result = lab.project.run(f"{REPLAY}latest")

    result.assert_outcomes(failed=1)
    assert "it has a secret, which the record masks" in result.stdout.str()


def test_a_replay_takes_no_lock_and_neither_makes_nor_pays_a_debt(lab: Bench) -> None:
    lab.project.recipe("a", {"scpi": ALL["scpi"].replace("misuse", "")})
    lab.project.run().assert_outcomes(passed=1)
    good = newest(lab.project).name
    lab.project.recipe("b", {"hang": HANG})
    killed = lab.kill("recipes/b.yaml")
    sent = [*lab.psu.texts]

    held = locks.acquire([lab.psu.resource], run="", step="another")
    assert held is not None
    result = lab.project.run(f"{REPLAY}{good}", "recipes/a.yaml")
    held.release()

    result.assert_outcomes(passed=1)
    assert lab.psu.texts == sent
    result.stdout.fnmatch_lines([f"*run {killed} *not sent with --recipe-instruments*"])
    lab.project.run("recipes/a.yaml").assert_outcomes(passed=1)
    assert lab.psu.texts[len(sent) :].count("OUTP OFF") == 2


def test_each_report_says_replay_and_figures_leave_it_out(
    lab: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.project.recipe("a", {"scpi": ALL["scpi"].replace("misuse", "")})
    lab.project.run().assert_outcomes(passed=1)
    run = newest(lab.project).name
    monkeypatch.chdir(lab.project.path)

    result = lab.project.run(f"{REPLAY}latest", "--junitxml=j.xml", "-o", "recipe_html=true")

    def said(*args: str) -> str:
        capsys.readouterr()
        assert main([*args]) == 0
        return capsys.readouterr().out

    result.assert_outcomes(passed=1)
    assert f"; REPLAY of run {run}, no instrument is used" in result.stdout.str()
    assert f"REPLAY, no instrument was used: run {run} has answered" in result.outlines
    assert f'<property name="replay" value="{run}"' in Path("j.xml").read_text()
    assert "REPLAY" in (newest(lab.project) / "report.html").read_text()
    assert f"replay {run}" in " ".join(said("runs", "show").split())
    assert json.loads(said("runs", "show", "--json"))["replay"] == run
    page = Path(said("report", "--certificate").strip()).read_text()
    assert re.findall(r"</span> ([A-Z ]+)</p>", page) == ["REPLAY"]
    statistics = json.loads(said("stats", "--json"))
    assert statistics["left_out"] == {"no serial number": 1, "replay": 1}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("rplay:latest", "'rplay:latest' should be replay:RUN or replay:BUNDLE"),
        ("replay:", "'replay:' should be replay:RUN or replay:BUNDLE"),
        ("replay:latest", "has no exchange with an instrument"),
        ("replay:bench.py", "bench.py is no bundle"),
    ],
)
def test_an_unusable_run_is_a_usage_error(lab: Bench, text: str, error: str) -> None:
    lab.project.recipe("a", {"on": "type: shell, cmd: 'true', parse: text"})
    lab.project.run().assert_outcomes(passed=1)

    result = lab.project.run(f"--recipe-instruments={text}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert error in result.stderr.str()


def test_a_serial_dialog_replays_at_another_port_with_its_timeout(project: Project) -> None:
    steps = {
        "login": "type: serial, port: '${{ vars.port }}', dialog: [{send: \"v1 12 V\\n\"}, "
        "{wait: 200ms}, {expect: 'v(?P<version>\\d)'}, {expect: '(?P<volts>\\d+) V'}]"
        + measured("version", equals="'1'"),
        "late": "type: serial, port: '${{ vars.port }}', needs: [], dialog: [{send: x}, "
        "{expect: '# ', within: 2s}]",
    }
    project.recipe("a", steps, head="vars: {port: 'loop://'}")
    first = project.run()
    first.assert_outcomes(passed=1, failed=1)

    replayed = project.run(f"{REPLAY}latest", "--recipe-var=port=/dev/ttyUSB7")

    replayed.assert_outcomes(passed=1, failed=1)
    assert exchanges(journal(project, 0)) == exchanges(journal(project))
    assert "no match for '# ' within 2 s; last received: 'x'" in replayed.stdout.str()
    assert seconds(journal(project), "late") < 1.0 < seconds(journal(project, 0), "late")


def test_a_changed_dialog_fails_at_its_line(project: Project) -> None:
    dialog = "type: serial, port: 'loop://', dialog: [{send: 'volts 12'}, {expect: '12'}]"
    project.recipe("a", {"a": dialog})
    project.run().assert_outcomes(passed=1)
    run = newest(project).name
    for change, words in (
        (
            ("volts 12", "volts 13"),
            (
                "'volts 13' cannot be replayed: it was not recorded in this "
                "step; the nearest recorded text is 'volts 12'"
            ),
        ),
        (
            ("expect: '12'", "expect: '14'"),
            "'14' cannot be replayed: it was not recorded in this step; last received: 'volts 12'",
        ),
    ):
        project.recipe("a", {"a": dialog.replace(*change)})
        result = project.run(f"{REPLAY}{run}")
        result.assert_outcomes(failed=1)
        assert words in result.stdout.str()
        result.stdout.fnmatch_lines(["recipes/a.yaml:2:*"])


def test_a_recorded_bench_is_a_simulation_in_which_the_recipe_passes(
    lab: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyvisa_sim")
    lab.project.recipe("a", {"scpi": ALL["scpi"].replace("misuse", "")})
    lab.project.run().assert_outcomes(passed=1)
    monkeypatch.chdir(lab.project.path)

    assert main(["instruments", "record", "latest", "-o", "bench.yaml"]) == 0

    said = f"bench.yaml: 1 instrument of run {newest(lab.project).name}\n"
    assert capsys.readouterr().out.endswith(said)
    station = Path("station.yaml").read_text()
    resource = f"resource: {lab.psu.resource}\n"
    simulated = f"{resource}    backend: bench.yaml@sim\n"
    Path("station.yaml").write_text(station.replace(resource, simulated))
    sent = [*lab.psu.texts]
    lab.project.run().assert_outcomes(passed=1)
    assert lab.psu.texts == sent


def test_a_run_without_instruments_cannot_be_recorded(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.recipe("a", {"a": "type: serial, port: 'loop://', dialog: [{send: x}]"})
    project.run().assert_outcomes(passed=1)
    monkeypatch.chdir(project.path)

    for run, error in (
        ("latest", "has used no instrument of a station file"),
        ("lastet", "no run"),
        ("pytest.ini", "pytest.ini is no bundle"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["instruments", "record", run])
        assert ended.value.code == 2
        assert error in capsys.readouterr().err
