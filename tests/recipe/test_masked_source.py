"""Source text in messages, without the secrets that stand in it."""

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.masked_source import masked_source

MASKED = {
    'headers: {Authorization: "Bearer tok-1", A: x}': "headers: {Authorization: ***, A: x}",
    "headers: {Cookie: a=b; c=d, N: 1}": "headers: {Cookie: ***, N: 1}",
    "X-Api-Key: 'it''s'  # note": "X-Api-Key: ***  # note",
    'api_token: "a # b"': "api_token: ***",
    "- MY_TOKEN: abc, def": "- MY_TOKEN: ***",
    '"my password": x': '"my password": ***',
    "auth: {user: bob, tokn: abc}": "auth: {user: ***, tokn: ***}",
    "auth: bob:pw": "auth: ***",
    "tokens: [a, 'b, c', {d: e}]": "tokens: [***, ***, {d: ***}]",
    "auth:\n  user: bob\n  - pw\nname: x": "auth:\n  user: ***\n  - ***\nname: x",
    "env: {MY_TOKEN: a,\n  OTHER: b, SECRET: c}\nd: e": (
        "env: {MY_TOKEN: ***,\n  OTHER: b, SECRET: ***}\nd: e"
    ),
    "cookie: |\n  one\n\n   two: 2\nname: x": "cookie: |\n  ***\n\n   ***\nname: x",
    "cookie: a b\n  more\nname: x": "cookie: ***\n  ***\nname: x",
    "url: http://bob:pw@h/?token=abc&a=1": "url: http://***@h/?token=***&a=1",
    "cmd: MY_TOKEN='a b' run --token=xyz": "cmd: MY_TOKEN=*** run --token=***",
    "token: {type: string, default: abc, secret: true}": (
        "token: {type: string, default: ***, secret: true}"
    ),
    "auth: {token: abcdefg}\ncmd: echo abcdefg": "auth: {token: ***}\ncmd: echo ***",
    "auth: {token: broken": "auth: {token: ***",
    'token: "broken': "token: ***",
}


@pytest.mark.parametrize("text", MASKED)
def test_a_value_with_a_secret_name_is_masked(text: str) -> None:
    assert masked_source(text).text == MASKED[text]


@pytest.mark.parametrize(
    "text",
    [
        "secrets: [env.TOKEN, vars.password]",
        "outputs: {token: result.token}",
        "measurements:\n  session:\n    value: result.x",
        "headers: {Authorization: 'Bearer ${{ env.X }}'}",
        "password: ${{ env.PASSWORD }}",
        "url: http://${{ env.U }}:${{ env.P }}@h/?token=${{ env.T }}",
        "cmd: run --token=$TOKEN",
        "secret: true",
        "name: token",
        "{type: shell, cmd: [a, b]}",
    ],
)
def test_a_text_without_secret_values_stays_as_it_is(text: str) -> None:
    assert masked_source(text).text == text


def test_secrets_that_a_step_type_names_are_masked_unless_they_are_short() -> None:
    source = masked_source("pin: 1234567\nx: [abc, 12]\n", ["1234567", {"a": ["abc", 12]}])
    assert source.text == "pin: ***\nx: [abc, 12]"


def test_a_position_is_that_in_the_masked_text() -> None:
    source = masked_source("{token: abcdef, url: x}")

    assert source.text == "{token: ***, url: x}"
    assert source.place(Place(1, 17, 3)) == Place(1, 14, 3)
    assert source.place(Place(1, 9, 6)) == Place(1, 9, 3)
    assert source.place(Place(1, 2, 5)) == Place(1, 2, 5)
    assert source.place(Place(2, 1)) == Place(2, 1)


def test_messages_about_a_file_have_none_of_its_secrets() -> None:
    source = masked_source("token: Bearer abcdefgh\npassword: short")

    text = "'Bearer abcdefgh', abcdefgh, short, http://a:b@h is wrong"
    assert source.message(text) == "'***', ***, short, http://***@h is wrong"


@pytest.mark.parametrize("blank", ["\t", "\x0b", "\x0c", "\u00a0", "\u3000", "\x85"])
def test_a_blank_that_is_no_space_is_read_within_brackets(blank: str) -> None:
    masked = masked_source(f"a: {{{blank}token: secret-1,{blank}b: 2}}\n")

    assert "secret-1" not in masked.text
