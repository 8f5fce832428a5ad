"""Untrusted run folders: no command opens a file outside of them or prints control characters."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.text import CONTROLS
from tests.cli.conftest import Project
from tests.reports.sample_run import psu_run
from tests.runs.built import Runs

CANARY = "CANARY-7f3a"
RUNS = ".orchestrator/runs"
RUN = f"{RUNS}/20261125T101502Z-7f3a"
SPY = """
import contextlib, os, sys
outside, name, *projects = sys.argv[1:]

def spy(event, args):
    if event.partition(".")[0] in ("open", "os", "shutil") and args:
        for each in args[:2]:
            if isinstance(each, (str, bytes, os.PathLike)):
                way = os.fsdecode(each)
                if event == "open":
                    way = os.path.realpath(way)
                else:  # of a link itself
                    way = os.path.join(os.path.realpath(os.path.dirname(way)), "it")
                if f"{way}/".startswith(f"{outside}/"):
                    print("SPY", event, os.fsdecode(each), file=sys.stderr)

sys.addaudithook(spy)
from pytest_orchestrator.cli.main import main
from pytest_orchestrator.reading import load_run

verbs = sys.stdin.read().splitlines()
for project in projects:
    os.chdir(project)
    for stream in (sys.stdout, sys.stderr):
        print(f"PROJECT {project}", file=stream)
    for line in verbs:
        with contextlib.suppress(SystemExit):
            main(line.split(" "))
    with contextlib.suppress(Exception):
        print(load_run(os.path.abspath(name)).samples)
"""


ODD = "\x1b[2J\x9b\u202e\x7f\r\nFORGED"
_UNCHANGED_KEYS = {
    "event",
    "ts",
    "op",
    "outcome",
    "verdict",
    "state",
    "kind",
    "start",
    "stop",
    "started",
}
_UNCHANGED_KEYS |= {"schema_version", "sha256", "status", "type"}


def odd(value: Any, key: str = "") -> Any:
    """Return a part of a journal with control characters in every text."""
    if isinstance(value, dict):
        return {name: odd(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [odd(one, key) for one in value]
    return f"{value}{ODD}" if isinstance(value, str) and key not in _UNCHANGED_KEYS else value


def with_path(value: Any, path: str, key: str = "") -> Any:
    """Return a part of a journal in which every path is replaced."""
    if isinstance(value, dict):
        return {name: with_path(one, path, name) for name, one in value.items()}
    if isinstance(value, list):
        return [with_path(one, path) for one in value]
    return path if key in ("path", "samples") and isinstance(value, str) else value


def rewritten(folder: Path, path: str, *, sealed: bool) -> None:
    """Rewrite the journal of a run with every path replaced."""
    write(folder, lambda event: with_path(event, path), path, sealed=sealed)


def write(folder: Path, new: Callable[[Any], Any], path: str, *, sealed: bool = True) -> None:
    """Rewrite a journal with valid hashes; `path` is the only file in its seal."""
    lines, before = [], "0" * 64
    for line in (folder / "journal.jsonl").read_text().splitlines():
        event = new(json.loads(line))
        del event["hash"]
        if event["event"] == "run_finished":
            if not sealed:
                break
            event["files"] = {path: [11, "0" * 64]}
        body = json.dumps(event, separators=(",", ":"))[:-1]
        before = sha256(f"{before}{body}".encode()).hexdigest()
        lines.append(f'{body},"hash":"{before}"}}\n')
    (folder / "journal.jsonl").write_text("".join(lines))


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with files that no run may reach."""
    folder = tmp_path_factory.mktemp("outside").resolve()
    text = f"version: 1\nsteps: [{{name: a, type: shell, cmd: echo {CANARY}}}]\n"
    (folder / "secret.yaml").write_text(text)
    sample = json.dumps({"seconds": 1.5, "rss": 1, "cpu_seconds": 0.5, "x": CANARY})
    (folder / "samples.jsonl").write_text(f"{sample}\n" * 3)
    (folder / "more.png").write_bytes(CANARY.encode())
    return folder


WAYS: dict[str, Callable[[Path, Path], str]] = {
    "up": lambda out, run: os.path.relpath(out / "secret.yaml", run),
    "samples": lambda out, run: os.path.relpath(out / "samples.jsonl", run),
    "more than up": lambda out, run: "../" * 40 + str(out / "more.png")[1:],
    "sources": lambda out, run: os.path.relpath(out / "secret.yaml", run / "sources"),
    "absolute": lambda out, run: str(out / "secret.yaml"),
    "new": lambda out, run: os.path.relpath(out / "new", run / "assets"),
    "link": lambda out, run: "link",
    "folder": lambda out, run: "ring/secret.yaml",
    "assets": lambda out, run: "recipes/ring/new.yaml",
    "pipe": lambda out, run: "pipe",
    "null": lambda out, run: "logs/\0",
    "nothing": lambda out, run: "",
    "long": lambda out, run: "x" * 5000,
    "surrogate": lambda out, run: "\ud800",
}


