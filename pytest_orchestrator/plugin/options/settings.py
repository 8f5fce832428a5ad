"""Settings of a session, from options and ini keys."""

import contextlib
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_orchestrator.plugin.options import runner
from pytest_orchestrator.plugin.options.declared import BOOLEANS, REMOVED_KEYS
from pytest_orchestrator.plugin.options.values import (
    STATION_DEFAULT,
    STATION_VARIABLE,
    boolean_of,
    is_decimal,
    list_of,
    text_of,
    value_of,
)

if TYPE_CHECKING:
    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.execution.run_config import RecordStyle


def warn_of_unread_settings(config: pytest.Config) -> None:
    """Warn of ini keys of earlier versions, and of an own table in ``pyproject.toml``."""
    for key, cure in REMOVED_KEYS.items():
        if config.getini(key):
            warning = f"there is no ini key {key} any more; remove it: {cure}"
            config.issue_config_time_warning(pytest.PytestConfigWarning(warning), stacklevel=2)
    path = config.rootpath / "pyproject.toml"
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    if table := re.search(r"(?m)^\[tool\.(pytest[_-])?orchestrator\]", text):
        line = text.count("\n", 0, table.start()) + 1
        head = f"pyproject.toml:{line}: nothing reads {table[0]}"
        warning = f"{head}; write its keys into [tool.pytest.ini_options]"
        config.issue_config_time_warning(pytest.PytestConfigWarning(warning), stacklevel=2)


def check_booleans(config: pytest.Config) -> None:
    """Check the values of all boolean ini keys.

    Raises:
        pytest.UsageError: A value is no boolean.
    """
    for key, _, _ in BOOLEANS:
        boolean_of(config, key)


def recipe_table(config: pytest.Config) -> str:
    """Return which of the recipes the terminal shows after the run.

    Returns:
        ``all``, ``auto``, ``failed``, ``none``, ``most`` for the steps of which there is more to
        say than that they passed, ``totals`` for a line with all numbers, or an empty text for
        nothing.

    Raises:
        pytest.UsageError: The option or the ini key has another value than the first four.
    """
    value: str = value_of(config, "recipe_table")
    verbosity = config.get_verbosity()
    if verbosity < -1:
        return ""
    if verbosity < 0 and config.getoption("recipe_table") is None:
        return value if value == "none" else "totals"
    if value == "auto" and verbosity:
        return "totals" if verbosity < 0 else "most" if verbosity == 1 else "all"
    return value


def may_have_station(config: pytest.Config) -> bool:
    """Return True if a setting names a station file, or one of the default name exists.

    Most sessions have none; they do not import the module that reads these settings.
    """
    return (
        config.getoption("recipe_station") is not None
        or bool(os.environ.get(STATION_VARIABLE))
        or bool(text_of(config, "recipe_station"))
        or os.path.isfile(config.rootpath / STATION_DEFAULT)
    )


def timeout_factor(config: pytest.Config) -> float:
    """Return the factor that multiplies all timeouts; 0 switches timeouts off."""
    text = str(config.getoption("recipe_timeout_factor")).strip()
    if not is_decimal(f"0{text}" if text.startswith(".") else text):
        raise pytest.UsageError(
            f"--recipe-timeout-factor: {text!r} is no factor; "
            "write a number below 1000000, such as 2.5, or 0 for no timeouts"
        )
    return float(text)


def run_dir(config: pytest.Config) -> Path:
    """Return the folder that contains the run folders.

    Raises:
        pytest.UsageError: The folder is the rootdir or contains it.
    """
    folder: Path = value_of(config, "recipe_run_dir")
    return folder


def measurement_file(config: pytest.Config) -> Path | None:
    """Return the file to which measurements are appended; None if no setting names one.

    Raises:
        pytest.UsageError: The file has another suffix than ``.csv`` and ``.jsonl``.
    """
    path: Path | None = value_of(config, "recipe_measurements")
    return path


def check_report_files(config: pytest.Config) -> None:
    """Check the logo of certificates and of `report.html`.

    Raises:
        pytest.UsageError: The file does not exist, is too large, or is no picture.
    """
    title, logo = brand(config)
    if logo and not (config.rootpath / logo).is_file():
        raise pytest.UsageError(
            f"ini key report_logo: there is no file {logo}; the path is relative to "
            f"{config.rootpath}"
        )
    if logo:
        from pytest_orchestrator.reports.head.look import LookError, look_of

        try:
            look_of(config.rootpath, title, logo)
        except LookError as error:
            raise pytest.UsageError(str(error)) from None


def brand(config: pytest.Config) -> tuple[str, str]:
    """Return the title of reports and the path of their logo; each may be empty."""
    return text_of(config, "report_title"), text_of(config, "report_logo")


def record_style(config: pytest.Config) -> "RecordStyle":
    """Return the level and format of the log records of steps, from pytest's logging settings."""
    from pytest_orchestrator.execution.run_config import RecordStyle

    default = RecordStyle()
    level = _logging_setting(config, "log_file_level", "log_level")
    return RecordStyle(
        int(getattr(logging, str(level).upper(), level)) if level is not None else default.level,
        str(_logging_setting(config, "log_file_format", "log_format") or default.line_format),
        _logging_setting(config, "log_file_date_format", "log_date_format"),
    )


