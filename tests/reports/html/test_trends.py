import json
from pathlib import Path

import pytest

from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.reports.html.trends import Curves, curves, trends
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.index.past_runs import earlier
from tests.runs.built import BEGIN, Built


def samples(path: Path, *rows: tuple[float, int, float], rest: str = "") -> Path:
    names = ("seconds", "rss", "cpu_seconds")
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
    path.write_text("\n".join([*lines, rest]))
    return path


def test_a_cpu_curve_counts_the_cores_used(tmp_path: Path) -> None:
    drawn = curves(samples(tmp_path / "x", (0.5, 10, 0.5), (1.0, 20, 1.5), (2.0, 15, 1.5)), 10)

    assert drawn == Curves((0.5, 1.0, 2.0), (10, 20, 15), (1.0, 2.0, 0.0))


def test_a_point_of_many_samples_is_their_peak(tmp_path: Path) -> None:
    rows = [(float(at), 100 if at == 7 else 1, at / 2) for at in range(1, 101)]

    drawn = curves(samples(tmp_path / "x", *rows), 10)

    assert drawn
    assert len(drawn.seconds) == 10
    assert drawn.rss == (100, *[1] * 9)
    assert drawn.cpu == (0.5,) * 10


def test_an_incomplete_line_ends_a_curve(tmp_path: Path) -> None:
    drawn = curves(samples(tmp_path / "x", (1, 1, 1), (2, 2, 2), rest='{"sec'), 10)

    assert drawn
    assert drawn.seconds == (1, 2)


def test_a_single_sample_gives_no_curve(tmp_path: Path) -> None:
    assert curves(samples(tmp_path / "x", (1, 1, 1)), 10) is None
    assert curves(tmp_path / "nothing", 10) is None


def test_a_trend_names_its_recipe_has_limits_and_judges_each_value_by_them(tmp_path: Path) -> None:
    for number, values in enumerate([(12.0, 12.4), (12.1, 12.9), (12.2, 12.5)]):
        run = Built(tmp_path, f"20261126T00000{number}Z-0001", start=BEGIN + number * 10**12)
        for cell, value in zip(("a", "b"), values, strict=True):
            run.recipe = f"recipes/x.yaml[unit:{cell}]"
            run.about = {"name": "x", "path": "recipes/x.yaml", "cell": f"unit:{cell}"}
            run.begin("m")
            run.step("m", measured={"rail": value}, limits={"low": 11.5, "high": 12.6})
        run.seal()
    folders = sorted(tmp_path.iterdir(), reverse=True)

    record = lookup.load_record(folders[0])
    charts = trends(record, earlier(record, folders[0]))

    assert [one["name"] for one in charts] == [
        "x [unit:a] · total step time",
        "x [unit:a] · m: rail",
        "x [unit:b] · total step time",
        "x [unit:b] · m: rail",
    ]
    assert {one["total"] for one in charts} == {4}
    last = charts[3]
    assert (last["low"], last["high"], last["unit"]) == (11.5, 12.6, "mV")
    assert [(one["value"], one["passed"]) for one in last["points"]] == [
        (12.4, True),
        (12.9, False),
        (12.5, True),
    ]
    starts = [one["start"] for one in last["points"]]
    assert starts == sorted(starts)
    assert all(starts)


def test_a_unit_of_a_panel_has_its_own_trend(tmp_path: Path) -> None:
    for number, value in enumerate([12.0, 12.1]):
        run = Built(tmp_path, f"20261126T00000{number}Z-0001", start=BEGIN + number * 10**12)
        run.about = {"name": "x", "path": "recipes/x.yaml", "units": {"A": "SN1", "B": "SN2"}}
        run.begin("m[unit:A]", unit="A").step("m[unit:A]", measured={"rail": value})
        run.seal()
    folders = sorted(tmp_path.iterdir(), reverse=True)

    record = lookup.load_record(folders[0])
    charts = trends(record, earlier(record, folders[0]))

    assert [(one["name"], [point["value"] for point in one["points"]]) for one in charts[1:]] == [
        ("m[unit:A]: rail", [12.0, 12.1])
    ]


def test_figures_beyond_the_most_charts_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_orchestrator.reports.html.trends._MAX_CHARTS", 2)
    for number in range(2):
        run = Built(tmp_path, f"20261126T00000{number}Z-0001").begin("m")
        run.step("m", measured={"rail": 1.0, "ripple": 2.0, "state": 3.0})
        run.seal()
    folders = sorted(tmp_path.iterdir(), reverse=True)

    record = lookup.load_record(folders[0])
    before = earlier(record, folders[0])
    charts = trends(record, before)

    assert (len(charts), charts[0]["total"]) == (2, 4)
    page = html(record, folders[0], earlier=before)
    assert "2 of 4 figures shown" in page
