"""Plain sentences: no docstring, comment, heading or test name opens as a riddle."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("pytest_orchestrator", "tests", "benchmarks", "scripts", "recipes", "scriptlets", "docs")
FILES = sorted(
    path
    for top in (*(ROOT / folder for folder in FOLDERS), *ROOT.glob("*.md"), *ROOT.glob("*.py"))
    for path in ([top] if top.is_file() else top.rglob("*"))
    if path.suffix in {".py", ".md", ".sh"} and not {"_build", "vendor"} & set(path.parts)
)
OPENING = re.compile(r"(?:What|Where|Whether|Who|Those|Let|Whatever|Whoever)\b")
WORD = re.compile(
    r"\b(?:nobody|somebody|anybody|everybody|whoever|strangers?|tells?|told|telling)\b",
    re.IGNORECASE,
)
NAME = re.compile(
    r"(?:^|_)(?:desk|bell|porch|lull|errand|knock|guest|grip|shelf|heed|owes|owing|tells?|told"
    r"|telling|surroundings|whoever|nobody|somebody|anybody|everybody|strangers?)(?:_|$)",
    re.IGNORECASE,
)
COMMENT = re.compile(rf"#[# ]*{OPENING.pattern}|#.*(?i:{WORD.pattern})")
"""A line that may hold a comment with a problem: only files with one are tokenized."""
TEST = re.compile(
    r"test_(?:what|where|whether|who|whoever|whatever|those|let|they|it|its|these|this|that|there)(?:_|$)"
)
FENCE = re.compile(r"^ *(```|:::).*?^ *\1", re.MULTILINE | re.DOTALL)
QUOTED = {"tests/samples/old_guide.md"}
"""Files of other authors."""


def names(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield each name that a file binds, with its line."""
    for node in nodes:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def sentences(nodes: Iterable[ast.AST], text: str) -> Iterator[tuple[int, str]]:
    """Yield docstrings and comments of code, with their lines."""
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""
    if COMMENT.search(text):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string.lstrip("# ")


def sentences_of_a_page(text: str, suffix: str) -> Iterator[tuple[int, str]]:
    """Yield the comments of a shell script, or the headings and paragraphs of a page."""
    if suffix == ".sh":
        for number, line in enumerate(text.splitlines(), 1):
            if line.lstrip().startswith("# "):
                yield number, line.lstrip("# ")
    else:
        prose = re.sub(
            r"^ *(```|:::).*?^ *\1",
            lambda m: "\n" * m[0].count("\n"),
            text,
            flags=re.MULTILINE | re.DOTALL,
        )
        for number, line in enumerate(prose.splitlines(), 1):
            yield (
                number,
                re.sub(r"`[^`]*`", "", line).lstrip("# ")
                if line.startswith("#")
                else (" " + re.sub(r"`[^`]*`", "", line)),
            )


def problems(name: str, text: str) -> list[str]:
    suffix = Path(name).suffix
    nodes = [*ast.walk(ast.parse(text))] if suffix == ".py" else []
    found = [
        f"{name}:{line}: {match[0]!r} in {one.strip().partition(chr(10))[0][:60]!r}"
        for line, one in (sentences(nodes, text) if nodes else sentences_of_a_page(text, suffix))
        for match in [OPENING.match(one), *WORD.finditer(one)]
        if match
    ]
    return found + [
        f"{name}:{line}: the name {one}"
        for line, one in names(nodes)
        if NAME.search(one) or TEST.match(one)
    ]


def test_sentences_and_names_are_plain() -> None:
    found = [
        problem
        for path in FILES
        if (name := str(path.relative_to(ROOT))) not in QUOTED
        for problem in problems(name, path.read_text(encoding="utf-8"))
    ]

    assert found == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", '"""What a step does."""'),
        ("a.py", 'def f():\n    """Return it, if nobody waits."""'),
        ("a.py", "x = 1  # Where it is, it is told"),
        ("a.py", "def test_they_run_once(): ..."),
        ("a.py", "def test_it_runs(): ..."),
        ("a.py", "bell = 1"),
        ("a.sh", "# Whoever calls this"),
        ("a.md", "## What is masked"),
        ("a.md", "The page tells it."),
    ],
)
def test_a_riddle_is_found(name: str, text: str) -> None:
    assert problems(name, text) != []


def test_code_and_its_quotations_are_no_sentences() -> None:
    assert problems("a.md", "```text\nWho is told?\n```\nUse `tell`.\n") == []
