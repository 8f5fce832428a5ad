import json
from pathlib import Path

from pytest_orchestrator.reports.trends import Curves, curves


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
