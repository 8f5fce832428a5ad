"""Steps that need one of two scopes: how many had one at a time, as their bodies wrote it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

SCOPES: Final = 2
STEPS: Final = 64
SECONDS: Final = 1.0
WAYS: Final = {"local": (), "dask": ("--recipe-dask=local:4",)}
"""Options of a session that runs them beside pytest, and on workers of Dask."""
_JOBS: Final = 8
_STAMP: Final = "date +%s%N"


def wrong(way: str, folder: Path, steps: int = STEPS, seconds: float = SECONDS) -> list[str]:
    """Run so many steps that take so long; return what went wrong.

    Args:
        way: One of `WAYS`.
        folder: An empty one.
        steps: Number of steps, none of which needs another.
        seconds: What the body of each sleeps.
    """
    keys = "type: shell, parse: text, needs: [], timeout: 60, resources: {scope: 1}"
    # The first goes on once another one has begun too: else two might miss each other by chance.
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
    told = done.stdout + done.stderr
    spans = [
        (int((folder / f"s{number}.begun").read_text()), int(ended.read_text()))
        for number in range(steps)
        if (ended := folder / f"s{number}.ended").exists()
    ]
    most = most_at_once(spans)
    found = [] if done.returncode == 0 else [f"{way}: exit code {done.returncode}\n{told}"]
    found += [] if len(spans) == steps else [f"{way}: {len(spans)} of {steps} bodies ended"]
    return found + ([] if most == SCOPES else [f"{way}: at most {most} at once, not {SCOPES}"])


def most_at_once(spans: list[tuple[int, int]]) -> int:
    """Return how many spans of time overlap at most; one that ends as another begins does not."""
    moments = sorted(moment for begun, ended in spans for moment in ((begun, 1), (ended, -1)))
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most
