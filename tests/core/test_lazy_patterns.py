"""Regular expressions that are compiled at their first use."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core import text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a package with a pattern, which imports a module with another pattern."""
    own = tmp_path / "package_with_patterns"
    own.mkdir()
    (own / "__init__.py").write_text("from package_with_patterns import inner\nimport helper_x\n")
    (own / "inner.py").write_text(
        "import re\nBROKEN = re.compile('(')\nX = re.compile('a+', re.I)\n"
    )
    (tmp_path / "helper_x.py").write_text("import re\nOTHER = re.compile('b')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield own.name
    for name in (own.name, f"{own.name}.inner", "helper_x"):
        sys.modules.pop(name, None)


def test_a_lazy_pattern_does_what_the_compiled_pattern_does() -> None:
    pattern = text.lazy_pattern("a(b+)", re.IGNORECASE)

    assert pattern.sub("-", "xABBx") == "x-x"
    match = pattern.search("xABB")
    assert match is not None
    assert match[1] == "BB"
    assert pattern.pattern == "a(b+)"


def test_a_lazy_pattern_is_compiled_at_its_first_use() -> None:
    pattern = text.lazy_pattern("(")

    with pytest.raises(re.error):
        pattern.search("x")


def test_the_patterns_of_a_package_are_compiled_at_their_first_use(package: str) -> None:
    module = text.import_without_patterns(package)

    assert module.inner.X.fullmatch("AAA")  # and BROKEN has raised no error


def test_a_pattern_of_another_package_is_compiled_at_once(package: str) -> None:
    real = re.compile

    module = text.import_without_patterns(package)

    assert isinstance(module.helper_x.OTHER, re.Pattern)
    assert re.compile is real


def test_a_package_that_is_imported_already_is_returned() -> None:
    assert text.import_without_patterns("json") is sys.modules["json"]
