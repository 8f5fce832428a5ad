"""One case: the project in a folder of its own, pytest in it, and what came of that."""

import json
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

from tests.neighbours import beside, smoke
from tests.neighbours.cases import Case

_LONGEST = 300
_OTHER_PLUGINS = ("-p", "no:hypothesispytest")


def tried(case: Case, env: Mapping[str, str]) -> dict[str, Any]:
    """Try a case with the pytest of this interpreter.

    Args:
        case: The case.
        env: The environment of pytest.

    Returns:
        What is kept of it: versions, outcomes by their number, and what was not as expected.
    """
    with TemporaryDirectory(prefix="neighbour-") as folder:
        project = Path(folder)
        smoke.write(project, case.files)
        printed = _run(case, project, env)
        (project / "out.txt").write_text(printed, encoding="utf-8")
        counts = _counts(project / "junit.xml")
        wrong = [] if counts == case.expected else [f"wanted {case.expected}: {_end(printed)}"]
        wrong += [] if case.without is None else beside.lost(case.without, case.args)
        wrong += [f"{path} lacks {text!r}" for path, text in _missing(case, project)]
    return {
        "name": case.name,
        "group": case.group,
        "tried": case.tried,
        "version": version(case.name),
        "pytest": version("pytest"),
        "python": platform.python_version(),
        "outcomes": counts,
        "wrong": wrong,
    }


def _run(case: Case, project: Path, env: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "pytest", "--junitxml=junit.xml", *_OTHER_PLUGINS, *case.args]
    if case.on_a_terminal:
        quoted = " ".join(command)
        command = ["script", "--quiet", "--return", "--command", quoted, "/dev/null"]
    done = subprocess.run(
        command,
        cwd=project,
        env={**env, "COLUMNS": "120", "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=_LONGEST,
        check=False,
    )
    return done.stdout


def _counts(path: Path) -> dict[str, int]:
    """Return how many tests ended how, as pytest's own JUnit file says."""
    if not path.exists():
        return {}
    cases = ElementTree.parse(path).iter("testcase")  # pytest wrote it
    return dict(sorted(Counter(_outcome(case) for case in cases).items()))


def _outcome(case: ElementTree.Element) -> str:
    for child in case:
        if child.tag in ("failure", "error"):
            return {"failure": "failed", "error": "error"}[child.tag]
        if child.tag == "skipped":
            return "xfailed" if child.get("type") == "pytest.xfail" else "skipped"
    return "passed"


def _missing(case: Case, project: Path) -> list[tuple[str, str]]:
    found = []
    for pattern, texts in case.holds.items():
        there = "".join(path.read_text(encoding="utf-8") for path in sorted(project.glob(pattern)))
        found += [(pattern, text) for text in texts if text not in there]
    return found


def _end(printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1].strip("= ") if lines else "nothing was printed"


def keep(path: Path, results: list[dict[str, Any]]) -> None:
    """Put results in the place of those of the same cases."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    new = {_key(one): one for one in [*old, *results]}
    text = json.dumps([new[key] for key in sorted(new)], indent=1)
    path.write_text(f"{text}\n", encoding="utf-8")


def _key(result: dict[str, Any]) -> tuple[str, ...]:
    minor = ".".join(result["python"].split(".")[:2])
    return (result["name"], result["group"], minor, result["tried"])
