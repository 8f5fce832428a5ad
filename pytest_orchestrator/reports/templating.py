"""Jinja2 environment of the HTML templates, and its bytecode cache."""

import contextlib
import functools
import re
import sys
from importlib.util import cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import FileSystemBytecodeCache, FileSystemLoader
from jinja2.bccache import Bucket
from markupsafe import escape

from pytest_orchestrator.core.files import replacing
from pytest_orchestrator.reports.text import shown

if TYPE_CHECKING:
    from collections.abc import MutableMapping

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


class Templates(FileSystemLoader):
    """Loader of templates whose output is escaped by `escaped` alone.

    A compiled template calls its imported name `escape` with each value that `escaped` returned.
    With `str` in its place, an inserted text is one call of Python and not three.
    """

    def load(
        self,
        environment: "Environment",
        name: str,
        globals: "MutableMapping[str, Any] | None" = None,  # noqa: A002 # its name in Jinja2
    ) -> "Template":
        """Return a template."""
        loaded = super().load(environment, name, globals)
        loaded.root_render_func.__globals__["escape"] = str
        return loaded


FOLDER = Path(__file__).with_name("templates")


@functools.cache
def environment() -> "Environment":
    """Return the environment of the templates.

    Text that a template inserts is escaped for HTML, and its control characters are made visible.
    """
    from jinja2 import Environment

    compiled = Path(cache_from_source(str(FOLDER / "page.py")))
    return Environment(
        loader=Templates([FOLDER, FOLDER.with_name("vendor")]),
        autoescape=True,
        bytecode_cache=CompiledTemplates(
            str(compiled.parent), f"%s.{sys.implementation.cache_tag}.jinja"
        ),
        finalize=escaped,
        trim_blocks=True,
        lstrip_blocks=True,
    )


_PLAIN = re.compile(r"[ !#-%(-;=?-~]*").fullmatch
"""Matches a text of printable ASCII without the five characters that HTML escapes."""


def escaped(value: Any) -> str:
    """Return a value as HTML: a text is escaped, and its control characters are made visible."""
    # Called about eighty times for each step of a page; nearly every value needs no escaping.
    if type(value) is not str:
        return str(value) if type(value) is int else escape(value)
    return value if _PLAIN(value) else escape(shown(value))


def template(name: str) -> "Template":
    """Return the template of a file, by its name in the folder `templates` or `vendor`."""
    return environment().get_template(name)
