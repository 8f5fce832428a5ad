"""Job summary of GitHub: totals first, folded failures, tables, and its size limit."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from markdown_it import MarkdownIt

from pytest_orchestrator.reports.github.summary import MOST_BYTES, Failure, Mark, Session, summary
from tests.blocks import parsed

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block


def block(name: str, state: str = "passed", *needs: str, **more: Any) -> Block:
    path = more.pop("path", "recipes/psu.yaml")
    recipe = {"path": path} | more.pop("recipe", {})
    parts = {key: more.pop(key) for key in ("measurements", "time") if key in more}
    step = {"name": name, "node": f"{path}::{name}", "line": 7, "state": state, "needs": [*needs]}
    return parsed({"recipe": recipe, "step": step | more} | parts)


def times(start: str, stop: str, seconds: float) -> dict[str, Any]:
    day = "2026-11-28T10:00:"
    return {"start": f"{day}{start}Z", "stop": f"{day}{stop}Z", "seconds": seconds}


def measured(name: str, value: float, verdict: str = "pass", **more: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": "mV", "verdict": verdict, "line": 3} | more


def test_the_summary_has_totals_then_recipes_failures_and_graphs() -> None:
    dut = {"test_meta": {"dut": {"serial": "A17"}}}
    recipes = {
        "recipes/good.yaml": [block("a", path="recipes/good.yaml")],
        "recipes/psu.yaml": [
            block("flash", recipe=dut, time=times("01.000000", "02.000000", 1)),
            block(
                "ripple", "failed", "flash", recipe=dut, time=times("02.000000", "03.500000", 1.5)
            ),
        ],
    }
    failures = [Failure("recipes/psu.yaml::ripple", "failed", "61 mV", "E  61 mV\n```\x1b[2J")]
    problems = [Mark("recipes/bad.yaml", 3, 5, "recipes/bad.yaml", "unknown key '<b>'")]
    session = Session({"passed": 3, "failed": 1}, "", "runs/1/report.html")

    assert summary(recipes, failures, problems, session) == (
        """\
## ✘ failed

**3 steps**: ✔ 2 passed · ✘ 1 failed<br>
**4 other tests**: ✔ 3 passed · ✘ 1 failed<br>
2.5 s · unit under test <code>serial: A17</code>

Report: <code>runs/1/report.html</code> in the workspace of the job

| recipe | verdict | unit under test | ✔&nbsp;passed | ✘&nbsp;failed | duration |
| --- | --- | --- | ---: | ---: | ---: |
| <code>recipes/psu.yaml</code> | ✘&nbsp;failed | <code>serial: A17</code> | 1 | 1 | 2.5 s |
| <code>recipes/good.yaml</code> | ✔&nbsp;passed |  | 1 | 0 | - |

### Recipes that cannot be read

- <code>recipes/bad.yaml:3:5</code> unknown key &#x27;&lt;b&gt;&#x27;

### 1 failure

<details open><summary>✘ <code>recipes/psu.yaml::ripple</code>: 61 mV</summary>

````text
E  61 mV
```\\x1b[2J
````

</details>

### Graphs

<details><summary>✘ Graph of <code>recipes/psu.yaml</code></summary>

```mermaid
flowchart TD
    s0["flash<br/>✔ passed"]:::passed
    s1["ripple<br/>✘ failed"]:::failed
    s0 --> s1
    classDef passed fill:#dafbe1,stroke:#116329,color:#1f2328
    classDef failed fill:#ffebe9,stroke:#a40e26,color:#1f2328
```

</details>

<details><summary>✔ Graph of <code>recipes/good.yaml</code></summary>

```mermaid
flowchart TD
    s0["a<br/>✔ passed"]:::passed
    classDef passed fill:#dafbe1,stroke:#116329,color:#1f2328
