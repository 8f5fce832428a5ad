"""Careless mistakes: the whole output of the commands that meet them, from tables in YAML.

Each entry of `mistakes/*.yaml` has a `title`, the `recipe` and other `files` of a project, their
`encoding`, the `command` (without one: `pytest-orchestrator validate`), and, last, its `exit`
status and its `output`.
``RECORD_MISTAKES=1 pytest tests/plugin/test_mistakes.py`` writes the outputs anew; read each of
them as a newcomer would before it is committed: place, source line, cure.
"""

import os
import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from pytest_orchestrator.cli.main import main
from tests.plugin.conftest import Project

_TABLES: Final = sorted((Path(__file__).parent / "mistakes").glob("*.yaml"))
_MUST_RECORD: Final = bool(os.environ.get("RECORD_MISTAKES"))
_RECIPE: Final = "recipes/psu.yaml"
_VARIES: Final = [
    (r"\d{8}T\d{6}Z-[0-9a-f]{12}", "RUN"),
    (r"([=_!-])\1{3,}", r"\1\1\1"),
    (r"\b\d+\.\d+ ?s\b(?: \([\d:]+\))?", "N s"),
    (r"0x[0-9a-f]{9,}", "0x…"),
    (r"\S*/pytest_orchestrator/(\S+):\d+", r"pytest_orchestrator/\1"),
    (r"^(resources|samples) .*", r"\1  …"),
    (r"(no port '/dev/ttyPSU9') \(.*\)", r"\1 (…)"),
    (r"\d+ of \d+ samples", "N of N samples"),
]

_Mistake = dict[str, Any]


def _mistakes() -> list[Any]:
    """Return each entry of the tables with its table and number; its title is the test's id."""
    return [
        pytest.param(path, number, one, id=f"{path.stem}: {one['title']}")
        for path in _TABLES
        for number, one in enumerate(yaml.safe_load(path.read_text(encoding="utf-8")))
    ]


def _set_up(project: Project, mistake: _Mistake) -> None:
    """Write the files of an entry; a text that begins with ``#!`` becomes executable."""
    (project.path / "steps.py").unlink()
    files = dict(mistake.get("files", {}))
    if "recipe" in mistake:
        files[_RECIPE] = mistake["recipe"]
    if "pyproject.toml" in files:
        (project.path / "pytest.ini").unlink()
    for name, content in files.items():
        path = project.write(name, "")
        path.write_bytes(content.encode(mistake.get("encoding", "utf-8")))
        path.chmod(0o755 if content.startswith("#!") else 0o644)


def _ran(project: Project, command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command in this process; return its exit status and its output."""
    program, *words = shlex.split(command)
    if program == "pytest":
        result = project.run(*words)
        return int(result.ret), "\n".join([*result.outlines, *result.errlines])
    assert program == "pytest-orchestrator"
    capsys.readouterr()
    try:
        status = main(words)
    except SystemExit as stop:
        status = int(stop.code or 0)
    return status, "".join(capsys.readouterr())


def _settled(output: str, folder: Path) -> str:
    """Return an output without empty lines and without what differs from run to run.

    The usage of a command, which argparse wraps differently in each version of Python, is left out.
    """
    output = re.sub(r"(?ms)^usage: .*?(?=^\S+ .*?: error: )", "", output)
    lines = [line.rstrip().replace(str(folder), "/bench") for line in output.splitlines()]
    for pattern, value in _VARIES:
        lines = [re.sub(pattern, value, line) for line in lines]
    return "".join(f"{line}\n" for line in lines if line)


def _record(path: Path, number: int, status: int, output: str) -> None:
    """Write exit status and output into a table; they are the last keys of each entry."""
    head, *entries = re.split(r"(?m)^(?=- )", path.read_text(encoding="utf-8"))
    kept = re.sub(r"(?ms)^  exit: .*", "", entries[number]).rstrip("\n")
    shown = "".join(f"    {line}\n" for line in output.splitlines())
    entries[number] = f"{kept}\n  exit: {status}\n  output: |2\n{shown}\n"
    text = head + "".join(entries)
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


@pytest.mark.parametrize(("path", "number", "mistake"), _mistakes())
def test_a_mistake_is_answered_as_the_table_says(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: Path,
    number: int,
    mistake: _Mistake,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    _set_up(project, mistake)
    status, output = 0, ""
    for command in mistake.get("command", "pytest-orchestrator validate").split(" && "):
        status, shown = _ran(project, command, capsys)
        output += _settled(shown, project.path)

    if _MUST_RECORD:
        _record(path, number, status, output)
        return
    assert output == mistake["output"]
    assert status == mistake["exit"]
