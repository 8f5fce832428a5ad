"""Monitor: web pages that show run folders and never change a run."""
