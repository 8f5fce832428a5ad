"""The cells of a step are items of their own in every way to run a recipe."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

USED = """
vars: {channel: 0}
steps:
- name: probe
  type: shell
  parse: data
  cmd: echo ${{ vars.channel }}
  outputs: {"psu.probe${{ vars.channel }}_v1": "${{ result }}"}
- name: load
  type: shell
  parse: data
  matrix: {amps: [1, 2]}
  cmd: echo ${{ vars.channel * 10 + matrix.amps }}
- name: sum
  type: shell
  parse: data
  if: steps.load | length == 2 and steps['load[amps:2]'].outcome == 'passed'
  cmd: echo ${{ steps.load | sum(attribute='result') }}
"""
RECIPE = """
vars: {channels: [1, 2, 3]}
steps:
- {name: start, type: shell, parse: text, cmd: ':'}
- name: measure
  type: shell
  parse: data
  matrix: {channel: "${{ vars.channels }}"}
  cmd: |
    echo x > out.csv
    test ! -e bad"${{ matrix.channel }}"
    echo ${{ matrix.channel * 2 }}
  artifacts: [out.csv]
  locks: ["ch${{ matrix.channel }}"]
  outputs: {"psu.mv${{ matrix.channel }}_v1": "${{ result }}"}
  measurements: {mv: {value: result, high: 9, unit: mV}}
- name: total
  type: shell
  parse: text
  cmd: ':'
  success:
    assert:
    - steps.measure | sum(attribute='result') == 12
    - steps.measure | map(attribute='matrix.channel') | list == [1, 2, 3]
    - steps['measure[channel:2]'].result == 4
    - ctx.psu.mv3_v1 == 6
- {name: two, type: shell, parse: text, cmd: ':', needs: ["measure[channel:2]"]}
- name: ch
  use: recipes/_ch.yaml
  needs: [start]
  matrix: {channel: [4, 5]}
  with: {channel: "${{ matrix.channel }}"}
- name: used
  type: shell
  parse: text
  cmd: ':'
  success:
    assert:
    - steps['ch.sum'] | map(attribute='result') | list == [83, 103]
    - steps['ch.load[channel:5,amps:2]'].result == 52
    - ctx.psu.probe5_v1 == 5
"""
MEASURE = [f"measure[channel:{channel}]" for channel in (1, 2, 3)]
CH = [
    name
    for channel in (4, 5)
    for name in (
        f"ch.probe[channel:{channel}]",
        f"ch.load[channel:{channel},amps:1]",
        f"ch.load[channel:{channel},amps:2]",
        f"ch.sum[channel:{channel}]",
    )
]
ITEMS = ["start", *MEASURE, "total", "two", *CH, "used"]


@pytest.fixture
def cells(project: Project) -> Project:
    project.write("recipes/_ch.yaml", USED)
    project.write("recipes/x.yaml", RECIPE)
    return project


def ids(*steps: str) -> list[str]:
    return [f"recipes/x.yaml::{step}" for step in steps]


@pytest.mark.parametrize("options", [[], ["--recipe-jobs", "3"], ["-n", "2"]])
def test_all_cells_run_in_order(cells: Project, options: list[str]) -> None:
    assert cells.outcomes(*options) == dict.fromkeys(ids(*ITEMS), "passed")


@pytest.mark.parametrize(
    ("options", "ran"),
    [
        (["-k", "channel:2"], [MEASURE[1]]),
        (["recipes/x.yaml::measure"], MEASURE),
        (["recipes/x.yaml::measure[channel:3]"], [MEASURE[2]]),
        (["recipes/x.yaml::ch[channel:5]"], CH[4:]),
        (["recipes/x.yaml::ch"], CH),
        (
            [f"--deselect=recipes/x.yaml::{name}" for name in ("measure", "ch[channel:4]")]
            + ["-k", "start or ch"],
            ["start", *CH[4:]],
        ),
    ],
)
def test_cells_are_selected_by_name_or_value(
    cells: Project, options: list[str], ran: list[str]
) -> None:
    assert cells.items(*options) == ids(*ran)


def test_a_failed_cell_blocks_the_steps_that_need_it_and_runs_again_alone(cells: Project) -> None:
    bad = cells.write("bad1", "")
    outcomes = cells.outcomes("--junit-xml=junit.xml", "-k", "not ch.")

    failed, blocked = ids(MEASURE[0])[0], ids("total")[0]
    assert {node for node, outcome in outcomes.items() if outcome != "passed"} == {failed, blocked}
    assert outcomes[failed] == "failed"
    cases = ET.parse(cells.path / "junit.xml").iter("testcase")
    assert [case.get("name") for case in cases] == ["start", *MEASURE, "total", "two", "used"]

    bad.unlink()
    result = cells.run("--recipe-resume=latest", "-k", "measure")
    result.assert_outcomes(passed=1, skipped=2, deselected=12)
    cells.write("bad1", "")
    cells.run("-k", "measure")
    assert list(cells.outcomes("--lf", "-k", "measure")) == [failed]


def test_the_files_and_the_block_of_a_cell_are_its_own(cells: Project) -> None:
    blocks = cells.blocks("recipes/x.yaml::measure")

    block = blocks["measure[channel:2]"]
    assert block["step"]["matrix"] == {"channel": 2}
    assert block["step"]["node"] == "recipes/x.yaml::measure[channel:2]"
    assert block["logs"]["stdout"]["path"] == "logs/x/measure[channel=2].1.stdout"
    assert [one["path"] for one in block["artifacts"]] == ["artifacts/x/measure[channel=2]/out.csv"]
    assert [write["key"] for write in block["context"]["writes"]] == ["psu.mv2_v1"]


@pytest.mark.counted
def test_an_unknown_cell_gets_a_hint(cells: Project) -> None:
    result = cells.run("recipes/x.yaml::measure[channel:9]")

    assert re.search(
        r"recipes/x.yaml has no step 'measure\[channel:9\]' \(did you mean 'measure\[channel:\d\]'",
        result.stderr.str() + result.stdout.str(),
    )
