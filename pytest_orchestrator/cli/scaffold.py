"""Scaffolding: files rendered from templates, which never replace an existing file."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from pytest_orchestrator.cli.arguments import UsageError

_TEMPLATES = Path(__file__).parent / "templates"


class Draft(NamedTuple):
    """A file to be written.

    Attributes:
        path: Path of the file, relative to the folder of the project.
        text: Its content.
        note: Its purpose, in a few words.
        may_run: True if the file is to be executable.
    """

    path: str
    text: str
    note: str = ""
    may_run: bool = False

    def write(self, root: Path) -> None:
        """Write the file; never replace an existing one.

        Raises:
            UsageError: The file exists, or cannot be written.
        """
        path = root / self.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(self.text)
            if self.may_run:
                path.chmod(path.stat().st_mode | (path.stat().st_mode & 0o444) >> 2)
        except FileExistsError as error:
            raise UsageError(f"{error.filename} already exists") from None
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from None


def render_template(template: str, **values: Any) -> str:
    """Return the rendered text of a template with expressions between `«` and `»`."""
    import jinja2

    environment = jinja2.Environment(  # noqa: S701  # no template is HTML
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        variable_start_string="«",
        variable_end_string="»",
        block_start_string="«%",
        block_end_string="%»",
        comment_start_string="«#",
        comment_end_string="#»",
        keep_trailing_newline=True,
    )
    environment.filters["json_of"] = lambda params: json.dumps(dict.fromkeys(params, "value"))
    return environment.get_template(f"{template}.j2").render(values)
