"""Extras and addons, which a session may do without, and what a recipe requires of a machine."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
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


CI: Final = "CI is set, so no person is asked"


def is_ci() -> bool:
    """Return True if the environment variable CI says that a pipeline runs this process."""
    return os.environ.get("CI", "").strip().lower() not in ("", "0", "false", "no")


def missing_requirement(
    extras: Iterable[str],
    programs: Iterable[str],
    root: Path,
    has_terminal: Callable[[], bool] | None,
) -> str | None:
    """Return the first requirement that this machine does not meet, as a sentence; else None.

    Args:
        extras: Names in `EXTRAS`.
        programs: Names of programs, and paths of programs relative to the rootdir.
        root: The rootdir.
        has_terminal: Returns True if a person can answer at the terminal of the session, or if
            answers were given before the run; None if no terminal is required.
    """
    for extra in extras:
        if not is_installed(extra):
            return f"extra '{extra}' is not installed (pip install 'pytest-orchestrator[{extra}]')"
    for program in programs:
        path = root / program if "/" in program else program
        if shutil.which(path) is None:
            where = "is no program that can be run" if "/" in program else "is not on PATH"
            return f"program '{program}' {where}"
    if has_terminal is not None and not has_terminal():
        if is_ci():
            return CI
        return "the session has no terminal at which a person can answer"
    return None
