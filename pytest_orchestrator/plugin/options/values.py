"""Values of ini keys: the file that has them, and one table of their readers.

pytest and the commands use the same readers. In a session the source is pytest, in a command the
file of settings. This module imports pytest only inside functions: the command line reads settings
without pytest, whose import takes longer than all others.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from string import ascii_letters
from typing import TYPE_CHECKING, Any, Final

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


Reader = Callable[[str, Path], Any]
"""Function that converts the text of a setting; a path in it is relative to the folder."""


def _quantity(units: Mapping[str, float], such: str) -> Reader:
    def read(text: str, _: Path) -> float:
        try:
            return quantity(text, units)
        except ValueError as error:
            raise ValueError(f"{error}; write {such}") from None

    return read


def _whole(least: int, most: int, problem: str) -> Reader:
    def read(text: str, _: Path) -> int:
        is_whole = text.isascii() and text.isdigit() and len(text.lstrip("0")) <= len(str(most))
        if is_whole and int(text) >= least:
            return int(text)
        raise ValueError(f"{text!r} is no number of {problem.format(most)}")

    return read


def _shell(text: str, _: Path) -> str | tuple[str, ...]:
    from pytest_orchestrator.recipe.model import key_types

    try:
        return key_types.shell_setting(text)
    except ValueError as error:
        raise ValueError(f"{text!r} {error}") from None


def _runs_folder(text: str, root: Path) -> Path:
    """Return the folder of the runs of a project, which contains the project in no case.

    Its folders would be among those of the project, and the history of the runs outside of it.
    """
    folder, real_root = os.path.realpath(root / text), os.path.realpath(root)
    if f"{real_root}/".startswith(f"{folder.rstrip('/')}/"):
        what = "is" if folder == real_root else "contains"
        raise ValueError(
            f"{text!r} {what} the rootdir; write a folder of its own for the runs, such as "
            ".orchestrator/runs"
        )
    return root / text


def _measurement_file(text: str, folder: Path) -> Path:
    if Path(text).suffix.lower() not in (".csv", ".jsonl"):
        raise ValueError(f"{text!r} is no .csv and no .jsonl file")
    return folder / text


def _one_of(names: Iterable[str], problem: str) -> Reader:
    def read(text: str, _: Path) -> str:
        if text in names:
            return text
        from pytest_orchestrator.core.suggestions import nearest

        raise ValueError(problem.format(text, nearest(text, names)))

    return read


READERS: Final[Mapping[str, Reader]] = {
    "recipe_decision": _one_of(
        ("simple", "guarded", "nonbinary"),
        "{!r} is no decision rule{}; write simple, guarded or nonbinary",
    ),
    "recipe_jobs": _whole(1, 9999, "jobs; write a number from 1 to {}"),
    "recipe_junit_properties": _one_of(
        ("testcase", "testsuite"),
        "{!r} is no place; write testcase, or testsuite, which junit_family=xunit2 allows",
    ),
    "recipe_keep_runs": _whole(
        0, 999_999_999, "runs; write a number up to {}, such as 20, or 0 to keep all"
    ),
    "recipe_max_artifact": _quantity(SIZES, "1GB, 100MB or a number of bytes"),
    "recipe_max_log": _quantity(SIZES, "100MB, 1MiB or a number of bytes"),
    "recipe_max_size": _quantity(SIZES, "1MiB, 500kB or a number of bytes"),
    "recipe_measurements": _measurement_file,
    "recipe_requires": _one_of(("skip", "error"), "'{}' should be skip or error"),
    "recipe_run_dir": _runs_folder,
    "recipe_runner": _one_of(("local", "dask"), "{!r} is no runner; write local or dask"),
    "recipe_shell": _shell,
    "recipe_table": _one_of(
        ("auto", "all", "failed", "none"), "{!r} is no table{}; write auto, all, failed or none"
    ),
    "recipe_timeout": _quantity(TIMES, "90s, 15m, 1h or a number of seconds"),
}
"""Readers of the settings that are more than a text, by ini key."""
_MAY_BE_EMPTY: Final = frozenset({"recipe_jobs", "recipe_measurements", "recipe_shell"})


def read(key: str, text: str, folder: Path, name: str = "") -> Any:
    """Return the value of a setting; None for an empty ini key without a default.

    Args:
        key: Its ini key.
        text: Its text.
        folder: The folder to which a path is relative.
        name: The option that has the text; empty for the ini key.

    Raises:
        ValueError: The text is wrong; the message names the option or the ini key.
    """
    text = text.strip()
    if not (text or name) and key in _MAY_BE_EMPTY:
        return None
    try:
        return READERS[key](text, folder)
    except ValueError as error:
        raise ValueError(f"{name or f'ini key {key}'}: {error}") from None


def as_text(value: Any) -> str:
    """Return a value of a file of settings, such as a number in TOML, as text."""
    return (str(value).lower() if isinstance(value, bool) else str(value)).strip()


def file_settings(path: Path) -> Mapping[str, Any] | None:
    """Return the settings of pytest in a file; None if the file contains none.

    In a TOML file they are the table ``[tool.pytest]`` or ``[tool.pytest.ini_options]``; in files
    other than ``pyproject.toml`` also ``[pytest]``.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is invalid.
    """
    if path.suffix != ".toml":
        import iniconfig

        try:
            sections = iniconfig.IniConfig(str(path)).sections
        except iniconfig.ParseError as error:
            raise ValueError(f"line {error.lineno + 1}: {error.msg}") from None
        section = sections.get("tool:pytest" if path.name == "setup.cfg" else "pytest")
        return {} if section is None and path.name.endswith("pytest.ini") else section
    import tomllib

    document = tomllib.loads(path.read_text("utf-8"))
    is_own = path.name != "pyproject.toml"
    table = document.get("pytest") if is_own else None
    if table is None:
        table = document.get("tool", {}).get("pytest")
        table = table.get("ini_options", table) if table is not None else None
    return {} if table is None and is_own else table


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
    return as_text(value)


def _native(config: "pytest.Config", key: str) -> Any:
    """Return the unconverted value of an ini key from a TOML file; None if no such file has it."""
    path = config.inipath
    if path is None or path.suffix != ".toml":
        return None
    return (file_settings(path) or {}).get(key)


def value_of(config: "pytest.Config", key: str) -> Any:
    """Return the value of a setting: that of its option, else of its ini key; None without both.

    Raises:
        pytest.UsageError: The value is wrong.
    """
    import pytest

    option = config.getoption(key, None)
    try:
        if option is None:
            return read(key, text_of(config, key), config.rootpath)
        name = f"--{key.replace('_', '-')}"
        return read(key, str(option), config.invocation_params.dir, name)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
