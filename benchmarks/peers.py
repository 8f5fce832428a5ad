"""Compare a shell step with the same work in other tools: `python -m benchmarks.peers`.

Each tool starts a shell script that prints JSON, and checks the result. Tavern has no shell step,
so it sends an HTTP request to a server of this process instead. All tools run in one new virtual
environment, each with no other plugin of pytest than its own. The rounds are interleaved.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import results
from benchmarks.growth.tables import Table
from benchmarks.measure import COUNTED, Cost, WrongRun, adopt_orphans, cost, slope
from benchmarks.projects import NOOP_SH, Project, project, step_names, write
from benchmarks.run import environment

PACKAGES = ("pytest", "pytest-bdd", "robotframework", "pytest-workflow", "tavern")
PART = "peers"
"""The name of this part in the file of results."""

_TREE = Path(__file__).parents[1]
_ROBOT_COUNTED = re.compile(r"^(\d+) tests?, \d+ passed, 0 failed$", re.MULTILINE)

_LOOP = """\
set -e
for number in $(seq {steps}); do
    result=$(./noop.sh)
    case $result in
    *'"status": "ok"'*) ;;
    *) exit 1 ;;
    esac
done
echo "{steps} passed"
"""

_BDD_STEPS = """\
import json
import subprocess

from pytest_bdd import scenarios, then, when

scenarios("noop.feature")


@when("the script runs", target_fixture="done")
def _():
    return subprocess.run(["./noop.sh"], capture_output=True, check=True, timeout=3600)


@then("it reports ok")
def _(done):
    assert json.loads(done.stdout)["status"] == "ok"
"""

_BDD_SCENARIO = """\
  Scenario: {name}
    When the script runs
    Then it reports ok

"""

_ROBOT_HEAD = """\
*** Settings ***
Library    Process

*** Test Cases ***
"""

_ROBOT_TEST = """\
{name}
    ${{done}} =    Run Process    ./noop.sh    timeout=1h
    Should Be Equal As Integers    ${{done.rc}}    0
    ${{result}} =    Evaluate    json.loads($done.stdout)    json
    Should Be Equal    ${{result}}[status]    ok

"""

_WORKFLOW = """\
- name: {name}
  command: ./noop.sh
  stdout:
    contains: ['"status": "ok"']
"""

_TAVERN = """\
---
test_name: {name}
stages:
  - name: {name}
    request: {{url: "http://127.0.0.1:{port}/", method: GET}}
    response: {{status_code: 200, json: {{status: ok}}}}
"""


class Peer(NamedTuple):
    """A tool that is compared.

    Attributes:
        name: Its name in the table.
        files: Returns the files of its project, for the name of a file and a number of steps.
        command: Returns its command line, for the interpreter and a number of steps.
        counted: Finds the number of passed steps in its output.
        each: Number of tests that it counts for each step.
    """

    name: str
    files: Project
    command: Callable[[str, int], list[str]]
    counted: re.Pattern[str] = COUNTED
    each: int = 1


def _pytest(*options: str) -> Callable[[str, int], list[str]]:
    return lambda python, _steps: [python, "-m", "pytest", "-q", *options]


def _loop(_file: str, steps: int) -> dict[str, str]:
    return {"noop.sh": NOOP_SH, "loop.sh": "#!/bin/bash\n" + _LOOP.format(steps=steps)}


def _bdd(_file: str, steps: int) -> dict[str, str]:
    scenarios = "".join(_BDD_SCENARIO.format(name=name) for name in step_names(steps))
    return {
        "noop.sh": NOOP_SH,
        "test_noop.py": _BDD_STEPS,
        "noop.feature": f"Feature: a script\n\n{scenarios}",
    }


def _robot(_file: str, steps: int) -> dict[str, str]:
    tests = "".join(_ROBOT_TEST.format(name=name) for name in step_names(steps))
    return {"noop.sh": NOOP_SH, "noop.robot": _ROBOT_HEAD + tests}


def _workflow(_file: str, steps: int) -> dict[str, str]:
    workflows = "".join(_WORKFLOW.format(name=name) for name in step_names(steps))
    return {"noop.sh": NOOP_SH, "tests/test_noop.yml": workflows}


def _tavern(port: int) -> Project:
    def files(_file: str, steps: int) -> dict[str, str]:
        tests = (_TAVERN.format(name=name, port=port) for name in step_names(steps))
        return {"test_noop.tavern.yaml": "".join(tests)}

    return files


def peers(port: int) -> tuple[Peer, ...]:
    """Return the tools.

    Args:
        port: The port of the HTTP server for Tavern.
    """

    def of(kind: str) -> Project:
        return lambda _file, steps: project(kind, steps=steps)

    robot = ["-m", "robot", "--consolecolors", "off", "noop.robot"]
    return (
        Peer("hand-written pytest", of("subprocess"), _pytest()),
        Peer("bash loop", _loop, lambda _python, _steps: ["./loop.sh"]),
        Peer("Robot Framework", _robot, lambda python, _: [python, *robot], _ROBOT_COUNTED),
        Peer("pytest-bdd", _bdd, _pytest("-p", "pytest-bdd")),
        # It counts the exit code and the output of each command.
        Peer("pytest-workflow", _workflow, _pytest("-p", "pytest-workflow"), each=2),
        Peer("Tavern", _tavern(port), _pytest("-p", "tavern")),
        Peer("pytest-orchestrator", of("recipe-shell"), _pytest("-p", "orchestrator")),
    )


class _Answer(BaseHTTPRequestHandler):
    """Handler that answers each request with a status."""

    def do_GET(self) -> None:
        body = b'{"status": "ok"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def served() -> Iterator[int]:
    """Serve HTTP requests while a ``with`` block runs; the value is the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def installed(folder: Path) -> str:
    """Create a virtual environment with all tools; return the path of its interpreter.

    An existing environment in the folder is used as it is.
    """
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        # Tavern 3.7 imports a module that pytest 9.2 no longer has.
        packages = [*PACKAGES, "pytest<9.2", "-e", str(_TREE)]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return str(python)


