"""`pytest-orchestrator ctx` with a live Context."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.address import ADDRESS, TOKEN
from pytest_orchestrator.context.rpc.server import Server
from tests.cli.conftest import Project

SHELL = Path(__file__).parents[2] / "scriptlets" / "shell"
BASE = {"dut.serial": "A7 \u00f6", "n": 2, "poll": {"flow": [1.5, None]}}


@pytest.fixture
def ctx(monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    ctx = Context("bench")
    for key, value in BASE.items():
        ctx.set(key, value)
    with Server(ctx) as server:
        monkeypatch.setenv(ADDRESS, server.address)
        monkeypatch.setenv(TOKEN, server.token)
        yield ctx


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ("get dut.serial", "A7 \u00f6\n"),
        ("get dut.serial --json", '"A7 \u00f6"\n'),
        ("get poll.flow", "[1.5, null]\n"),
        ("get poll --json", '{"flow":[1.5,null]}\n'),
        ("full", 'dut.serial = "A7 \u00f6"\nn = 2\npoll = {"flow": [1.5, null]}\n'),
        ("keys", "dut.serial\nn\npoll\n"),
        ("keys --json", '["dut.serial","n","poll"]\n'),
        ("increment n", "3\n"),
        ("increment n -0.5", "1.5\n"),
        ("set n 7", ""),
        ("pop n", "pytest-orchestrator ctx: pop needs a list; 'n' is a number\n"),
        ("get dut.seril", ("pytest-orchestrator ctx: no key 'dut.seril' in the context "
         "(did you mean 'dut.serial'?)\n")),
        ("delete x", "pytest-orchestrator ctx: no key 'x' in the context\n"),
        ("history x", ""),
        ("history x --json", "[]\n"),
    ],
)  # fmt: skip
def test_ctx_prints_the_result_or_the_error(
    project: Project, ctx: Context, words: str, out: str
) -> None:
    done = project.call("ctx", *words.split())

    assert done.out + done.err == out
    assert done.code == (1 if done.err else 0)


def test_changes_are_stored_with_their_author(project: Project, ctx: Context) -> None:
    assert project.call("ctx", "set", "a", '{"b": [1]}').code == 0
    assert project.call("ctx", "set", "t", "--text", '{"b"', "--who", "me").code == 0
    assert project.call("ctx", "append", "l", "1").code == 0
    assert project.call("ctx", "append", "l", '"x"').code == 0
    assert project.call("ctx", "pop", "l", "0").out == "1\n"
    assert project.call("ctx", "delete", "a").code == 0

    assert ctx.to_dict() == {**BASE, "t": '{"b"', "l": ["x"]}
    lines = [
        line.split("  ", 1)[1] for line in project.call("ctx", "history", "l").out.splitlines()
    ]
    assert lines == ["client  append[0]  + 1", 'client  append[1]  + "x"', "client  pop[0]     - 1"]
    assert project.call("ctx", "history", "a").out.endswith('client  delete  - {"b": [1]}\n')
    assert project.call("ctx", "history", "t").out.startswith(f"{ctx.last_modified('t')}  me  set")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("set", "a", "NaN"), ("argument JSON: 'NaN' is not JSON (NaN is not in JSON); "
         "write --text for a text\n")),
        (("set", "a", "x y"), ("argument JSON: 'x y' is not JSON (Expecting value); "
         "write --text for a text\n")),
        (("set", "a"), "one of the arguments JSON --text is required\n"),
    ],
)  # fmt: skip
def test_wrong_command_line_exits_with_2(
    project: Project, ctx: Context, words: tuple[str, ...], message: str
) -> None:
    done = project.call("ctx", *words)

    assert done.code == 2
    assert done.err.endswith(f"error: {message}")


def test_ctx_script_prints_update_state(project: Project) -> None:
    done = project.call("ctx", "script")

    assert (done.code, done.err) == (0, "")
    assert done.out == (SHELL / "update_state.sh").read_text(), "copy it to scriptlets/shell"


def test_missing_context_is_reported_with_the_commands_that_serve_one(
    project: Project, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.1:{port}"
    monkeypatch.setenv(ADDRESS, address)

    done = project.call("ctx", "full")

    assert (done.code, done.err) == (
        2,
        (
            f"pytest-orchestrator ctx: no Context is served at {address} (of {ADDRESS}): "
            "Connection refused; start one by `pytest-orchestrator serve`, or "
            "`pytest --recipe-serve`\n"
        ),
    )
