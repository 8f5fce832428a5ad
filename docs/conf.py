"""Sphinx configuration: MyST pages, Furo theme; `scripts/check` makes warnings errors."""

import shutil
import tomllib
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from pytest_orchestrator import extending

# These names are imported at their first use; autodoc looks for them where annotations name them.
for _name in ("Instrument", "InstrumentError"):
    setattr(extending, _name, getattr(extending, _name))

_project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]

project = _project["name"]
author = _project["authors"][0]["name"]
project_copyright = author
version = release = version_of("pytest-orchestrator")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]
exclude_patterns = ["_build"]
nitpicky = True
# Types of the standard library and of other packages have no page here.
nitpick_ignore_regex = [("py:.*", ".*")]

autodoc_default_options = {"member-order": "bysource"}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

# A copied command has no prompt and no output.
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = f"pytest-orchestrator {release}"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
html_extra_path = ["llms.txt"]  # at the root of the site, where programs look for it
html_baseurl = _project["urls"]["Documentation"]
html_theme_options = {
    "source_repository": _project["urls"]["Source"],
    "source_branch": "main",
    "source_directory": "docs/",
}
linkcheck_ignore = [f"{_project['urls'][name]}.*" for name in ("Homepage", "Documentation")]
linkcheck_ignore += [r"http://(127\.0\.0\.1|localhost).*"]


def _publish_schemas(app: Any, error: Exception | None) -> None:
    """Copy the JSON Schemas to ``schema/`` of the site: editors and SchemaStore read them there."""
    if error is None and app.builder.format == "html":
        schemas = Path(__file__).parents[1] / "pytest_orchestrator" / "schema"
        shutil.copytree(schemas, Path(app.outdir) / "schema", dirs_exist_ok=True)


def setup(app: Any) -> None:
    """Connect the functions of this file to the build."""
    app.connect("build-finished", _publish_schemas)
