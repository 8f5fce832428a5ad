"""Safe states of earlier runs that a session does not reach."""

from pathlib import Path

import pytest

from pytest_orchestrator.plugin.instruments.owed import obstacle_of
from pytest_orchestrator.recipe.station.reader import load_station
from pytest_orchestrator.runs.owed_safe import OwedSafe

STATION = """\
instruments:
  psu: {resource: A, safe: [OUTP OFF]}
  meter: {resource: B}
"""


@pytest.mark.parametrize(
    ("name", "resource", "station", "obstacle"),
    [
        ("psu", "A", "station.yaml", None),
        ("psu", "A", "", None),
        (
            "psu",
            "A",
            "bench.yaml",
            ("not reached", "psu is in bench.yaml, and this session uses station.yaml"),
        ),
        ("psu", "C", "", ("dropped", "station.yaml has no instrument 'psu' at C any more")),
        ("load", "A", "", ("dropped", "station.yaml has no instrument 'load' at A any more")),
        ("meter", "B", "", ("dropped", "station.yaml has no 'safe' of meter any more")),
    ],
)
def test_a_changed_station_is_an_obstacle(
    tmp_path: Path, name: str, resource: str, station: str, obstacle: object
) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(STATION)
    debt = OwedSafe("20261125T101502Z-7f3a", "a.yaml", name, resource, station)

    assert obstacle_of(debt, load_station(path, tmp_path)) == obstacle
