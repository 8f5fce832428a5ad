"""Outputs that are read as another type, as `validate` reports them."""

from pathlib import Path

import pytest

from tests.recipe.analysis.test_dataflow import checked

RECIPE = """\
steps:
  - name: count
    type: shell
    cmd: "true"
    parse: text
    outputs:
      n.text: {from: stdout, regex: x}
      n.count: {from: stdout, regex: x, type: integer}
      n.any: {from: stdout, regex: x, type: json}
      n.either: {from: stdout, regex: x, default: 5}
      n.on: {from: stdout, regex: x, type: boolean}
  - name: look
    type: shell
    cmd: "true"
    parse: text
    """


def found(tmp_path: Path, keys: str) -> list[str]:
    path = tmp_path / "recipes" / "x.yaml"
    path.parent.mkdir()
    path.write_text(RECIPE + keys + "\n")
    return [
        f"{one.problem.place.line}:{one.problem.place.column} {one.severity}: {one.problem.text}"
        for one in checked(path, tmp_path)
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "measurements: {m: {value: ctx.n.text, high: 5}}",
            (
                "16:31 warning: step 'look' reads ctx.n.text, which step 'count' writes as a text, "
                "and 'high' needs a number (type: number in the output of 'count')"
            ),
        ),
        (
            "measurements: {m: {value: ctx.n.on, nominal: 5, tolerance: 1%}}",
            (
                "16:31 warning: step 'look' reads ctx.n.on, which step 'count' writes as true or "
                "false, and 'nominal' needs a number (type: number in the output of 'count')"
            ),
        ),
        (
            "measurements: {m: {value: ctx.n.count, matches: x}}",
            (
                "16:31 warning: step 'look' reads ctx.n.count, which step 'count' writes as a "
                "number, and 'matches' needs a text (type: text in the output of 'count')"
            ),
        ),
        (
            "success: {assert: [ctx.n.text > 5]}",
            (
                "16:24 warning: step 'look' reads ctx.n.text, which step 'count' writes as a text, "
                "and compares it with a number (type: number in the output of 'count')"
            ),
        ),
        (
            "if: 5 == ctx.n.text",
            (
                "16:9 warning: step 'look' reads ctx.n.text, which step 'count' writes as a text, "
                "and compares it with a number (type: number in the output of 'count')"
            ),
        ),
        (
            "stdin: \"${{ ctx.n.count == '5' }}\"",
            (
                "16:12 warning: step 'look' reads ctx.n.count, which step 'count' writes as a "
                "number, and compares it with text (type: text in the output of 'count')"
            ),
        ),
    ],
)
def test_an_output_that_is_read_as_another_type_is_reported(
    keys: str, message: str, tmp_path: Path
) -> None:
    assert found(tmp_path, keys) == [message]


@pytest.mark.parametrize(
    "keys",
    [
        "measurements: {m: {value: ctx.n.count, high: 5}}",
        "measurements: {m: {value: ctx.n.text | int, high: 5}}",
        "measurements: {m: {value: ctx.n.any, high: 5}, o: {value: ctx.n.either, low: 1}}",
        "measurements: {m: {value: ctx.n.text, equals: x}}",
        "success: {assert: [ctx.n.count >= 5.5, \"ctx.n.text == 'x'\", ctx.n.on == true]}",
        "success: {assert: [\"ctx.n.text in 'xy'\", ctx.n.text is none, ctx.n.text != none]}",
        "outputs: {n.text: 5}\n    success: {assert: [ctx.n.text > 5]}",
    ],
)
def test_an_output_that_is_read_as_its_type_is_not_reported(keys: str, tmp_path: Path) -> None:
    assert found(tmp_path, keys) == []
