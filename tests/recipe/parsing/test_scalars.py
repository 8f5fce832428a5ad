"""Plain scalars are read by the rules of YAML 1.2, not 1.1."""

import pytest

from pytest_orchestrator.recipe.parsing.nodes import NotJsonScalar, plain, tagged
from pytest_orchestrator.recipe.problems import shortened


@pytest.mark.parametrize("word", ["", "~", "null", "Null", "NULL"])
def test_null_has_five_forms(word: str) -> None:
    assert plain(word) is None


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "false", "False", "FALSE"])
def test_booleans_are_true_and_false_alone(word: str) -> None:
    assert plain(word) is (word.lower() == "true")


@pytest.mark.parametrize(
    "word",
    [
        *("no", "yes", "on", "off", "y", "N", "tRUE", "nULL", "22:30", "2024-01-01", "1_000"),
        *(
            "0b11",
            "0o8",
            "0xg",
            "-0x1",
            "1e",
            "e1",
            ".",
            "+",
            "-",
            "--1",
            "1.2.3",
            "<<",
            "=",
            "inf",
        ),
        *("١٢", "1 2", "0x", "1\n", "."),
    ],
)
def test_any_other_plain_scalar_is_text(word: str) -> None:
    assert plain(word) == word


@pytest.mark.parametrize(
    ("word", "number"),
    [
        *(
            ("0", 0),
            ("010", 10),
            ("+7", 7),
            ("-12", -12),
            ("0o17", 15),
            ("0x1F", 31),
            ("0xff", 255),
        ),
        *(("18446744073709551615", 2**64 - 1), ("-9223372036854775808", -(2**63))),
        *(
            ("1.5", 1.5),
            (".5", 0.5),
            ("1.", 1.0),
            ("-1e3", -1000.0),
            ("1E-2", 0.01),
            ("007.5", 7.5),
        ),
        ("0" * 5000, 0),
    ],
)
def test_numbers_are_decimal_octal_hexadecimal_or_floats(word: str, number: float) -> None:
    assert plain(word) == number
    assert type(plain(word)) is type(number)


@pytest.mark.parametrize("word", [".inf", "-.Inf", "+.INF", ".nan", ".NaN", ".NAN"])
def test_numbers_that_json_lacks_are_refused(word: str) -> None:
    with pytest.raises(NotJsonScalar) as caught:
        plain(word)
    assert str(caught.value) == f"{word} is no number of JSON; use null, or quote it: '{word}'"


@pytest.mark.parametrize(
    "word", ["18446744073709551616", "-9223372036854775809", "0x1ffffffffffffffff"]
)
def test_whole_numbers_have_64_bits(word: str) -> None:
    with pytest.raises(NotJsonScalar) as caught:
        plain(word)
    assert str(caught.value) == f"{word} does not fit into 64 bits; quote it to have it as text"


def test_a_number_of_many_digits_is_refused_and_cut_in_the_message() -> None:
    with pytest.raises(NotJsonScalar) as caught:
        plain("9" * 10_000)
    nines = "9" * 29
    assert str(caught.value) == (
        f"{nines}...{nines} does not fit into 64 bits; quote it to have it as text"
    )


@pytest.mark.parametrize("text", ["1e-400", "-0.1e-400000000", "0." + "1" * 400])
def test_a_decimal_that_no_float_is_near_to_is_refused(text: str) -> None:
    with pytest.raises(NotJsonScalar) as caught:
        plain(text)
    shown = shortened(text)
    said = f"{shown} has more digits than a number keeps; quote it to have it as text"
    assert str(caught.value) == said


@pytest.mark.parametrize("text", ["0e400000000", "-0.0e-400000000", ".0"])
def test_a_zero_may_have_any_exponent(text: str) -> None:
    assert plain(text) == 0.0


def test_a_float_beyond_all_floats_is_refused() -> None:
    with pytest.raises(NotJsonScalar) as caught:
        plain("1e999")
    assert str(caught.value) == "1e999 is too large for a number; quote it to have it as text"


@pytest.mark.parametrize(
    ("word", "tag", "value"),
    [
        *(("12", "str", "12"), ("12", "int", 12), ("12", "float", 12.0), ("1.5", "float", 1.5)),
        *(("", "null", None), ("True", "bool", True)),
    ],
)
def test_a_tag_determines_the_type_of_a_scalar(word: str, tag: str, value: object) -> None:
    assert tagged(word, tag) == value
    assert type(tagged(word, tag)) is type(value)


@pytest.mark.parametrize(
    ("word", "tag"),
    [
        ("x", "int"),
        ("1.5", "int"),
        ("x", "float"),
        ("true", "float"),
        ("yes", "bool"),
        ("0", "null"),
    ],
)
def test_a_tag_that_does_not_match_its_scalar_is_refused(word: str, tag: str) -> None:
    with pytest.raises(NotJsonScalar) as caught:
        tagged(word, tag)
    assert str(caught.value) == f"'{word}' is not what the tag !!{tag} says"
