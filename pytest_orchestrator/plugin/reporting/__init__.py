"""Reporting: pytest reports, terminal tables, status line, report files."""
