"""Laws for any file: it is a Recipe or a RecipeError, and values are read as they are written."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.recipe import RecipeError, Step, load

GOOD = """\
# A recipe with some of everything.
version: 1
name: &name "PSU é"
test_meta: {test_id: PSU-7, list: [1, 2.5, ~, true, *name]}
x-shared: &shared
  type: shell
  timeout: 5s
steps:
  - <<: *shared
    name: first
    cmd: |
      set -e
      echo '{"status": "ok"}'
    success: {exit_code: [0, 3], files_exist: [a.csv]}
  - name: second
    type: python
    module: a.b
    function: f
    params:
      text: >-
        two
        lines
    needs: [first]
finally:
  - {name: off, type: shell, cmd: [a, 'b'], args: {A: 1}}
"""
PIECES = [
    *(
        "\t",
        "\n",
        "  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        ": ",
        "? ",
        "'",
        '"',
        "|",
        ">-",
        "#",
        "%",
        "@",
    ),
    *("---\n", "...\n", "&a ", "*a", "*name", "*shared", "<<: *shared", "!!int ", "!!str ", "!x "),
    *(".inf", "1e999", "9" * 25, "~", "yes", "0x", "${{ x }}", "\\x00", "\x00", "\x1b", "\x85"),
    *("\u2028", "\ufeff", "\U0001f600", "é", "name: ", "name: first", "type: ", "needs: [off]"),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laws") / "x.yaml"


def check(path: Path, content: bytes) -> None:
    """Check that a text is a recipe, or an error whose problems are in the text and printable."""
    path.write_bytes(content)
    try:
        recipe = load(path, root=path.parent)
    except RecipeError as error:
        found = error
    else:
        assert recipe.steps
        return
    lines = len(found.text.splitlines())
    for problem in found.problems:
        assert 1 <= problem.place.line <= lines + 1
        assert problem.place.column >= 1
        assert problem.place.length >= 1
        assert problem.text.isprintable()
    assert found.render()
    assert "\n" not in found.summary


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"\xef\xbb\xbf")
@example(b"steps: [&a {*a : *a}]")
def test_any_bytes_are_a_recipe_or_an_error(path: Path, content: bytes) -> None:
    check(path, content)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_recipe_or_an_error(path: Path, text: str) -> None:
    check(path, text.encode("utf-8", "surrogatepass"))


@settings(deadline=None)
@given(st.data())
def test_a_recipe_with_mistakes_is_a_recipe_or_an_error(path: Path, data: st.DataObject) -> None:
    text = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.sampled_from([0, 0, 1, 2, 8, 40])))
        other = data.draw(st.integers(0, len(text)))
        piece = data.draw(st.sampled_from([*PIECES, "", text[other : other + 30]]))
        text = text[:start] + piece + text[end:]
    check(path, text.encode())


# YAML has no key beyond 1,024 characters before its colon, escapes included.
KEY = st.text(max_size=50)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3),
    max_leaves=8,
).filter(lambda value: "${{" not in json.dumps(value))
ENV_VALUE = JSON.filter(lambda value: "\\u0000" not in json.dumps(value))
NAME = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)
WORD = st.text(min_size=1).filter(
    lambda text: text.strip() and "\0" not in text and "${{" not in text
)
PROGRAM = st.lists(WORD, min_size=1).filter(  # one text with blanks is meant as a command line
    lambda words: len(words) > 1 or not {" ", "\n"} & {*words[0].strip()}
)
TEXT = st.text().filter(lambda text: "${{" not in text)
KEY_TEXT = KEY.filter(lambda text: "${{" not in text)
TAGS = st.lists(st.from_regex(r"x[A-Za-z0-9_]{0,8}", fullmatch=True), max_size=2)
KEYS = st.sampled_from(
    [
        *("name", "type", "module", "class", "function", "params", "cmd", "args", "stdin", "parse"),
        *("cwd", "needs", "idx", "implicit", "xfail", "timeout", "success", "tags", "fixtures"),
        *("exit_code", "files_exist", "ctx_has_keys", "steps", "finally", "version", "retry", "x"),
    ]
)
WORDS = st.sampled_from(["python", "shell", "a", "b", "text", "nonzero", "30s", "a.b", ""])
SHAPES = st.recursive(
    JSON | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=30,
)


def written(value: Any) -> str:
    """Return a value as YAML in flow style; other characters than ASCII as YAML escapes."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[^ -~]", lambda found: f"\\U{ord(found.group()):08x}", text)


