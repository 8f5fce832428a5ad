"""Conventions of scriptlets: sections, writer, version, executable bit."""

from pathlib import Path

import pytest

from pytest_orchestrator.recipe.analysis.source_files import Module
from pytest_orchestrator.scriptlets.discovery import (
    NAMES,
    module_notes,
    script_notes,
    sections,
    summary,
)

GOOD = "\n".join(f"{name}\n    text" for name in NAMES)


def notes(folder: Path, body: str, head: str = GOOD) -> list[tuple[int, str, str]]:
    path = folder / "bench.py"
    path.write_text(f'"""{head}\n"""\nKEY = "plain"\n{body}\n')
    return [
        (one.line - 12, one.rule, one.message) for one in module_notes(Module(path), "bench.py")
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("ctx.set('a_v1', 1, who='me')", []),
        ("ctx.set('a_v1', 1, 'me')", []),
        ("ctx.set('a_v1', 1, **words)", []),
        ("ctx.set(f'a.{x}', 1, who='me')", []),
        ("ctx.get('a')", []),
        ("other.set('a', 1)", []),
        ("ctx.delete('a', who='me')", []),
        ("context.pop('a')", [(1, "who", "ctx.pop does not say who: who='...'")]),
        ("ctx.set(KEY, 1, who='me')", [(1, "version", "key 'plain' has no version: 'plain_v1'")]),
        (
            "ctx.increment(key=f'{x}.a')",
            [
                (1, "who", "ctx.increment does not say who: who='...'"),
                (1, "version", "key '*.a' has no version: '*.a_v1'"),
            ],
        ),
    ],
)
def test_context_changes_need_a_writer_and_a_version(
    body: str, expected: list[tuple[int, str, str]], tmp_path: Path
) -> None:
    assert notes(tmp_path, body) == expected


def test_docstrings_need_all_sections(tmp_path: Path) -> None:
    head = GOOD.replace("RETURNS", "Returns").replace("LIMITATIONS", "limitations")
    assert notes(tmp_path, "", head) == [
        (-11, "sections", "the docstring has no RETURNS, LIMITATIONS")
    ]


def test_scripts_need_a_header_and_the_executable_bit() -> None:
    problems = [
        (one.rule, one.message) for one in script_notes("#!/bin/sh\ntrue\n", "a.sh", may_run=False)
    ]
    assert problems == [
        ("sections", "the header with NAME, DESCRIPTION, USAGE, RETURNS, LIMITATIONS is missing"),
        ("run-bit", "may not be run; give it its run bit: chmod +x a.sh"),
    ]
    header = "#!/bin/sh\n" + "".join(f"# {line}\n" for line in GOOD.splitlines())
    assert list(script_notes(header, "a.sh", may_run=True)) == []


def test_the_text_of_a_section_may_follow_its_title_on_the_same_line(tmp_path: Path) -> None:
    head = "NAME: flash.py\nDESC: Write firmware.\nUSAGE:\n    flash\nRETURNS: x\nLIMITATIONS\nno"

    assert notes(tmp_path, "", head) == []
    assert sections(head) == {
        "NAME": "flash.py",
        "DESCRIPTION": "Write firmware.",
        "USAGE": "flash",
        "RETURNS": "x",
        "LIMITATIONS": "no",
    }
    assert summary(head, sections(head)) == "Write firmware."
    assert "NAME" not in sections("NAMED: x")
    assert sections("NAME x") == {}
