"""A client finds the server by argument, environment or file; otherwise it gets an error."""

import json
from pathlib import Path

import pytest

from pytest_orchestrator import Context, ContextUnreachable, RemoteContext
from pytest_orchestrator.context.rpc.address import ADDRESS, FILE, TOKEN, AddressFile
from pytest_orchestrator.context.rpc.protocol import RequestRefused
from pytest_orchestrator.context.rpc.server import Server

CURE = "start one by `pytest-orchestrator serve`, or `pytest --recipe-serve`"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv(ADDRESS, raising=False)
    monkeypatch.delenv(TOKEN, raising=False)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    return tmp_path


def test_a_client_finds_the_server_by_environment_or_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = Context()
    with Server(ctx) as server:
        address_file = AddressFile(folder / FILE, server.address, server.token)
        address_file.write()
        with RemoteContext.connect() as remote, RemoteContext.connect(server.address) as other:
            assert remote.increment("n") == 1
            assert other.increment("n") == 2
        monkeypatch.setenv(ADDRESS, server.address)
        monkeypatch.setenv(TOKEN, server.token_for("flash", ctx.bound("flash")))
        with RemoteContext.connect() as remote, RemoteContext.connect(who="me") as named:
            remote.increment("n")
            remote.bound("sensor").increment("n")
            named.increment("n")
        with pytest.raises(ContextUnreachable, match="this Context was closed; connect again"):
            remote.increment("n")
        assert (folder / FILE).stat().st_mode & 0o777 == 0o600
        assert json.loads((folder / FILE).read_text()).keys() == {"address", "token", "pid"}
        AddressFile(folder / FILE, "other", "x").write()
        address_file.remove()
        assert "other" in (folder / FILE).read_text()
    who = [change["who"] for change in ctx.get_history("n")]
    assert who == ["client", "client", "flash", "sensor", "me"]


def test_the_error_without_a_server_names_the_commands_that_start_one(
    folder: Path, port: int
) -> None:
    free = f"127.0.0.1:{port}"
    nowhere = f"no Context is served: {ADDRESS} is not set, and {FILE} is in no folder from here up"
    past = "`pytest-orchestrator ctx --run latest` reads the values of a run that has ended"
    assert connect_error() == f"{nowhere}; {CURE}; {past}"
    assert connect_error(free, "x") == f"no Context is served at {free}: Connection refused; {CURE}"
    assert connect_error("/no/such.sock", "x") == (
        f"no Context is served at /no/such.sock: No such file or directory; {CURE}"
    )
    for wrong in ("localhost", ":1", "a:b", "a:70000"):
        assert connect_error(wrong, "x") == (
            f"{wrong} is no address; write host:port, or the path of a Unix socket"
        )
    path = folder / FILE
    AddressFile(path, free, "x").write()
    assert connect_error() == (
        f"no Context is served at {free} (of {path}): Connection refused; {CURE}"
    )
    path.write_text("[]")
    assert (
        connect_error() == f"{path} does not say where a Context is served; delete it, and {CURE}"
    )


def test_a_wrong_token_is_refused_when_connecting() -> None:
    with (
        Server(Context()) as server,
        pytest.raises(RequestRefused, match=r"^the token is wrong or was not given$"),
    ):
        RemoteContext.connect(server.address, "x")


def test_a_value_larger_than_the_limit_of_the_first_request_is_written() -> None:
    ctx = Context()
    with Server(ctx) as server, RemoteContext.connect(server.address, server.token) as remote:
        remote.set("large", "x" * 1_000_000)
        assert len(remote.get("large")) == len(ctx.get("large")) == 1_000_000


def connect_error(address: str | None = None, token: str | None = None) -> str:
    with pytest.raises(ContextUnreachable) as caught:
        RemoteContext.connect(address, token)
    return str(caught.value)
