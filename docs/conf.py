"""Sphinx configuration: MyST pages, Furo theme; `scripts/check` makes warnings errors."""

from importlib.metadata import version as version_of

project = "pytest-orchestrator"
author = "pytest-orchestrator contributors"
project_copyright = author
version = release = version_of("pytest-orchestrator")

extensions = ["myst_parser"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"pytest-orchestrator {release}"
