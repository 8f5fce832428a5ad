"""Measurements of runs as rows of a table: CSV, JSON Lines, Parquet."""
