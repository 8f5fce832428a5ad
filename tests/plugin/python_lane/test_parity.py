"""The output of a Python step is the same from its own process and from pytest's process."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.tiers import kept_first

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_BODIES = '''
import logging
import sys
import warnings

import pytest

print("at import, on stdout")
print("at import, on stderr", file=sys.stderr)
warnings.warn("at import", DeprecationWarning, stacklevel=1)
logging.getLogger("rack").warning("at import")


class Odd(Exception):
    """One of the user's own."""


class Worn(UserWarning):
    """One of the user's own."""


def none(ctx, params):
    pass

def a_set(ctx, params):
    return {"status": "ok", "volts": {1}}

def off(ctx, params):
    return {"status": "off", "reason": "no supply"}

async def waits(ctx, params):
    return {"status": "ok"}

def yields(ctx, params):
    yield {"status": "ok"}

def compares(ctx, params):
    wanted = [1, 2, 3]
    assert wanted == [1, 2, 4], "the bench is off"

def compares_text(ctx, params):
    assert {"a": "x" * 100} == {"a": "x" * 99}

def inner(volts):
    raise Odd(f"{volts} V\\nsee the manual")

def chained(ctx, params):
    volts = 12
    try:
        inner(volts)
    except Odd as error:
        raise ValueError("no such range") from error

def in_handler(ctx, params):
    try:
        inner(1)
    except Odd:
        {}["key"]

def grouped(ctx, params):
    raise ExceptionGroup("two", [ValueError("one"), Odd("other")])

def leaves(ctx, params):
    sys.exit(0)

def fails(ctx, params):
    pytest.fail("not today")

def fails_short(ctx, params):
    pytest.fail("not today", pytrace=False)

def expects(ctx, params):
    pytest.xfail("BUG-17")

def skips(ctx, params):
    pytest.skip("no bench")

def raises_none(ctx, params):
    with pytest.raises(ValueError):
        pass

def warns(ctx, params):
    warnings.warn("worn out", Worn, stacklevel=1)
    warnings.warn("old", DeprecationWarning, stacklevel=1)
    return {"status": "ok"}

def logs(ctx, params):
    log = logging.getLogger("rack.supply")
    log.info("%d V", 12)
    log.debug("never")
    try:
        inner(3)
    except Odd:
        log.exception("it broke")
    return {"status": "off"}

def prints(ctx, params):
    print("on stdout \\udcff é")
    print("on stderr", file=sys.stderr)
    return {"status": "off"}

def recurses(ctx, params):
    return recurses(ctx, params)

def ok(ctx, params):
    return {"status": "ok"}

class Refuses:
    def validate(self, ctx, params):
        raise ValueError("volts are missing")

    def run(self, ctx, params):
        pass

def wants(voltage, current):
    pass
