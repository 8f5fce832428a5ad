"""Jinja2 environment of the HTML templates, and its bytecode cache."""

import contextlib
import functools
import os
import sys
from importlib.util import cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from pytest_orchestrator.reports.text import shown

if TYPE_CHECKING:
    from jinja2 import Environment, Template


class CompiledTemplates(BytecodeCache):
    """Cache of compiled templates in a folder.

    If the folder is not writable, templates are compiled at each start.

    Args:
        folder: The folder; it is created at the first write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load_bytecode(self, bucket: Bucket) -> None:
        """Load a compiled template; load nothing if it is missing or out of date."""
        with contextlib.suppress(OSError), self._path(bucket).open("rb") as file:
            bucket.load_bytecode(file)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Write a compiled template, unless Python must not write bytecode."""
        if sys.dont_write_bytecode:
            return
        path = self._path(bucket)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            with fresh.open("wb") as file:
                bucket.write_bytecode(file)
            fresh.replace(path)

    def _path(self, bucket: Bucket) -> Path:
        version = sys.implementation.cache_tag or "python"
        return self._folder / f"{bucket.key}.{version}.jinja"


FOLDER = Path(__file__).with_name("templates")


@functools.cache
def environment() -> "Environment":
    """Return the environment of the templates.

    Text that a template inserts is escaped for HTML, and its control characters are made visible.
    """
    from jinja2 import Environment, FileSystemLoader

    return Environment(
        loader=FileSystemLoader([FOLDER, FOLDER.with_name("vendor")]),
        autoescape=True,
        bytecode_cache=CompiledTemplates(Path(cache_from_source(str(FOLDER / "page.py"))).parent),
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
    """Return the template in the file with a name."""
    return environment().get_template(name)
