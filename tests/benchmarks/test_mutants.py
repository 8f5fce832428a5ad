from pathlib import Path

import pytest

from benchmarks.mutants import EXACT_MUTANTS, MUTANTS, PACKAGE, ROOT


@pytest.mark.parametrize("name", MUTANTS | EXACT_MUTANTS)
def test_text_that_a_mutant_replaces_occurs_once_in_its_file(name: str) -> None:
    counts = {
        change.file: Path(ROOT, PACKAGE, change.file).read_text().count(change.old)
        for change in (MUTANTS | EXACT_MUTANTS)[name]
    }

    assert set(counts.values()) == {1}, counts
