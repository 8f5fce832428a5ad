"""The README's first five minutes: each command is run and its output compared."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_orchestrator.recipe import load

ROOT = Path(__file__).parents[2]
# On a machine of CI pytest cuts no line short.
OF_CI = ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS")
PART = re.compile(r"<!-- (run|write)(?:: (\S+))? -->\n```\w+\n(.*?)```\n", re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    for name in ("recipes", "scriptlets"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return folder


def _seen(command: str, folder: Path) -> str:
    program, *args = shlex.split(command)
    assert program == "pytest"
    plugins = ["-p", "no:randomly", "-p", "no:hypothesispytest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *args],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in OF_CI}
        | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def _normal(line: str) -> str:
    """A line without what differs from run to run: times, sizes, lengths of rules."""
    line = re.sub(r"([=_!-])\1{2,}", r"\1\1\1", line.rstrip())
    line = re.sub(r" \(user .*?\)|, (peak|read|wrote) \S+ MB|, \d+ processes", "", line)
    line = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{4}", "RUN", line)
    return re.sub(r"\s+(\d+\.\d+|-)(?=\s)|\d+\.\d+ ?s\b", " N", line)


def _comparable(text: str) -> list[str]:
    return [re.sub(r"( N)+", " N", _normal(line)) for line in text.splitlines()]


def test_the_first_five_minutes_are_as_the_readme_shows_them(project: Path) -> None:
    parts = PART.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [kind for kind, _, _ in parts].count("run") >= 4
    for kind, path, text in parts:
        if kind == "write":
            (project / path).write_text(text, encoding="utf-8")
            continue
        command, _, shown = text.removeprefix("$ ").partition("\n")
        expected = _comparable(shown.removeprefix("…\n"))
        assert _comparable(_seen(command, project))[-len(expected) :] == expected


def test_the_templates_of_the_readme_are_good(tmp_path: Path) -> None:
    written = re.sub(PART, "", (ROOT / "README.md").read_text(encoding="utf-8"))
    templates = re.findall(r"```yaml\n(.*?)```\n", written, re.DOTALL)
    assert templates
    for text in templates:
        path = tmp_path / "template.yaml"
        path.write_text(text, encoding="utf-8")
        load(path, root=tmp_path)


def test_the_readme_names_every_sample() -> None:
    rows = re.findall(r"^\| `(\w+\.yaml)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert sorted(rows) == sorted(path.name for path in (ROOT / "recipes").glob("[!_]*.yaml"))
