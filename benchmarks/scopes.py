"""Check of counted resources: the number of steps that held one of two scopes at the same time.

The steps record the times of their start and end themselves.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

SCOPES: Final = 2
STEPS: Final = 64
SECONDS: Final = 1.0
WAYS: Final = {"local": (), "dask": ("--recipe-dask=local:4",)}
"""Options of a session that runs the steps on this machine, and of one with Dask workers."""
_JOBS: Final = 8
_STAMP: Final = "date +%s%N"


def wrong(way: str, folder: Path, steps: int = STEPS, seconds: float = SECONDS) -> list[str]:
    """Run steps that share two scopes and return the errors.

    Args:
        way: One of `WAYS`.
        folder: An empty folder.
        steps: Number of steps, none of which needs another.
        seconds: Duration of each step.
    """
    keys = "type: shell, parse: text, needs: [], timeout: 60, resources: {scope: 1}"
    # The first step waits until a second one has started; else none might overlap by chance.
    meet = "until [ $(cat *.begun | wc -l) -ge 2 ]; do sleep 0.01; done"
    cmd = f"{_STAMP} > STEP.begun; sleep {seconds}; {meet}; {_STAMP} > STEP.ended"
    lines = [
        f"  - {{name: s{number}, {keys}, cmd: '{cmd.replace('STEP', f's{number}')}'}}"
        for number in range(steps)
    ]
    (folder / "recipes").mkdir()
    (folder / "recipes" / "x.yaml").write_text("\n".join(["steps:", *lines, ""]))
    (folder / "pytest.ini").write_text("[pytest]\n")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:xdist"]
    counted = (f"--recipe-resource=scope={SCOPES}", f"--recipe-jobs={_JOBS}")
    done = subprocess.run(
        [*argv, *counted, *WAYS[way]],
        cwd=folder,
        env={name: one for name, one in os.environ.items() if name != "PYTEST_ADDOPTS"},
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    spans = [
        (int((folder / f"s{number}.begun").read_text()), int(ended.read_text()))
        for number in range(steps)
        if (ended := folder / f"s{number}.ended").exists()
    ]
    most = most_at_once(spans)
    errors = [] if done.returncode == 0 else [f"{way}: exit code {done.returncode}\n{output}"]
    errors += [] if len(spans) == steps else [f"{way}: {len(spans)} of {steps} steps ended"]
    return errors + ([] if most == SCOPES else [f"{way}: at most {most} at once, not {SCOPES}"])


def most_at_once(spans: list[tuple[int, int]]) -> int:
    """Return the highest number of overlapping spans; spans that only touch do not overlap."""
    moments = sorted(moment for begun, ended in spans for moment in ((begun, 1), (ended, -1)))
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most
