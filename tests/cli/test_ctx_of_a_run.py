"""`pytest-orchestrator ctx --run`: the Context of a past run."""

import json

import pytest

from tests.cli.conftest import Project
from tests.runs.built import RECIPE, Runs


@pytest.fixture
def name(runs: Runs) -> str:
    """Return the id of a run of two steps."""
    built = runs.new().begin("flash", "measure")
    built.start("flash")
    built.change("flash", "dut.state", "idle")
    built.finish("flash")
    built.start("measure")
    built.change("measure", "dut.state", "loaded")
    built.change("measure", "psu.ripple_mv", 41.3)
    built.finish("measure")
    return built.seal().name


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ("--run latest", 'dut.state = "loaded"\npsu.ripple_mv = 41.3\n'),
        ("--run latest --before measure full", 'dut.state = "idle"\n'),
        ("--run latest --before flash keys", ""),
        ("--run latest --after flash get dut.state", "idle\n"),
        ("get dut --run latest --json", '{"state":"loaded"}\n'),
        ("--run latest who dut.state", f"measure  <ts>  set  {RECIPE}::measure\n"),
        (
            "--run latest history dut.state",
            '<ts>  flash    set  null -> "idle"\n<ts>  measure  set  "idle" -> "loaded"\n',
        ),
    ],
)
def test_ctx_prints_the_context_of_a_run(project: Project, name: str, words: str, out: str) -> None:
    done = project.call("ctx", *words.split())
    for ts in ("2026-11-18T11:07:43.000000Z", "2026-11-18T11:07:47.000000Z"):
        done = done._replace(out=done.out.replace(ts, "<ts>"))

    assert done == (0, out, "")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("--run latest get dut.stat", 1, "no key 'dut.stat' in the context (did you mean"),
        ("--run latest set a 1", 2, "a past run cannot be changed: 'set' needs a live Context"),
        ("--run latest --before mesure", 2, "no step 'mesure' (did you mean 'measure'?)"),
        ("--run latest --before flash --after flash", 2, "--before and --after exclude each other"),
        ("--run latest --recipe x", 2, "no recipe 'x' with a Context of its own; there is none"),
        ("--run nothing", 2, "no run 'nothing'; the newest is"),
        ("--before flash keys", 2, "--before needs a run; add --run RUN"),
        ("", 2, "name a command: get, set, append"),
    ],
)
def test_wrong_selection_of_a_past_context_is_an_error(
    project: Project, name: str, words: str, code: int, message: str
) -> None:
    done = project.call("ctx", *words.split())

    assert (done.code, done.out) == (code, "")
    assert message in done.err


def test_ctx_diff_prints_the_keys_that_differ(project: Project, name: str, runs: Runs) -> None:
    built = runs.new().begin("flash")
    built.change("flash", "dut.state", "loaded")
    built.change("flash", "dut.serial", "A17")
    other = built.step("flash").seal().name

    assert project.call("ctx", "diff", name, other) == (
        1,
        '- psu.ripple_mv  41.3\n+ dut.serial     "A17"\n',
        "",
    )
    assert json.loads(project.call("ctx", "diff", other, name, "--json").out)[1] == {
        "key": "psu.ripple_mv",
        "b": 41.3,
    }
    assert project.call("ctx", "diff", name, name) == (0, "no difference\n", "")
