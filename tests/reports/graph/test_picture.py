"""Pictures of the graph of a recipe: SVG and DOT."""

from typing import Any
from xml.etree import ElementTree

from pytest_orchestrator.reports.graph.picture import dot, svg

STEPS: list[dict[str, Any]] = [
    {"name": "flash", "needs": [], "state": "passed", "seconds": 3.2},
    {"name": "measure", "needs": ["flash"], "state": "failed", "seconds": 4.0},
    {"name": "release", "needs": ["measure"], "after": ["flash"], "state": "blocked"},
    {"name": "off", "final": True, "state": "passed"},
]
SVG = "{http://www.w3.org/2000/svg}"


def test_svg_shows_states_by_words_and_signs() -> None:
    root = ElementTree.fromstring(svg(STEPS))

    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert titles == [
        "flash: ✔ passed · 3.20 s",
        "measure: ✘ failed · 4.00 s",
        "release: ⊘ blocked",
        "off: ✔ passed (finally)",
    ]
    assert [group.get("class") for group in root.iter(f"{SVG}g")] == [
        "box passed",
        "box failed",
        "box blocked",
        "box passed final",
    ]
    assert sum(path.get("class") == "arrow weak" for path in root.iter(f"{SVG}path")) == 1


def test_svg_of_a_recipe_that_has_not_run_shows_only_names() -> None:
    root = ElementTree.fromstring(svg([{"name": "flash", "needs": []}]))

    assert [text.text for text in root.iter(f"{SVG}text")] == ["flash"]


def test_markup_in_a_name_is_escaped_in_the_svg() -> None:
    name = '<script>alert("1")</script>' * 3

    drawing = svg([{"name": name}])

    root = ElementTree.fromstring(drawing)
    assert "<script" not in drawing
    assert root.findtext(f".//{SVG}title") == name
    assert root.findtext(f".//{SVG}text") == '<script>alert("1")</sc…'


def test_dot_has_every_step_and_its_dependencies() -> None:
    text = dot([{"name": 'a"b\\'}, *STEPS[:3]])

    expected = """\
digraph recipe {
  rankdir=TB;
  node [shape=box, style="rounded,filled", fontname="sans-serif"];
  node [width=2.556, height=0.611, fixedsize=true];
  "a\\"b\\\\" [label="a\\"b\\\\", fillcolor="#ffffff"];
  "flash" [label="flash\\n✔ passed · 3.20 s", fillcolor="#dafbe1"];
  "measure" [label="measure\\n✘ failed · 4.00 s", fillcolor="#ffebe9"];
  "release" [label="release\\n⊘ blocked", fillcolor="#fff8c5"];
  "flash" -> "measure";
  "flash" -> "release" [style=dashed];
  "measure" -> "release";
}
"""
    assert text == expected
