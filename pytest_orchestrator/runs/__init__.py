"""Run folders: journal, records, resume, comparison, evidence."""
