"""Messages that pages show without a session are the ones that the code produces."""

import json
import re
from pathlib import Path

import pytest

from pytest_orchestrator import Context, recipe
from pytest_orchestrator.context.rpc.protocol import Conversation
from pytest_orchestrator.core.json_values import NotJson
from pytest_orchestrator.recipe import RecipeError
from tests.house.conftest import ROOT

DOCS = ROOT / "docs"
PSU_CHECK = """\
steps:
  - {name: on, type: shell, cmd: "true", parse: text}
  - name: flash
    type: python
    modul: scriptlets.python.steps.flash
    class: Flash
"""


def shown(page: str, begin: str) -> str:
    """Return the text block of a page that starts with some text."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```text\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (block,) = (one for one in blocks if one.startswith(begin))
    return str(block)


@pytest.mark.parametrize("page", ["reference/errors.md", "reference/recipes.md"])
def test_the_error_of_a_misspelt_key_is_as_pages_show_it(page: str, tmp_path: Path) -> None:
    path = tmp_path / "recipes" / "psu_check.yaml"
    path.parent.mkdir()
    path.write_text("# A check.\n" * 9 + PSU_CHECK)

    with pytest.raises(RecipeError) as caught:
        recipe.load(path, root=tmp_path)

    assert f"{caught.value}\n".startswith(shown(page, "recipes/psu_check.yaml"))


def test_the_error_of_a_value_that_is_no_json_is_as_the_page_shows_it() -> None:
    with pytest.raises(NotJson) as caught:
        Context().set("x", {"a": [1, 2, (3,)]}, who="bench")

    assert f"{caught.value}\n" == shown("reference/errors.md", "key 'x'")


def test_requests_and_replies_of_the_context_server_are_as_the_page_shows_them() -> None:
    conversation = Conversation(Context().bound("bench"))
    lines = shown("how-to/share-the-context.md", '{"op"').splitlines()

    for request_line, reply in zip(lines[::2], lines[1::2], strict=True):
        request = {key: value for key, value in json.loads(request_line).items() if key != "token"}
        assert conversation.receive(f"{json.dumps(request)}\n".encode()).decode() == f"{reply}\n"
