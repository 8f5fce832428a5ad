"""Recipe incoming_inspection: answers of a person, and requests to a simulated station service."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scriptlets.python.steps.station_service import serve
from tests.plugin.conftest import project  # noqa: F401  # a fixture

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_ROOT = Path(__file__).parents[2]
_ANSWERS = "recipes/_incoming_inspection.answers.yaml"


@pytest.fixture
def incoming(project: Project) -> Project:  # noqa: F811
    """A project with the recipe, its answers and its scriptlet."""
    for name in ("recipes/incoming_inspection.yaml", _ANSWERS):
        project.write(name, (_ROOT / name).read_text(encoding="utf-8"))
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_ROOT / "scriptlets", project.path / "scriptlets", ignore=ignored)
    return project


def test_answers_given_before_the_run_lead_to_a_verdict_of_the_station(incoming: Project) -> None:
    result = incoming.run("--recipe-answers", _ANSWERS, "--json-report", "recipes")

    result.assert_outcomes(passed=4)
    tests = json.loads((incoming.path / ".report.json").read_text(encoding="utf-8"))["tests"]
    blocks = {test["nodeid"].partition("::")[2]: test["metadata"]["orchestrator"] for test in tests}
    written = {change["key"]: change["new"] for change in blocks["verdict"]["context"]["writes"]}
    assert written == {"incoming.verdict_v1": "accepted"}
    (volts,) = blocks["inspect"]["measurements"]
    assert (volts["name"], volts["value"], volts["verdict"]) == ("front_panel", 12.04, "pass")


def test_a_rejected_unit_fails_with_the_verdict_of_the_station(incoming: Project) -> None:
    answers = (incoming.path / _ANSWERS).read_text(encoding="utf-8")
    incoming.write(_ANSWERS, answers.replace("12.04", "13.2"))

    result = incoming.run("--recipe-answers", _ANSWERS, "recipes")

    result.assert_outcomes(passed=1, failed=1, skipped=2)
    result.stdout.fnmatch_lines(["*front_panel = 13.20 V, max 12.24 V*"])


def test_the_recipe_is_skipped_with_the_reason_without_a_person(
    incoming: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")

    result = incoming.run("-rs", "recipes")

    result.assert_outcomes(skipped=4)
    reason = "requires: CI is set, so no person is asked"
    result.stdout.fnmatch_lines([f"SKIPPED*{reason}"])


def test_the_station_answers_with_202_before_its_verdict(port: int) -> None:
    threading.Thread(target=serve, args=({"port": port},), daemon=True).start()
    station = f"http://127.0.0.1:{port}"
    while not _is_ready(f"{station}/health"):
        pass
    unit = {"serial": "SN1", "volts": 10.0}

    assert _reply(urllib.request.Request(f"{station}/units", json.dumps(unit).encode())) == (
        *(201, unit),
    )
    assert _reply(f"{station}/units/SN1")[0] == 202
    assert _reply(f"{station}/units/SN1")[1]["verdict"] == "rejected"
    with pytest.raises(urllib.request.HTTPError, match="404") as unknown:
        _reply(f"{station}/units/SN2")
    unknown.value.close()


def _is_ready(url: str) -> bool:
    try:
        return _reply(url)[0] == 200
    except OSError:
        return False


def _reply(request: urllib.request.Request | str) -> tuple[int, Any]:
    with urllib.request.urlopen(request) as reply:
        return reply.status, json.load(reply)
