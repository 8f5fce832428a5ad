"""Files for the place where the project is published: addresses, workflows, forms."""

import importlib
import itertools
import json
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.house.conftest import ROOT

_ADDRESS = re.compile(
    r"https://(?:(?:github|raw\.githubusercontent)\.com/[\w-]+/pytest-orchestrator"
    r"|pytest-orchestrator\.[\w-]+)[\w/.-]*"
)
_FOLDERS = ("docs", "pytest_orchestrator", ".github")


def urls() -> dict[str, str]:
    """Return the addresses that the package names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named: dict[str, str] = project["urls"]
    return named


def published() -> Iterator[Path]:
    """Yield the files that may name an address of the project."""
    yield from ROOT.glob("*.*")
    for folder in _FOLDERS:
        for end in ("md", "py", "html", "yml", "j2", "json"):
            yield from (ROOT / folder).rglob(f"*.{end}")


def test_all_files_name_the_home_that_the_package_names() -> None:
    known = urls()
    raw = known["Source"].replace("//github.com/", "//raw.githubusercontent.com/") + "/main/"
    starts = (known["Homepage"], known["Documentation"], raw)

    wrong = {
        f"{path.relative_to(ROOT)}: {found}"
        for path in published()
        if path.is_file() and "_build" not in path.parts
        for found in _ADDRESS.findall(path.read_text(encoding="utf-8", errors="replace"))
        if not found.startswith(starts)
    }

    assert wrong == set()


def test_contributors_learn_that_the_home_is_planned() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

    assert urls()["Homepage"] in text
    assert "planned" in text


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", ".github/workflows/*.yml"),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/[!c]*.yml"),
        ("github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
        ("readthedocs", ".readthedocs.yaml"),
        ("citation-file-format", "CITATION.cff"),
    ],
)
def test_files_for_services_follow_their_schemas(schema: str, files: str) -> None:
    check: Any = importlib.import_module("check_jsonschema").main
    paths = [str(path) for path in ROOT.glob(files)]
    assert paths
    assert check.main(["--builtin-schema", f"vendor.{schema}", *paths], standalone_mode=False) == 0


def test_citation_names_the_version_of_the_package() -> None:
    import pytest_orchestrator

    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {pytest_orchestrator.__version__}\n" in text


def test_gate_runs_on_each_python_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    minor = re.compile(r"Programming Language :: Python :: (3\.\d+)$")
    named = [found[1] for one in project["classifiers"] if (found := minor.search(one))]

    assert f"python: {json.dumps(named)}" in (ROOT / ".github/workflows/gate.yml").read_text()


def test_sessions_of_the_gate_are_known_to_the_program_nox() -> None:
    # The working directory is not on the path of a program, and no editable install adds it here.
    site = sysconfig.get_path("purelib")
    program = f"import sys; sys.path.append({site!r}); from nox.__main__ import main; main()"
    command = [sys.executable, "-P", "-S", "-c", program, "--list", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    known = {one["session"] for one in json.loads(done.stdout)}

    jobs = yaml.safe_load((ROOT / ".github/workflows/gate.yml").read_text("utf-8"))["jobs"]
    matrix = jobs["pytest"]["strategy"]["matrix"]
    asked = {
        f"pytests-{python}(version='{version}')"
        for python, version in itertools.product(matrix["python"], matrix["pytest"])
    }

    assert jobs["lowest"]["steps"][-1]["run"] == "nox -s lowest"
    assert asked | {"lowest"} <= known


@pytest.mark.nightly
def test_workflows_have_no_mistake_that_actionlint_finds() -> None:
    command = ["bash", "scripts/actionlint"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_entry_for_schemastore_is_valid_and_names_recipes() -> None:
    from pytest_orchestrator.plugin.collection.file_matching import claim

    page = (ROOT / "docs/how-to/editors.md").read_text(encoding="utf-8")
    entry = next(
        found
        for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)
        if "fileMatch" in (found := json.loads(block))
    )
    rules = {  # those of SchemaStore's schema-catalog.json for an entry
        "type": "object",
        "required": ["name", "url", "description"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "description": {"type": "string", "pattern": "^(?!.*[Ss]chema)"},
            "fileMatch": {"type": "array", "uniqueItems": True, "items": {"type": "string"}},
            "url": {"type": "string", "format": "uri", "pattern": "^https://"},
            "versions": {"type": "object"},
        },
    }
    jsonschema.validate(entry, rules)
    start = f"{urls()['Documentation']}/en/stable/schema/"
    assert (ROOT / "pytest_orchestrator/schema" / entry["url"].removeprefix(start)).is_file()
    for pattern in entry["fileMatch"]:
        path = ROOT / "bench" / pattern.replace("*", "psu")
        assert claim(path, ROOT, (), (), named=False) == "may be"
