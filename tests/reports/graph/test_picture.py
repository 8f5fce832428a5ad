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
        "flash: ✔ passed · 3.2 s",
        "measure: ✘ failed · 4.0 s",
        "release: ⊘ blocked",
        "off: ✔ passed (finally)",
    ]
    assert [group.get("class") for group in root.iter(f"{SVG}g")] == [
        "box passed",
        "box failed",
        "box blocked",
        "box passed final",
    ]
    assert [path.get("class") for path in root.iter(f"{SVG}path")] == [
        "arrow",
        "arrow weak",
        "head",
    ]


def test_svg_has_one_legend_of_the_signs_that_it_uses() -> None:
    root = ElementTree.fromstring(svg(STEPS))

    entries = [one.text for one in root.iter(f"{SVG}text") if "legend" in str(one.get("class"))]
    assert entries == [
        "✔ passed",
        "✘ failed",
        "⊘ blocked",
        "→ needs",
        "⇢ after, finally",
        "┄ dashed box: finally",
    ]


def test_svg_fits_its_page_with_legible_texts() -> None:
    names = [f"step_{number}" for number in range(30)]
    steps: list[dict[str, Any]] = [
        {"name": name, "needs": names[max(n - 1, 0) : n]} for n, name in enumerate(names)
    ]

    root = ElementTree.fromstring(svg(steps))

    width = float(root.attrib["width"])
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert width <= 1123
    assert root.get("style") == f"min-width:{int(width * 0.76)}px"  # 11.5 px become 8.7 px
    assert "svg { max-width: 100%; height: auto }" in svg(steps)


def test_folded_steps_have_a_box_with_their_number() -> None:
    names = [f"step_{number:03}" for number in range(60)]
    steps: list[dict[str, Any]] = [
        {"name": name, "needs": names[max(n - 1, 0) : n], "state": "passed", "seconds": 2}
        for n, name in enumerate(names)
    ]
    steps[30]["state"] = "failed"

    root = ElementTree.fromstring(svg([*steps, STEPS[-1]]))

    assert [title.text for title in root.iter(f"{SVG}title")] == [
        "step_000: ✔ passed · 2.0 s",
        "step_001 … step_029: ✔ 29 passed · 58.0 s",
        "step_030: ✘ failed · 2.0 s",
        "step_031 … step_058: ✔ 28 passed · 56.0 s",
        "step_059: ✔ passed · 2.0 s",
        "off: ✔ passed (finally)",
    ]
    assert len(ElementTree.fromstring(svg(steps, fold=False)).findall(f"{SVG}g")) == 60


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
    text = dot([{"name": 'a"b\\'}, *STEPS])

    expected = """\
digraph recipe {
  rankdir=TB;
  node [shape=box, style="rounded,filled", fontname="sans-serif"];
  node [width=2.556, height=0.611, fixedsize=true];
  "a\\"b\\\\" [label="a\\"b\\\\", color="#57606a", fillcolor="#ffffff"];
  "flash" [label="flash\\n✔ passed · 3.2 s", color="#116329", fillcolor="#dafbe1"];
  "measure" [label="measure\\n✘ failed · 4.0 s", color="#a40e26", fillcolor="#ffebe9"];
  "release" [label="release\\n⊘ blocked", color="#7d4e00", fillcolor="#fff8c5"];
  "off" [label="off\\n✔ passed", color="#116329", fillcolor="#dafbe1", \
style="rounded,filled,dashed"];
  "flash" -> "measure";
  "flash" -> "release" [style=dashed];
  "measure" -> "release";
  "a\\"b\\\\" -> "off" [style=dashed];
  "release" -> "off" [style=dashed];
  label="✔ passed   ✘ failed   ⊘ blocked   → needs   ⇢ after, finally   \
┄ dashed box: finally"; labelloc=b; fontname="sans-serif"; fontsize=11;
}
"""
    assert text == expected
