"""Parts of this package that a session may do without: extras, and the addons."""

import importlib.util
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "completion": ("argcomplete",),
    "dask": ("distributed", "cryptography"),
    "http": ("httpx",),
    "monitor": ("flask", "markdown_it"),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
    "parquet": ("pyarrow",),
    "serial": ("serial",),
    "sign": ("cryptography",),
    "validate": ("tree_sitter", "tree_sitter_bash"),
    "visa": ("pyvisa", "pyvisa_py", "pyvisa_sim"),
    "xdist": ("xdist",),
}
"""The modules that each extra installs, by the name of the extra."""


def is_installed(extra: str) -> bool:
    """Return True if all modules of an extra can be found; none is imported.

    Args:
        extra: A name in `EXTRAS`.
    """
    return all(map(_is_found, EXTRAS[extra]))


def _is_found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False


def addon(name: str) -> Any:
    """Return a module of an addon; commands and the plugin find it so when they use it.

    Args:
        name: Its name within the package of the addons, such as ``exports.formats``.
    """
    return import_module(f"pytest_orchestrator.addons.{name}")