def measured(python: str, sizes: tuple[int, int], rounds: int) -> dict[str, list[list[Cost]]]:
    """Measure all tools in interleaved rounds, after one that is discarded.

    Args:
        python: The interpreter of the virtual environment.
        sizes: Two numbers of steps.
        rounds: Number of measured rounds.

    Returns:
        For each tool a list of rounds, each with the costs of both sizes.
    """
    env = environment() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with served() as port, tempfile.TemporaryDirectory(prefix="peers-") as folder:
        tools = peers(port)
        costs: dict[str, list[list[Cost]]] = {tool.name: [] for tool in tools}
        for tool in tools:
            for steps in sizes:
                place = Path(folder, f"{tool.name}-{steps}")
                place.mkdir()
                write({"pytest.ini": "[pytest]\n"} | tool.files("f", steps), place)
        for number in range(rounds + 1):
            for tool in tools if number % 2 else reversed(tools):
                spent = [_cost(tool, python, steps, Path(folder), env) for steps in sizes]
                if number:
                    costs[tool.name].append(spent)
    return costs


def _cost(tool: Peer, python: str, steps: int, folder: Path, env: dict[str, str]) -> Cost:
    return cost(
        tool.command(python, steps),
        folder=folder / f"{tool.name}-{steps}",
        env=env,
        expected=steps * tool.each,
        counted=tool.counted,
    )


def table(costs: dict[str, list[list[Cost]]], sizes: tuple[int, int]) -> Table:
    """Return the table of the tools; each figure is the median of the rounds.

    Args:
        costs: The return value of `measured`.
        sizes: The two numbers of steps.
    """
    rows: list[tuple[float | str | None, ...]] = []
    for name, rounds in costs.items():
        few, many = ([one[at] for one in rounds] for at in (0, 1))

        def each(figure: str, few: Sequence[Cost] = few, many: Sequence[Cost] = many) -> float:
            pairs = zip(few, many, strict=True)
            return median(
                slope(getattr(a, figure), getattr(b, figure), between=sizes) for a, b in pairs
            )

        starts = median(one.cpu for one in few), median(one.seconds for one in few)
        steps = each("cpu") * 1e3, each("seconds") * 1e3
        memory = median(one.peak for one in few) / 1e6, each("peak") / 1e3
        rows.append((name, *(round(figure, 2) for figure in (*starts, *steps, *memory))))
    columns = (
        "tool",
        f"session of {sizes[0]} steps, CPU s",
        "wall s",
        "one more step, CPU ms",
        "wall ms",
        f"peak memory of {sizes[0]} steps, MB",
        "one more step, kB",
    )
    return Table("A step that runs a shell script, in other tools", columns, rows)


def versions(python: str) -> str:
    """Return the machine, and the versions of Python and of the tools, in one line."""
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True
    ).stdout
    found = [one.replace("==", " ") for one in listed.split() if one.partition("==")[0] in PACKAGES]
    return f"{results.machine()}, {', '.join(found)}"


def main() -> int:
    """Measure and print the table.

    Returns:
        0; 2 if a run failed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("--rounds", type=int, default=9, help="measured rounds (default 9)")
    parser.add_argument("--sizes", type=int, nargs=2, default=(2, 102), metavar="STEPS")
    parser.add_argument(
        "--venv", type=Path, metavar="DIR", help="keep the virtual environment in this folder"
    )
    parser.add_argument(
        "--update", action="store_true", help="record the table, and write it into README.md"
    )
    args = parser.parse_args()
    few, many = args.sizes
    adopt_orphans()
    try:
        with tempfile.TemporaryDirectory(prefix="peers-venv-") as folder:
            python = installed(args.venv or Path(folder))
            found = table(measured(python, (few, many), args.rounds), (few, many))
            conditions = f"Medians of {args.rounds} interleaved rounds, {versions(python)}"
    except WrongRun as error:
        print(error, file=sys.stderr)
        return 2
    print(found.text(), conditions, sep="\n")
    if args.update:
        results.record(PART, found, conditions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
