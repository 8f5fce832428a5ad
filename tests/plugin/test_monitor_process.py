"""`--recipe-monitor`: a monitor process that ends with the session."""

import os
import sys

import pytest

from tests.plugin.conftest import Project

_ASKS = """
from pathlib import Path


def test_it_runs(pytestconfig):
    monitor = pytestconfig.pluginmanager.get_plugin("orchestrator-monitoring")
    Path("pid").write_text(str(monitor._process.pid))
    assert monitor._process.poll() is None
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


def test_the_header_has_the_link_and_the_monitor_ends_with_the_session(project: Project) -> None:
    project.write("test_it.py", _ASKS)

    result = project.spawn("--recipe-monitor")

    result.assert_outcomes(passed=1)
    runs = project.path / ".orchestrator" / "runs"
    result.stdout.fnmatch_lines(f"monitor of {runs}: http://127.0.0.1:*/[?]token=*")
    with pytest.raises(ProcessLookupError):
        os.kill(int((project.path / "pid").read_text()), 0)
