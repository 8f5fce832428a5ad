"""Dash, which the monitor needs and which is no development requirement; see `scripts/dash`."""

import subprocess
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def more() -> tuple[str, ...]:
    """Return the folders to add to the path for Dash; empty if Dash is installed."""
    if PathFinder.find_spec("dash") is not None:
        return ()
    subprocess.run(["bash", "scripts/dash"], cwd=ROOT, check=True)
    return (str(ROOT / ".dash"),)
