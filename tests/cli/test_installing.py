"""How a pipeline installs a project."""

from pathlib import Path

import pytest

from pytest_orchestrator.cli.project import Project
from pytest_orchestrator.cli.verbs.init import install_command, needed_extras

PIP = "python -m pip install"


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ""),
        ({"pyproject.toml": "[tool.ruff]\n"}, ""),
        ({"pyproject.toml": "[build-system]\nrequires = []\n"}, ". "),
        ({"requirements.txt": "", "setup.py": ""}, "-r requirements.txt . "),
        (
            {"requirements-dev.txt": "", "requirements.txt": ""},
            "-r requirements.txt -r requirements-dev.txt ",
        ),
    ],
)
def test_pip_installs_the_lists_and_the_package_of_a_project(
    files: dict[str, str], words: str, tmp_path: Path
) -> None:
    written(tmp_path, files)

    assert install_command(tmp_path) == f"{PIP} {words}pytest-orchestrator"


def test_a_pipeline_installs_the_extras_of_all_step_types_in_use(tmp_path: Path) -> None:
    about = Project(tmp_path, {})
    assert needed_extras(about) == {"validate"}
    assert install_command(tmp_path) == f"{PIP} pytest-orchestrator"
    shell = "{name: a, type: shell, cmd: 'true', env: {type: scpi}}"
    parts = "[{name: a, type: serial}, {name: b, use: recipes/_part.yaml}]"
    recipes = {
        "recipes/a.yaml": f"steps: [{shell}, {{name: b, use: recipes/_part.yaml}}]\n",
        "recipes/_part.yaml": f"steps: {parts}\n",
        "recipes/b.yaml": f"steps: [{shell}]\nfinally: [{{name: c, type: http}}]\n",
        "recipes/broken.yaml": "steps: [{\n",
    }
    written(tmp_path, recipes)

    assert needed_extras(about) == {"http", "serial", "validate"}
    command = install_command(tmp_path, needed_extras(about))
    assert command == f"{PIP} 'pytest-orchestrator[http,serial,validate]'"


def test_instruments_of_a_station_need_the_extra_of_visa(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "instruments:\n  psu: {resource: 'TCPIP::10.0.0.1::5025::SOCKET'}\n"
    written(tmp_path, {"station.yaml": text})

    assert needed_extras(Project(tmp_path, {"recipe_station": "station.yaml"})) == {
        "validate",
        "visa",
    }
