"""Pandas, pyarrow and SciPy, which only nightly tests need; see `scripts/frames`."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@cache
def _folder() -> str:
    subprocess.run(["bash", "scripts/frames"], cwd=ROOT, check=True)
    return str(ROOT / ".frames")


def run(code: str, folder: Path, given: Any = None) -> Any:
    """Run code in an interpreter that has these libraries.

    Args:
        code: Python code; it reads `given` and assigns `result`.
        folder: Its working directory.
        given: JSON value.

    Returns:
        The value of `result`, by way of JSON.
    """
    script = (
        "import json, sys\ngiven = json.load(sys.stdin)\n"
        + code
        + "\njson.dump(result, sys.stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((_folder(), str(ROOT)))},
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
