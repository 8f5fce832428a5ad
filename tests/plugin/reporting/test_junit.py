"""JUnit files for Jenkins and GitLab: valid, each case once, the reason in its message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
import xmlschema

from tests.house.readers import have_readers

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

LOOP = (
    "type: shell, cmd: 'true', parse: text, foreach: [7, \"a\\x1b&<]]>\"], "
    "measurements: {step_index: {value: index + 1, high: 5, unit: mV}}"
)
SCHEMA = xmlschema.XMLSchema(Path(__file__).parents[1] / "jenkins_xunit.xsd")


@pytest.fixture
def bench(project: Project) -> Project:
    """A project with steps of every outcome, of two recipes with equal names."""
    steps = {
        "flash": "type: shell, cmd: 'echo \"\\x1b[31m&<]]>\"; true', parse: text",
        "measure": 'type: shell, cmd: \'printf %s {\\"status\\":\\"ok\\"}\', measurements: '
        "{ripple: {value: '61.4', high: 50, unit: mV}, noise: {value: '3', high: 1}}",
        "release": "",
        "pause": "function: pause, needs: []",
        "known": "function: boom, needs: [], xfail: BUG-4",
    }
    project.recipe("a", steps, {"off": ""})
    project.recipe("b", {"flash": "fixtures: [no_such]"})
    project.recipe("m", {"one": LOOP}, head="matrix: {gain: [1, 2]}")
    return project


def _read(project: Project, *args: str) -> ElementTree.Element:
    project.run("--junitxml=junit.xml", *args)
    return ElementTree.parse(project.path / "junit.xml").getroot()


def _check_elements(text: str) -> None:
    """Check the nested record of the elements of a step with `LOOP`."""
    first, second = json.loads(text)
    assert (first["item"], second["item"]) == (7, "a\x1b&<]]>")
    measured = second["measurements"]["step_index"]
    assert (second["index"], second["state"], measured["value"], measured["unit"]) == (
        1,
        "passed",
        2,
        "mV",
    )


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_junit_file_with_suite_properties_is_valid(
    bench: Project, workers: tuple[str, ...]
) -> None:
    root = _read(bench, "-o", "recipe_junit_properties=testsuite", *workers)

    assert [str(error) for error in SCHEMA.iter_errors(root)] == []
    properties = {one.attrib["name"]: one.attrib["value"] for one in root.iter("property")}
    assert properties["recipes/a.yaml::release.blocked_by"] == "measure"
    assert properties["recipes/a.yaml::measure.measurement.ripple.value"] == "61.4"
    assert float(properties["recipes/a.yaml::off.max_rss_bytes"]) > 0
    _check_elements(properties["recipes/m.yaml::one[gain:1].elements"])
    cases = [(one.attrib["classname"], one.attrib["name"]) for one in root.iter("testcase")]
    assert len(cases) == len(set(cases)) == 9
    messages = {
        one.attrib["name"]: one[0].attrib.get("message")
        for one in root.iter("testcase")
        if len(one) and one.attrib["classname"] == "recipes.a.yaml"
    }
    assert messages["measure"] == (
        "ripple = 61.4 mV, max 50.0 mV (11.4 mV above, 22.8 %) (and 1 more)"
    )
    assert messages["release"] == "blocked by recipes/a.yaml::measure"
    assert messages["pause"] == "nothing to do"


def test_each_case_has_its_properties_by_default_and_the_suite_has_none(bench: Project) -> None:
    root = _read(bench)

    assert root.findall("testsuite/properties") == []
    cases = {case.attrib["name"]: case for case in root.iter("testcase")}
    properties = {
        name: {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}
        for name, case in cases.items()
    }
    found = {name: one["outcome"] for name, one in properties.items()}
    assert found | {"flash": "error"} == {
        "flash": "error",
        "measure": "failed",
        "release": "blocked",
        "pause": "skipped",
        "known": "xfailed",
        "off": "passed",
        "one[gain:1]": "passed",
        "one[gain:2]": "passed",
    }
    explained = {
        name: (case[1].tag, case[1].attrib.get("type"), case[1].attrib["message"])
        for name, case in cases.items()
        if name in ("release", "pause", "known")
    }
    assert explained == {
        "release": ("skipped", "pytest.skip", "blocked by recipes/a.yaml::measure"),
        "pause": ("skipped", "pytest.skip", "nothing to do"),
        "known": ("skipped", "pytest.xfail", "BUG-4"),
    }
    assert properties["measure"]["measurement.ripple.value"] == "61.4"
    _check_elements(properties["one[gain:1]"]["elements"])
    for case in root.iter("testcase"):
        for element in case.findall("properties"):
            case.remove(element)
    # Properties of cases are the only deviation from the strictest schema.
    assert [str(error) for error in SCHEMA.iter_errors(root)] == []


@pytest.mark.nightly
def test_junitparser_reads_the_properties_of_each_case(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_readers(monkeypatch)
    from junitparser.xunit2 import JUnitXml

    bench.run("--junitxml=junit.xml")
    (suite,) = JUnitXml.fromfile(str(bench.path / "junit.xml"))
    found = {case.name: {one.name: one.value for one in case.properties()} for case in suite}
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (9, 1, 1, 3)
    assert found["release"]["blocked_by"] == "measure"
    assert found["measure"]["measurement.ripple.unit"] == "mV"


@pytest.mark.parametrize("place", ["case", "family", "none"])
def test_an_invalid_place_for_properties_is_a_usage_error(project: Project, place: str) -> None:
    project.ini(f"recipe_junit_properties = {place}")

    assert project.run().stderr.lines[0] == (
        f"ERROR: ini key recipe_junit_properties: '{place}' is no place; "
        "write testcase, or testsuite, which junit_family=xunit2 allows"
    )
