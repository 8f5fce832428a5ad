"""Journal of a session, resumed runs, baseline check and snapshots."""
