"""Modules are located as Python would locate them, and none is imported."""

import sys
from pathlib import Path

import pytest

from pytest_orchestrator.recipe.analysis.source_files import Sources


def write(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


BOOM = "raise SystemExit('imported')"


def test_a_module_in_folders_and_packages_is_found(tmp_path: Path) -> None:
    write(tmp_path, space__pack__deep=BOOM, top=BOOM)
    (tmp_path / "space/pack/__init__.py").write_text(BOOM)
    sources = Sources(tmp_path)
    for name in ("top", "space.pack.deep", "space.pack", "space"):
        assert sources.module(name) is not None, name
    for name in ("tpo", "space.deep", "top.deep", "space.pack.deep.x"):
        assert sources.module(name) is None, name
    assert not {"space", "top"} & sys.modules.keys()


def test_project_files_that_a_module_imports_are_found(tmp_path: Path) -> None:
    text = "import json, far.apart, numbers_of_others\nfrom . import near\n"
    text += "from .. import up\nfrom .deep.er import x"
    write(tmp_path, pack__steps=text, pack__near="def f():\n    from free import own")
    write(tmp_path, up=BOOM, far__apart=BOOM, free="import pack.steps, far")
    write(tmp_path, pack__deep__er="x = 1", far__unused=BOOM)
    (tmp_path / "pack/__init__.py").write_text(BOOM)
    other = tmp_path / "lib" / "site-packages"
    write(other, numbers_of_others=BOOM)
    sources = Sources(tmp_path, [other])
    found = sources.imported(tmp_path / "pack/steps.py")

    names = "far/apart free pack/__init__ pack/deep/er pack/near up"
    assert sorted(map(sources.display_path, found)) == [f"{name}.py" for name in names.split()]


def test_installed_and_built_in_modules_are_found(tmp_path: Path) -> None:
    sources = Sources(tmp_path)
    for name in ("os.path", "xml.dom.minidom", "sys", "yaml", "pytest_orchestrator.core"):
        assert sources.module(name) is not None, name


def test_folders_of_the_project_come_first(tmp_path: Path) -> None:
    write(tmp_path, src__json="here = 1")
    module = Sources(tmp_path, [tmp_path / "src"]).module("json")
    assert module is not None
    assert "json" not in sys.modules or module.path is not None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("def a(): pass\nclass B: pass\nc = d, e = 1, 2\nf: int = 1", "aBcdef"),
        ("import a, b.x, c.y as d\nfrom . import e", "abde"),
        ("if x:\n    a = 1\nelse:\n    b = 1\ntry:\n    c = 1\nexcept E:\n    d = 1", "abcd"),
    ],
)
def test_names_that_a_module_defines_are_found(text: str, names: str, tmp_path: Path) -> None:
    write(tmp_path, seen=text)
    module = Sources(tmp_path).module("seen")
    assert module is not None
    assert (sorted(module.names), module.is_open) == (sorted(names), False)


@pytest.mark.parametrize("text", ["from x import *", "def __getattr__(name): pass", "def ("])
def test_a_module_with_names_that_its_file_does_not_show_is_open(text: str, tmp_path: Path) -> None:
    write(tmp_path, seen=text)
    module = Sources(tmp_path).module("seen")
    assert module is not None
    assert module.is_open
