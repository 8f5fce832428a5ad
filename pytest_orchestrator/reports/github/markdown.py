"""GitHub's Markdown: escaping, code, tables and folded sections.

Texts come from steps and journals. None of them can end the element in which it stands, or become
a link, a picture, a mention, a formula or HTML.
"""

import html
import re
from collections.abc import Collection, Iterable, Sequence

from pytest_orchestrator.core.text import CONTROLS
from pytest_orchestrator.reports import text as report_text

_MAX_TEXT = 8_000
_MAX_LINE = 1_000
_CONTROLS = CONTROLS | {9: "\\x09"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> str:
    """Return a table; the texts are escaped already.

    Args:
        head: Headings of the columns.
        rows: Texts of the rows.
        right: Numbers of the columns that are aligned right.
    """
    rules = ["---:" if number in right else "---" for number in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rules, *rows)) + "\n"


def details(title: str, text: str, kind: str, *, is_open: bool = False) -> str:
    """Return a section that a reader unfolds.

    Args:
        title: Its line, escaped.
        text: The text in it.
        kind: Language of the text.
        is_open: True to show it unfolded.
    """
    start = f"<details{' open' if is_open else ''}><summary>{title}</summary>"
    return f"{start}\n\n{fenced(text, kind)}\n\n</details>\n"


def bounded(text: str) -> str:
    """Return a text of at most 8,000 characters, without colours, control characters escaped."""
    lines = (line[:_MAX_LINE] for line in text.strip("\n").splitlines())
    shown = report_text.shown("\n".join(lines)).translate(_CONTROLS)
    return shown if len(shown) <= _MAX_TEXT else f"{shown[:_MAX_TEXT]}\n… cut here"


def fenced(text: str, kind: str) -> str:
    """Return a text in a code fence that is longer than any fence in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}"


def code(text: str) -> str:
    """Return a text as inline code, escaped."""
    return f"<code>{plain_text(text)}</code>"


def plain_text(text: str) -> str:
    """Return a text with all characters escaped that Markdown, HTML or a table would interpret."""
    shown = html.escape(" ".join(text.split())).translate(_CONTROLS)
    # `:`, `@` and `w` would begin a link, `$` a formula.
    return re.sub(
        r"[|*_`\[\]~\\@$]|:(?=//|[a-z]\w*:)|(?<=ww)w(?=\.)",
        lambda match: f"&#{ord(match[0])};",
        shown,
    )
