"""Marginal measurements in the reports of a session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from tests.plugin.test_shown_in_pages import blocks, shows

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

RECIPE = """\
steps:
  - name: measure
    type: shell
    cmd: psu
    parse: data
    {}
  - name: worse
    type: shell
    cmd: psu
    parse: data
    measurements:
      ripple: {{value: result.ripple_mv, unit: mV, high: 47, marginal: {{high: 45}}}}
      volts: {{value: result.volts, high: 12.5, marginal: {{percent: 1}}, precision: 3}}
      serial: {{value: result.serial, matches: "^SN-[0-9]{{6}}$"}}
"""


@pytest.mark.counted
def test_marginal_values_pass_and_every_report_shows_them(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PATH", str(project.path / "bin"), prepend=":")
    answer = {"volts": 12.412345, "ripple_mv": 47.2, "serial": "SN-000123"}
    project.script("bin/psu", f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    keys = next(one for one in blocks("measurements.md", "yaml") if "marginal" in one)
    project.write("recipes/psu.yaml", RECIPE.format(keys.replace("\n", "\n    ")))
    reports = ("--json-report", "--json-report-file=r.json", "--junitxml=r.xml", "--color=yes")
    result = project.run(*reports, "-o", "recipe_html=true")
    report = json.loads((project.path / "r.json").read_text(encoding="utf-8"))

    shown = next(one for one in blocks("measurements.md", "text") if "marginal" in one)
    plain = project.run("-k", "measure")
    assert shows(plain, shown)
    result.stdout.fnmatch_lines(
        [
            "*also checked, OK: exit code 0; volts ≤ 12.5 (marginal); serial matches ^SN-*",
            "  measure  \x1b[33mpassed (1 marginal)\x1b[0m  *",
            "    ripple  \x1b[33m47.2 mV\x1b[0m  ≤ 50.0 mV  \x1b[33mmargin 2.8 mV, marginal*",
            "  worse    \x1b[31mfailed (1 marginal)\x1b[0m  *",
            "    ripple  \x1b[31m47.2 mV\x1b[0m  ≤ 47.0 mV  \x1b[31m0.2 mV above*",
            "    volts   \x1b[33m12.4\x1b[0m     ≤ 12.5     \x1b[33mmargin 0.1, marginal*",
        ]
    )
    measure, worse = (one["metadata"]["orchestrator"] for one in report["tests"])
    assert measure["measurements"] == [
        {
            "name": "ripple",
            "value": 47.2,
            "unit": "mV",
            "high": 50.0,
            "verdict": "pass",
            "margin": 2.8,
            "marginal_high": 45.0,
            "marginal": True,
            "line": 7,
        },
        {
            "name": "supply",
            "value": 12.412345,
            "unit": "V",
            "verdict": "pass",
            "line": 8,
            "low": 11.4,
            "high": 12.6,
            "margin": 0.187655,
            "marginal_low": 11.52,
            "marginal_high": 12.48,
        },
    ]
    assert worse["measurements"][2] == {
        "name": "serial",
        "value": "SN-000123",
        "matches": "^SN-[0-9]{6}$",
        "verdict": "pass",
        "line": 17,
    }
    assert report["environment"] is not None
    summary = report["orchestrator"]
    assert (summary["marginal"], summary["recipes"][0]["marginal"]) == (2, 2)
    properties = [
        (one.attrib["name"].rpartition("measurement.")[2], one.attrib["value"])
        for one in ElementTree.parse(project.path / "r.xml").iter("property")
    ]
    assert ("ripple.marginal", "True") in properties
    assert ("volts.value", "12.412345") in properties
    assert ("serial.matches", "^SN-[0-9]{6}$") in properties
    page = next(project.path.glob(".orchestrator/runs/2*/report.html")).read_text(encoding="utf-8")
    assert page.count('class="limits blocked"') == 2
    assert 'class="state blocked"><span aria-hidden="true">≈</span> marginal</span> 2' in page
    assert ">12.4</td>" in page
    assert "matches ^SN-[0-9]{6}$" in page
