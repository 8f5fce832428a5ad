"""What the shell scriptlet `update_state.sh` asks of a Context, and says where it cannot."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.address import ADDRESS, FILE, TOKEN, AddressFile
from pytest_orchestrator.context.rpc.server import Server

SCRIPT = Path(__file__).parents[2] / "scriptlets" / "shell" / "update_state.sh"
ODD = "".join(map(chr, range(1, 128))) + '\u00e9\u2028\U0001f600 \\u0041 \\\\" $HOME `x`'
CURE = "start one by `pytest-orchestrator serve`, or `pytest --recipe-serve`"

Told = tuple[int, str, str]
Ask = Callable[..., Told]


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[Context]:
    ctx = Context()
    with Server(ctx) as server:
        notice = AddressFile(tmp_path / FILE, server.address, server.token)
        notice.put_up()
        yield ctx


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)

    def ask(*words: str, **variables: str) -> Told:
        env = {k: v for k, v in os.environ.items() if k not in (ADDRESS, TOKEN)} | variables
        command = [str(SCRIPT), *words]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return ask


def test_each_operation_does_what_it_says(ask: Ask, ctx: Context) -> None:
    assert ask("set", "dut.serial", '"A7"') == (0, "", "")
    assert ask("get", "dut.serial") == (0, '"A7"\n', "")
    assert ask("get", "dut.serial", "--text") == (0, "A7\n", "")
    assert ask("append", "polls", '{"flow":\n 1.5}') == (0, "", "")
    assert ask("append", "polls", "--text", "7", "--who", "sensor") == (0, "", "")
    assert ask("get", "polls.0.flow", "--text") == (0, "1.5\n", "")
    assert ask("increment", "n") == (0, "1\n", "")
    assert ask("increment", "n", "-0.5") == (0, "0.5\n", "")
    assert ask("pop", "polls", "0") == (0, '{"flow":1.5}\n', "")
    assert ask("pop", "polls") == (0, '"7"\n', "")
    assert ask("delete", "n") == (0, "", "")
    assert ask("keys") == (0, '["dut.serial","polls"]\n', "")
    assert ask("full") == (0, '{"dut.serial":"A7","polls":[]}\n', "")
    assert ask("history", "polls")[1].count('"op":') == 4
    assert [one["who"] for one in ctx.get_history("polls")][:2] == ["client", "sensor"]


@pytest.mark.parametrize(
    "text", [ODD, "", "--who", "x" * 70_000], ids=["odd", "no", "dash", "long"]
)
def test_a_text_comes_back_as_it_was(ask: Ask, ctx: Context, text: str) -> None:
    assert ask("set", "odd", "--text", text) == (0, "", "")
    assert ctx.get("odd") == text
    assert ask("get", "odd", "--text") == (0, f"{text}\n", "")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("get", "dut.seral"), 1, "no key 'dut.seral' in the context (did you mean 'dut.serial'?)"),
        (("pop", "dut.serial"), 1, "pop needs a list; 'dut.serial' is text"),
        (("set", "a", "x y"), 2, "'x y' is not JSON; write --text for a text"),
        (("set", "a", '{"x": 1'), 2, "'{\"x\": 1' is not JSON; write --text for a text"),
        (("set", "a", '1,"op":"delete","path":"dut.serial"} {'), 2,
         "'1,\"op\":\"delete\",\"path\":\"dut.serial\"} {' is not JSON; write --text for a text"),
    ],
)  # fmt: skip
def test_what_the_context_refuses_is_told(
    ask: Ask, ctx: Context, words: tuple[str, ...], code: int, told: str
) -> None:
    ctx.set("dut.serial", "A7")

    assert ask(*words) == (code, "", f"update_state.sh: {told}\n")
    assert ctx.to_dict() == {"dut.serial": "A7"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name an operation"),
        (("gte", "a"), "no operation 'gte'"),
        (("get",), "get needs a key"),
        (("set", "a"), "set needs a value"),
        (("set", "a", ""), "a value is empty; write --text for a text"),
        (("set", "a", "1", "2"), "one argument too many: '2'"),
        (("set", "a", "--text"), "--text needs a text"),
        (("keys", "a"), "keys takes no key"),
        (("pop", "a", "last"), "the index of pop is a whole number, not 'last'"),
    ],
)
def test_a_wrong_command_line_is_told(ask: Ask, words: tuple[str, ...], told: str) -> None:
    code, out, err = ask(*words)

    assert (code, out, err.splitlines()[0]) == (2, "", f"update_state.sh: {told}")


def test_where_no_context_is_served_it_says_what_to_start(ask: Ask, port: int) -> None:
    address = f"127.0.0.1:{port}"
    assert ask("full", **{ADDRESS: address}) == (
        2, "", f"update_state.sh: no Context is served at {address}; {CURE}\n"
    )  # fmt: skip
    nowhere = f"{ADDRESS} is not set, and {FILE} is in no folder from here up"
    assert ask("full") == (
        2, "", f"update_state.sh: no Context is served: {nowhere}; {CURE}\n"
    )  # fmt: skip


def test_a_wrong_token_is_told(ask: Ask, ctx: Context, tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text(path.read_text().replace('"token": "', '"token": "x'))

    assert ask("full") == (2, "", "update_state.sh: the token is wrong or was not given\n")
