"""Failures of steps and errors of recipes on the terminal: width, colours, styles of `--tb`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_STEP = (
    "  - {name: ripple, type: shell, needs: [], description: Measures the ripple at full load., "
    "cmd: ./ripple, measurements: {ripple: {value: result.mv, unit: mV, high: 50}}}"
)
_BAD = (
    "  - {name: set, description: Sets the voltage of channel one before the ripple is measured., "
    "type: shell, cmds: psu set 12 V, tags: [nightly, psu, channel_one]}"
)
_OFF = "steps: [{name: off, type: shell, parse: text, cmd: exit 3}]"
_OFF_MORE = [
    "resources  N s",
    "rerun      pytest parts/off.yaml::off",
    "command    /bin/sh -e -c 'exit 3'",
]
_MORE = [
    "    also checked, OK: exit code 0; status ok",
    "stderr, 1 line   (all: .orchestrator/runs/R/logs/psu/ripple.1.stderr)",
    "  measured",
    "resources  N s",
    "rerun      pytest recipes/psu.yaml::ripple",
    "command    ./ripple",
]
_STDOUT = ["--- Captured stdout call ---", '{"mv": 61.4, "status": "ok"}']


@pytest.fixture
def bench(project: Project) -> Project:
    """A project with a failed step, a failed needed step, and a recipe that cannot be read."""
    printed = _STDOUT[1]
    project.script("ripple", f"#!/bin/sh\necho measured >&2\necho '{printed}'\n")
    project.write("recipes/psu.yaml", f"steps:\n{_STEP}\n")
    project.write("recipes/bad.yaml", f"steps:\n{_BAD}\n")
    project.write("parts/off.yaml", f"{_OFF}\n")
    project.write(
        "test_off.py",
        """
        import pytest

        @pytest.mark.recipe("parts/off.yaml")
        def test_off():
            pass
        """,
    )
    return project


def _screen(bench: Project, *options: str) -> list[str]:
    """Run the bench; return the lines about errors and failures, with titles that fit any width.

    Red parts are in ``<>``, and green ones in ``[]``.
    """
    run = ("--continue-on-collection-errors", *options, "recipes", "test_off.py")
    text = bench.run(*run).stdout.str().replace(f"{bench.path}/", "")
    text = re.sub(r"\x1b\[31m\x1b\[1m(_+ .* _+)\x1b\[0m", r"\1", text)
    text = re.sub(r"\x1b\[1m\x1b\[31m(.*?)\x1b\[0m", r"<\1>", text)
    text = re.sub(r"\x1b\[1m\x1b\[32m(.*?)\x1b\[0m", r"[\1]", text)
    text = re.sub(r"\d+\.\d\d s, CPU.*", "N s", re.sub(r"runs/[^/\n]*/", "runs/R/", text))
    text = re.sub(r"([-_=])\1+ (.*) [-_=]+$", r"\1\1\1 \2 \1\1\1", text, flags=re.MULTILINE)
    text = text.partition("=== ERRORS ===\n")[2].partition("--- recipes ---")[0]
    return [line.rstrip() for line in text.splitlines() if not line.startswith("[gw0]")]


def _expected(
    *,
    bad: str = _BAD,
    step: str = _STEP,
    off: str = _OFF,
    end: tuple[str, ...] = (*_MORE, *_STDOUT),
) -> list[str]:
    """Return the lines about errors and failures, with their colours.

    Args:
        bad: The line of the recipe with the error, as it is shown.
        step: The line of the failed step.
        off: The line of the needed step.
        end: The lines below the ``E`` line of the failed step.
    """
    is_short = end[0] not in _MORE
    return [
        "___ ERROR collecting recipes/bad.yaml ___",
        "<recipes/bad.yaml>:2:107: unknown key 'cmds' in shell step 'set' (did you mean 'cmd'?)",
        "",
        "   1 | steps:",
        f"   2 | {bad}",
        f"     | {' ' * bad.index('cmds')}<^^^^>",
        "___ ERROR at setup of test_off ___",
        "needed step parts/off.yaml::off did not pass",
        "<parts/off.yaml>:1:52: step 'off': exit code 3, expected 0",
        "",
        f"   1 | {off}",
        f"     | {' ' * off.index('exit')}<^^^^^^>",
        "<E   exit code 3, >[expected 0]",
        *(() if is_short else _OFF_MORE),
        "=== FAILURES ===",
        "___ ripple in recipes/psu.yaml ___",
        "<recipes/psu.yaml>:2:165: ripple is out of its limits after step 'ripple'",
        "",
        f"   2 | {step}",
        f"     | {' ' * step.index('50}}}')}<^^>",
        "<E   ripple = 61.4 mV, >[max 50.0 mV]< (11.4 mV above, 22.8 %)  (line 2)>",
        *end,
    ]


_CUT = {
    60: (
        "…easured., type: shell, cmds: psu set 12 V, tags: [n…",
        "…s: {ripple: {value: result.mv, unit: mV, high: 50}}}",
        "…[{name: off, type: shell, parse: text, cmd: exit 3}]",
    ),
    80: (
        "…ed., type: shell, cmds: psu set 12 V, tags: [nightly, psu, channel_one]}",
        f"…{_STEP[-72:]}",
        _OFF,
    ),
    120: (f"{_BAD[:112]}…", f"…{_STEP[-112:]}", _OFF),
    200: (_BAD, _STEP, _OFF),
}


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_excerpts_are_cut_to_the_width_of_the_terminal(
    bench: Project, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    bad, step, off = _CUT[width]

    assert _screen(bench, "--color=yes") == _expected(bad=bad, step=step, off=off)


def test_failures_have_the_colours_of_pytest_with_xdist(bench: Project) -> None:
    assert _screen(bench, "--color=yes", "-n", "1") == _expected()


def test_failures_have_no_colours_where_pytest_has_none(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PY_COLORS")  # pytester sets it
    monkeypatch.setenv("FORCE_COLOR", "1")
    without = [re.sub(r"[<>]|\[(max.*?|expected.*?)\]", r"\1", line) for line in _expected()]

    assert _screen(bench) == _expected()
    assert _screen(bench, "--color=no") == without
    monkeypatch.setenv("NO_COLOR", "1")
    assert _screen(bench) == without


def test_files_have_the_whole_texts_without_colours(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("PY_COLORS", "1")  # pytest then colours texts in files too
    options = ("--junitxml=junit.xml", "--json-report", "--json-report-file=report.json")

    assert _screen(bench, *options)[4] == f"   2 | {_CUT[60][0]}"

    texts = [
        element.text or ""
        for element in ET.parse(bench.path / "junit.xml").iter()
        if element.tag in ("failure", "error")
    ]
    report = json.loads((bench.path / "report.json").read_text())
    texts += [one["longrepr"] for one in report["collectors"] if one["outcome"] == "failed"]
    texts += [
        test[when]["longrepr"]
        for test in report["tests"]
        for when in ("setup", "call")
        if "longrepr" in test.get(when, {})
    ]
    assert [sum(line in text for text in texts) for line in (_BAD, _STEP, _OFF)] == [2, 2, 2]
    assert not [text for text in texts if "\x1b" in text or "#x1B" in text or "…" in text]


@pytest.mark.counted
def test_tb_line_shows_each_failure_in_one_line(bench: Project) -> None:
    needed = "needed step parts/off.yaml::off did not pass"
    assert _screen(bench, "--tb=line") == [
        "___ ERROR collecting recipes/bad.yaml ___",
        "recipes/bad.yaml:2: unknown key 'cmds' in shell step 'set' (did you mean 'cmd'?)",
        "___ ERROR at setup of test_off ___",
        f"parts/off.yaml:1: {needed}: step 'off': exit code 3, expected 0",
        "=== FAILURES ===",
        "recipes/psu.yaml:2: ripple = 61.4 mV, max 50.0 mV (11.4 mV above, 22.8 %)",
    ]


@pytest.mark.counted
def test_tb_short_shows_the_reason_with_its_excerpt(bench: Project) -> None:
    expected = _expected(end=(*_STDOUT, "--- Captured stderr call ---", "measured"))
    assert _screen(bench, "--tb=short", "--color=yes") == expected


def test_tb_no_shows_no_failure(bench: Project) -> None:
    shown = bench.run("--tb=no", "--continue-on-collection-errors").outlines

    assert not [line for line in shown if "|" in line or line.startswith("E  ")]
    assert [line for line in shown if line.startswith(("FAILED", "ERROR"))] == [
        "FAILED recipes/psu.yaml::ripple - ripple = 61.4 mV, max 50.0 mV (11.4 mV above, 22.8 %)",
        "ERROR recipes/bad.yaml - 2:107 unknown key 'cmds' (did you mean 'cmd'?)",
        "ERROR test_off.py::test_off - Failed: needed step parts/off.yaml::off did not pass",
    ]


@pytest.mark.parametrize(
    ("style", "shown"),
    [
        ("line", ["bench.py:2: AssertionError: off"]),
        (
            "short",
            [
                "___ check in recipes/a.yaml ___",
                "recipes/a.yaml:2: in check",
                "    - {name: check, type: python, module: bench, function: check}",
                "bench.py:2: in check",
                "    assert 1 == 2, 'off'",
                "E   AssertionError: off",
                "E   assert 1 == 2",
            ],
        ),
    ],
)
def test_a_python_step_is_shown_as_a_test_in_each_style(
    project: Project, style: str, shown: list[str]
) -> None:
    project.write("bench.py", "def check(ctx, params):\n    assert 1 == 2, 'off'\n")
    project.recipe("a", {"check": "type: python, module: bench, function: check"})

    text = project.run(f"--tb={style}").stdout.str().replace(f"{project.path}/", "")

    text = re.sub(r"([-_=])\1+ (.*) [-_=]+$", r"\1\1\1 \2 \1\1\1", text, flags=re.MULTILINE)
    text = text.partition("=== FAILURES ===\n")[2].partition("--- recipes ---")[0]
    assert text.splitlines() == shown


@pytest.mark.counted
def test_pytest_rich_shows_the_whole_failure(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write(
        "conftest.py",
        """
        import pytest

        class Rich:
            @pytest.hookimpl
            def pytest_runtest_logreport(self, report):
                self.reports = [*getattr(self, "reports", ()), report]

            @pytest.hookimpl
            def pytest_sessionfinish(self):
                for report in self.reports:
                    if report.failed:
                        is_traceback = type(report.longrepr).__name__ == "ExceptionChainRepr"
                        print("rich:", "traceback" if is_traceback else report.longrepr)

        @pytest.hookimpl(trylast=True)
        def pytest_configure(config):
            config.pluginmanager.unregister(name="terminalreporter")
            config.pluginmanager.register(Rich(), "rich-terminal-reporter")
        """,
    )
    monkeypatch.setenv("COLUMNS", "60")

    shown = bench.run("recipes/psu.yaml").outlines

    assert shown[:4] == [
        "rich: recipes/psu.yaml:2:165: ripple is out of its limits after step 'ripple'",
        "",
        f"   2 | {_CUT[60][1]}",
        "     |                                                 ^^",
    ]


def test_the_short_summary_with_colours_fits_the_terminal(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    done = bench.run(
        "--color=yes", "--continue-on-collection-errors", "--junitxml=out.xml", "recipes"
    )

    shown = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in done.outlines]
    assert [line for line in shown if line.startswith(("FAILED", "ERROR "))] == [
        "FAILED recipes/psu.yaml::ripple - ripple = 61.4 mV, max 50.…",
        "ERROR recipes/bad.yaml - 2:107 unknown key 'cmds' (did you…",
    ]
    failure = ET.parse(bench.path / "out.xml").find(".//failure")
    assert failure is not None
    assert failure.get("message") == "ripple = 61.4 mV, max 50.0 mV (11.4 mV above, 22.8 %)"
