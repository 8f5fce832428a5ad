"""A project of a user, with a few scriptlets, for pytest to be run in."""

import importlib
import json
import pkgutil
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from itertools import starmap, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import pytest_orchestrator
from pytest_orchestrator.reports import block as report_block
from pytest_orchestrator.reports.block_schema import Block
from tests.plugin import installed
from tests.plugin.under_dask import OTHERWISE, WANTED, XDIST, asks_for_xdist

if TYPE_CHECKING:
    from tests.plugin.lab import Lab

# pytester takes away what a run imported: each would import it anew,
# and libyaml does not come twice into a process.
for _each in pkgutil.walk_packages(pytest_orchestrator.__path__, "pytest_orchestrator."):
    if not _each.name.startswith("pytest_orchestrator.monitor"):  # its libraries may not be there
        importlib.import_module(_each.name)

_INSTALLED = installed.read_once(metadata.distributions)

_STEPS = '''
"""Scriptlets of the tests."""

from pathlib import Path


def _noted(name):
    with Path("ran.txt").open("a") as file:
        file.write(f"{name}\\n")


class Note:
    def run(self, ctx, params):
        return note(ctx, params)


def note(ctx, params):
    _noted(params["name"])
    ctx.set(f"done.{params['name']}", True)
    return {"status": "ok"}


def refuse(ctx, params):
    _noted(params["name"])
    return {"status": "off", "reason": "the bench is off"}


def pause(ctx, params):
    _noted(params["name"])
    return {"status": "skip", "reason": "nothing to do"}


def boom(ctx, params):
    _noted(params["name"])
    values = [1, 2, 3]
    assert values == [1, 2, 4], "the bench is off"
'''

# Its import alone takes four times as long as a whole run of a small recipe.
# Their pages cost some hundred sessions more than they tell, but for the tests of pages.
_ALWAYS = ("-p", "no:hypothesispytest", "-o", "recipe_html=false")
# Each session with it leaves a server and its thread behind in this process.
_UNLESS_RERUN = ("-p", "no:rerunfailures")
# A run in a process of its own, for tests that write to it, read from it or send it signals.
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:randomly", *_ALWAYS)


