"""History store: one small file for each run that ended, which outlives the folder of the run."""
