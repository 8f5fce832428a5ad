"""Reporting: reports, tables, progress, formats."""
