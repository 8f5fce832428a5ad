"""Source text in messages, without the lines in which secrets stand."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.masked_source import masked_source

WITHOUT_SECRETS = {
    'headers: {Authorization: "Bearer tok-1", A: x}': "***",
    "headers: {Cookie: a=b; c=d, N: 1}": "***",
    "X-Api-Key: 'it''s'  # note": "***",
    'api_token: "a # b"': "***",
    "- MY_TOKEN: abc, def": "***",
    '"my password": x': "***",
    "auth: {user: bob, tokn: abc}": "***",
    "auth: {bob}": "***",
    "auth: bob:pw": "***",
    "a: 1\nb:\n  auth:\n    bob\nc: 2": "a: 1\nb:\n  auth:\n    ***\nc: 2",
    "tokens: [a, 'b, c', {d: e}]": "***",
    "tokens:\n- a\n- {b: c}\nname: x": "tokens:\n***\n***\nname: x",
    "env: {MY_TOKEN: a,\n  OTHER: b, SECRET: c}\nd: e": "***\n  ***\nd: e",
    "env: {MY_TOKEN:\na,\nOTHER:\nb}\nd: e": "env: {MY_TOKEN:\n***\nOTHER:\nb}\nd: e",
    "cookie: |\n  one\n\n   two: 2\nname: x": "***\n  ***\n\n   ***\nname: x",
    "cookie: a b\n  more\nname: x": "***\n  ***\nname: x",
    'cookie: "a\nb"\nname: x': "***\n***\nname: x",
    "url: http://bob:pw@h/?token=abc&a=1": "***",
    "cmd: MY_TOKEN='a b' run --token=xyz": "***",
    "token: {type: string, default: abc, secret: true}": "***",
    "auth: {token: abcdefg}\ncmd: echo abcdefg\nname: x": "***\n***\nname: x",
    "a: &any abc\ntoken: *any\nname: x": "***\ntoken: *any\nname: x",
    "x-a: &any {b: [c]}\nauth: {<<: *any}\nname: x": "***\nauth: {<<: *any}\nname: x",
    "pin: {default: abc, secret: true}": "***",
    "pin:\n  type: string\n  default: abc\n  secret: True": (
        "pin:\n  type: string\n  ***\n  secret: True"
    ),
    "auth: {outputs: {a: b}}": "***",
    "auth: {[b, {c: d}]: e, ? {f: g} : h}": "***",
    "a: 1\n# token: abc\nb: 2": "a: 1\n***\nb: 2",
    "A=1\nB_TOKEN=abc\nC=2": "A=1\n***\n***",
}

INVALID = {
    "auth: {token: broken": "***",
    'name: x\ntoken: "broken\nb: 2': "name: x\n***\n***",
    "a: 1\nauth:\n  user: bob\n  - pw\nname: x": "a: 1\n***\n  ***\n  ***\n***",
    "name: x\ntoken:\nabc\nb: 2": "name: x\n***\n***\n***",
    "password abc\nname: x": "***\n***",
    "secrets: [env.TOKEN]\ncontext: session\nb: [": "secrets: [env.TOKEN]\ncontext: session\nb: [",
}


@pytest.mark.parametrize("text", [*WITHOUT_SECRETS, *INVALID])
def test_a_line_with_a_part_of_a_secret_is_left_out(text: str) -> None:
    assert masked_source(text).text == {**WITHOUT_SECRETS, **INVALID}[text]


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


def test_lines_with_secrets_that_a_step_type_names_are_left_out_unless_they_are_short() -> None:
    source = masked_source("pin: 1234567\nx: [abc, 12]\n", ["1234567", {"a": ["abc", 12]}])
    assert source.text == "***\nx: [abc, 12]"


def test_a_position_in_a_line_that_is_left_out_is_that_of_its_mask() -> None:
    source = masked_source("a: {url: y}\n  # no\nb:\n  {token: abcdef, url: x}")

    assert source.text == "a: {url: y}\n  # no\nb:\n  ***"
    assert source.place(Place(4, 19, 3)) == Place(4, 3, 3)
    assert source.place(Place(1, 5, 6)) == Place(1, 5, 6)
    assert source.place(Place(9, 1)) == Place(9, 1)


def test_messages_about_a_file_have_none_of_its_secrets() -> None:
    source = masked_source("token: Bearer abcdefgh\npassword: short")

    text = "'Bearer abcdefgh', abcdefgh, short, http://a:b@h is wrong"
    assert source.message(text) == "'***', ***, short, http://***@h is wrong"


def test_messages_about_invalid_yaml_have_no_word_behind_a_secret_name() -> None:
    source = masked_source('{"token": "abcdefgh", \'a\': [broken')

    assert source.message("no JSON: unexpected 'abcdefgh'") == "no JSON: unexpected '***'"


@pytest.mark.parametrize("blank", ["\t", "\x0b", "\x0c", "\u00a0", "\u3000", "\x85"])
def test_a_blank_that_is_no_space_is_read_within_brackets(blank: str) -> None:
    masked = masked_source(f"a: {{{blank}token: secret-1,{blank}b: 2}}\n")

    assert "secret-1" not in masked.text


def test_lists_that_name_each_other_many_times_are_read_once() -> None:
    lists = "".join(f"x{one}: &x{one} [{f'*x{one - 1}, ' * 9}a]\n" for one in range(1, 40))

    assert masked_source(f"x0: &x0 [b]\n{lists}token: *x39").text.count("***") == 40


_KEYS = st.sampled_from(["name", "url", "token", "auth", "X-Api-Key", "items", "session_id"])
_VALUES = st.sampled_from(["", " #", ": ", "\n", "'", '"', "{", "&x "]).map("sec-7f{}ret".format)


def _nested(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(below, max_size=3) | st.dictionaries(_KEYS, below, max_size=4)


@given(
    data=st.dictionaries(_KEYS, st.recursive(_VALUES | st.integers(), _nested), min_size=1),
    style=st.sampled_from(["'", '"', "|", None]),
    is_flow=st.booleans(),
    width=st.sampled_from([5, 80]),
    cut=st.integers(20, 400),
)
def test_no_text_shows_a_value_below_a_secret_name(
    data: dict[str, Any], style: str | None, is_flow: bool, width: int, cut: int
) -> None:
    hidden = {name: value for name, value in data.items() if name not in ("name", "url", "items")}
    known = {"name": "x", "auth": hidden}
    text = yaml.dump(
        known, sort_keys=False, default_style=style, default_flow_style=is_flow, width=width
    )

    for one in (text, text[:cut], f"{text[:cut]}\n{text[cut:]}", f"{text}\n- ["):
        source = masked_source(one)
        assert "sec-7f" not in source.text
        assert "ret" not in source.text.replace("secret", "")