def hostile(project: Path, outside: Path, way: str, *, sealed: bool) -> None:
    """Write a project with a run whose journal and links lead outside of its folder."""
    folder = (project / RUN).resolve()
    psu_run(folder, png=b"png").seal()
    (project / "pytest.ini").write_text("[pytest]\n")
    (folder / "link").symlink_to(outside / "secret.yaml")
    (folder / "ring").symlink_to(outside)
    (folder / "assets").mkdir()
    (folder / "assets" / "ring").symlink_to(outside)
    (folder / "report.html").symlink_to(outside / "report.html")
    os.mkfifo(folder / "pipe")
    rewritten(folder, WAYS[way](outside, folder), sealed=sealed)


def by_project(output: str) -> dict[str, str]:
    """Return the output of the commands in each project, by its path."""
    parts = output.split("PROJECT ")[1:]
    return {path: text for path, _, text in (part.partition("\n") for part in parts)}


@pytest.mark.unmeasured
# One process runs all commands: each start of an interpreter would take as long as they take.
def test_no_command_opens_or_writes_a_file_outside_of_the_run_folder(
    tmp_path: Path, outside: Path
) -> None:
    projects = {
        str(tmp_path / f"{way}-{'ended' if sealed else 'killed'}"): (way, sealed)
        for way in WAYS
        for sealed in (True, False)
    }
    for project, (way, sealed) in projects.items():
        hostile(Path(project), outside, way, sealed=sealed)
    before = {one.name: one.read_bytes() for one in outside.iterdir()}
    verbs = ["report", "report -o page.html", "report --bundle out.zip", "verify", "runs"]
    verbs += ["runs show", "runs --trend", "compare latest latest", "ctx --run latest all"]
    verbs += ["graph psu_burn_in --run latest", "verify out.zip"]
    verbs += ["stats", "stats --html stats.html", "measurements -o m.csv", "runs --dut A17"]

    run = subprocess.run(
        [sys.executable, "-c", SPY, str(outside), RUN, *projects],
        input="\n".join(verbs),
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "100"},
        check=False,
    )

    assert run.returncode == 0, run.stderr
    shown, errors = by_project(run.stdout), by_project(run.stderr)
    assert [*shown] == [*errors] == [*projects]
    for project, case in projects.items():
        spied = [line for line in errors[project].splitlines() if line.startswith("SPY")]
        assert spied == [], case
        assert "Traceback" not in errors[project], case
        assert CANARY not in shown[project] + errors[project], case
        assert CANARY not in Path(project, "page.html").read_text(), case
        with zipfile.ZipFile(Path(project, "out.zip")) as bundle:
            assert [one for one in bundle.namelist() if CANARY.encode() in bundle.read(one)] == []
    assert {one.name: one.read_bytes() for one in outside.iterdir()} == before


