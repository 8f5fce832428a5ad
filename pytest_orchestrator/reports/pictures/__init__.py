"""Pictures and PDF files of pages and timelines."""
