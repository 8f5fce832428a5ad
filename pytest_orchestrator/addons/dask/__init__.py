"""Steps on Dask workers: cluster, connections, claims and heartbeats."""
