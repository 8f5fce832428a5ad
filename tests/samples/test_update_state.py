"""Shell scriptlet `update_state.sh`: operations on a Context and error messages."""

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

Reply = tuple[int, str, str]
Call = Callable[..., Reply]


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[Context]:
    ctx = Context()
    with Server(ctx) as server:
        notice = AddressFile(tmp_path / FILE, server.address, server.token)
        notice.write()
        yield ctx


@pytest.fixture
def call(tmp_path: Path) -> Call:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)

    def call(*words: str, **variables: str) -> Reply:
        env = {k: v for k, v in os.environ.items() if k not in (ADDRESS, TOKEN)} | variables
        command = [str(SCRIPT), *words]
        process = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False)
        return process.returncode, process.stdout.decode(), process.stderr.decode()

    return call


def test_each_operation_changes_the_context(call: Call, ctx: Context) -> None:
    assert call("set", "dut.serial", '"A7"') == (0, "", "")
    assert call("get", "dut.serial") == (0, '"A7"\n', "")
    assert call("get", "dut.serial", "--text") == (0, "A7\n", "")
    assert call("append", "polls", '{"flow":\n 1.5}') == (0, "", "")
    assert call("append", "polls", "--text", "7", "--who", "sensor") == (0, "", "")
    assert call("get", "polls.0.flow", "--text") == (0, "1.5\n", "")
    assert call("increment", "n") == (0, "1\n", "")
    assert call("increment", "n", "-0.5") == (0, "0.5\n", "")
    assert call("pop", "polls", "0") == (0, '{"flow":1.5}\n', "")
    assert call("pop", "polls") == (0, '"7"\n', "")
    assert call("delete", "n") == (0, "", "")
    assert call("keys") == (0, '["dut.serial","polls"]\n', "")
    assert call("full") == (0, '{"dut.serial":"A7","polls":[]}\n', "")
    assert call("history", "polls")[1].count('"op":') == 4
    assert [change["who"] for change in ctx.get_history("polls")][:2] == ["client", "sensor"]


@pytest.mark.parametrize(
    "text", [ODD, "", "--who", "x" * 70_000], ids=["odd", "no", "dash", "long"]
)
def test_any_text_is_read_back_unchanged(call: Call, ctx: Context, text: str) -> None:
    assert call("set", "odd", "--text", text) == (0, "", "")
    assert ctx.get("odd") == text
    assert call("get", "odd", "--text") == (0, f"{text}\n", "")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("get", "dut.seral"), 1, "no key 'dut.seral' in the context (did you mean 'dut.serial'?)"),
        (("pop", "dut.serial"), 1, "pop needs a list; 'dut.serial' is text"),
        (("set", "a", "x y"), 2, "'x y' is not JSON; write --text for a text"),
        (("set", "a", '{"x": 1'), 2, "'{\"x\": 1' is not JSON; write --text for a text"),
        (("set", "a", '1,"op":"delete","path":"dut.serial"} {'), 2,
         "'1,\"op\":\"delete\",\"path\":\"dut.serial\"} {' is not JSON; write --text for a text"),
    ],
)  # fmt: skip
def test_refusals_of_the_context_are_reported(
    call: Call, ctx: Context, words: tuple[str, ...], code: int, message: str
) -> None:
    ctx.set("dut.serial", "A7")

    assert call(*words) == (code, "", f"update_state.sh: {message}\n")
    assert ctx.to_dict() == {"dut.serial": "A7"}


@pytest.mark.parametrize(
    ("words", "message"),
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
def test_a_wrong_command_line_is_reported(call: Call, words: tuple[str, ...], message: str) -> None:
    code, out, err = call(*words)

    assert (code, out, err.splitlines()[0]) == (2, "", f"update_state.sh: {message}")


def test_a_missing_context_server_is_reported_with_a_hint(call: Call, port: int) -> None:
    address = f"127.0.0.1:{port}"
    assert call("full", **{ADDRESS: address}) == (
        2, "", f"update_state.sh: no Context is served at {address}; {CURE}\n"
    )  # fmt: skip
    nowhere = f"{ADDRESS} is not set, and {FILE} is in no folder from here up"
    assert call("full") == (
        2, "", f"update_state.sh: no Context is served: {nowhere}; {CURE}\n"
    )  # fmt: skip


def test_a_wrong_token_is_reported(call: Call, ctx: Context, tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text(path.read_text().replace('"token": "', '"token": "x'))

    assert call("full") == (2, "", "update_state.sh: the token is wrong or was not given\n")
