"""Thousands of recipes with expressions: each is a recipe or clear problems, never an exception.

`RECIPES_TO_READ=10000` reads more of them; `RECIPES_SEED` chooses others.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.recipe import RecipeError, load
from tests.growth import TIMES, is_linear

if TYPE_CHECKING:
    from pathlib import Path

MANY = int(os.environ.get("RECIPES_TO_READ", "200"))
SEED = int(os.environ.get("RECIPES_SEED", "1"))
GOOD = """\
name: "PSU é 😀"
required: [serial]
vars: {gain: 2, list: [1, "${{ vars.gain }}"], late: "${{ matrix.g }}"}
matrix: {g: [1, 2], include: [{h: "${{ vars.gain }}"}]}
test_meta: {test_id: "T-${{ vars.serial }}"}
fixtures: [bench]
defaults: {timeout: "${{ vars.gain }}s", args: {PORT: "${{ run.port('x') }}"}}
steps:
  - name: first-step
    type: shell
    cmd: |
      # it's a comment ${{ vars.gain }}
      cat <<E | tee "$(echo ${{ vars.gain }})"
      ${{ ctx.a.b | default('x') }}
      E
    retry: {attempts: 3, until: result.ready and attempt > 1, abort_if: kind == 'timeout'}
    outputs:
      psu.volts: ${{ result.volts }}
      psu.serial: {from: stdout, regex: 'serial (\\w+)', default: "${{ vars.list[0] }}"}
    measurements:
      ripple: {value: result.ripple, high: "${{ vars.gain }}", within: {of: 12, percent: 5}}
    success:
      assert: [result.volts > 11.5, "'x' not in stderr", true]
      files: [{path: "out/${{ run.id }}.csv", contains: "${{ vars.gain }}"}]
  - name: second
    type: shell
    if: steps['first-step'].outcome == 'passed' and 'a.b' in ctx
    cmd: [a, "${{ fixtures.bench | string }}", '$${{ x }}']
    stdin: {a: ["${{ {'b': [1]} }}"]}
    locks: ["${{ vars.gain }}"]
  - name: third
    type: python
    module: a.b
    function: f
    params: {v: "${{ ctx['a.b'][-1] }}", w: "a\\r\\n${{ env.HOME }}"}
"""
PIECES = [
    *("${{", "}}", "$${{", "${{ x }}", "${{ vars. }}", "${{ }}", "{{ x }}", "{%", "{#", "|", "~"),
    *(
        "'",
        '"',
        "\\",
        "`",
        "$(",
        "$((",
        ")",
        "(",
        "<<E",
        "<<'E'",
        "[",
        "]",
        "{",
        "}",
        ":",
        "#",
        "-",
    ),
    *(
        " is defined",
        " | default(1)",
        " if ",
        " else ",
        " and ",
        "not ",
        ".x",
        "[0]",
        "['a']",
        "**",
    ),
    *("vars.", "ctx.", "steps.", "matrix.", "result", "1e999", "9" * 25, "0x", "()", "*a", "&a "),
    *(
        "\t",
        "\n",
        "  ",
        "\r",
        "\0",
        "\x85",
        "\u2028",
        "\ufeff",
        "😀",
        "é",
        "!!int ",
        "<<: *a",
        "? ",
    ),
    *(
        "<<: {}",
        "use: recipes/_p.yaml",
        "with: {a: 1}",
        "background: true",
        "ready: {port: x}",
        "%",
    ),
]


def generated(some: random.Random) -> bytes:
    """Generate a recipe with some mistakes, or random bytes."""
    kind = some.random()
    if kind < 0.05:
        return some.randbytes(some.randrange(200))
    if kind < 0.1:
        return "".join(some.choices([*PIECES, *GOOD.split(" ")], k=some.randrange(60))).encode()
    text = GOOD
    for _ in range(some.randint(1, 4)):
        start, other = some.randrange(len(text)), some.randrange(len(text))
        end = start + some.choice([0, 0, 1, 2, 8, 40])
        piece = some.choice([*PIECES, "", text[other : other + some.randrange(30)]])
        text = text[:start] + piece + text[end:]
    data = text.encode("utf-8", "surrogatepass")
    at = some.randrange(len(data))
    return data[:at] + some.randbytes(1) + data[at:] if some.random() < 0.02 else data


def is_clear(error: RecipeError) -> bool:
    """Return True if all problems are printable and in the text."""
    lines = len(error.text.splitlines()) + 1
    return bool(error.render()) and all(
        problem.text.isprintable() and 1 <= problem.place.line <= lines
        for problem in error.problems
    )


def test_a_generated_recipe_is_a_recipe_or_clear_problems(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    some = random.Random(SEED)
    good = unclear = 0
    for number in range(MANY):
        content = generated(some)
        path.write_bytes(content)
        try:
            good += bool(load(path, root=tmp_path).steps)
        except RecipeError as error:
            unclear += not is_clear(error)
        except Exception as error:
            error.add_note(f"recipe {number} of seed {SEED}: {content!r}")
            raise
    assert unclear == 0
    assert MANY // 100 < good < MANY


def test_the_recipe_behind_the_generated_ones_is_valid(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)

    assert len(load(tmp_path / "x.yaml", root=tmp_path).steps) == 3


def test_a_file_that_is_too_large_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(GOOD.encode())
    os.truncate(path, 1 << 40)  # larger than any memory
    with pytest.raises(RecipeError, match="above the limit of 1,048,576"):
        load(path, root=tmp_path)


HEAD = "vars: {x: 1}\nsteps:\n"
STEP = "  - {{name: s{0}, type: shell, cmd: 'a \"${{{{ vars.x }}}}\"', if: vars.x > {0}}}\n"
_LOADS = """
import re, sys
from pathlib import Path
from pytest_orchestrator.recipe import load

path = Path(sys.argv[1])
number = len(load(path, root=path.parent).steps)
# Not `ru_maxrss`: that of a child starts at what its parent had when it was started.
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(number, peak)
"""


@pytest.mark.nightly
def test_a_file_just_below_the_limit_is_read_within_a_memory_limit(tmp_path: Path) -> None:
    most = (1 << 20) - 100
    steps: list[str] = []
    size = len(HEAD)
    while size < most:
        steps.append(STEP.format(len(steps)))
        size += len(steps[-1])
    path = tmp_path / "x.yaml"
    path.write_text(HEAD + "".join(steps[:-1]))
    # In a separate process, whose memory no other test has increased, without coverage.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    output = subprocess.check_output([sys.executable, "-c", _LOADS, path], env=env, text=True)
    number, kilobytes = (int(word) for word in output.split())

    assert number == len(steps) - 1
    assert kilobytes < 200 * 1024


def test_a_recipe_is_read_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"

    def read(text: str) -> None:
        path.write_text(text)
        load(path, root=tmp_path)

    small, large = (f"{HEAD}{''.join(map(STEP.format, range(n)))}" for n in (30, 30 * TIMES))
    assert is_linear(read, small, large)
