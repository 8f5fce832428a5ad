"""Cases of other plugins and of pytest versions, with their expected results."""

from dataclasses import dataclass, field

from tests.neighbours.smoke import COUNTS

_ASYNC = """\
import asyncio

import pytest


@pytest.mark.asyncio
async def test_waits_and_reads(ctx):
    await asyncio.sleep(0)
    ctx.set("async.seen_v1", True, who="async")
    assert ctx.get("async.seen_v1")
"""

_FEATURE = """\
Feature: The bench
  Scenario: The gain of the recipe is there
    Given the recipe has run
    When the gain is read
    Then it is 10
"""

_SCENARIO = """\
import pytest
from pytest_bdd import given, scenario, then, when


@pytest.mark.recipe("recipes/gains.yaml", matrix={"gain": 10})
@scenario("bench.feature", "The gain of the recipe is there")
def test_gain(ctx):
    pass


@given("the recipe has run")
def has_run(ctx):
    assert "bench.gain_v1" in ctx


@when("the gain is read", target_fixture="gain")
def read(ctx):
    return ctx.get("bench.gain_v1")


@then("it is 10")
def is_ten(gain):
    assert gain == 10
"""

# A server of the file itself, on a port that the system chooses.
_CONFTEST_OF_TAVERN = """\
import http.server
import os
import threading


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"volts": 12}')

    def log_message(self, *args):
        pass


SERVER = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=SERVER.serve_forever, daemon=True).start()
os.environ["PSU"] = f"http://127.0.0.1:{SERVER.server_port}/"


def pytest_unconfigure():
    SERVER.shutdown()
    SERVER.server_close()
"""

_TAVERN = """\
test_name: the supply says its volts
stages:
  - name: ask
    request: {url: "{tavern.env_vars.PSU}"}
    response: {status_code: 200, json: {volts: 12}}
"""

_WORKFLOW = """\
- name: hello
  command: bash -c "echo hello > hello.txt"
  files:
    - path: hello.txt
      contains: [hello]
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A plugin beside this one.

    Attributes:
        name: Its distribution; some are tried in more than one way.
        group: The environment that it is installed in.
        tried: What is done, in a few words.
        args: What pytest is started with.
        files: What the project has besides.
        more: Outcomes that it adds to those of the project.
        holds: Texts that must be in files which it writes, by patterns of their paths.
        on_a_terminal: It is started where it finds a terminal.
        without: Arguments of pytest with which it shows nothing; if there are any, the situations
            of the terminal are tried with and without it.
        note: What a user has to know.
        hint: What there is to know where this does not work.
    """

    name: str
    group: str
    tried: str
    args: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    more: dict[str, int] = field(default_factory=dict)
    holds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    on_a_terminal: bool = False
    without: tuple[str, ...] | None = None
    note: str = ""
    hint: str = ""

    @property
    def expected(self) -> dict[str, int]:
        """How many tests must end how."""
        names = {**COUNTS, **self.more}
        return {name: COUNTS.get(name, 0) + self.more.get(name, 0) for name in names}


# Packages of each environment; pytest-orchestrator is installed in all of them.
GROUPS = {
    "running": (
        "pytest-xdist",
        "pytest-randomly",
        "pytest-rerunfailures",
        "pytest-timeout",
        "pytest-cov",
        "pytest-asyncio",
    ),
    "reports": ("pytest-html", "allure-pytest", "pytest-json-ctrf"),
    "sugar": ("pytest-sugar",),
    "rich": ("pytest-rich",),
    "bdd": ("pytest-bdd",),
    "tavern": ("tavern", "pytest<9.2"),
    "newest-tavern": ("tavern", "pytest>=9.2"),
    "workflow": ("pytest-workflow",),
}
PYTESTS = ("8.4", "9.0", "9.1", "9.2")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_STRICT = ("-W", "error", "--strict-markers", "--strict-config")

