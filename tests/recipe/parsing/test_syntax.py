"""Syntax errors of the YAML parser are reported in plain words, with a cure."""

from collections.abc import Callable

import pytest

Problems = Callable[[str | bytes], list[str]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\t- b", "2:1 a tab cannot indent YAML (use spaces)"),
        ("a: b\n\tc: d", "2:1 a tab cannot indent YAML (use spaces)"),
        ("a: @b", "1:4 a text cannot begin with '@' (quote it)"),
        ("a: `b", "1:4 a text cannot begin with '`' (quote it)"),
        ("a: %b", "1:4 a text cannot begin with '%' (quote it)"),
        (
            "a: b: c",
            (
                "1:5 invalid YAML: mapping values are not allowed in this context "
                "(quote a text that holds ': ', and check the indentation)"
            ),
        ),
        (
            "a: [1,\nb: 2",
            (
                "3:1 invalid YAML: did not find expected ',' or ']' while parsing a "
                "flow sequence that begins in line 1 "
                "(close the bracket, and quote a text that holds one)"
            ),
        ),
        (
            "a: {b: 1",
            (
                "2:1 invalid YAML: did not find expected ',' or '}' while parsing a flow "
                "mapping that begins in line 1 (close the brace, and quote a text that holds one)"
            ),
        ),
        (
            "a:\n  'b\n",
            (
                "3:1 invalid YAML: found unexpected end of stream while scanning a "
                "quoted scalar that begins in line 2 (close the quote)"
            ),
        ),
        (
            'a: "\\q"',
            (
                "1:5 invalid YAML: found unknown escape character while parsing a quoted "
                "scalar that begins in line 1 (in double quotes a backslash is written twice)"
            ),
        ),
        (
            "- a\nb: c",
            (
                "2:1 invalid YAML: did not find expected '-' indicator while parsing a "
                "block collection that begins in line 1 (check the indentation)"
            ),
        ),
        (
            "a: ]",
            (
                "1:4 invalid YAML: did not find expected node content while parsing a block "
                "node that begins in line 1"
            ),
        ),
        (
            "%YAML 2.0\n---\na: b",
            ("1:1 invalid YAML: found incompatible YAML document (leave the %YAML line out)"),
        ),
        ("a: 1\n---\nb: 2", "2:1 a second document begins here (a file holds one document)"),
        ("a: *b", "1:4 no anchor of this name stands above (quote a text that begins with *)"),
        (
            "a:\n  b: x\n\u00a0 c: d\n  e: f",
            "3:1 the character U+00A0 is no space of YAML (use spaces)",
        ),
        ("a: &x 1\n\nb: &x 2", "3:4 the anchor is given twice, here and in line 1"),
    ],
)
def test_invalid_yaml_is_reported_with_a_cure(text: str, message: str, problems: Problems) -> None:
    assert problems(text) == [message]
