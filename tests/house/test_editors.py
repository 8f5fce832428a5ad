"""Recipes in an editor: the schema as yaml-language-server understands it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_orchestrator.cli.verbs.new import recipe_draft, render_template
from pytest_orchestrator.recipe import editor_schema
from tests.house.language_server import Editor, editor

pytestmark = pytest.mark.nightly

TYPES = '"python", "shell", "ssh", "http", "prompt", "scpi", "serial"'
HEAD = "# yaml-language-server: $schema=../recipe.schema.json\n"

GOOD = """\
version: 1
x-part: &part {type: shell, parse: text}
vars: {gain: 2}
steps:
  - <<: *part
    name: ask
    cmd: [psu, query]
    timeout: ${{ vars.gain * 2 }}
    outputs:
      psu.volts_v1: {from: stdout, regex: '(\\d+)'}
      psu.name_v1: ${{ result.name }}
    measurements:
      volts: {value: ctx.psu.volts_v1, within: {of: 12, percent: 5}}

  - name: power
    use: recipes/_psu.yaml
    with: {volts: 12}

  - name: judge
    type: python
    module: scriptlets.psu
    class: Judge
    retry:
      attempts: 3
    HERE
    success:
      max_seconds: 3
      HERE
"""

BAD = """\
version: 2
nam: psu
steps:
  - name: ask
    type: shell
    cmd: psu query
    modul: psu
    timeout: soon
    parse: jsn
  - name: judge
    type: python
    module: psu
    success: {exit_code: 0, ctx_has_key: [psu.volts_v1]}
  - name: third
    type: pyton
  - name: fourth
    module: psu
  - name: fifth
    type: python
    module: psu
    class: Judge
    function: judge
    description: about ${{ vars.gain }}
    measurements:
      volts: {valu: 3, low: few}
    retry: {attempts: 0}
  - name: sixth
    use: recipes/_psu.yaml
    timeout: 3
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Editor]:
    with editor() as one:
        yield one


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "recipe.schema.json").write_text(editor_schema.text())
    (tmp_path / "recipes").mkdir()
    return tmp_path / "recipes"


@pytest.fixture
def good(server: Editor, folder: Path) -> Path:
    path = folder / "good.yaml"
    path.write_text(HEAD + GOOD.replace("HERE", ""))
    assert server.open(path) == []
    return path


def test_each_mistake_is_marked_at_its_line(server: Editor, folder: Path) -> None:
    path = folder / "bad.yaml"
    path.write_text(HEAD + BAD)
    assert sorted((line - 1, text) for line, text in server.open(path)) == [
        (1, "Value is above the maximum of 1."),
        (2, "Property nam is not allowed."),
        (7, "Property modul is not allowed."),
        (8, "should be seconds, or a text such as 500ms, 30s, 2m or 1h"),
        (9, 'Value is not accepted. Valid values: "json", "last-line", "data", "text".'),
        (10, 'Missing property "function".'),
        (13, "Property ctx_has_key is not allowed."),
        (13, "Property exit_code is not allowed."),
        (15, f"Value is not accepted. Valid values: {TYPES}."),
        (16, 'Missing property "type".'),
        (22, "Property function is not allowed."),
        (23, "an expression cannot stand here"),
        (25, 'Missing property "value".'),
        (25, "Property valu is not allowed."),
        (25, "should be an expression, or no text"),
        (26, "Value is below the minimum of 1."),
        (29, "Property timeout is not allowed."),
    ]


def test_recipes_from_templates_have_no_mistake(server: Editor, folder: Path) -> None:
    hello = folder / "hello.yaml"
    hello.write_text(render_template("project/hello.yaml"))
    mine = recipe_draft("mine", [], schema="../recipe.schema.json")
    (folder / "mine.yaml").write_text(mine.text)

    assert [server.open(hello), server.open(folder / "mine.yaml")] == [[], []]


def place(path: Path, start: str, column: int) -> tuple[Path, int, int]:
    """Return a column of the first line that starts with some text."""
    lines = path.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.startswith(start))
    return path, line, column


def test_keys_of_a_step_and_of_its_sections_are_completed(server: Editor, good: Path) -> None:
    _, line, _ = place(good, "    success:", 1)
    step = server.offers(good, line - 1, 5)
    assert {"params", "isolation", "timeout", "if"} <= step
    assert not {"cmd", "args", "name", "class"} & step
    assert {"files", "assert", "ctx_has_keys"} <= server.offers(good, line + 2, 7)


def test_values_are_completed(server: Editor, good: Path) -> None:
    assert server.offers(*place(good, "    type: python", 11)) == {
        *(name.strip('"') for name in TYPES.split(", "))
    }


def test_a_key_is_explained_with_an_example(server: Editor, good: Path) -> None:
    text = server.hover(*place(good, "    timeout", 6))
    assert text.startswith(
        "Longest duration of the step: seconds, or a text such as `500ms`, `30s`, `2m`, `1h`."
        "\n\nExample:\n\n```yaml\n30s\n```"
    )
    assert "A class of the module with a method `run`." in server.hover(
        *place(good, "    class", 6)
    )
