"""`pytest-orchestrator ctx --run`: the Context of a past run."""

import pytest

from tests.cli.conftest import Project
from tests.runs.built import Runs


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
        ("get dut --run latest --json", '{"state":"loaded"}\n'),
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
        ("--run latest --recipe x", 2, "no recipe 'x' with a Context of its own; there is none"),
        ("--run nothing", 2, "no run 'nothing'; the newest is"),
        ("--recipe x keys", 2, "--recipe needs a run; add --run RUN"),
        ("", 2, "name a command: get, set, append"),
    ],
)
def test_wrong_selection_of_a_past_context_is_an_error(
    project: Project, name: str, words: str, code: int, message: str
) -> None:
    done = project.call("ctx", *words.split())

    assert (done.code, done.out) == (code, "")
    assert message in done.err
