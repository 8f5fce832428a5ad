"""Steps on Dask workers: broker, worker agent, messages, file transfer."""
