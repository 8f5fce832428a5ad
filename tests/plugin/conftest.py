"""Fixtures of the plugin's tests: a project with scriptlets in which pytest is run."""

import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import metadata
from itertools import starmap, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from execnet.gateway_io import Popen2IOMaster

import pytest_orchestrator
from pytest_orchestrator.execution.lanes import lane
from pytest_orchestrator.reports import block as report_block
from pytest_orchestrator.runs.block import Block
from tests.plugin import installed, known_plugins
from tests.plugin.fork_server import ForkServer
from tests.plugin.under_dask import OTHERWISE, WANTED, XDIST, asks_for_xdist

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugin.lab import Lab
    from tests.plugin.terminal_session import Screen

# pytester unloads the modules that a run imported, so each run would import them again, and
# libyaml cannot be imported twice in a process.
for _module in pkgutil.walk_packages(pytest_orchestrator.__path__, "pytest_orchestrator."):
    if not _module.name.startswith("pytest_orchestrator.monitor"):  # needs optional libraries
        importlib.import_module(_module.name)

known_plugins.install()
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

# The import of hypothesis takes four times as long as a run of a small recipe. HTML pages are
# off, because only the tests of pages read them.
# httpx installs anyio, whose plugin no test needs.
_ALWAYS = ("-p", "no:hypothesispytest", "-p", "no:anyio", "-o", "recipe_html=false")
# Each session with rerunfailures leaves a server and its thread in this process.
_UNLESS_RERUN = ("-p", "no:rerunfailures")
# Command of a run in a process of its own, for tests that use its streams or send signals.
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:randomly", *_ALWAYS)


class Project:
    """Project folder with recipes, in which tests run pytest."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.by_shell = False
        self.write("steps.py", _STEPS)
        self.ini()

    def write(self, name: str, text: str) -> Path:
        """Write a file; remove the common indentation of its lines."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    def script(self, name: str, text: str) -> Path:
        """Write an executable file."""
        path = self.write(name, text)
        path.chmod(0o755)
        return path

    def ini(self, *lines: str) -> None:
        """Write the settings of the project."""
        self.write("pytest.ini", "\n".join(["[pytest]", *lines]) + "\n")

    def recipe(
        self, name: str, steps: dict[str, str], final: dict[str, str] | None = None, head: str = ""
    ) -> str:
        """Write a recipe with one line for each step.

        Args:
            name: The recipe is `recipes/NAME.yaml`.
            steps: The name of each step and its keys in flow style; a step without `function`
                and `type` calls `steps.note`.
            final: The steps of `finally`, in the same form.
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
            # The warning filters of this session must not apply to the inner one.
            warnings.resetwarnings()
            return self.pytester.runpytest_inprocess("-p", "no:randomly", *_with(args))

    def shuffled(self, seed: int, *args: str) -> pytest.RunResult:
        """Run pytest in this process; pytest-randomly shuffles the items."""
        return self.pytester.runpytest_inprocess(f"--randomly-seed={seed}", *_with(args))

    def spawn(self, *args: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        return self.pytester.runpytest_subprocess("-p", "no:randomly", *_with(args))

    @property
    def ran(self) -> list[str]:
        """Names of the steps whose code ran, in order."""
        path = self.path / "ran.txt"
        return path.read_text().split() if path.exists() else []

    def forget(self) -> None:
        """Clear the list of steps that ran."""
        (self.path / "ran.txt").unlink(missing_ok=True)

    def items(self, *args: str) -> list[str]:
        """Collect only; return the node ids, without those of prerequisite steps."""
        lines = self.run("--collect-only", "-q", *args).outlines
        return [line for line in lines if "::" in line and line[:1] != "["]

    def outcomes(self, *args: str) -> dict[str, str]:
        """Run pytest in this process; return the outcome of each node id."""
        recorder = self.run(*args).reprec  # type: ignore[attr-defined]
        outcomes: dict[str, str] = {}
        for report in recorder.getreports("pytest_runtest_logreport"):
            if report.when == "call" or not report.passed:
                outcomes[report.nodeid] = _outcome(report)
        return outcomes

    def reasons(self, *args: str) -> dict[str, str]:
        """Run pytest; return the reason in the report of each step that did not pass."""
        result = self.run("-rfE", *args)
        reasons: dict[str, str] = {}
        for line in result.outlines:
            if match := re.fullmatch(r"(?:FAILED|ERROR) (\S+?)(?:::(\S+))? - (.*)", line):
                reasons[match[2] or match[1]] = match[3]
        reports = result.reprec.getreports("pytest_runtest_logreport")  # type: ignore[attr-defined]
        for report in reports:
            if report.skipped and isinstance(report.longrepr, tuple):
                why = report.longrepr[2].removeprefix("Skipped: ")
                reasons[report.nodeid.partition("::")[2]] = f"skipped: {why}"
        return reasons

    def shown(self, result: pytest.RunResult, title: str) -> str:
        """Return the section of a run's output below a title, without lines between frames."""
        lines = [line.rstrip() for line in result.outlines]
        head = re.compile(rf"_ {re.escape(title)}( in .*)? _")
        first = next(number for number, line in enumerate(lines, 1) if head.search(line))
        section = takewhile(lambda line: not re.match("(___|===|---).* ", line), lines[first:])
        return "".join(f"{line}\n" for line in section if not line.startswith("_ _ "))

    def frames(self, result: pytest.RunResult, title: str) -> list[str]:
        """Return the lines that begin a frame in the traceback below a title."""
        lines = self.shown(result, title).splitlines()
        return [line for line in lines if re.match(r"[^\s>].*:\d+:", line)]

    def blocks(self, *args: str) -> dict[str, Any]:
        """Run pytest with a JSON report; return the report block of each step by its name."""
        self.run("--json-report", "--json-report-file=report.json", *args)
        tests = json.loads((self.path / "report.json").read_text())["tests"]
        blocks = (test["metadata"]["orchestrator"] for test in tests if "metadata" in test)
        return {block["step"]["name"]: block for block in blocks}


