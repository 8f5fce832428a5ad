"""The command line uses the same rootdir and settings as pytest."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_orchestrator.cli.project import project

PATTERNS = ["a/*.yaml", "b c.yaml"]
INI = "recipe_files = a/*.yaml 'b c.yaml'\n"
TOML = 'recipe_files = ["a/*.yaml", "b c.yaml"]\n'

LAYOUTS: dict[str, Mapping[str, str]] = {
    "pytest.ini": {"pytest.ini": f"[pytest]\n{INI}", "deep/er/pyproject.toml": ""},
    "an empty pytest.ini": {"pytest.ini": ""},
    "hidden": {".pytest.ini": f"[pytest]\n{INI}"},
    "pyproject.toml": {"pyproject.toml": f"[tool.pytest.ini_options]\n{TOML}", "deep/tox.ini": ""},
    "one without pytest": {"pyproject.toml": "[project]\nname = 'x'\n"},
    "the nearer one": {"pytest.ini": f"[pytest]\n{INI}", "deep/tox.ini": "[pytest]\n"},
    "tox.ini": {"tox.ini": f"[pytest]\n{INI}", "setup.cfg": "[tool:pytest]\n"},
    "setup.cfg": {"setup.cfg": f"[tool:pytest]\n{INI}"},
    "setup.py": {"setup.py": "", "deep/setup.cfg": ""},
    "percent signs": {"pytest.ini": f"[pytest]\nlog_format = %(message)s\n{INI}"},
}


@pytest.mark.parametrize("words", [[], ["deep"], ["deep/er", "x.yaml"]], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_command_line_and_pytest_find_the_same_rootdir_and_settings(
    layout: str, words: list[str], pytester: pytest.Pytester
) -> None:
    for name, text in {"deep/er/x.yaml": "", "x.yaml": "", **LAYOUTS[layout]}.items():
        path = Path(pytester.path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    config = pytester.parseconfig("-p", "no:cacheprovider", *words)
    found = project([Path(word) for word in words])
    assert found.root == config.rootpath
    assert found.listed("recipe_files") == config.getini("recipe_files")


@pytest.mark.counted
def test_command_line_and_pytest_agree_without_any_settings(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pytester.mkdir("empty")
    monkeypatch.chdir(folder)
    assert project().root == pytester.parseconfig("-p", "no:cacheprovider").rootpath == folder