def test_page_names_a_path_outside_of_the_run_folder_as_not_opened(
    project: Project,
) -> None:
    folder = project.path / RUNS / "20261125T101502Z-7f3a"
    psu_run(folder, png=b"png").seal()
    rewritten(folder, "../../../../../../etc/passwd", sealed=True)

    assert project.call("report").code == 0

    page = (folder / "report.html").read_text()
    assert (
        "<b>stderr</b> <code>../../../../../../etc/passwd</code>, "
        "not a file of this run, not opened"
    ) in page
    assert (
        "<li><code>../../../../../../etc/passwd</code>, not a file of this run, not opened"
    ) in page
    assert 'href="../' not in page
    assert "root:x:" not in page
    assert project.call("verify", "latest").out == (
        f"{folder.name}: ../../../../../../etc/passwd: it is no file of this run, not opened "
        "(and 5 more)\n"
    )


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
def test_control_characters_of_a_journal_are_escaped(
    project: Project, as_json: tuple[str, ...]
) -> None:
    name = "20261125T101502Z-7f3a"
    folder = project.path / RUNS / name
    psu_run(folder).seal()
    write(folder, odd, f"logs/{ODD}")
    recipe = f"recipes/psu_burn_in.yaml{ODD}"
    key = f"psu.ripple_mv{ODD}"
    bundle = ["report", "--bundle", "out.zip"], ["verify", "out.zip", *as_json]
    runs = ["runs", *as_json], ["runs", "show", name, *as_json], ["runs", "--trend", *as_json]
    context = ["ctx", "--run", name, *as_json, "full"], ["ctx", "--run", name, *as_json, "keys"]
    of_key = [["ctx", "--run", name, *as_json, "history", key]]
    graph = ["graph", recipe, "--run", name], ["graph", "no", "--run", name]
    many = ["stats", *as_json], ["measurements", "--json"], ["runs", "--dut", "no", *as_json]
    wrong = ["ctx", "--run", name, "get", "no"], ["ctx", "--run", name, "--recipe", "x", "full"]
    step = [["runs", "--trend", "x"]]
    verify, compare = ["verify", name, *as_json], ["compare", name, name, *as_json]

    shown = ""
    for words in (*bundle, *runs, *many, *context, *of_key, *graph, *wrong, *step, verify, compare):
        _, out, err = project.call(*words)
        shown += out + err
        assert set(out + err) & {chr(one) for one in CONTROLS} == set(), words
        assert not [line for line in (out + err).splitlines() if line.startswith("FORGED")], words
        if as_json and as_json[0] in words and not err:
            json.loads(out)
    assert "\\x1b[2J" in shown
    assert shown.count("FORGED") > 30


def test_context_text_is_escaped_only_at_a_terminal(
    project: Project, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.new().begin("a")
    run.change("a", "text", "one\x1b[2J\ntwo")
    name = run.step("a").seal().name

    assert project.call("ctx", "--run", name, "get", "text").out == "one\x1b[2J\ntwo\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert project.call("ctx", "--run", name, "get", "text").out == "one\\x1b[2J\ntwo\n"


def test_journal_that_is_a_symlink_is_not_exported(project: Project, tmp_path: Path) -> None:
    folder = project.path / RUNS / "20261125T101502Z-7f3a"
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_text(CANARY)
    (folder / "journal.jsonl").symlink_to(tmp_path / "secret")

    done = project.call("report", "--bundle", "out.zip")

    assert done.code == 2
    assert done.err.endswith("journal.jsonl: it is no file of this run, not opened\n")
    assert not (project.path / "out.zip").exists()


def test_bundle_has_no_recipe_outside_of_the_run_folder(project: Project, outside: Path) -> None:
    folder = project.path / RUNS / "20261125T101502Z-7f3a"
    run = psu_run(folder)
    uses = f"steps: [{{name: a, use: {outside / 'secret.yaml'}}}]\n"
    run.write("sources/recipes/psu_burn_in.yaml", f"version: 1\n{uses}".encode())
    run.seal()

    assert project.call("report", "--bundle", "out.zip").code == 0

    with zipfile.ZipFile(project.path / "out.zip") as bundle:
        assert not [name for name in bundle.namelist() if CANARY.encode() in bundle.read(name)]


def in_circle(value: Any) -> Any:
    """Return a part of a journal in which each step waits for all steps and for itself."""
    names = ["flash", "measure_ripple", "power_off", "burn_in"]
    if isinstance(value, dict):
        circle = {"needs": names, "after": names} if "needs" in value else {}
        return {name: in_circle(one) for name, one in value.items()} | circle
    return [in_circle(one) for one in value] if isinstance(value, list) else value


@pytest.mark.unmeasured
def test_commands_show_a_run_whose_steps_need_each_other(project: Project) -> None:
    name = "20261125T101502Z-7f3a"
    other = "20261125T101503Z-7f3b"
    for folder in (project.path / RUNS / other, project.path / RUNS / name):
        psu_run(folder).seal()
        write(folder, in_circle, "logs/x")
    commands = ["report", "report -o page.html", f"report --bundle out.zip {name}", "runs"]
    commands += [f"runs show {name}", "runs --trend", f"compare {name} {other}", "stats"]
    commands += [f"graph psu_burn_in --run {name}", f"graph psu_burn_in --run {name} -o g.dot"]
    commands += [f"graph psu_burn_in --run {name} -o g.svg", "stats --html stats.html"]
    commands += [f"graph psu_burn_in --run {name} --timeline -o t.svg", "measurements -o m.csv"]
    commands += [f"ctx --run {name} full", f"verify {name}", "report --certificate"]

    for command in commands:
        done = project.call(*command.split(" "))
        assert "Traceback" not in done.out + done.err, command
        assert done.code in (0, 1), (command, done)
    assert project.call("report").code == 0
    assert "measure_ripple" in (folder / "report.html").read_text()
