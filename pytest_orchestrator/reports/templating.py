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


class Compiled(BytecodeCache):
    """Keeps them in a folder; where it cannot be written they are compiled each time.

    Args:
        folder: The folder, which is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read a template, unless it was compiled by another version or of another text."""
        with contextlib.suppress(OSError), self._path(bucket).open("rb") as file:
            bucket.load_bytecode(file)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template, if Python may keep its modules."""
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
    """Return what knows the templates: all text that is filled in is escaped, and harmless."""
    from jinja2 import Environment, FileSystemLoader

    return Environment(
        loader=FileSystemLoader([FOLDER, FOLDER.with_name("vendor")]),
        autoescape=True,
        bytecode_cache=Compiled(Path(cache_from_source(str(FOLDER / "page.py"))).parent),
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    # Some eighty times in each step of a page, and nearly always there is nothing to escape.
    if type(value) is not str or (value.isascii() and value.isprintable()):
        return value
    return shown(value)


def template(name: str) -> "Template":
    """Return a template by the name of its file."""
    return environment().get_template(name)
