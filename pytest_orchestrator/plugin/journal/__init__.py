"""Journal entries of a session, resume, baseline, snapshots."""