def _logging_setting(config: pytest.Config, *names: str) -> Any:
    """Return the value of the first named setting of pytest that is set, or None."""
    for name in names:
        value = config.getoption(name, None)
        if value is None:
            with contextlib.suppress(ValueError):  # with `-p no:logging` the key is missing
                value = config.getini(name)
        if value is not None and value != "":
            return value
    return None


def jobs(config: pytest.Config, default: int | None = None) -> int:
    """Return the maximum number of steps of a recipe that may run at the same time.

    Args:
        config: The configuration of the session.
        default: The number if no setting gives one; None means the default of the runner.
    """
    number: int | None = value_of(config, "recipe_jobs")
    if number is None:
        return runner.jobs(config) if default is None else default
    return number


_ROOM = pytest.StashKey[tuple[int, str]]()


def slots(config: pytest.Config, default: int | None = None) -> tuple[int, str]:
    """Return the number of `jobs`, as far as limits on files, threads and processes allow it.

    Args:
        config: The configuration of the session.
        default: As for `jobs`.

    Returns:
        The number, and the name of the system limit that reduces it, such as ``ulimit -n``; the
        name is empty if no limit does.
    """
    wanted = jobs(config, default)
    if wanted == 1:
        return 1, ""
    if _ROOM not in config.stash:
        from pytest_orchestrator.execution.steps.python_inline import room

        config.stash[_ROOM] = room(wanted)
    most, limit = config.stash[_ROOM]
    return (wanted, "") if wanted <= most else (max(1, most), limit)


def serve_at(config: pytest.Config) -> tuple[str, int] | None:
    """Return the host and port at which to serve the Context; None if it is not served."""
    option = config.getoption("recipe_serve")
    name = "--recipe-serve" if option is not None else "ini key recipe_serve"
    text = text_of(config, "recipe_serve") if option is None else str(option).strip()
    if not text:
        return None
    match = re.fullmatch(r"(?:(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+)?:)?([0-9]{1,5})", text)
    if match is None or int(match[2]) > 65535:
        cure = ""
        if option is not None and (config.invocation_params.dir / text).exists():
            cure = "; write --recipe-serve=127.0.0.1:0 before a path"
        raise pytest.UsageError(f"{name}: {text!r} is no HOST:PORT{cure}")
    return (match[1] or "127.0.0.1").strip("[]"), int(match[2])


def masker(config: pytest.Config) -> "Masker":
    """Return a new masker for the secrets of a session."""
    from pytest_orchestrator.core.secrets import NAMES, Masker

    names = list_of(config, "recipe_secret_names")
    return Masker(NAMES if names is None else names)


class Comparison(NamedTuple):
    """Value of ``--recipe-compare``.

    Attributes:
        last: Number of earlier runs to compare steps with.
        is_required: True if what cannot be compared is an error.
        bundle: Path of the bundle whose run is the only one to compare with; empty without.
    """

    last: int
    is_required: bool
    bundle: str = ""

    @property
    def enough(self) -> int:
        """The number of runs that are needed; a run that the user chose is enough alone."""
        return 1 if self.bundle else _FEWEST


def comparison(config: pytest.Config) -> Comparison | None:
    """Return the value of ``--recipe-compare``; None without it.

    Raises:
        pytest.UsageError: The option is invalid.
    """
    text = config.getoption("recipe_compare")
    if text is None:
        return None
    bundle = re.fullmatch(r"(.+\.zip)(,required)?", str(text).strip())
    if bundle is not None:
        return Comparison(1, bundle[2] is not None, bundle[1])
    match = re.fullmatch(r"last:([0-9]{1,4})(,required)?", str(text).strip(), re.IGNORECASE)
    if match is None:
        raise pytest.UsageError(
            f"--recipe-compare: {text!r} is no LAST:N and no FILE.zip; write LAST:10, base.zip, "
            "or one of them with ,required"
        )
    if int(match[1]) < _FEWEST:
        raise pytest.UsageError(
            f"--recipe-compare: {match[1]} runs are not enough to compare with; write at least "
            f"LAST:{_FEWEST}"
        )
    return Comparison(int(match[1]), match[2] is not None)


def compare_factor(config: pytest.Config) -> float:
    """Return the allowed ratio of a figure to its median in earlier runs.

    Raises:
        pytest.UsageError: The option is invalid.
    """
    text = str(config.getoption("recipe_compare_factor")).strip()
    if not is_decimal(text) or float(text) <= 1:
        raise pytest.UsageError(
            f"--recipe-compare-factor: {text!r} is no factor; write a number above 1, such as 1.5"
        )
    return float(text)


_FEWEST = 3  # equals `runs.history.drift.ENOUGH`; that module is imported only with the option


def junit_place(config: pytest.Config) -> str:
    """Return the JUnit element that gets the properties of a step, or the text `none`.

    A session without a JUnit file has none, so that no report carries them in vain.

    Raises:
        pytest.UsageError: The ini key is wrong.
    """
    if _JUNIT_PLACE in config.stash:  # each report of a step asks for it
        return config.stash[_JUNIT_PLACE]
    where: str = value_of(config, "recipe_junit_properties")
    if not config.getoption("xmlpath", None):
        where = "none"
    config.stash[_JUNIT_PLACE] = where
    return where


_JUNIT_PLACE = pytest.StashKey[str]()
