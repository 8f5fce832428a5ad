"""Libraries that read the exports of this package and are no development requirement.

`scripts/readers` installs them into `.readers`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def have_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the readers on the end of `sys.path` for one test; skip it if they cannot be had."""
    done = subprocess.run(
        ["bash", "scripts/readers"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"the readers cannot be installed: {done.stderr.strip()[-200:]}")
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / ".readers")])
