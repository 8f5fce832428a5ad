"""Clusters that fail in the middle of a session; `scripts/soak 50 --dask` does more of it."""

from pathlib import Path

import pytest

from benchmarks import cluster, outages


def test_whatever_of_a_cluster_fails_a_body_runs_once_and_the_report_says_what_happened(
    tmp_path: Path,
) -> None:
    faults = [one for one in outages.CHEAP if one in outages.FAULTS or not cluster.why_not_apart()]

    for one in outages.rounds(len(faults), tmp_path, faults, grace=60.0):
        assert not one.wrong, "\n".join([one.fault, *one.wrong])


def test_machines_have_networks_of_their_own() -> None:
    if why := cluster.why_not_apart():
        pytest.skip(why)
    with cluster.machines(2, apart=True) as (one, other):
        assert cluster.until(lambda: cluster.reaches(one, other))
        other.plug(is_in=False)
        assert not cluster.reaches(one, other)
        other.plug(is_in=True)
        assert cluster.until(lambda: cluster.reaches(one, other))

    assert not cluster.why_not_apart()
