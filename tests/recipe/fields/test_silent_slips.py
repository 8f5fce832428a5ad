"""Warnings of lines that run and do something else than they seem to say."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe
from pytest_orchestrator.recipe.fields.silent_slips import silent_slips

Read = Callable[[str], Recipe]

STEP = "  - {name: %s, type: shell, parse: text, cmd: %s}\n"
COMMENT = "'#3 on' is a comment of YAML and not in the command (quote the command)"
JOINED = "`>` joins these lines into one command (`|` keeps the lines)"
ITEM = "$item is an empty variable of the shell (write ${{ item }})"
EMPTY = (
    "$PORT is empty: what step 'a' exports ends with that step (put PORT into 'env' at the root)"
)
TEXT = "vars.heat is the text 'no', and every text but an empty one is true (write false)"


def said(recipe: Recipe) -> list[str]:
    return [problem.text for problem in silent_slips(recipe)]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("psu select #3 on", [COMMENT]),
        ("psu select  # the bench is on", []),
        ("'psu select #3 on'", []),
        ("'psu select' #3 on", []),
        (">\n      psu on\n\n      sleep 1\n      psu off", [JOINED]),
        (">\n      psu on\n      --slow", []),
        ("|\n      psu on\n      psu off", []),
    ],
)
def test_a_command_that_yaml_cuts_or_joins_is_reported(
    read: Read, command: str, expected: list[str]
) -> None:
    head = "steps:\n  - name: a\n    type: shell\n    parse: text\n"
    assert said(read(f"{head}    cmd: {command}\n")) == expected


@pytest.mark.parametrize(
    ("command", "keys", "expected"),
    [
        ("psu $item", "foreach: [1, 2]", [ITEM]),
        ("psu ${item}", "foreach: [1, 2]", [ITEM]),
        ("psu $item $item", "foreach: [1, 2]", [ITEM]),
        ("psu $item", "timeout: 3", []),
        ("psu $items", "foreach: [1, 2]", []),
        ("psu ${item:-1}", "foreach: [1, 2]", []),
        ("item=3; psu $item", "foreach: [1, 2]", []),
        ("for item in a b; do psu $item; done", "foreach: [1, 2]", []),
        ("while read item; do psu $item; done", "foreach: [1, 2]", []),
        ("psu $item", "foreach: [1, 2], env: {item: x}", []),
        ("psu $item", "foreach: [1, 2], shell: python", []),
    ],
)
def test_an_element_in_the_spelling_of_the_shell_is_reported(
    read: Read, command: str, keys: str, expected: list[str]
) -> None:
    recipe = read(f"steps:\n  - {{name: a, type: shell, parse: text, cmd: '{command}', {keys}}}\n")
    assert said(recipe) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("connect $PORT", [EMPTY]),
        ("connect ${PORT:-5025}", []),
        ("PORT=1 connect $PORT", []),
        ("connect $OTHER", []),
        (". ./bench.sh; connect $PORT", []),
    ],
)
def test_an_export_of_an_earlier_step_is_reported(
    read: Read, command: str, expected: list[str]
) -> None:
    steps = STEP % ("a", "'export PORT=5025; connect $PORT'") + STEP % ("b", f"'{command}'")
    assert said(read(f"steps:\n{steps}")) == expected
    assert said(read(f"env: {{PORT: 5}}\nsteps:\n{steps}")) == []


def test_an_export_of_a_variable_that_pytest_has_is_not_reported(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "5025")
    steps = STEP % ("a", "'export PORT=5025'") + STEP % ("b", "'connect $PORT'")
    assert said(read(f"steps:\n{steps}")) == []


@pytest.mark.parametrize(
    ("value", "condition", "expected"),
    [
        ("no", "vars.heat", [TEXT]),
        ("'no'", "not vars.heat", [TEXT]),
        ("false", "vars.heat", []),
        ("'on'", "vars.heat", []),
        ("no", "vars.heat == 'no'", []),
        ("no", "ctx.heat", []),
    ],
)
def test_a_condition_that_is_a_text_meaning_false_is_reported(
    read: Read, value: str, condition: str, expected: list[str]
) -> None:
    step = f"{{name: a, type: shell, parse: text, cmd: 'true', if: \"{condition}\"}}"
    assert said(read(f"vars: {{heat: {value}}}\nsteps:\n  - {step}\n")) == expected
