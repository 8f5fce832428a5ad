"""Options and ini keys: declared, checked at the start, and handed to the engine."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_orchestrator.execution.environment import Environment

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZES = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "kb": 1000, "mb": 1_000_000}


def add(parser: pytest.Parser) -> None:
    """Declare options and ini keys."""
    group = parser.getgroup("recipes", "YAML recipes as tests")
    group.addoption(
        "--recipe-needs",
        choices=("run", "none"),
        default="run",
        help="what becomes of needed steps that were not selected: run them in the setup of "
        "the step that needs them (default), or none: run the selected steps alone",
    )
    parser.addini(
        "recipe_files",
        "glob patterns relative to the rootdir of files that are recipes; replaces "
        "recipes/**/*.yaml and *.recipe.yaml",
        type="args",
        default=[],
    )
    parser.addini(
        "recipe_max_size", "largest recipe file that is read, such as 1MiB", default="1MiB"
    )
    parser.addini(
        "recipe_timeout",
        "time for a step that names no timeout of its own, such as 90s or 1h; 0 is no limit",
        default="1h",
    )


def check(config: pytest.Config) -> None:
    """Read every setting once, so that a wrong one is told before anything is collected.

    Raises:
        pytest.UsageError: A setting is wrong.
    """
    config.getini("recipe_files")
    size_limit(config)
    timeout(config)


def size_limit(config: pytest.Config) -> int:
    """Return the largest size of a recipe file in bytes."""
    return int(_number(config, "recipe_max_size", _SIZES, "1MiB, 500kB or a number of bytes"))


def timeout(config: pytest.Config) -> float | None:
    """Return the default timeout of a step in seconds, None where there is none."""
    return _number(config, "recipe_timeout", _UNITS, "90s, 15m, 1h or a number of seconds") or None


def environment(config: pytest.Config) -> "Environment":
    """Return what the steps of this session are given."""
    from pytest_orchestrator.execution.environment import Environment

    watched = config.getoption("usepdb", False) or config.getoption("trace", False)
    return Environment(
        root=config.rootpath,
        timeout=timeout(config),
        timeouts=not watched,
        skips=(pytest.skip.Exception,),
        passes_through=(pytest.exit.Exception,),
        before_import=pytest.register_assert_rewrite,
    )


def _number(config: pytest.Config, key: str, units: Mapping[str, float], such: str) -> float:
    text = str(config.getini(key)).strip()
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text)
    if match is None or match[2].lower() not in units:
        raise pytest.UsageError(f"ini key {key}: {text!r} is no size or time; write {such}")
    return float(match[1]) * units[match[2].lower()]
