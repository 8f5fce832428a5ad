"""How a pipeline installs a project."""

from pathlib import Path

import pytest

from pytest_orchestrator.cli.installation import PackageNames, needed_extras, packaging_of
from pytest_orchestrator.cli.project import Project

BUILDS = '[build-system]\nrequires = []\n[project]\nname = "bench"\n'
PROJECT = '[project]\nname = "bench"\n'
FLIT = '[build-system]\nrequires = []\nbuild-backend = "flit_core.buildapi"\n[project]\n'
POETRY = '[build-system]\nrequires = []\nbuild-backend = "poetry.core.masonry.api"\n[tool.poetry]\n'
PIP, UV = "python -m pip install", "python -m pip install uv && uv pip install --system"


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({}, f"{PIP} pytest-orchestrator"),
        ({"pyproject.toml": "[tool.ruff]\n"}, f"{PIP} pytest-orchestrator"),
        ({"pyproject.toml": "[tool\n"}, f"{PIP} pytest-orchestrator"),
        ({"pyproject.toml": BUILDS}, f"{PIP} . pytest-orchestrator"),
        ({"pyproject.toml": POETRY}, f"{PIP} . pytest-orchestrator"),
        ({"pyproject.toml": f"{POETRY}package-mode = false\n"}, f"{PIP} pytest-orchestrator"),
        (
            {"pyproject.toml": f"{BUILDS}[project.optional-dependencies]\ntest = []\nx = []\n"},
            f'{PIP} ".[test]" pytest-orchestrator',
        ),
        (
            {"pyproject.toml": f"{BUILDS}[dependency-groups]\ndev = []\n"},
            f"{PIP} --upgrade pip && {PIP} . --group dev pytest-orchestrator",
        ),
        ({"pyproject.toml": PROJECT}, f"{PIP} pytest-orchestrator"),
        ({"pyproject.toml": PROJECT, "src/bench/__init__.py": ""}, f"{PIP} . pytest-orchestrator"),
        (
            {"pyproject.toml": f'{PROJECT}dependencies = ["tomlkit"]\n'},
            f"{UV} -r pyproject.toml pytest-orchestrator",
        ),
        (
            {
                "pyproject.toml": f"{PROJECT}[project.optional-dependencies]\ntest = []\n"
                "[dependency-groups]\ndev = []\n[tool.uv]\npackage = false\n"
            },
            f"{UV} -r pyproject.toml --extra test --group dev pytest-orchestrator",
        ),
        (
            {"requirements.txt": "", "setup.py": ""},
            f"{PIP} -r requirements.txt . pytest-orchestrator",
        ),
        ({"setup.cfg": "[metadata]\nname = bench\n"}, f"{PIP} . pytest-orchestrator"),
        ({"setup.cfg": "[tool:pytest]\n[flake8]\n"}, f"{PIP} pytest-orchestrator"),
        ({"setup.cfg": "name\n"}, f"{PIP} pytest-orchestrator"),
    ],
)
def test_pip_installs_what_the_project_and_its_tests_need(
    files: dict[str, str], command: str, tmp_path: Path
) -> None:
    assert packaging_of(written(tmp_path, files)).install_command() == command


@pytest.mark.parametrize(
    ("allowed", "python"),
    [
        (">=3.9", "3.13"),
        (">=3.11,<3.13", "3.12"),
        ("==3.14.*", "3.14"),
        ("<3.9", "3.13"),
        ("three", "3.13"),
    ],
)
def test_a_pipeline_has_a_python_that_the_project_allows(
    allowed: str, python: str, tmp_path: Path
) -> None:
    written(tmp_path, {"pyproject.toml": f'{PROJECT}requires-python = "{allowed}"\n'})
    assert packaging_of(tmp_path).python == python


PACKAGE = {"acme/__init__.py": "", "tests/__init__.py": ""}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (
            {"pyproject.toml": BUILDS},
            PackageNames(
                "pyproject.toml", '[tool.setuptools.packages.find]\ninclude = ["acme*"]\n'
            ),
        ),
        (
            {"setup.cfg": "[metadata]\nname = acme\n"},
            PackageNames(
                "setup.cfg",
                "[options]\npackages = find:\n\n[options.packages.find]\ninclude =\n    acme*\n",
            ),
        ),
        (
            {"setup.py": "import setuptools\nsetuptools.setup(name='acme')\n"},
            PackageNames("setup.py", 'packages=setuptools.find_packages(include=["acme*"])\n'),
        ),
        ({"pyproject.toml": FLIT}, None),
        ({"pyproject.toml": BUILDS, "src/x/__init__.py": ""}, None),
        ({"pyproject.toml": f'{BUILDS}[tool.setuptools]\npackages = ["acme"]\n'}, None),
        ({"pyproject.toml": f'{BUILDS}[tool.setuptools]\npy-modules = ["acme"]\n'}, None),
        ({"setup.cfg": "[metadata]\nname = acme\n[options]\npackages = acme\n"}, None),
        ({"setup.py": "setup(packages=['acme'])"}, None),
        ({"pyproject.toml": PROJECT}, None),
    ],
)
def test_setuptools_needs_the_names_of_packages_beside_recipes(
    files: dict[str, str], names: PackageNames | None, tmp_path: Path
) -> None:
    assert packaging_of(written(tmp_path, PACKAGE | files)).package_names() == names


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"pyproject.toml": BUILDS}, '[tool.setuptools]\npy-modules = ["main"]\n'),
        ({"setup.cfg": "[metadata]\nname = x\n"}, "[options]\npy_modules =\n    main\n"),
        ({"setup.py": ""}, 'py_modules=["main"]\n'),
    ],
)
def test_setuptools_needs_the_names_of_modules_where_a_project_has_no_package(
    files: dict[str, str], text: str, tmp_path: Path
) -> None:
    written(tmp_path, {"main.py": "", "conftest.py": "", **files})
    names = packaging_of(tmp_path).package_names()
    assert names is not None
    assert names.text == text


def test_a_pipeline_installs_the_extras_of_all_step_types_in_use(tmp_path: Path) -> None:
    about = Project(tmp_path, {})
    assert needed_extras(about) == set()
    assert packaging_of(tmp_path).install_command() == f"{PIP} pytest-orchestrator"
    shell = "{name: a, type: shell, cmd: 'true', env: {type: scpi}}"
    parts = "[{name: a, type: serial}, {name: b, use: recipes/_part.yaml}]"
    recipes = {
        "recipes/a.yaml": f"steps: [{shell}, {{name: b, use: recipes/_part.yaml}}]\n",
        "recipes/_part.yaml": f"steps: {parts}\n",
        "recipes/b.yaml": f"steps: [{shell}]\nfinally: [{{name: c, type: http}}]\n",
        "recipes/broken.yaml": "steps: [{\n",
    }
    written(tmp_path, recipes)

    assert needed_extras(about) == {"http", "serial"}
    command = packaging_of(tmp_path).install_command(needed_extras(about))
    assert command == f"{PIP} 'pytest-orchestrator[http,serial]'"


def test_instruments_of_a_station_need_the_extra_of_visa(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "instruments:\n  psu: {resource: 'TCPIP::10.0.0.1::5025::SOCKET'}\n"
    written(tmp_path, {"station.yaml": text})

    assert needed_extras(Project(tmp_path, {"recipe_station": "station.yaml"})) == {"visa"}
