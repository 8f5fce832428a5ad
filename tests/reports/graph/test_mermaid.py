"""Graph of a recipe as Mermaid; tests/house/test_mermaid.py has the real Mermaid parse it."""

from typing import Any

import pytest

from pytest_orchestrator.reports.graph.picture import mermaid


def step(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "needs": [*needs], **more}


def test_steps_are_nodes_with_states_and_needs_are_arrows() -> None:
    steps = [
        step("end", state="passed"),
        step("part.inner", "end", state="failed"),
        step("release", "part.inner", state="blocked", after=["end"]),
        step("off", state="passed", final=True),
    ]
    assert mermaid(steps) == (
        """\
flowchart TD
    s0["end<br/>✔ passed"]:::passed
    s1["part.inner<br/>✘ failed"]:::failed
    s2["release<br/>⊘ blocked"]:::blocked
    subgraph finally
        s3["off<br/>✔ passed"]:::passed
    end
    s0 --> s1
    s0 -.-> s2
    s1 --> s2
    s2 -.-> s3
    legend["→ needs<br/>⇢ after, finally<br/>┄ dashed box: finally"]
    s3 ~~~ legend
    style legend fill:none,stroke:none
    classDef passed fill:#dafbe1,stroke:#116329,color:#1f2328
    classDef failed fill:#ffebe9,stroke:#a40e26,color:#1f2328
    classDef blocked fill:#fff8c5,stroke:#7d4e00,color:#1f2328
    classDef final stroke-dasharray:5 3
    class s3 final
"""
    )


def test_recipe_that_has_not_run_has_no_states() -> None:
    assert mermaid([step("a"), step("b", "a")]) == (
        'flowchart TD\n    s0["a"]\n    s1["b"]\n    s0 --> s1\n'
    )


def test_failed_steps_of_a_large_recipe_are_drawn_with_their_neighbours() -> None:
    steps = [step("s0", state="passed")]
    steps += [step(f"s{n}", f"s{n - 1}", state="passed") for n in range(1, 5000)]
    steps[4000]["state"] = "failed"
    assert mermaid(steps, most=4, fold=False) == (
        """\
flowchart TD
    s0["s0<br/>✔ passed"]:::passed
    s1["s3999<br/>✔ passed"]:::passed
    s2["s4000<br/>✘ failed"]:::failed
    s3["s4001<br/>✔ passed"]:::passed
    more["… 4,996 more steps<br/>4,996 passed"]
    s1 --> s2
    s2 --> s3
    classDef passed fill:#dafbe1,stroke:#116329,color:#1f2328
    classDef failed fill:#ffebe9,stroke:#a40e26,color:#1f2328
"""
    )


def test_chains_of_a_large_recipe_are_folded_around_its_failed_step() -> None:
    steps = [step(f"s{n:03}", *[f"s{n - 1:03}"] * (n > 0), state="passed") for n in range(500)]
    steps[321]["state"] = "failed"
    assert mermaid(steps) == (
        """\
flowchart TD
    s0["s000<br/>✔ passed"]:::passed
    s1[["s001 … s320<br/>✔ 320 passed"]]:::passed
    s2["s321<br/>✘ failed"]:::failed
    s3[["s322 … s498<br/>✔ 177 passed"]]:::passed
    s4["s499<br/>✔ passed"]:::passed
    s0 --> s1
    s1 --> s2
    s2 --> s3
    s3 --> s4
    legend["→ needs<br/>▣ several steps in one box"]
    s4 ~~~ legend
    style legend fill:none,stroke:none
    classDef passed fill:#dafbe1,stroke:#116329,color:#1f2328
    classDef failed fill:#ffebe9,stroke:#a40e26,color:#1f2328
"""
    )


@pytest.mark.parametrize("name", ["a", "b" * 300])
def test_text_is_always_below_the_limits_of_mermaid(name: str) -> None:
    names = [f"{name}{number}" for number in range(5000)]
    steps = [step(one, *names[max(0, n - 30) : n], state="failed") for n, one in enumerate(names)]
    drawn = mermaid(steps)
    assert len(drawn) < 50_000
    assert drawn.count(" --> ") <= 500
    assert '    arrows["… ' in drawn
