"""Dask clusters that fail during a session; `scripts/soak 50 --dask` repeats it."""

from pathlib import Path

import pytest

from benchmarks import cluster, outages

pytestmark = pytest.mark.nightly


def test_a_step_runs_once_and_the_report_names_the_outage_of_the_cluster(
    tmp_path: Path,
) -> None:
    faults = [one for one in outages.CHEAP if one in outages.FAULTS or not cluster.why_not_apart()]

    for one in outages.rounds(len(faults), tmp_path, faults, grace=60.0):
        assert not one.wrong, "\n".join([one.fault, *one.wrong])


def test_simulated_machines_have_separate_networks() -> None:
    if why := cluster.why_not_apart():
        pytest.skip(why)
    with cluster.machines(2, apart=True) as (one, other):
        assert cluster.until(lambda: cluster.reaches(one, other))
        other.plug(is_in=False)
        assert not cluster.reaches(one, other)
        other.plug(is_in=True)
        assert cluster.until(lambda: cluster.reaches(one, other))

    assert not cluster.why_not_apart()
