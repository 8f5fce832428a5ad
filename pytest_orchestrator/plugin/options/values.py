"""Readers of setting values: ini keys, TOML tables, sizes and times with units.

This module imports pytest only inside functions: the command line reads settings without pytest,
whose import takes longer than all others.
"""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from string import ascii_letters
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

TIMES = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
"""Seconds by unit."""

SIZES = {
    "": 1,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "kb": 1000,
    "mb": 1_000_000,
    "gb": 10**9,
}
"""Bytes by unit."""


STATION_VARIABLE = "ORCHESTRATOR_STATION"
"""Environment variable that names the station file."""
STATION_DEFAULT = "station.yaml"
"""Name of the station file at the rootdir, if no setting names one."""


def quantity(text: str, units: Mapping[str, float]) -> float:
    """Return the value of a text such as ``5MB`` or ``15m`` in the base unit.

    Raises:
        ValueError: The text is no number with one of the units.
    """
    text = text.strip()
    number = text.rstrip(ascii_letters)
    unit = text[len(number) :].lower()
    whole, dot, part = number.rstrip().partition(".")
    if unit not in units or not whole.isdecimal() or not (part.isdecimal() or not dot):
        raise ValueError(f"{text!r} is no size or time")
    return float(number) * units[unit]


def is_decimal(text: str) -> bool:
    """Return True if a text is a number of at most six digits, which may have decimal places."""
    whole, dot, part = text.partition(".")
    are_digits = text.isascii() and whole.isdigit() and (part.isdigit() or not dot)
    return are_digits and len(whole) <= _MOST_DIGITS


_MOST_DIGITS = 6


def runs_folder(root: Path, text: str) -> Path:
    """Return the folder of the runs of a project, which contains the project in no case.

    Its folders would be among those of the project, and the history of the runs outside of it.

    Args:
        root: The rootdir.
        text: Value of the ini key `recipe_run_dir`.

    Raises:
        ValueError: The folder is the rootdir or contains it.
    """
    folder, real_root = os.path.realpath(root / text), os.path.realpath(root)
    if f"{real_root}/".startswith(f"{folder.rstrip('/')}/"):
        what = "is" if folder == real_root else "contains"
        raise ValueError(
            f"{text!r} {what} the rootdir; write a folder of its own for the runs, such as "
            ".orchestrator/runs"
        )
    return root / text


def toml_settings(text: str, name: str) -> Mapping[str, Any] | None:
    """Return the table of pytest's settings in the text of a TOML file.

    Without the table, the result is None for ``pyproject.toml`` and empty for any other name.

    Args:
        text: The text of the file.
        name: The name of the file. The table is ``[tool.pytest]`` or ``[tool.pytest.ini_options]``;
            in files other than ``pyproject.toml`` it may also be ``[pytest]``.

    Raises:
        ValueError: The text is no valid TOML.
    """
    import tomllib

    document = tomllib.loads(text)
    if name != "pyproject.toml" and "pytest" in document:
        settings: Mapping[str, Any] = document["pytest"]
        return settings
    table: Mapping[str, Any] | None = document.get("tool", {}).get("pytest")
    if table is None and name != "pyproject.toml":
        return {}
    return table.get("ini_options", table) if table is not None else None


def boolean_of(config: "pytest.Config", key: str) -> bool:
    """Return the value of a boolean ini key.

    Raises:
        pytest.UsageError: The value is no boolean.
    """
    import pytest

    try:
        return bool(config.getini(key))
    except (TypeError, ValueError, pytest.UsageError) as error:
        native = _native(config, key)
        if native is None or isinstance(native, bool):  # the value is from no TOML file
            why = f"{error}; write true or false"
        else:
            why = f"{native!r} is no boolean; write true or false, without quotes"
        raise pytest.UsageError(f"ini key {key}: {why}") from None


def list_of(config: "pytest.Config", key: str) -> list[str] | None:
    """Return the list value of an ini key; None if the key is not set.

    Raises:
        pytest.UsageError: The value is no list.
    """
    import pytest

    try:
        value: list[str] | None = config.getini(key)
    except (TypeError, ValueError) as error:  # raised by pytest before 9.2
        raise pytest.UsageError(str(error)) from None
    return value


def text_of(config: "pytest.Config", key: str) -> str:
    """Return the value of an ini key as text, even if a TOML file has a number.

    In ``[tool.pytest]`` pytest refuses a number for such a key; this function then reads the
    number from the file itself.
    """
    import pytest

    try:
        with warnings.catch_warnings():  # pytest warns of a list in [tool.pytest.ini_options]
            warnings.simplefilter("ignore", pytest.PytestDeprecationWarning)
            value = config.getini(key)
    except (TypeError, pytest.UsageError):
        value = _native(config, key)
        if value is None:
            raise
    return (str(value).lower() if isinstance(value, bool) else str(value)).strip()


def _native(config: "pytest.Config", key: str) -> Any:
    """Return the unconverted value of an ini key from a TOML file; None if no such file has it."""
    path = config.inipath
    if path is None or path.suffix != ".toml":
        return None
    return (toml_settings(path.read_text("utf-8"), path.name) or {}).get(key)