NEIGHBOURS = (
    Case(
        "pytest-xdist",
        "running",
        "two workers",
        ("-p", "no:randomly", "-n", "2"),
        note="a recipe stays on one worker, with every `--dist` but `each`",
    ),
    Case(
        "pytest-randomly",
        "running",
        "shuffled",
        ("--randomly-seed=7",),
        note="whole recipes are moved, never a step",
    ),
    Case(
        "pytest-rerunfailures",
        "running",
        "`--reruns 1`",
        ("-p", "no:randomly", "--reruns", "1"),
        more={"passed": 1},  # a try that did not count has no outcome in a JUnit file
        note="a failed step runs again, and the steps that need it wait; `finally` runs once",
    ),
    Case(
        "pytest-timeout",
        "running",
        "`--timeout 120`",
        ("-p", "no:randomly", "--timeout", "120"),
        note="if its timeout ends a step, the outcome is `interrupted`, "
        "and the processes of the step end",
    ),
    Case(
        "pytest-cov",
        "running",
        "coverage of scriptlets",
        ("-p", "no:randomly", "--cov", "--cov-report=xml"),
        files={".coveragerc": "[run]\nsource = scriptlets\npatch = subprocess, _exit\n"},
        holds={"coverage.xml": ('filename="steps.py" complexity="0" line-rate="1"',)},
        note="steps are processes: set `patch = subprocess, _exit` for coverage.py",
    ),
    Case(
        "pytest-asyncio",
        "running",
        "an async test with `ctx`",
        ("-p", "no:randomly"),
        files={"test_async.py": _ASYNC},
        more={"passed": 1},
    ),
    Case(
        "pytest-html",
        "reports",
        "steps and their failure in the page",
        ("--html=page.html", "--self-contained-html"),
        holds={
            "page.html": ("recipes/bench.yaml::refuse", "amplify[gain:10]", "the bench is", "off")
        },
    ),
    Case(
        "allure-pytest",
        "reports",
        "steps, tags and a failed assertion",
        ("--alluredir=allure",),
        holds={
            "allure/*-result.json": (
                '"message": "AssertionError: the bench is <off>',
                '"value": "nightly"',
                '"name": "amplify[gain:10]", "status": "passed"',
                "blocked by recipes/bench.yaml::refuse",
            )
        },
    ),
    Case(
        "pytest-json-ctrf",
        "reports",
        "steps, tags and a failed assertion",
        ("--ctrf", "ctrf.json"),
        holds={
            "ctrf.json": (
                '"name": "recipes/gains.yaml::amplify[gain:10]"',
                '"message": "AssertionError: the bench is <off>',
                '"message": "blocked by recipes/bench.yaml::refuse"',
            )
        },
    ),
    Case(
        "pytest-sugar",
        "sugar",
        "on a terminal",
        holds={"out.txt": ("2 recipes, 8 steps", "psu.ripple_v1", "7 passed", "1 xfailed")},
        on_a_terminal=True,
        without=("-p", "no:sugar"),
    ),
    Case(
        "pytest-rich",
        "rich",
        "`--rich` on a terminal",
        ("--rich",),
        holds={"out.txt": ("the bench is <off>", "psu.ripple_v1")},
        on_a_terminal=True,
        without=(),
        note="it shows failures as text, but no summary of the recipes and no path of the run",
    ),
    Case(
        "pytest-bdd",
        "bdd",
        "a scenario that reads Context values of a recipe",
        files={"bench.feature": _FEATURE, "test_bench.py": _SCENARIO},
        more={"passed": 1},
    ),
    Case(
        "tavern",
        "tavern",
        "a `.tavern.yaml` beside recipes",
        files={"conftest.py": _CONFTEST_OF_TAVERN, "test_psu.tavern.yaml": _TAVERN},
        more={"passed": 1},
    ),
    Case(
        "tavern",
        "newest-tavern",
        "a `.tavern.yaml` beside recipes",
        files={"conftest.py": _CONFTEST_OF_TAVERN, "test_psu.tavern.yaml": _TAVERN},
        more={"passed": 1},
        hint="tavern imports a private module that pytest 9.2 removed: while it is installed, "
        "no session starts",
    ),
    Case(
        "pytest-workflow",
        "workflow",
        "a workflow file beside recipes, named on the command line",
        ("recipes", "test_hand.py", "tests/test_hello.yml"),
        files={"tests/test_hello.yml": _WORKFLOW},
        more={"passed": 3},
        note="it collects every `test*.yaml`, so give recipes other names",
    ),
)


def of_pytest(version: str) -> tuple[Case, ...]:
    """Return what is tried with a version of pytest alone."""
    strict = ("-W", "error", "-o", "strict=true") if version != "8.4" else _STRICT
    return (
        Case("pytest", f"pytest-{version}", "as it comes"),
        Case("pytest", f"pytest-{version}", "`-W error`, strict", strict),
    )