class Project:
    """A folder with recipes that pytest is started in."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.by_shell = False
        self.write("steps.py", _STEPS)
        self.ini()

    def write(self, name: str, text: str) -> Path:
        """Write a file; the indentation that all its lines share is no part of it."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    def script(self, name: str, text: str) -> Path:
        """Write a file that may be run."""
        path = self.write(name, text)
        path.chmod(0o755)
        return path

    def ini(self, *lines: str) -> None:
        """Write the settings of the project."""
        self.write("pytest.ini", "\n".join(["[pytest]", *lines]) + "\n")

    def recipe(
        self, name: str, steps: dict[str, str], final: dict[str, str] | None = None, head: str = ""
    ) -> str:
        """Write a recipe, one line a step.

        Args:
            name: The recipe is `recipes/NAME.yaml`.
            steps: The name of each step and its keys in flow style; those that say neither
                `function` nor `type` call `steps.note`.
            final: The steps of `finally`, likewise.
            head: Further keys of the file.

        Returns:
            The path of the recipe in the project.
        """
        line = partial(_line, by_shell=self.by_shell)
        lines = [head.strip("\n"), "steps:", *starmap(line, steps.items())]
        lines += ["finally:", *starmap(line, final.items())] if final else []
        path = f"recipes/{name}.yaml"
        self.write(path, "\n".join(line for line in lines if line) + "\n")
        return path

    def run(self, *args: str) -> pytest.RunResult:
        """Run pytest in this process."""
        with warnings.catch_warnings():
            # This session's own filters must not reach into that one.
            warnings.resetwarnings()
            return self.pytester.runpytest_inprocess("-p", "no:randomly", *_with(args))

    def shuffled(self, seed: int, *args: str) -> pytest.RunResult:
        """Run pytest in this process, its items shuffled by pytest-randomly."""
        return self.pytester.runpytest_inprocess(f"--randomly-seed={seed}", *_with(args))

    def spawn(self, *args: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        return self.pytester.runpytest_subprocess("-p", "no:randomly", *_with(args))

    @property
    def ran(self) -> list[str]:
        """Names of the steps whose bodies ran, in order."""
        path = self.path / "ran.txt"
        return path.read_text().split() if path.exists() else []

    def forget(self) -> None:
        """Begin to note anew which bodies run."""
        (self.path / "ran.txt").unlink(missing_ok=True)

    def items(self, *args: str) -> list[str]:
        """Collect and do no more; return the node ids."""
        return [line for line in self.run("--collect-only", "-q", *args).outlines if "::" in line]

    def outcomes(self, *args: str) -> dict[str, str]:
        """Run pytest in this process; return the word pytest has for each node id."""
        recorder = self.run(*args).reprec  # type: ignore[attr-defined]
        found: dict[str, str] = {}
        for report in recorder.getreports("pytest_runtest_logreport"):
            if report.when == "call" or not report.passed:
                found[report.nodeid] = _word(report)
        return found

    def told(self, *args: str) -> dict[str, str]:
        """Run pytest; return what the short summary says of each step that did not pass."""
        found: dict[str, str] = {}
        for line in self.run("-rfEs", *args).outlines:
            if match := re.fullmatch(r"(?:FAILED|ERROR) (\S+?)(?:::(\S+))? - (.*)", line):
                found[match[2] or match[1]] = match[3]
            elif match := re.fullmatch(r"SKIPPED \[1\] (\S+):(\d+): (.*)", line):
                step = (self.path / match[1]).read_text().splitlines()[int(match[2]) - 1]
                found[re.findall(r"name: ([\w-]+)", step)[0]] = f"skipped: {match[3]}"
        return found

    def shown(self, result: pytest.RunResult, title: str) -> str:
        """Return what a run shows below a title, up to the next one; no lines between frames."""
        lines = [line.rstrip() for line in result.outlines]
        head = re.compile(rf"_ {re.escape(title)}( in .*)? _")
        first = next(number for number, line in enumerate(lines, 1) if head.search(line))
        found = takewhile(lambda line: not re.match("(___|===|---).* ", line), lines[first:])
        return "".join(f"{line}\n" for line in found if not line.startswith("_ _ "))

    def frames(self, result: pytest.RunResult, title: str) -> list[str]:
        """Return the lines that name a place in the traceback below a title."""
        lines = self.shown(result, title).splitlines()
        return [line for line in lines if re.match(r"[^\s>].*:\d+:", line)]

    def blocks(self, *args: str) -> dict[str, Any]:
        """Run with a JSON report; return the block of each step by its name."""
        self.run("--json-report", "--json-report-file=report.json", *args)
        tests = json.loads((self.path / "report.json").read_text())["tests"]
        found = (test["metadata"]["orchestrator"] for test in tests if "metadata" in test)
        return {block["step"]["name"]: block for block in found}


def _with(args: tuple[str, ...]) -> tuple[str, ...]:
    """Return the arguments of a run with those that take plugins out of it."""
    if WANTED and asks_for_xdist(args):
        pytest.skip(f"not under Dask: {XDIST}")
    reruns = any(one.startswith("--reruns") for one in args)
    always = _ALWAYS if "no:orchestrator" not in args else _ALWAYS[:2]  # nobody knows its ini keys
    return (*always, *(() if reruns else _UNLESS_RERUN), *args)


def _line(step: str, keys: str, *, by_shell: bool) -> str:
    kind = "" if "type:" in keys else f"type: python, module: steps, params: {{name: {step}}}"
    if by_shell and not re.search(r"(type|function|class|module|fixtures|isolation): ", keys):
        kind = f"type: shell, parse: text, cmd: echo {step} >> ran.txt"
    elif kind and "function:" not in keys and "class:" not in keys:
        kind += ", function: note"
    return f"  - {{name: {step}, {', '.join(part for part in (kind, keys) if part)}}}"


def _word(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    return "error" if report.failed and report.when != "call" else report.outcome


@pytest.fixture(autouse=True)
def not_on_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine of CI pytest cuts no line and no explanation short."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def what_is_installed_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare sessions in this process what the first of them has read."""
    monkeypatch.setattr(metadata, "distributions", _INSTALLED)


@pytest.fixture(autouse=True)
def children_are_measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count child processes for coverage only where a test is marked so.

    It is a third of what a child costs, and in nearly all runs children do the same.
    """
    if request.node.get_closest_marker("measured") is None:
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(autouse=True)
def blocks_are_as_their_schema_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold each block that is made in this process against the types of the shipped schema."""
    made = report_block.block

    def checked(*args: Any, **more: Any) -> Any:
        block = made(*args, **more)
        msgspec.convert(block, Block)
        return block

    monkeypatch.setattr(report_block, "block", checked)


@pytest.fixture(scope="session")
def workers_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Lab"]:
    """Two workers of Dask, where the whole suite is tried with them."""
    from tests.plugin.lab import lab

    with lab(tmp_path_factory.mktemp("lab"), threads=4) as found:
        yield found


@pytest.fixture(autouse=True)
def steps_run_where_they_are_wanted(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hand all steps to the workers of Dask where the whole suite is tried with them."""
    if not WANTED:
        return
    file, item = request.path.stem, request.node
    for why in filter(
        None, map(OTHERWISE.get, (file, f"{file}::{item.originalname}", f"{file}::{item.name}"))
    ):
        pytest.skip(f"not under Dask: {why}")
    given = getattr(item, "callspec", None)
    if given is not None and any(map(asks_for_xdist, given.params.values())):
        pytest.skip(f"not under Dask: {XDIST}")
    is_there = WANTED != "dask"
    address = WANTED if is_there else request.getfixturevalue("workers_of_all").address
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")  # takes the variable away
    # One by one, unless a test asks for more: that is what it takes for granted.
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--recipe-dask={address} --recipe-jobs=1")


@pytest.fixture
def noted_by_shell(project: Project) -> None:
    """Let steps that do no more than to note that they ran be steps of a shell.

    They need no lane for Python, which is half of what a run of them costs.
    """
    project.by_shell = True


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with scriptlets and no recipe, in a terminal that cuts no line."""
    monkeypatch.setenv("COLUMNS", "200")
    return Project(pytester)
