"""The command line uses the same rootdir and settings as pytest."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_orchestrator.cli.project import project
from pytest_orchestrator.plugin.options.values import READERS, value_of

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


SET = {
    "recipe_decision": "guarded",
    "recipe_jobs": 3,
    "recipe_junit_properties": "testsuite",
    "recipe_keep_runs": 7,
    "recipe_max_artifact": "2MB",
    "recipe_max_log": 4096,
    "recipe_max_size": "2 mib",
    "recipe_measurements": "all.csv",
    "recipe_requires": "error",
    "recipe_run_dir": "out/runs",
    "recipe_runner": "dask",
    "recipe_shell": "bash",
    "recipe_table": "failed",
    "recipe_timeout": "1.5m",
}
_INI = "\n".join(f"{key} = {value}" for key, value in SET.items())
_NATIVE = "\n".join(f"{key} = {json.dumps(value)}" for key, value in SET.items())
_QUOTED = "\n".join(f'{key} = "{value}"' for key, value in SET.items())
FILES = {
    "none": ("x.txt", ""),
    "pytest.ini": ("pytest.ini", f"[pytest]\n{_INI}"),
    "tox.ini": ("tox.ini", f"[other]\na = 1\n[pytest]\n{_INI}"),
    "setup.cfg": ("setup.cfg", f"[tool:pytest]\n{_INI}"),
    "native": ("pyproject.toml", f"[tool.pytest]\n{_NATIVE}"),
    "ini_options": ("pyproject.toml", f"[tool.pytest.ini_options]\n{_QUOTED}"),
    "pytest.toml": ("pytest.toml", f"[pytest]\n{_NATIVE}"),
}


@pytest.mark.parametrize("name", FILES)
def test_command_line_and_pytest_read_the_same_values(name: str, pytester: pytest.Pytester) -> None:
    file, text = FILES[name]
    Path(pytester.path, file).write_text(text)
    config = pytester.parseconfig("-p", "no:cacheprovider")
    about = project()

    values = {key: about.value(key) for key in READERS}
    assert values == {key: value_of(config, key) for key in READERS}
    assert (values["recipe_jobs"], values["recipe_max_log"]) == (
        (None, 10**8) if name == "none" else (3, 4096)
    )
    assert set(READERS) == set(SET)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("", 2),
        ("-o recipe_jobs=3", 3),
        ("--recipe-jobs=4", 4),
        ("-o recipe_jobs=3 --recipe-jobs=4", 4),
        ("-c other.ini", 5),
        ("-c other.ini -o recipe_jobs=3", 3),
    ],
)
def test_an_option_precedes_an_override_and_this_one_the_file(
    words: str, value: int, pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\nrecipe_jobs = 2\n")
    Path(pytester.path, "other.ini").write_text("[pytest]\nrecipe_jobs = 5\n")

    config = pytester.parseconfig("-p", "no:cacheprovider", *words.split())

    assert value_of(config, "recipe_jobs") == value


def test_a_path_of_an_option_is_relative_to_the_working_directory(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\nrecipe_measurements = all.csv\n")
    folder = pytester.mkdir("deep")
    monkeypatch.chdir(folder)

    found = [
        value_of(pytester.parseconfig("-p", "no:cacheprovider", *words), "recipe_measurements")
        for words in ([], ["--recipe-measurements=own.csv"])
    ]

    assert found == [pytester.path / "all.csv", folder / "own.csv"]