'''

_NAMES = (
    *("none", "a_set", "off", "waits", "yields", "compares", "compares_text", "chained"),
    *("in_handler", "grouped", "leaves", "fails", "fails_short", "expects", "skips"),
    *("raises_none", "warns", "logs", "prints", "recurses", "ok", "Refuses", "wants"),
)
_MODULES = {
    "broken": "def simple(:\n",
    "raising": "print('first')\nimport bodies\nbodies.inner(5)\n",
    "leaving": "import sys\nsys.exit(3)\n",
    "skipping": "import pytest\npytest.skip('no bench here', allow_module_level=True)\n",
    "absent": "",
}

# Lines with figures, log files or the table, which differ.
_OWN = re.compile(
    r"resources  |rerun  |run \.orch|context \d+ keys|(E +)?=+ \d+ failed"
    r"| step .* seconds| \S+ +\w+ +\d+\.\d\d "
)

# These options apply to the process of pytest only: its streams, its imported modules.
_OF_THE_PROCESS = {"-s", "--assert=plain", "error::bodies.Worn"}


def _recipe(project: Project, isolation: str) -> None:
    """Write a recipe that runs all functions with the given isolation."""
    steps = {}
    for name in _NAMES:
        kind = "class" if name[0].isupper() else "function"
        more = ", xfail: BUG-4" if name in ("ok", "chained") else ""
        steps[name] = f"module: bodies, {kind}: {name}{more}"
    for module, source in _MODULES.items():
        if source:
            project.write(f"{module}.py", source)
        steps[module] = f"module: {module}, function: x"
    head, tail = (
        "type: python, needs: []",
        f"isolation: {isolation}",
    )  # last, so that no column before it moves
    project.recipe("x", {name: f"{head}, {text}, {tail}" for name, text in steps.items()})


def _comparable(result: pytest.RunResult) -> list[str]:
    """Return the output of a run without the parts that differ from run to run."""
    text = "\n".join([*result.outlines, "==== stderr", *result.errlines])
    text = re.sub(r"(?m)^run \S+$", "run", text)
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    text = re.sub(r"\b\d+\.\d+(s| s|$)", "N s", text)
    text = re.sub(r", isolation: (process|inline)", "", text)
    text = re.sub(r"<(Remote)?Context [^>]*>+", "<Context>", text)
    # Only a step in its own process has a log, whose end and path are shown.
    text = re.sub(r"^stderr, .*\n(  .*\n)*", "", text, flags=re.MULTILINE)
    text = re.sub(r"^-+ Captured stderr call -+\n([^-_=/].*\n)*", "", text, flags=re.MULTILINE)
    return [line.rstrip() for line in text.splitlines() if not _OWN.match(line)]


@pytest.mark.parametrize(
    "args",
    kept_first(
        [
            ("--tb=line", "-W", "ignore"),
            ("--log-cli-level=INFO",),
            ("-W", "error", "-k", "warns"),
            ("-W", "error::bodies.Worn", "-k", "warns"),
            ("--runxfail", "--tb=no", "-rA", "-o", "xfail_strict=true"),
            ("--assert=plain", "-k", "compares or logs"),
            ("--tb=short", "-rA"),
            ("-l", "-vv"),
        ],
        (),
        ("-s", "-k", "logs or skips or compares"),
    ),
    ids=" ".join,
)
def test_terminal_output_is_the_same_in_both_isolations(
    project: Project, args: tuple[str, ...]
) -> None:
    project.write("bodies.py", _BODIES)
    run = project.spawn if _OF_THE_PROCESS.intersection(args) else project.run
    shown = {}
    for isolation in ("inline", "process"):
        _recipe(project, isolation)
        shown[isolation] = _comparable(run(*args))

    assert shown["process"] == shown["inline"]


def test_user_frames_of_a_native_traceback_are_the_same_in_both_isolations(
    project: Project,
) -> None:
    project.write("bodies.py", _BODIES)
    shown = {}
    for isolation in ("inline", "process"):
        _recipe(project, isolation)
        lines = project.spawn("--tb=native", "-k", "chained or compares").outlines
        shown[isolation] = [line for line in lines if re.search(r'File ".*/bodies.py"', line)]

    assert shown["process"] == shown["inline"] != []


def test_log_records_in_a_report_are_the_same_in_both_isolations(project: Project) -> None:
    project.write("bodies.py", _BODIES)
    actual = {}
    for isolation in ("inline", "process"):
        _recipe(project, isolation)
        project.spawn(
            "--json-report", "--json-report-file=report.json", "--log-level=INFO", "-k", "logs"
        )
        (test,) = json.loads((project.path / "report.json").read_text())["tests"]
        actual[isolation] = [
            (one["name"], one["levelname"], one["msg"], one["lineno"])
            for one in test["call"]["log"]
        ]

    assert [message for _, _, message, _ in actual["process"]][-2:] == ["12 V", "it broke"]
    assert [one[:2] + one[3:] for one in actual["process"]] == [
        one[:2] + one[3:] for one in actual["inline"]
    ]


def test_pytest_exit_in_a_step_ends_the_session_in_both_isolations(project: Project) -> None:
    project.write(
        "bodies.py", 'import pytest\ndef end(ctx, params):\n    pytest.exit("power is off", 7)\n'
    )
    project.recipe("x", {"one": "type: python, module: bodies, function: end", "two": ""})

    result = project.spawn()

    assert result.ret == 7
    assert project.ran == []
    assert "!!!!! _pytest.outcomes.Exit: power is off !!!!!" in re.sub(
        "!!!!!+", "!!!!!", result.stdout.str()
    )
