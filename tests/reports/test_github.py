"""Annotations and step summary for GitHub Actions: escaping and size limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.reports import github
from pytest_orchestrator.reports.github import Mark
from tests.blocks import parsed

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block


def block(name: str, state: str = "passed", *needs: str, **more: Any) -> Block:
    path = more.pop("path", "recipes/psu.yaml")
    step = {"name": name, "node": f"{path}::{name}", "line": 7, "state": state, "needs": [*needs]}
    return parsed({"recipe": {"path": path}, "step": step | more})


def test_a_failure_is_annotated_at_its_position() -> None:
    place = {"path": "recipes/_part.yaml", "line": 23, "column": 35}
    failed = block("ripple", "failed", reason="61.4 mV, 22.8 %\nover", place=place)
    expected = block("known", "xfailed", reason="BUG-4")
    [mark] = github.marks([block("flash"), failed, expected, block("last", "blocked", "ripple")])
    assert mark.annotation("bench, a/") == (
        "::error file=bench%2C a/recipes/_part.yaml,line=23,col=35,"
        "title=recipes/psu.yaml%3A%3Aripple::61.4 mV, 22.8 %25%0Aover"
    )


def test_a_failure_without_position_is_annotated_at_its_step() -> None:
    assert github.marks([block("a", "error")]) == [
        Mark("recipes/psu.yaml", 7, 1, "recipes/psu.yaml::a", "error")
    ]


def marks(count: int, title: str) -> list[Mark]:
    return [Mark("x.yaml", line, 1, title, "wrong") for line in range(1, count + 1)]


@pytest.mark.parametrize(
    ("failures", "problems", "last"),
    [
        (12, 0, "::notice title=pytest-orchestrator::2 more failures are in the log of this step"),
        (9, 2, "::notice title=pytest-orchestrator::1 more failure is in the log of this step"),
        (8, 2, "::error file=x.yaml,line=2,col=1,title=problem::wrong"),
    ],
)
def test_ten_failures_are_annotated_and_the_others_counted(
    failures: int, problems: int, last: str
) -> None:
    lines = github.annotations(marks(failures, "step"), marks(problems, "problem"))
    assert sum(line.startswith("::error") for line in lines) == 10
    assert lines[0] == "::error file=x.yaml,line=1,col=1,title=step::wrong"
    assert lines[-1] == last


def test_a_run_without_failures_has_no_annotations() -> None:
    assert github.annotations([], []) == []


def test_the_summary_shows_verdicts_problems_failures_and_graphs() -> None:
    recipes = {
        "recipes/good.yaml": [block("a")],
        "recipes/psu|.yaml[gain:1]": [block("flash"), block("ripple", "failed", "flash")],
    }
    shown = {"recipes/psu|.yaml::ripple[gain:1]": "E  61 mV\n```\x1b[2J"}
    problems = [Mark("recipes/bad.yaml", 3, 5, "recipes/bad.yaml", "unknown key '<b>'")]
    assert github.summary(recipes, shown, problems) == (
        """\
## Recipes: failed

| recipe | verdict | passed | failed | skipped | blocked | seconds |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
| <code>recipes/psu&#124;.yaml&#91;gain:1&#93;</code> | ❌ failed | 1 | 1 | 0 | 0 | - |
| <code>recipes/good.yaml</code> | ✅ passed | 1 | 0 | 0 | 0 | - |

### Recipes that cannot be read

- <code>recipes/bad.yaml:3:5</code> unknown key &#x27;&lt;b&gt;&#x27;

### Failures

<code>recipes/psu&#124;.yaml::ripple&#91;gain:1&#93;</code>

````text
E  61 mV
```\\x1b[2J
````

### <code>recipes/psu&#124;.yaml&#91;gain:1&#93;</code>

```mermaid
flowchart TD
    s0["flash<br/>✔ passed"]:::passed
    s1["ripple<br/>✘ failed"]:::failed
    s0 --> s1
    classDef passed fill:#dafbe1,stroke:#116329,color:#1f2328
    classDef failed fill:#ffebe9,stroke:#a40e26,color:#1f2328
```

✔ passed, ✘ failed, ○ skipped, ⊘ blocked

### <code>recipes/good.yaml</code>

```mermaid
flowchart TD
    s0["a<br/>✔ passed"]:::passed
    classDef passed fill:#dafbe1,stroke:#116329,color:#1f2328
```

✔ passed, ✘ failed, ○ skipped, ⊘ blocked

"""
    )


def test_the_summary_of_five_thousand_failures_keeps_the_size_limit() -> None:
    recipes = {
        f"{'r' * 200}{number}": [
            block(f"{'s' * 100}{number}_{at}", "failed", reason="x" * 1000) for at in range(500)
        ]
        for number in range(10)
    }
    shown = {f"{path}::{at}": "ü" * 100_000 for path in recipes for at in range(20)}
    problems = [Mark("x", 1, 1, "x", "y" * 10_000)] * 100
    text = github.summary(recipes, shown, problems)
    assert len(text.encode()) <= github.MOST_BYTES == 921_600
    assert text.startswith("## Recipes: failed\n")
    assert "### First 10 of 200 failures" in text


def test_a_summary_that_is_cut_ends_with_a_note() -> None:
    recipes = {"recipes/good.yaml": [block("a")]}
    text = github.summary(recipes, {}, [], room=400)
    assert len(text.encode()) <= 400
    assert text.endswith("\n… the rest is omitted: GitHub accepts no larger summary.\n")
    assert "mermaid" not in text