def _with(args: tuple[str, ...]) -> tuple[str, ...]:
    """Return the arguments of a run, with options that switch slow plugins off."""
    if WANTED and asks_for_xdist(args):
        pytest.skip(f"not under Dask: {XDIST}")
    reruns = any(one.startswith("--reruns") for one in args)
    # Without the plugin, recipe_html is an unknown ini key.
    always = _ALWAYS if "no:orchestrator" not in args else _ALWAYS[:2]
    return (*always, *(() if reruns else _UNLESS_RERUN), *args)


def _line(step: str, keys: str, *, by_shell: bool) -> str:
    kind = "" if "type:" in keys else f"type: python, module: steps, params: {{name: {step}}}"
    if by_shell and not re.search(r"(type|function|class|module|fixtures|isolation): ", keys):
        kind = f"type: shell, parse: text, cmd: echo {step} >> ran.txt"
    elif kind and "function:" not in keys and "class:" not in keys:
        kind += ", function: note"
    return f"  - {{name: {step}, {', '.join(part for part in (kind, keys) if part)}}}"


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    return "error" if report.failed and report.when != "call" else report.outcome


@pytest.fixture(autouse=True)
def not_on_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variables of CI, which change how pytest truncates lines and explanations."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def not_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables by which a worker of xdist, which runs this test, is known as one."""
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def cached_package_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache the metadata of installed packages for all sessions in this process."""
    monkeypatch.setattr(metadata, "distributions", _INSTALLED)


@pytest.fixture(autouse=True)
def short_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not parse the source of pytest for the traceback of an interrupt, which is not shown.

    It takes several times as long as the rest of a session that ends with a collection error.
    """
    represent = pytest.ExceptionInfo.getrepr

    def short(error: Any, *args: Any, **options: Any) -> Any:
        if isinstance(error.value, KeyboardInterrupt):
            return represent(error, style="native")
        return represent(error, *args, **options)

    monkeypatch.setattr(pytest.ExceptionInfo, "getrepr", short)


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """The fork server of all sessions in this process."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def forked_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the processes of sessions from the fork server, instead of starting interpreters."""
    markers = ("own_interpreters", "measured")
    if sys.platform != "linux" or any(map(request.node.get_closest_marker, markers)):
        return
    server: ForkServer = request.getfixturevalue("fork_server")
    monkeypatch.setattr(lane, "SupervisorClient", server.supervisor)
    popen = pytest.Pytester.popen

    def fork(pytester: pytest.Pytester, argv: Sequence[str], **options: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(subprocess, "Popen", server.popen)
            return popen(pytester, argv, **options)

    monkeypatch.setattr(pytest.Pytester, "popen", fork)
    monkeypatch.setattr(Popen2IOMaster, "__init__", server.start_of_workers())


@pytest.fixture(autouse=True)
def validated_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validate each report block that is made in this process against the shipped schema."""
    make = report_block.block

    def checked(*args: Any, **more: Any) -> Any:
        block = make(*args, **more)
        msgspec.convert(block, Block)
        return block

    monkeypatch.setattr(report_block, "block", checked)


@pytest.fixture(scope="session")
def dask_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Lab"]:
    """Two Dask workers for ``TESTED_RUNNER=dask``."""
    from tests.plugin.lab import lab

    with lab(tmp_path_factory.mktemp("lab"), threads=4) as started_lab:
        yield started_lab


@pytest.fixture(autouse=True)
def steps_on_dask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all steps on Dask workers if ``TESTED_RUNNER`` is set."""
    if not WANTED:
        return
    file, item = request.path.stem, request.node
    for why in filter(
        None, map(OTHERWISE.get, (file, f"{file}::{item.originalname}", f"{file}::{item.name}"))
    ):
        pytest.skip(f"not under Dask: {why}")
    callspec = getattr(item, "callspec", None)
    if callspec is not None and any(map(asks_for_xdist, callspec.params.values())):
        pytest.skip(f"not under Dask: {XDIST}")
    is_address = WANTED != "dask"
    address = WANTED if is_address else request.getfixturevalue("dask_workers").address
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")  # it unsets PYTEST_ADDOPTS, so it must come first
    # One job, because the tests expect sequential steps unless they set another number.
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--recipe-dask={address} --recipe-jobs=1")


@pytest.fixture
def noted_by_shell(project: Project) -> None:
    """Make the default steps of `Project.recipe` shell steps instead of Python steps.

    They need no lane for Python, whose start takes half the time of such a run.
    """
    project.by_shell = True


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with scriptlets and no recipe, in a terminal of 200 columns."""
    monkeypatch.setenv("COLUMNS", "200")
    return Project(pytester)


@pytest.fixture
def screen(request: pytest.FixtureRequest) -> "Callable[..., Screen]":
    """Return a function that starts pytest at a terminal, given its arguments."""
    from tests.plugin.terminal_session import Screen, at_a_terminal

    if sys.platform != "linux" or request.node.get_closest_marker("own_interpreters"):
        return partial(Screen, at_a_terminal)
    server: ForkServer = request.getfixturevalue("fork_server")
    return partial(Screen, server.popen)
