from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from pytest_orchestrator.reports.templating import CompiledTemplates


@pytest.fixture
def rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    monkeypatch.setattr("sys.dont_write_bytecode", False)

    def render(text: str) -> str:
        cache = CompiledTemplates(str(tmp_path / "cache"), "%s.jinja")
        return Environment(loader=DictLoader({"a": text}), bytecode_cache=cache).get_template(
            "a"
        ).render(name="x")  # fmt: skip

    return render


def cache_files(tmp_path: Path) -> list[Path]:
    return [*(tmp_path / "cache").iterdir()]


def test_a_template_is_compiled_once(
    rendered: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rendered("I am {{ name }}") == "I am x"
    assert len(cache_files(tmp_path)) == 1
    monkeypatch.setattr(Environment, "compile", None)

    assert rendered("I am {{ name }}") == "I am x"


def test_a_changed_template_is_compiled_again(
    rendered: Callable[[str], str], tmp_path: Path
) -> None:
    rendered("I am {{ name }}")

    assert rendered("I was {{ name }}") == "I was x"
    assert len(cache_files(tmp_path)) == 1


def test_a_damaged_cache_file_is_ignored(rendered: Callable[[str], str], tmp_path: Path) -> None:
    rendered("I am {{ name }}")
    cache_files(tmp_path)[0].write_bytes(b"damaged")

    assert rendered("I am {{ name }}") == "I am x"


def test_an_unwritable_cache_folder_is_ignored(
    rendered: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "cache").symlink_to(tmp_path / "missing" / "cache")

    assert rendered("I am {{ name }}") == "I am x"


def test_no_cache_is_written_if_python_writes_no_bytecode(
    rendered: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)

    rendered("I am {{ name }}")

    assert not (tmp_path / "cache").exists()