def in_blocks(value: Any, indent: str = "") -> str:
    """Return a value as YAML in block style, to follow a key or a dash."""
    if isinstance(value, dict) and value:
        return "".join(
            f"\n{indent}{written(key)}:{in_blocks(each, indent + ' ')}"
            for key, each in value.items()
        )
    if isinstance(value, list) and value:
        return "".join(f"\n{indent}-{in_blocks(each, indent + ' ')}" for each in value)
    return f" {written(value)}"


@settings(deadline=None)
@given(st.dictionaries(KEYS, SHAPES, max_size=6), st.booleans())
def test_any_shape_is_a_recipe_or_an_error(path: Path, shape: Any, blocks: bool) -> None:
    check(path, (in_blocks(shape) if blocks else written(shape)).encode())


@st.composite
def steps(draw: st.DrawFn, name: str, before: list[str]) -> dict[str, Any]:
    """Generate a valid step that may need earlier steps."""
    keys: dict[str, Any] = {"name": name}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "description": TEXT,
        "tags": TAGS,
        "implicit": st.booleans(),
        "xfail": WORD,
        "timeout": st.integers(1, 10**6) | st.floats(0.001, 1e6),
    }
    if before:
        optional["needs"] = st.lists(st.sampled_from(before), unique=True)
    if draw(st.booleans()):
        keys |= {
            "type": "python",
            "module": "a.b",
            draw(st.sampled_from(["class", "function"])): "C",
        }
        optional["params"] = st.dictionaries(KEY_TEXT, JSON, max_size=3)
    else:
        keys |= {"type": "shell", "cmd": draw(WORD | PROGRAM)}
        optional |= {
            "args": st.dictionaries(st.from_regex(r"[A-Z_]{1,5}", fullmatch=True), ENV_VALUE),
            "stdin": JSON,
            "parse": st.sampled_from(["json", "last-line", "data", "text"]),
            "cwd": WORD,
        }
    return keys | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def recipes(draw: st.DrawFn) -> dict[str, Any]:
    """Generate a valid recipe as a mapping."""
    names = draw(st.lists(NAME, min_size=1, max_size=5, unique=True))
    cut = draw(st.integers(1, len(names)))
    found: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "name": TEXT,
                "description": TEXT,
                "test_meta": st.dictionaries(KEY_TEXT, JSON, max_size=3),
                "tags": TAGS,
            },
        )
    )
    found["steps"] = [draw(steps(name, names[:at])) for at, name in enumerate(names[:cut])]
    found["finally"] = [
        draw(steps(name, names[cut : cut + at])) for at, name in enumerate(names[cut:])
    ]
    return found


def as_written(step: Step) -> dict[str, Any]:
    """Return the keys of a step as in its file."""
    fields = {"class": "class_"}
    found = {key: getattr(step, fields.get(key, key)) for key in step.at if key and "." not in key}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


@settings(deadline=None)
@given(recipes(), st.booleans())
def test_a_written_recipe_is_read_unchanged(path: Path, good: dict[str, Any], blocks: bool) -> None:
    path.write_text(in_blocks(good) if blocks else written(good))
    recipe = load(path, root=path.parent)
    found = [as_written(step) for step in recipe.steps + recipe.final]
    assert found == good["steps"] + good["finally"]
    for key in good.keys() - {"steps", "finally", "tags"}:
        assert getattr(recipe, key) == good[key]
    assert list(recipe.tags) == good.get("tags", [])
    texts = recipe.text.splitlines()
    for step in recipe.steps + recipe.final:
        place = step.at["name"]
        marked = texts[place.line - 1][place.column - 1 : place.column - 1 + place.length]
        assert marked == f'"{step.name}"'
