"""Recordings of terminals: the text and the colours that a person sees in common situations.

``RECORD_SCREENS=1 pytest tests/plugin/test_terminal_screens.py`` writes the recordings anew. Look
at each of them before it is committed.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.neighbours.beside import missing_reasons, outcomes_in
from tests.plugin.conftest import Project
from tests.plugin.fork_server import ForkServer
from tests.plugin.screen import Terminal, marked, plain, rows
from tests.plugin.situations import OPTIONS, SITUATIONS, Situation
from tests.plugin.terminal import Size
from tests.tiers import kept_first

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fork server needs Linux")

_RECORDINGS: Final = Path(__file__).parent / "screens"
_MUST_RECORD: Final = bool(os.environ.get("RECORD_SCREENS"))
_COLOURS: Final = "---- lines with colours ----"
_DOTS: Final = re.compile(r"(\S+ )?[.FEsxXI]+ *\[ *\d+%\]")
# 2,000 steps take seconds.
_GATE: Final = [name for name in SITUATIONS if name != "green-matrix"]
_SMALL, _LARGE = Size(80, 24), Size(120, 40)


def _zeros(figure: re.Match[str]) -> str:
    """Return a time or an amount of memory with zeros for its digits; a cell keeps its columns."""
    zeros = "0.0" if figure.string[figure.end() :].startswith(" MB") else "0.00"
    is_cell = figure[0].startswith("  ")
    width = max(len(figure[0]), len(zeros) + 2)  # 9.9 is shorter than its zeros
    return zeros.rjust(width) if is_cell else " " * figure[0].startswith(" ") + zeros


# A program that is not in the page cache is read from the disk.
_DISK: Final = re.compile(r", (?:read|wrote) \d+\.\d MB")
_VARIES: Final[list[tuple[str, Any]]] = [
    (r"\d{8}T\d{6}Z-[0-9a-f]{12}", "20260101T000000Z-000000000000"),
    (r"^(platform) .*", r"\1 …"),
    (r"(orchestrator) \d[\w.]*(?=:)", r"\1 0.0.0"),
    (r"(\bin )\d+\.\d+ ?s(?: \([\d:]+\))?", r"\g<1>0.00s"),
    (r" *(?:≤ )?\d+\.\d+(?= (?:s|MB)\b)", _zeros),
    (r"(?<=user )\d+\.\d+|(?<=system )\d+\.\d+", _zeros),
    (r" {2,}(?:≤ )?\d+\.\d\d?(?!\d| [A-Za-z])", _zeros),  # in a table
]


def _settled(line: str, columns: int) -> str:
    """Return a line without what differs from run to run."""
    for pattern, value in _VARIES:
        line = re.sub(pattern, value, line)
    title = re.fullmatch(r"([=_-])+ (.*\S) \1+", line)
    return line if title is None else _filled(title[2], title[1], columns)


def _filled(title: str, sign: str, columns: int) -> str:
    """Return a title between signs that fill the line, as pytest writes it."""
    fill = sign * max((columns - len(title) - 2) // 2, 1)
    line = f"{fill} {title} {fill}"
    return line + sign if len(line) < columns else line


def _recording(terminal: Terminal, folder: Path) -> list[str]:
    """Return the lines of a recording: the screen, then those of its lines that have colours."""
    raw = terminal.raw.decode().replace(str(folder), "/bench")
    raw = re.sub(r"plugins: [^\r]*\r\n", "plugins: …\r\n", raw)
    raw = re.sub(_DISK, "", raw)
    screen = list(rows(raw, terminal.size.columns))
    coloured = [
        f"{number:3} {_short_rules(_settled(marked(row), 0))}"
        for number, row in enumerate(screen, 1)
        if marked(row) != plain(row)
    ]
    return [*(_settled(plain(row), terminal.size.columns) for row in screen), _COLOURS, *coloured]


def _short_rules(line: str) -> str:
    """Return a line whose rules do not depend on the width of the terminal."""
    return re.sub(r"([=_!-])\1{3,}", r"\1\1\1", line)


def _ended(
    project: Project, server: ForkServer, situation: Situation, size: Size, *more: str
) -> Terminal:
    """Run pytest in a situation until it has ended.

    Args:
        project: The project, which gets the files of the situation.
        server: The fork server.
        situation: The situation.
        size: The size of the terminal.
        more: Further arguments of pytest.
    """
    for file, text in situation.files.items():
        project.write(file, text)
    args = ("-orecipe_html=true", *OPTIONS, *situation.args, *more)
    terminal = Terminal(server, *args, size=size)
    if situation.ctrl_c_at:
        terminal.wait_for_file(project.path / situation.ctrl_c_at)
        terminal.types("\x03")
    terminal.status()
    return terminal


@pytest.mark.parametrize("size", [_SMALL, pytest.param(_LARGE, marks=pytest.mark.nightly)], ids=str)
@pytest.mark.parametrize("name", kept_first(SITUATIONS, *_GATE))
def test_the_screen_is_as_it_was_recorded(
    project: Project, fork_server: ForkServer, name: str, size: Size
) -> None:
    situation = SITUATIONS[name]
    terminal = _ended(project, fork_server, situation, size)

    assert terminal.status() == situation.status, terminal.raw.decode()
    lines = _recording(terminal, project.path)
    path = _RECORDINGS / str(size) / f"{name}.txt"
    if _MUST_RECORD:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert lines == path.read_text(encoding="utf-8").splitlines()
    screen = lines[: lines.index(_COLOURS)]
    assert sum(not _DOTS.fullmatch(line) for line in screen) <= situation.max_lines


_BESIDE: Final = {
    "xdist": ("-n2", "-rfEsxX"),
    "xdist-verbose": ("-n2", "-v"),
    "no-terminal": ("-p", "no:terminal"),
}
# Two workers have begun more steps than one process at the first failure, and -q is an option of
# the terminal reporter.
_COMPARED: Final = [name for name in _GATE if name not in ("exit-first", "quiet")]


@pytest.mark.parametrize("beside", _BESIDE)
@pytest.mark.parametrize("name", kept_first(_COMPARED, "blocked"))
def test_no_outcome_of_a_situation_is_lost_beside_other_reporters(
    project: Project, fork_server: ForkServer, name: str, beside: str
) -> None:
    situation = SITUATIONS[name]
    _ended(project, fork_server, situation, _LARGE, "--junitxml=plain.xml")
    for file in ("begun", "tries"):
        (project.path / file).unlink(missing_ok=True)
    terminal = _ended(project, fork_server, situation, _LARGE, "--junitxml=x.xml", *_BESIDE[beside])

    text = terminal.raw.decode()
    # xdist runs the tests that it has collected, also if there are errors.
    is_partial = name == "collection-error" and beside != "no-terminal"
    assert terminal.status() == (1 if is_partial else situation.status), text
    assert "INTERNALERROR" not in text
    assert not re.search(r"pytest_orchestrator/\S+\.py", text)
    plain, junit = ((project.path / name).read_text() for name in ("plain.xml", "x.xml"))
    assert outcomes_in(plain).items() <= outcomes_in(junit).items()
    if beside == "no-terminal":
        assert text in ("", "^C")
    else:
        assert missing_reasons(junit, text) == []
