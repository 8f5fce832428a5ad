"""Process capability, against NumPy and SciPy."""

import random
from pathlib import Path

import pytest

from pytest_orchestrator.runs.statistics.figures import capability
from tests.house.frames import run

CODE = """
import numpy as np
from scipy import stats

result = []
for values, low, high in given:
    mean, sigma = np.mean(values), np.std(values, ddof=1)
    assert np.isclose(sigma, stats.tstd(values), rtol=1e-12)
    sides = ([] if low is None else [(mean - low) / (3 * sigma)])
    sides += [] if high is None else [(high - mean) / (3 * sigma)]
    cp = None if None in (low, high) else (high - low) / (6 * sigma)
    figures = [mean, sigma, np.min(values), np.max(values)]
    cpk = float(min(sides)) if sides else None
    within = np.mean(np.abs(np.diff(values))) / 1.128
    short = None if not sides else cpk * sigma / within
    result.append([len(values), *map(float, figures), cp and float(cp), cpk])
    result[-1] += [float(within), short and float(short)]
"""


@pytest.mark.nightly
def test_capability_is_that_of_numpy_and_scipy(tmp_path: Path) -> None:
    source = random.Random(25)
    cases: list[tuple[list[float], float | None, float | None]] = []
    for at in range(126):  # with four kinds of limits each, 504 cases
        scale, size = (1e-9, 1.0, 1e9)[at % 3], (2, 3, 10, 200, 1000)[at % 5]
        values = [source.gauss(5 * scale, scale / 7) for _ in range(size)]
        for low, high in ((4.0, 6.0), (None, 6.0), (4.0, None), (None, None)):
            least, most = (None if one is None else one * scale for one in (low, high))
            cases.append((values, least, most))
    found = run(CODE, tmp_path, cases)

    for (values, low, high), expected in zip(cases, found, strict=True):
        one = capability(values, low, high)
        figures = (one.n, one.mean, one.sigma, one.least, one.most, one.pp, one.ppk)
        more = (one.within, one.cpk)
        for figure, other in zip(figures + more, expected, strict=True):
            assert figure == (None if other is None else pytest.approx(other, rel=1e-9))
