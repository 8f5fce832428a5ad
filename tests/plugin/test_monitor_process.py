"""`--recipe-monitor`: a monitor process that ends with the session, or is kept after it."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from http.cookiejar import CookieJar
from urllib.request import HTTPCookieProcessor

import pytest

from tests.plugin.conftest import PYTEST, Project

_ASKS = """
from pathlib import Path


def test_it_runs(pytestconfig):
    monitor = pytestconfig.pluginmanager.get_plugin("orchestrator-monitoring")
    Path("pid").write_text(str(monitor._process.pid))
    assert monitor._process.poll() is not None
"""


@pytest.mark.counted
def test_the_error_without_flask_names_the_package_to_install(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("test_none.py", "def test(): pass")
    monkeypatch.setitem(sys.modules, "flask", None)

    result = project.run("--recipe-monitor")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        "ERROR: --recipe-monitor needs Flask: "
        "python -m pip install 'pytest-orchestrator[[]monitor]'"
    )


@pytest.mark.counted
def test_another_value_than_keep_is_a_usage_error(project: Project) -> None:
    result = project.run("--recipe-monitor=kep")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        "ERROR: --recipe-monitor: 'kep' is no value (did you mean 'keep'[?]); "
        "write --recipe-monitor=keep"
    )


@pytest.mark.parametrize("option", ["--verbose", "--quiet", "--no-header"])
def test_a_monitor_that_is_kept_ends_at_ctrl_c_with_the_status_of_the_session(
    option: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    project.write("test_it.py", _ASKS)
    args = ["--recipe-monitor=keep", option, "test_it.py"]
    with subprocess.Popen([*PYTEST, *args], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = ""
        while "stays until Ctrl-C" not in seen:
            seen += process.stdout.readline()
        runs = re.escape(str(project.path / ".orchestrator" / "runs"))
        link = re.search(
            rf"monitor of {runs}: (http://\S+/run/\d{{8}}T\d{{6}}Z-\w+\?token=\S+)", seen
        )
        assert link is not None, seen
        assert seen.count("monitor of ") == 1
        assert link.start() < seen.index("FAILURES")
        assert seen.index("1 failed") < seen.rindex(f"monitor: {link[1]} stays")
        with urllib.request.build_opener(HTTPCookieProcessor(CookieJar())).open(link[1]) as page:
            assert "The run has not started yet" in page.read().decode()  # it has no recipe
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == pytest.ExitCode.TESTS_FAILED
    with pytest.raises(ProcessLookupError):
        os.kill(int((project.path / "pid").read_text()), 0)


def test_ctrl_c_at_the_last_line_keeps_the_status_of_the_session(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    project.write("test_it.py", _ASKS)
    project.write(
        "conftest.py",
        """
        import os
        import signal

        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_unconfigure(config):
            terminal = config.pluginmanager.get_plugin("terminalreporter")
            write_line = terminal.write_line

            def interrupted(line):
                write_line(line)
                os.kill(os.getpid(), signal.SIGINT)

            terminal.write_line = interrupted
        """,
    )
    result = project.spawn("--recipe-monitor=keep", "test_it.py")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.outlines[-1].endswith(" stays until Ctrl-C")
