"""What the monitor is made of, which is not among the tools of development; see `scripts/dash`."""

import subprocess
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def more() -> tuple[str, ...]:
    """Return what has to be on the path for Dash to be there; nothing where it is installed."""
    if PathFinder.find_spec("dash") is not None:
        return ()
    subprocess.run(["bash", "scripts/dash"], cwd=ROOT, check=True)
    return (str(ROOT / ".dash"),)