```

</details>

✔ passed · ✘ failed · → needs

"""
    )


@pytest.mark.parametrize(
    ("states", "session", "head"),
    [
        (["passed"], Session(), "✔ passed"),
        (["skipped"], Session(), "○ skipped"),
        (["passed"], Session({"failed": 1}), "✘ failed"),
        (["passed"], Session({"error": 1}), "‼ error"),
        (["interrupted"], Session({}, "Ctrl-C"), "! interrupted (Ctrl-C)"),
        (["failed", "interrupted"], Session({}, "SIGTERM"), "✘ failed"),
    ],
)
def test_the_first_line_is_the_verdict_of_the_session(
    states: list[str], session: Session, head: str
) -> None:
    recipes = {"recipes/psu.yaml": [block(f"s{n}", state) for n, state in enumerate(states)]}

    assert summary(recipes, [], [], session).partition("\n")[0] == f"## {head}"


def test_a_timeout_and_a_recipe_that_cannot_be_read_are_verdicts_of_their_own() -> None:
    slow = {"a": [block("a", "failed", kind="timeout", reason="r")]}

    assert summary(slow, [], []).startswith("## ◷ timeout\n")
    assert summary({}, [], [Mark("x", 1, 1, "x", "y")]).startswith("## ‼ error\n")


def test_measurements_out_of_limits_come_first_then_marginal_ones() -> None:
    rows = [
        measured("fine", 1.0, low=0, high=5, margin=1.0),
        measured("near", 4.9, high=5, margin=0.1, marginal=True),
        measured("seen", 7.0),
        measured("over", 61.4, "fail", high=50, margin=-11.4),
        measured("info", 0.1 + 0.2, "fail", high=0.2, margin=-0.1, allow_fail=True),
    ]
    many = [measured(f"more{number}", 1.0, high=2, margin=1.0) for number in range(60)]
    recipes = {"recipes/psu.yaml": [block("m", "failed", measurements=[*rows, *many])]}

    text = summary(recipes, [], []).replace("&nbsp;", " ").replace("<code>", "")
    lines = text.replace("</code>", "").splitlines()
    start = lines.index("### Measurements") + 4
    assert lines[start : start + 5] == [
        "| ✘ failed | over | 61.4 mV | ≤ 50.0 mV | 11.4 mV above | recipes/psu.yaml::m |",
        "| ✘ failed (may fail) | info | 0.3 mV | ≤ 0.2 mV | 0.1 mV above | recipes/psu.yaml::m |",
        "| ≈ marginal | near | 4.9 mV | ≤ 5.0 mV | 0.1 mV | recipes/psu.yaml::m |",
        "| ✔ passed | fine | 1 mV | 0…5 mV | 1 mV | recipes/psu.yaml::m |",
        "| · recorded | seen | 7 mV |  |  | recipes/psu.yaml::m |",
    ]
    assert "… and 15 more measurements" in lines
    assert "**65 measurements**: ✔ 62 passed · ✘ 2 failed · ≈ 1 marginal" in text


def cell(state: str, **values: Any) -> tuple[str, list[Block]]:
    name = ",".join(f"{key}:{value}" for key, value in values.items())
    about = {"cell": name, "matrix": values}
    return f"recipes/psu.yaml[{name}]", [block("level", state, recipe=about)]


def test_a_matrix_is_one_row_and_a_grid_of_signs_in_the_order_of_its_values() -> None:
    cells = [
        cell("failed" if (gain, load) == (10, "b") else "passed", gain=gain, load=load)
        for gain in (2, 10)
        for load in ("a", "b")
    ]

    text = summary(dict(cells), [], [])

    assert "| <code>recipes/psu.yaml</code> (4 cells) | ✘&nbsp;failed | 3 | 1 | - |" in text
    assert (
        """\
### <code>recipes/psu.yaml</code>: matrix

| gain | load <code>a</code> | load <code>b</code> |
| --- | --- | --- |
| <code>2</code> | ✔ | ✔ |
| <code>10</code> | ✔ | ✘ |
"""
        in text
    )
    assert text.count("```mermaid") == 1


