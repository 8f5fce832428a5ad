"""Jinja2 environment of the HTML templates, and its bytecode cache."""

import contextlib
import functools
import sys
from importlib.util import cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import FileSystemBytecodeCache
from jinja2.bccache import Bucket

from pytest_orchestrator.core.files import replacing
from pytest_orchestrator.reports.text import shown

if TYPE_CHECKING:
    from jinja2 import Environment, Template


class CompiledTemplates(FileSystemBytecodeCache):
    """Cache of compiled templates in a folder that is created at the first write.

    If the folder is not writable, templates are compiled at each start.
    """

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Write a compiled template, unless Python must not write bytecode.

        Other users may read the file; Jinja2's own method makes it readable for this user alone.
        """
        if sys.dont_write_bytecode:
            return
        with contextlib.suppress(OSError):
            folder = Path(self.directory)
            folder.mkdir(exist_ok=True)
            with replacing(folder / (self.pattern % bucket.key)) as file:
                bucket.write_bytecode(file)


FOLDER = Path(__file__).with_name("templates")


@functools.cache
def environment() -> "Environment":
    """Return the environment of the templates.

    Text that a template inserts is escaped for HTML, and its control characters are made visible.
    """
    from jinja2 import Environment, FileSystemLoader

    compiled = Path(cache_from_source(str(FOLDER / "page.py")))
    return Environment(
        loader=FileSystemLoader([FOLDER, FOLDER.with_name("vendor")]),
        autoescape=True,
        bytecode_cache=CompiledTemplates(
            str(compiled.parent), f"%s.{sys.implementation.cache_tag}.jinja"
        ),
        finalize=_escaped_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _escaped_controls(value: Any) -> Any:
    # Called about eighty times for each step of a page; nearly every value needs no escaping.
    if type(value) is not str or (value.isascii() and value.isprintable()):
        return value
    return shown(value)


def template(name: str) -> "Template":
    """Return the template of a file, by its name in the folder `templates` or `vendor`."""
    return environment().get_template(name)
