from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from pytest_orchestrator.reports.templating import Compiled


@pytest.fixture
def rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    monkeypatch.setattr("sys.dont_write_bytecode", False)

    def render(text: str) -> str:
        cache = Compiled(tmp_path / "kept")
        return Environment(loader=DictLoader({"a": text}), bytecode_cache=cache).get_template(
            "a"
        ).render(name="x")  # fmt: skip

    return render


def kept(tmp_path: Path) -> list[Path]:
    return [*(tmp_path / "kept").iterdir()]


def test_a_template_is_compiled_once(
    rendered: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rendered("I am {{ name }}") == "I am x"
    assert len(kept(tmp_path)) == 1
    monkeypatch.setattr(Environment, "compile", None)

    assert rendered("I am {{ name }}") == "I am x"


def test_a_template_that_was_changed_is_compiled_anew(
    rendered: Callable[[str], str], tmp_path: Path
) -> None:
    rendered("I am {{ name }}")

    assert rendered("I was {{ name }}") == "I was x"
    assert len(kept(tmp_path)) == 1


def test_what_is_kept_may_be_rubbish(rendered: Callable[[str], str], tmp_path: Path) -> None:
    rendered("I am {{ name }}")
    kept(tmp_path)[0].write_bytes(b"rubbish")

    assert rendered("I am {{ name }}") == "I am x"


def test_a_folder_that_cannot_be_written_is_no_harm(
    rendered: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("a file")

    assert rendered("I am {{ name }}") == "I am x"


def test_nothing_is_kept_where_python_keeps_nothing(
    rendered: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)

    rendered("I am {{ name }}")

    assert not (tmp_path / "kept").exists()