def test_a_matrix_of_many_columns_lists_the_cells_that_did_not_pass() -> None:
    cells = dict(cell("failed" if n == 77 else "passed", unit=n) for n in range(100))

    assert "| unit | verdict |\n| --- | --- |\n| <code>77</code> | ✘ failed |\n\n" in summary(
        cells, [], []
    )


def test_a_matrix_of_one_axis_is_one_row() -> None:
    cells = dict(cell("passed", gain=gain) for gain in (1, 2))

    assert "|  | gain <code>1</code> | gain <code>2</code> |\n" in summary(cells, [], [])


class _Tags(HTMLParser):
    """The tags, attributes and code blocks of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [
            value for name, value in attrs if name in ("href", "src") or name[:2] == "on"
        ]


@pytest.mark.parametrize(
    "hostile",
    [
        "</code></details><script>alert(1)</script>",
        "![x](https://evil.test/x.png) [y](javascript:alert(1)) <https://evil.test>",
        "a | b |\n\n# head\n\n```\n````\n~~~\n<img src=x onerror=alert(1)>",
        "```\n</details>\n<h1>forged</h1>\n| a |\n| - |",
        "`</summary><b>`  \\` *b* __b__ ~~b~~ &lt;b&gt; $x$ @org :x: www.evil.test http://e.test",
        '"><a href="https://evil.test" onclick="x">',
        "<!-- \n\n<h1>forged</h1> ]]> <![CDATA[",
    ],
)
def test_texts_of_steps_are_inert_in_the_summary(hostile: str) -> None:
    about = {
        "test_meta": {"dut": {hostile: hostile}},
        "matrix": {hostile: hostile},
        "cell": hostile,
    }
    bad = measured(hostile, 1.0, "fail", unit=hostile, matches=hostile)
    one = block(hostile, "failed", path=hostile, recipe=about, reason=hostile, measurements=[bad])
    failures = [Failure(hostile, "failed", hostile, hostile), Failure("b", "error", hostile, "")]
    session = Session({"failed": 1}, hostile, hostile)
    mark = Mark(hostile, 1, 1, hostile, hostile)

    text = summary({hostile: [one], f"{hostile}2": [one]}, failures, [mark], session)

    shown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    page = _Tags()
    page.feed(shown)
    tables = {"table", "thead", "tbody", "tr", "th", "td"}
    assert page.tags - tables <= {"h2", "h3", "p", "strong", "br", "code", "pre", "ul", "li",
                                  "details", "summary"}  # fmt: skip
    assert page.links == []
    assert shown.count("<h2>") == 1
    assert shown.count("<details") == shown.count("</details>") == 2
    assert "http://e.test" not in text.partition("### ")[0]


def test_the_summary_of_five_thousand_failures_keeps_the_size_limit() -> None:
    recipes = {
        f"{'r' * 200}{number}": [
            block(f"{'s' * 100}{number}_{at}", "failed", reason="x" * 1000) for at in range(500)
        ]
        for number in range(10)
    }
    failures = [
        Failure(f"{path}::{at}", "failed", "x" * 1000, "ü" * 100_000)
        for path in recipes
        for at in range(20)
    ]
    problems = [Mark("x", 1, 1, "x", "y" * 10_000)] * 100
    text = summary(recipes, failures, problems)
    assert len(text.encode()) <= MOST_BYTES == 921_600
    assert text.startswith("## ✘ failed\n")
    assert "### First 50 of 200 failures" in text


def test_a_summary_that_is_cut_says_so_and_where_the_rest_is() -> None:
    recipes = {"recipes/good.yaml": [block("a")]}
    session = Session(report="runs/1/report.html")
    text = summary(recipes, [], [], session, room=430)
    assert len(text.encode()) <= 430
    assert text.endswith(
        "\n… the rest is omitted: GitHub accepts no summary above 1 MiB. "
        "All of it is in <code>runs/1/report.html</code>.\n"
    )
    assert "mermaid" not in text
