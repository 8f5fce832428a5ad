"""Promises of the page on platforms for Windows, on a system without POSIX modules."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.house.conftest import ROOT
from tests.runs.built import Runs

PAGE = ROOT / "docs" / "explanation" / "platforms.md"
LINES = {
    "compare": 0,
    "ctx --run latest": 0,
    "ctx script": 0,
    "graph recipes/example.yaml": 0,
    "init": 0,
    "instruments": 2,
    "measurements -o measurements.csv": 0,
    "new step psu --type shell": 0,
    "report latest --bundle run.zip": 0,
    "runs": 0,
    "schema": 0,
    "serve": 2,
    "stats": 0,
    "steps": 0,
    "validate": 0,
    "verify run.zip": 0,
}


def test_verbs_other_than_serve_and_instruments_work_without_posix(
    tmp_path: Path,
) -> None:
    for name in ("recipes", "scriptlets"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "station.yaml", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    Runs(tmp_path).history(1.0, 1.0)

    done = subprocess.run(
        [sys.executable, "-m", "tests.house.without_posix", json.dumps([*LINES])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    missing, *results = json.loads(done.stdout)
    assert missing == []
    by_line = dict(zip(LINES, results, strict=True))
    assert {line: code for line, (code, _) in by_line.items()} == LINES, results
    assert by_line["serve"][1].endswith(
        "error: a Context is served on Linux and macOS, on Windows in WSL"
    )
    assert by_line["instruments"][1].endswith(
        "error: instruments are used on Linux and macOS, on Windows in WSL"
    )


def test_the_page_names_each_verb_that_works_without_posix() -> None:
    (row,) = re.findall(r"^\| (`compare`.*?) \|", PAGE.read_text(), re.MULTILINE)

    works = {line.split()[0] for line, code in LINES.items() if not code}
    assert set(re.findall(r"`(\w+)`", row)) == works
